/* Handlers of VEX-encoded instructions on general registers: BMI1 and BMI2 (SDM vol. 2, under their names). Operands
 * are 32 or, with VEX.W in 64-bit mode, 64 bits wide. */
#include "sbe/handlers.h"
#include "sbe/native_flags.h"

/* The r/m operand, zero-extended. */
static bool read_rm(struct vcpu *v, const struct insn *i, u64 *value)
{
    u32 narrow;
    if (i->opsize == 8)
        return rm_read_64(v, i, value);
    if (!rm_read_32(v, i, &narrow))
        return false;
    *value = narrow;
    return true;
}

static u64 read_vvvv(const struct vcpu *v, const struct insn *i)
{
    u64 value = v->cpu.gpr[i->vvvv];
    return i->opsize == 8 ? value : (u32)value;
}

static void write_register(struct vcpu *v, const struct insn *i, unsigned number, u64 value)
{
    v->cpu.gpr[number] = i->opsize == 8 ? value : (u32)value;
}

static unsigned operand_bits(const struct insn *i)
{
    return 8u * i->opsize;
}

/* native_<op>(): the operation on the host's own unit for the sake of the undefined flags, which must come out as the
 * processor leaves them. `a` is the operand that AT&T syntax names first; `wide`: 64 bits. Models with BMI run only
 * on hosts that have it (cpu_model_missing_on_host). */
#define NATIVE_TWO(op)                                                                              \
    static u64 native_##op(bool wide, u64 a, u64 b, u32 *flags)                                     \
    {                                                                                               \
        u32 ax = native_flags_pack(*flags);                                                         \
        u64 result;                                                                                 \
        if (wide)                                                                                   \
            __asm__(NATIVE_FLAGS_LOAD #op " %q[a], %q[b], %q[to]" NATIVE_FLAGS_STORE                \
                    : [to] "=&r"(result), "+&a"(ax) : [a] "r"(a), [b] "r"(b) : "cc");               \
        else                                                                                        \
            __asm__(NATIVE_FLAGS_LOAD #op " %k[a], %k[b], %k[to]" NATIVE_FLAGS_STORE                \
                    : [to] "=&r"(result), "+&a"(ax) : [a] "r"(a), [b] "r"(b) : "cc");               \
        *flags = native_flags_unpack(ax);                                                           \
        return result;                                                                              \
    }
NATIVE_TWO(andn)
NATIVE_TWO(bextr)
NATIVE_TWO(bzhi)

#define NATIVE_ONE(op)                                                                              \
    static u64 native_##op(bool wide, u64 a, u32 *flags)                                            \
    {                                                                                               \
        u32 ax = native_flags_pack(*flags);                                                         \
        u64 result;                                                                                 \
        if (wide)                                                                                   \
            __asm__(NATIVE_FLAGS_LOAD #op " %q[a], %q[to]" NATIVE_FLAGS_STORE                       \
                    : [to] "=&r"(result), "+&a"(ax) : [a] "r"(a) : "cc");                           \
        else                                                                                        \
            __asm__(NATIVE_FLAGS_LOAD #op " %k[a], %k[to]" NATIVE_FLAGS_STORE                       \
                    : [to] "=&r"(result), "+&a"(ax) : [a] "r"(a) : "cc");                           \
        *flags = native_flags_unpack(ax);                                                           \
        return result;                                                                              \
    }
NATIVE_ONE(blsr)
NATIVE_ONE(blsmsk)
NATIVE_ONE(blsi)

enum exec op_andn(struct vcpu *v, const struct insn *i)
{
    u64 source;
    if (!read_rm(v, i, &source))
        return EXEC_FAULT;
    write_register(v, i, i->reg, native_andn(i->opsize == 8, source, read_vvvv(v, i), &v->cpu.aflags));
    return EXEC_NEXT;
}

enum exec op_bextr(struct vcpu *v, const struct insn *i)
{
    u64 source;
    if (!read_rm(v, i, &source))
        return EXEC_FAULT;
    write_register(v, i, i->reg, native_bextr(i->opsize == 8, read_vvvv(v, i), source, &v->cpu.aflags));
    return EXEC_NEXT;
}

