/* Bits: SDM vol. 2, BT BTS BTR BTC BSF BSR TZCNT LZCNT POPCNT CRC32. */
#include "core/vm.h"
#include "sbe/handlers.h"
#include "sbe/native_flags.h"

/* Linear address of the operand-sized unit that holds bit `bit` (signed) of the bit string at the memory operand: SDM
 * vol. 1, 3.1.1.9 "Bit(BitBase, BitOffset)", in units of the operand size as table 3-2 of vol. 2 ("BT") says. */
static bool bit_unit_linear(struct vcpu *v, const struct insn *i, s64 bit, enum access access, u64 *linear)
{
    unsigned bits = i->opsize * 8u;
    u64 offset = address_truncate(i, insn_offset(v, i) + (u64)((bit & -(s64)bits) >> 3));
    return seg_linear(v, (enum seg)i->seg, offset, i->opsize, access, linear);
}

/* Bit in a register, and at a constant position, where a memory operand is its one unit. */
#define BIT(bits, type, op)                                                                                \
    enum exec op_##op##_r_r_##bits(struct vcpu *v, const struct insn *i)                                   \
    {                                                                                                      \
        type bit = reg_get_##bits(v, i->reg_at) & (bits - 1);                                              \
        reg_set_##bits(v, i->rm_at, native_##op##_##bits(reg_get_##bits(v, i->rm_at), bit, &v->cpu.aflags)); \
        return EXEC_NEXT;                                                                                  \
    }                                                                                                      \
    enum exec op_##op##_rm_imm_##bits(struct vcpu *v, const struct insn *i)                                \
    {                                                                                                      \
        struct mem_rmw rmw;                                                                                \
        type a;                                                                                            \
        if (!rm_open_##bits(v, i, &rmw, &a))                                                               \
            return EXEC_FAULT;                                                                             \
        rm_close_##bits(v, i, &rmw, native_##op##_##bits(a, i->imm & (bits - 1), &v->cpu.aflags));         \
        return EXEC_NEXT;                                                                                  \
    }                                                                                                      \
    enum exec op_##op##_m_r_##bits(struct vcpu *v, const struct insn *i)                                   \
    {                                                                                                      \
        s64 bit = (s##bits)reg_get_##bits(v, i->reg_at);                                                   \
        u64 linear;                                                                                        \
        struct mem_rmw rmw;                                                                                \
        type a;                                                                                            \
        if (!bit_unit_linear(v, i, bit, ACCESS_WRITE, &linear) || !mem_rmw_begin(v, linear, sizeof(a), &rmw)) \
            return EXEC_FAULT;                                                                             \
        memcpy(&a, rmw.host, sizeof(a));                                                                   \
        a = native_##op##_##bits(a, (type)bit & (bits - 1), &v->cpu.aflags);                               \
        memcpy(rmw.host, &a, sizeof(a));                                                                   \
        mem_rmw_end(v, &rmw);                                                                              \
        return EXEC_NEXT;                                                                                  \
    }
#define BIT_WIDE(op) BIT(16, u16, op) BIT(32, u32, op) BIT(64, u64, op)
BIT_WIDE(bts)
BIT_WIDE(btr)
BIT_WIDE(btc)

/* BT only reads. A 32-bit register keeps its upper half: nothing is written. */
#define BIT_TEST(bits, type, suffix, cast)                                                                 \
    enum exec op_bt_r_r_##bits(struct vcpu *v, const struct insn *i)                                       \
    {                                                                                                      \
        type bit = reg_get_##bits(v, i->reg_at) & (bits - 1);                                              \
        native_bt_##bits(reg_get_##bits(v, i->rm_at), bit, &v->cpu.aflags);                                \
        return EXEC_NEXT;                                                                                  \
    }                                                                                                      \
    enum exec op_bt_rm_imm_##bits(struct vcpu *v, const struct insn *i)                                    \
    {                                                                                                      \
        type a;                                                                                            \
        if (!rm_read_##bits(v, i, &a))                                                                     \
            return EXEC_FAULT;                                                                             \
        native_bt_##bits(a, i->imm & (bits - 1), &v->cpu.aflags);                                          \
        return EXEC_NEXT;                                                                                  \
    }                                                                                                      \
    enum exec op_bt_m_r_##bits(struct vcpu *v, const struct insn *i)                                       \
    {                                                                                                      \
        s64 bit = (s##bits)reg_get_##bits(v, i->reg_at);                                                   \
        u64 linear;                                                                                        \
        type a;                                                                                            \
        if (!bit_unit_linear(v, i, bit, ACCESS_READ, &linear) || !mem_read##bits(v, linear, &a))           \
            return EXEC_FAULT;                                                                             \
        native_bt_##bits(a, (type)bit & (bits - 1), &v->cpu.aflags);                                       \
        return EXEC_NEXT;                                                                                  \
    }
NATIVE_WIDE(BIT_TEST)

/* The whole destination register goes through the processor: a scan of 0 changes of it what the processor changes. */
#define SCAN(bits, type, suffix, cast, op)                                                                 \
    enum exec op_##op##_##bits(struct vcpu *v, const struct insn *i)                                       \
    {                                                                                                      \
        type source;                                                                                       \
        if (!rm_read_##bits(v, i, &source))                                                                \
            return EXEC_FAULT;                                                                             \
        u64 *destination = &v->cpu.gpr[i->reg];                                                            \
        *destination = native_##op##_##bits(*destination, source, &v->cpu.aflags);                         \
        return EXEC_NEXT;                                                                                  \
    }
NATIVE_WIDE(SCAN, bsf)
NATIVE_WIDE(SCAN, bsr)
NATIVE_WIDE(SCAN, popcnt)

/* F3 BSF and F3 BSR, unless the model has the newer instruction. */
#define SCAN_OR_COUNT(bits, type, suffix, cast, op, older, feature)                                        \
    enum exec op_##op##_##bits(struct vcpu *v, const struct insn *i)                                       \
    {                                                                                                      \
        if (!model_has(v->vm->config.model, feature))                                                      \
            return op_##older##_##bits(v, i);                                                              \
        type source;                                                                                       \
        if (!rm_read_##bits(v, i, &source))                                                                \
            return EXEC_FAULT;                                                                             \
        u64 *destination = &v->cpu.gpr[i->reg];                                                            \
        *destination = native_##op##_##bits(*destination, source, &v->cpu.aflags);                         \
        return EXEC_NEXT;                                                                                  \
    }
NATIVE_WIDE(SCAN_OR_COUNT, tzcnt, bsf, FEAT_BMI1)
NATIVE_WIDE(SCAN_OR_COUNT, lzcnt, bsr, FEAT_LZCNT)

/* The destination has 32 significant bits, and is zero-extended, for every source size. */
#define CRC32(bits, suffix, accumulator)                                                                   \
    enum exec op_crc32_##bits(struct vcpu *v, const struct insn *i)                                        \
    {                                                                                                      \
        u##bits source;                                                                                    \
        if (!rm_read_##bits(v, i, &source))                                                                \
            return EXEC_FAULT;                                                                             \
        accumulator crc = (u32)v->cpu.gpr[i->reg];                                                         \
        __asm__("crc32" suffix " %[source], %[crc]" : [crc] "+r"(crc) : [source] "r"(source));             \
        v->cpu.gpr[i->reg] = crc;                                                                          \
        return EXEC_NEXT;                                                                                  \
    }
CRC32(8, "b", u32)
CRC32(16, "w", u32)
CRC32(32, "l", u32)
CRC32(64, "q", u64)
