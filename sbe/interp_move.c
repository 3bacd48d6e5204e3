/* Data movement: SDM vol. 2, MOV MOVZX MOVSX MOVSXD MOVBE MOVNTI LEA BSWAP CMOVcc SETcc CBW CWD XLAT. */
#include "sbe/handlers.h"

#define OUT_OF_LINE __attribute__((noinline))

#define MOVE(bits, type)                                                                                   \
    static OUT_OF_LINE enum exec mov_r_mem_##bits(struct vcpu *v, const struct insn *i)                    \
    {                                                                                                      \
        type value;                                                                                        \
        if (!rm_read_##bits(v, i, &value))                                                                 \
            return EXEC_FAULT;                                                                             \
        reg_set_##bits(v, i->reg_at, value);                                                               \
        return EXEC_NEXT;                                                                                  \
    }                                                                                                      \
    enum exec op_mov_r_rm_##bits(struct vcpu *v, const struct insn *i)                                     \
    {                                                                                                      \
        if (insn_is_memory(i))                                                                             \
            return mov_r_mem_##bits(v, i);                                                                 \
        reg_set_##bits(v, i->reg_at, reg_get_##bits(v, i->rm_at));                                         \
        return EXEC_NEXT;                                                                                  \
    }                                                                                                      \
    static OUT_OF_LINE enum exec mov_mem_##bits(struct vcpu *v, const struct insn *i, type value)          \
    {                                                                                                      \
        return rm_write_##bits(v, i, value) ? EXEC_NEXT : EXEC_FAULT;                                      \
    }                                                                                                      \
    static inline enum exec mov_to_rm_##bits(struct vcpu *v, const struct insn *i, type value)             \
    {                                                                                                      \
        if (insn_is_memory(i))                                                                             \
            return mov_mem_##bits(v, i, value);                                                            \
        reg_set_##bits(v, i->rm_at, value);                                                                \
        return EXEC_NEXT;                                                                                  \
    }                                                                                                      \
    enum exec op_mov_rm_r_##bits(struct vcpu *v, const struct insn *i)                                     \
    {                                                                                                      \
        return mov_to_rm_##bits(v, i, reg_get_##bits(v, i->reg_at));                                       \
    }                                                                                                      \
    enum exec op_mov_rm_imm_##bits(struct vcpu *v, const struct insn *i)                                   \
    {                                                                                                      \
        return mov_to_rm_##bits(v, i, (type)i->imm);                                                       \
    }                                                                                                      \
    enum exec op_mov_r_imm_##bits(struct vcpu *v, const struct insn *i)                                    \
    {                                                                                                      \
        reg_set_##bits(v, i->rm_at, (type)i->imm);                                                         \
        return EXEC_NEXT;                                                                                  \
    }                                                                                                      \
    enum exec op_mov_a_moffs_##bits(struct vcpu *v, const struct insn *i)                                  \
    {                                                                                                      \
        type value;                                                                                        \
        if (!rm_read_##bits(v, i, &value))                                                                 \
            return EXEC_FAULT;                                                                             \
        reg_set_##bits(v, RAX * 8, value);                                                                 \
        return EXEC_NEXT;                                                                                  \
    }                                                                                                      \
    enum exec op_mov_moffs_a_##bits(struct vcpu *v, const struct insn *i)                                  \
    {                                                                                                      \
        return rm_write_##bits(v, i, (type)v->cpu.gpr[RAX]) ? EXEC_NEXT : EXEC_FAULT;                      \
    }
MOVE(8, u8)
MOVE(16, u16)
MOVE(32, u32)
MOVE(64, u64)

/* MOVZX, MOVSX, MOVSXD: a source of `from` bits, converted through `source` to the operand size. */
#define EXTEND(name, from, source, bits, type)                                                             \
    enum exec op_##name##_##bits(struct vcpu *v, const struct insn *i)                                     \
    {                                                                                                      \
        u##from value;                                                                                     \
        if (!rm_read_##from(v, i, &value))                                                                 \
            return EXEC_FAULT;                                                                             \
        reg_set_##bits(v, i->reg_at, (type)(source)value);                                                 \
        return EXEC_NEXT;                                                                                  \
    }
EXTEND(movzx_b, 8, u8, 16, u16)
EXTEND(movzx_b, 8, u8, 32, u32)
EXTEND(movzx_b, 8, u8, 64, u64)
EXTEND(movzx_w, 16, u16, 16, u16)
EXTEND(movzx_w, 16, u16, 32, u32)
EXTEND(movzx_w, 16, u16, 64, u64)
EXTEND(movsx_b, 8, s8, 16, u16)
EXTEND(movsx_b, 8, s8, 32, u32)
EXTEND(movsx_b, 8, s8, 64, u64)
EXTEND(movsx_w, 16, s16, 16, u16)
EXTEND(movsx_w, 16, s16, 32, u32)
EXTEND(movsx_w, 16, s16, 64, u64)
EXTEND(movsxd, 16, s16, 16, u16)
EXTEND(movsxd, 32, s32, 32, u32)
EXTEND(movsxd, 32, s32, 64, u64)

#define MOVE_WIDE(bits, type)                                                                              \
    enum exec op_movbe_r_m_##bits(struct vcpu *v, const struct insn *i)                                    \
    {                                                                                                      \
        type value;                                                                                        \
        if (!rm_read_##bits(v, i, &value))                                                                 \
            return EXEC_FAULT;                                                                             \
        reg_set_##bits(v, i->reg_at, __builtin_bswap##bits(value));                                        \
        return EXEC_NEXT;                                                                                  \
    }                                                                                                      \
    enum exec op_movbe_m_r_##bits(struct vcpu *v, const struct insn *i)                                    \
    {                                                                                                      \
        type value = __builtin_bswap##bits(reg_get_##bits(v, i->reg_at));                                  \
        return rm_write_##bits(v, i, value) ? EXEC_NEXT : EXEC_FAULT;                                      \
    }                                                                                                      \
    enum exec op_lea_##bits(struct vcpu *v, const struct insn *i)                                          \
    {                                                                                                      \
        reg_set_##bits(v, i->reg_at, (type)insn_offset(v, i));                                             \
        return EXEC_NEXT;                                                                                  \
    }                                                                                                      \
    enum exec op_cmovcc_##bits(struct vcpu *v, const struct insn *i)                                       \
    {                                                                                                      \
        /* The source is read, and 32 bits are zero-extended, whatever the condition. */                   \
        type value;                                                                                        \
        if (!rm_read_##bits(v, i, &value))                                                                 \
            return EXEC_FAULT;                                                                             \
        if (!condition(&v->cpu, i->opcode))                                                                \
            value = reg_get_##bits(v, i->reg_at);                                                          \
        reg_set_##bits(v, i->reg_at, value);                                                               \
        return EXEC_NEXT;                                                                                  \
    }
MOVE_WIDE(16, u16)
MOVE_WIDE(32, u32)
MOVE_WIDE(64, u64)

enum exec op_setcc(struct vcpu *v, const struct insn *i)
{
    return rm_write_8(v, i, condition(&v->cpu, i->opcode)) ? EXEC_NEXT : EXEC_FAULT;
}

/* The result is undefined at 16 bits (SDM vol. 2, "BSWAP"): it is what this processor makes of it. */
enum exec op_bswap_16(struct vcpu *v, const struct insn *i)
{
    u64 value = v->cpu.gpr[i->rm];
    __asm__(".byte 0x66, 0x0f, 0xc8" : "+a"(value));
    reg_set_64(v, i->rm_at, value);
    return EXEC_NEXT;
}

enum exec op_bswap_32(struct vcpu *v, const struct insn *i)
{
    reg_set_32(v, i->rm_at, __builtin_bswap32(reg_get_32(v, i->rm_at)));
    return EXEC_NEXT;
}

enum exec op_bswap_64(struct vcpu *v, const struct insn *i)
{
    reg_set_64(v, i->rm_at, __builtin_bswap64(reg_get_64(v, i->rm_at)));
    return EXEC_NEXT;
}

/* CBW, CWDE, CDQE: the lower half of rAX extended into rAX. CWD, CDQ, CQO: its sign spread over rDX. */
#define SIGN_EXTEND(bits, half)                                                                            \
    enum exec op_cbw_##bits(struct vcpu *v, const struct insn *i)                                          \
    {                                                                                                      \
        (void)i;                                                                                           \
        reg_set_##bits(v, RAX * 8, (u##bits)(s##half)v->cpu.gpr[RAX]);                                     \
        return EXEC_NEXT;                                                                                  \
    }                                                                                                      \
    enum exec op_cwd_##bits(struct vcpu *v, const struct insn *i)                                          \
    {                                                                                                      \
        (void)i;                                                                                           \
        reg_set_##bits(v, RDX * 8, (s##bits)v->cpu.gpr[RAX] < 0 ? (u##bits)-1 : 0);                        \
        return EXEC_NEXT;                                                                                  \
    }
SIGN_EXTEND(16, 8)
SIGN_EXTEND(32, 16)
SIGN_EXTEND(64, 32)

/* AL = [seg:rBX + AL], the sum truncated to the address size. */
enum exec op_xlat(struct vcpu *v, const struct insn *i)
{
    u64 linear, offset = address_truncate(i, v->cpu.gpr[RBX] + (u8)v->cpu.gpr[RAX]);
    u8 value;
    if (!seg_linear(v, (enum seg)i->seg, offset, 1, ACCESS_READ, &linear) || !mem_read8(v, linear, &value))
        return EXEC_FAULT;
    reg_set_8(v, RAX * 8, value);
    return EXEC_NEXT;
}
