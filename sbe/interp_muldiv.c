/* Multiplication and division: SDM vol. 2, MUL IMUL DIV IDIV.
 *
 * A division runs natively only after the quotient was found to fit: #DE is the guest's, never the host's. */
#include "sbe/handlers.h"
#include "sbe/native_flags.h"

/* MUL and IMUL with one operand: rDX:rAX = rAX × r/m. */
#define MULTIPLY(bits, type, suffix, cast, op, name)                                                       \
    enum exec op_##name##_rm_##bits(struct vcpu *v, const struct insn *i)                                  \
    {                                                                                                      \
        type b;                                                                                            \
        if (!rm_read_##bits(v, i, &b))                                                                     \
            return EXEC_FAULT;                                                                             \
        type low = (type)v->cpu.gpr[RAX], high = 0;                                                        \
        native_##op##_##bits(&low, &high, b, &v->cpu.aflags);                                              \
        reg_set_##bits(v, RAX * 8, low);                                                                   \
        reg_set_##bits(v, RDX * 8, high);                                                                  \
        return EXEC_NEXT;                                                                                  \
    }
NATIVE_WIDE(MULTIPLY, mul, mul)
NATIVE_WIDE(MULTIPLY, imul, imul1)

#define MULTIPLY_BYTE(op, name)                                                                            \
    enum exec op_##name##_rm_8(struct vcpu *v, const struct insn *i)                                       \
    {                                                                                                      \
        u8 b;                                                                                              \
        if (!rm_read_8(v, i, &b))                                                                          \
            return EXEC_FAULT;                                                                             \
        reg_set_16(v, RAX * 8, native_##op##_8((u8)v->cpu.gpr[RAX], b, &v->cpu.aflags));                   \
        return EXEC_NEXT;                                                                                  \
    }
MULTIPLY_BYTE(mul, mul)
MULTIPLY_BYTE(imul, imul1)

/* IMUL with two and three operands. */
#define MULTIPLY_INTO(bits, type, suffix, cast)                                                            \
    enum exec op_imul_r_rm_##bits(struct vcpu *v, const struct insn *i)                                    \
    {                                                                                                      \
        type b;                                                                                            \
        if (!rm_read_##bits(v, i, &b))                                                                     \
            return EXEC_FAULT;                                                                             \
        type a = reg_get_##bits(v, i->reg_at);                                                             \
        reg_set_##bits(v, i->reg_at, native_imul2_##bits(a, b, &v->cpu.aflags));                           \
        return EXEC_NEXT;                                                                                  \
    }                                                                                                      \
    enum exec op_imul_r_rm_imm_##bits(struct vcpu *v, const struct insn *i)                                \
    {                                                                                                      \
        type a;                                                                                            \
        if (!rm_read_##bits(v, i, &a))                                                                     \
            return EXEC_FAULT;                                                                             \
        reg_set_##bits(v, i->reg_at, native_imul2_##bits(a, (type)i->imm, &v->cpu.aflags));                \
        return EXEC_NEXT;                                                                                  \
    }
NATIVE_WIDE(MULTIPLY_INTO)

/* Whether high:low / b has a quotient of the operand's size. Unsigned: exactly when high < b. */
#define FITS_UNSIGNED(bits, type, suffix, cast)                                                            \
    static inline bool div_fits_##bits(type high, type low, type b)                                        \
    {                                                                                                      \
        (void)low;                                                                                         \
        return high < b;                                                                                   \
    }
NATIVE_SIZES(FITS_UNSIGNED)

/* Signed, by magnitudes: |dividend| / |b| must stay below 2^(bits-1), or reach it when the quotient is negative.
 * |dividend| >= limit × |b| with limit = 2^(bits-1) (+ 1 if negative) says that it does not. `wide` holds twice the
 * bits, and limit × |b| is at most 2^(2·bits-2) + 2^(bits-1), so nothing overflows. */
#define FITS_SIGNED(bits, type, wide)                                                                      \
    static inline bool idiv_fits_##bits(type high, type low, type b)                                       \
    {                                                                                                      \
        wide dividend = (wide)((wide)high << bits | low);                                                  \
        bool dividend_negative = high >> (bits - 1);                                                       \
        bool divisor_negative = b >> (bits - 1);                                                           \
        wide magnitude = dividend_negative ? (wide)(0 - dividend) : dividend;                              \
        type divisor = divisor_negative ? (type)(0 - b) : b;                                               \
        wide limit = (wide)((wide)1 << (bits - 1)) + (dividend_negative != divisor_negative);              \
        return b != 0 && magnitude < (wide)(limit * divisor);                                              \
    }
FITS_SIGNED(8, u8, u16)
FITS_SIGNED(16, u16, u32)
FITS_SIGNED(32, u32, u64)
FITS_SIGNED(64, u64, u128)

#define DIVIDE(bits, type, suffix, cast, op)                                                               \
    enum exec op_##op##_rm_##bits(struct vcpu *v, const struct insn *i)                                    \
    {                                                                                                      \
        type b;                                                                                            \
        if (!rm_read_##bits(v, i, &b))                                                                     \
            return EXEC_FAULT;                                                                             \
        type low = (type)v->cpu.gpr[RAX], high = (type)v->cpu.gpr[RDX];                                    \
        if (!op##_fits_##bits(high, low, b))                                                               \
            return fault_vector(v, VEC_DE);                                                                \
        native_##op##_##bits(&low, &high, b, &v->cpu.aflags);                                              \
        reg_set_##bits(v, RAX * 8, low);                                                                   \
        reg_set_##bits(v, RDX * 8, high);                                                                  \
        return EXEC_NEXT;                                                                                  \
    }
NATIVE_WIDE(DIVIDE, div)
NATIVE_WIDE(DIVIDE, idiv)

#define DIVIDE_BYTE(op)                                                                                    \
    enum exec op_##op##_rm_8(struct vcpu *v, const struct insn *i)                                         \
    {                                                                                                      \
        u8 b;                                                                                              \
        if (!rm_read_8(v, i, &b))                                                                          \
            return EXEC_FAULT;                                                                             \
        u16 pair = (u16)v->cpu.gpr[RAX];                                                                   \
        if (!op##_fits_8((u8)(pair >> 8), (u8)pair, b))                                                    \
            return fault_vector(v, VEC_DE);                                                                \
        reg_set_16(v, RAX * 8, native_##op##_8(pair, b, &v->cpu.aflags));                                  \
        return EXEC_NEXT;                                                                                  \
    }
DIVIDE_BYTE(div)
DIVIDE_BYTE(idiv)
