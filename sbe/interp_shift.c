/* Shifts and rotates: SDM vol. 2, "SAL/SAR/SHL/SHR", "RCL/RCR/ROL/ROR", "SHLD", "SHRD".
 *
 * A count of 0 still opens a memory operand for writing, as the processor does, and still zero-extends a 32-bit
 * register. */
#include "sbe/handlers.h"
#include "sbe/native_flags.h"

#define SHIFT(bits, type, suffix, cast, op)                                                                \
    static inline enum exec op##_by_##bits(struct vcpu *v, const struct insn *i, u8 count)                 \
    {                                                                                                      \
        struct mem_rmw rmw;                                                                                \
        type a;                                                                                            \
        if (!insn_is_memory(i)) {                                                                          \
            a = native_##op##_##bits(reg_get_##bits(v, i->rm_at), count, &v->cpu.aflags);                  \
            reg_set_##bits(v, i->rm_at, a);                                                                \
            return EXEC_NEXT;                                                                              \
        }                                                                                                  \
        if (!rm_open_##bits(v, i, &rmw, &a))                                                               \
            return EXEC_FAULT;                                                                             \
        rm_close_##bits(v, i, &rmw, native_##op##_##bits(a, count, &v->cpu.aflags));                       \
        return EXEC_NEXT;                                                                                  \
    }                                                                                                      \
    enum exec op_##op##_rm_imm_##bits(struct vcpu *v, const struct insn *i)                                \
    {                                                                                                      \
        return op##_by_##bits(v, i, (u8)i->imm);                                                           \
    }                                                                                                      \
    enum exec op_##op##_rm_cl_##bits(struct vcpu *v, const struct insn *i)                                 \
    {                                                                                                      \
        return op##_by_##bits(v, i, (u8)v->cpu.gpr[RCX]);                                                  \
    }                                                                                                      \
    enum exec op_##op##_rm_one_##bits(struct vcpu *v, const struct insn *i)                                \
    {                                                                                                      \
        struct mem_rmw rmw;                                                                                \
        type a;                                                                                            \
        if (!rm_open_##bits(v, i, &rmw, &a))                                                               \
            return EXEC_FAULT;                                                                             \
        rm_close_##bits(v, i, &rmw, native_##op##_one_##bits(a, &v->cpu.aflags));                          \
        return EXEC_NEXT;                                                                                  \
    }
NATIVE_SIZES(SHIFT, rol)
NATIVE_SIZES(SHIFT, ror)
NATIVE_SIZES(SHIFT, rcl)
NATIVE_SIZES(SHIFT, rcr)
NATIVE_SIZES(SHIFT, shl)
NATIVE_SIZES(SHIFT, shr)
NATIVE_SIZES(SHIFT, sar)

#define SHIFT_DOUBLE(bits, type, suffix, cast, op)                                                         \
    static inline enum exec op##_by_##bits(struct vcpu *v, const struct insn *i, u8 count)                 \
    {                                                                                                      \
        struct mem_rmw rmw;                                                                                \
        type a;                                                                                            \
        if (!rm_open_##bits(v, i, &rmw, &a))                                                               \
            return EXEC_FAULT;                                                                             \
        type b = reg_get_##bits(v, i->reg_at);                                                             \
        rm_close_##bits(v, i, &rmw, native_##op##_##bits(a, b, count, &v->cpu.aflags));                    \
        return EXEC_NEXT;                                                                                  \
    }                                                                                                      \
    enum exec op_##op##_imm_##bits(struct vcpu *v, const struct insn *i)                                   \
    {                                                                                                      \
        return op##_by_##bits(v, i, (u8)i->imm);                                                           \
    }                                                                                                      \
    enum exec op_##op##_cl_##bits(struct vcpu *v, const struct insn *i)                                    \
    {                                                                                                      \
        return op##_by_##bits(v, i, (u8)v->cpu.gpr[RCX]);                                                  \
    }
NATIVE_WIDE(SHIFT_DOUBLE, shld)
NATIVE_WIDE(SHIFT_DOUBLE, shrd)
