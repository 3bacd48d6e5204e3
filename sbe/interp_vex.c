/* Handlers of VEX-encoded instructions on general registers: BMI1 and BMI2 (SDM vol. 2, under their names). Operands are 32 or,
 * with VEX.W in 64-bit mode, 64 bits wide. Flags that the SDM leaves undefined come out clear. */
#include "sbe/handlers.h"

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

static u32 sign_zero_flags(const struct insn *i, u64 result)
{
    return (result >> (operand_bits(i) - 1) & 1 ? FLAG_SF : 0) | (result == 0 ? FLAG_ZF : 0);
}

enum exec op_andn(struct vcpu *v, const struct insn *i)
{
    u64 source;
    if (!read_rm(v, i, &source))
        return EXEC_FAULT;
    u64 result = ~read_vvvv(v, i) & source;
    write_register(v, i, i->reg, result);
    v->cpu.aflags = sign_zero_flags(i, result);
    return EXEC_NEXT;
}

/* Bits start.. of the source, `length` of them; both counts are bytes of the control register. */
enum exec op_bextr(struct vcpu *v, const struct insn *i)
{
    u64 source;
    if (!read_rm(v, i, &source))
        return EXEC_FAULT;
    unsigned start = read_vvvv(v, i) & 0xff, length = read_vvvv(v, i) >> 8 & 0xff;
    u64 result = start < operand_bits(i) ? source >> start : 0;
    if (length < operand_bits(i))
        result &= (1ull << length) - 1;
    write_register(v, i, i->reg, result);
    v->cpu.aflags = result == 0 ? FLAG_ZF : 0;
    return EXEC_NEXT;
}

static enum exec lowest_bit(struct vcpu *v, const struct insn *i, u64 result, bool carry)
{
    if (i->opsize == 4)
        result = (u32)result;
    write_register(v, i, i->vvvv, result);
    v->cpu.aflags = sign_zero_flags(i, result) | (carry ? FLAG_CF : 0);
    return EXEC_NEXT;
}

enum exec op_blsr(struct vcpu *v, const struct insn *i)
{
    u64 source;
    if (!read_rm(v, i, &source))
        return EXEC_FAULT;
    return lowest_bit(v, i, (source - 1) & source, source == 0);
}

/* ZF is always clear: the result has at least one bit. */
enum exec op_blsmsk(struct vcpu *v, const struct insn *i)
{
    u64 source;
    if (!read_rm(v, i, &source))
        return EXEC_FAULT;
    return lowest_bit(v, i, (source - 1) ^ source, source == 0);
}

enum exec op_blsi(struct vcpu *v, const struct insn *i)
{
    u64 source;
    if (!read_rm(v, i, &source))
        return EXEC_FAULT;
    return lowest_bit(v, i, -source & source, source != 0);
}

enum exec op_bzhi(struct vcpu *v, const struct insn *i)
{
    u64 source;
    if (!read_rm(v, i, &source))
        return EXEC_FAULT;
    unsigned first = read_vvvv(v, i) & 0xff;
    bool beyond = first >= operand_bits(i);
    u64 result = beyond ? source : source & ((1ull << first) - 1);
    write_register(v, i, i->reg, result);
    v->cpu.aflags = sign_zero_flags(i, result) | (beyond ? FLAG_CF : 0);
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