enum exec op_bzhi(struct vcpu *v, const struct insn *i)
{
    u64 source;
    if (!read_rm(v, i, &source))
        return EXEC_FAULT;
    write_register(v, i, i->reg, native_bzhi(i->opsize == 8, read_vvvv(v, i), source, &v->cpu.aflags));
    return EXEC_NEXT;
}

/* The destination of these three is VEX.vvvv. */
enum exec op_blsr(struct vcpu *v, const struct insn *i)
{
    u64 source;
    if (!read_rm(v, i, &source))
        return EXEC_FAULT;
    write_register(v, i, i->vvvv, native_blsr(i->opsize == 8, source, &v->cpu.aflags));
    return EXEC_NEXT;
}

enum exec op_blsmsk(struct vcpu *v, const struct insn *i)
{
    u64 source;
    if (!read_rm(v, i, &source))
        return EXEC_FAULT;
    write_register(v, i, i->vvvv, native_blsmsk(i->opsize == 8, source, &v->cpu.aflags));
    return EXEC_NEXT;
}

enum exec op_blsi(struct vcpu *v, const struct insn *i)
{
    u64 source;
    if (!read_rm(v, i, &source))
        return EXEC_FAULT;
    write_register(v, i, i->vvvv, native_blsi(i->opsize == 8, source, &v->cpu.aflags));
    return EXEC_NEXT;
}

/* If both destinations are the same register, it gets the high half. */
enum exec op_mulx(struct vcpu *v, const struct insn *i)
{
    u64 source;
    if (!read_rm(v, i, &source))
        return EXEC_FAULT;
    u64 factor = i->opsize == 8 ? v->cpu.gpr[RDX] : (u32)v->cpu.gpr[RDX];
    u128 product = (u128)factor * source;
    write_register(v, i, i->vvvv, (u64)product);
    write_register(v, i, i->reg, (u64)(product >> operand_bits(i)));
    return EXEC_NEXT;
}

enum exec op_pdep(struct vcpu *v, const struct insn *i)
{
    u64 mask;
    if (!read_rm(v, i, &mask))
        return EXEC_FAULT;
    u64 source = read_vvvv(v, i), result = 0;
    for (; mask; mask &= mask - 1, source >>= 1)
        if (source & 1)
            result |= mask & -mask;
    write_register(v, i, i->reg, result);
    return EXEC_NEXT;
}

enum exec op_pext(struct vcpu *v, const struct insn *i)
{
    u64 mask;
    if (!read_rm(v, i, &mask))
        return EXEC_FAULT;
    u64 source = read_vvvv(v, i), result = 0;
    for (unsigned bit = 0; mask; mask &= mask - 1, bit++)
        if (source & mask & -mask)
            result |= 1ull << bit;
    write_register(v, i, i->reg, result);
    return EXEC_NEXT;
}

enum exec op_rorx(struct vcpu *v, const struct insn *i)
{
    u64 source;
    if (!read_rm(v, i, &source))
        return EXEC_FAULT;
    unsigned bits = operand_bits(i), count = i->imm & (bits - 1);
    write_register(v, i, i->reg, count ? source >> count | source << (bits - count) : source);
    return EXEC_NEXT;
}

enum exec op_sarx(struct vcpu *v, const struct insn *i)
{
    u64 source;
    if (!read_rm(v, i, &source))
        return EXEC_FAULT;
    unsigned count = read_vvvv(v, i) & (operand_bits(i) - 1);
    s64 value = i->opsize == 8 ? (s64)source : (s32)source;
    write_register(v, i, i->reg, (u64)(value >> count));
    return EXEC_NEXT;
}

enum exec op_shlx(struct vcpu *v, const struct insn *i)
{
    u64 source;
    if (!read_rm(v, i, &source))
        return EXEC_FAULT;
    write_register(v, i, i->reg, source << (read_vvvv(v, i) & (operand_bits(i) - 1)));
    return EXEC_NEXT;
}

enum exec op_shrx(struct vcpu *v, const struct insn *i)
{
    u64 source;
    if (!read_rm(v, i, &source))
        return EXEC_FAULT;
    write_register(v, i, i->reg, source >> (read_vvvv(v, i) & (operand_bits(i) - 1)));
    return EXEC_NEXT;
}
