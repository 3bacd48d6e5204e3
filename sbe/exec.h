/* What instruction handlers share: operands, effective addresses, flags, results.
 *
 * A handler is `enum exec op_<name>_<bits>(struct vcpu *, const struct insn *)`, named in isa.def as SIZED(name), which
 * selects _8, _16, _32 or _64 by insn.opsize, or `op_<name>` named as FIXED(name). A handler changes no register
 * before its last access that can fault. Guest RIP still points at the instruction while a handler runs. */
#ifndef REPRISE_SBE_EXEC_H
#define REPRISE_SBE_EXEC_H

#include "core/segment.h"
#include "core/vcpu.h"
#include "mmu/access.h"
#include "sbe/insn.h"

/* Registers by the decoder's byte offsets. Writes of 32 bits clear the upper half in every mode. */
static inline u8 *gpr_bytes(struct vcpu *v, u8 at) { return (u8 *)v->cpu.gpr + at; }
static inline u8 reg_get_8(struct vcpu *v, u8 at) { return *gpr_bytes(v, at); }
static inline u16 reg_get_16(struct vcpu *v, u8 at) { u16 x; __builtin_memcpy(&x, gpr_bytes(v, at), 2); return x; }
static inline u32 reg_get_32(struct vcpu *v, u8 at) { u32 x; __builtin_memcpy(&x, gpr_bytes(v, at), 4); return x; }
static inline u64 reg_get_64(struct vcpu *v, u8 at) { u64 x; __builtin_memcpy(&x, gpr_bytes(v, at), 8); return x; }
static inline void reg_set_8(struct vcpu *v, u8 at, u8 x) { *gpr_bytes(v, at) = x; }
static inline void reg_set_16(struct vcpu *v, u8 at, u16 x) { __builtin_memcpy(gpr_bytes(v, at), &x, 2); }
static inline void reg_set_32(struct vcpu *v, u8 at, u32 x) { u64 wide = x; __builtin_memcpy(gpr_bytes(v, at), &wide, 8); }
static inline void reg_set_64(struct vcpu *v, u8 at, u64 x) { __builtin_memcpy(gpr_bytes(v, at), &x, 8); }

/* `value` truncated to the address size. */
static inline u64 address_truncate(const struct insn *i, u64 value)
{
    if (i->addrsize == 8)
        return value;
    return i->addrsize == 4 ? (u32)value : (u16)value;
}

/* rCX, rSI, rDI and others at the address size. A 32-bit write clears the upper half, a 16-bit one keeps the rest. */
static inline u64 address_register(const struct vcpu *v, const struct insn *i, enum gpr reg)
{
    return address_truncate(i, v->cpu.gpr[reg]);
}

static inline void set_address_register(struct vcpu *v, const struct insn *i, enum gpr reg, u64 value)
{
    if (i->addrsize == 2)
        reg_set_16(v, (u8)(reg * 8), (u16)value);
    else
        v->cpu.gpr[reg] = i->addrsize == 4 ? (u32)value : value;
}

/* Offset part of the memory operand, truncated to the address size. */
static inline u64 insn_offset(const struct vcpu *v, const struct insn *i)
{
    u64 offset = (u64)i->disp;
    if (i->base < GPR_COUNT)
        offset += v->cpu.gpr[i->base];
    else if (i->base == REG_RIP)
        offset += v->cpu.rip + i->length;
    if (i->index < GPR_COUNT)
        offset += v->cpu.gpr[i->index] << i->scale;
    return address_truncate(i, offset);
}

/* Linear address of the memory operand for an access of `size` bytes. */
static inline bool insn_linear(struct vcpu *v, const struct insn *i, unsigned size, enum access access, u64 *linear)
{
    return seg_linear(v, (enum seg)i->seg, insn_offset(v, i), size, access, linear);
}

static inline bool insn_is_memory(const struct insn *i) { return i->prefixes & INSN_MEM; }

/* The r/m operand: read, write, and read-modify-write (open, change *value through rm_close). */
#define RM_ACCESSORS(bits, type)                                                                            \
    static inline bool rm_read_##bits(struct vcpu *v, const struct insn *i, type *value)                    \
    {                                                                                                       \
        if (!insn_is_memory(i)) {                                                                           \
            *value = reg_get_##bits(v, i->rm_at);                                                           \
            return true;                                                                                    \
        }                                                                                                   \
        u64 linear;                                                                                         \
        return insn_linear(v, i, sizeof(type), ACCESS_READ, &linear) && mem_read##bits(v, linear, value);   \
    }                                                                                                       \
    static inline bool rm_write_##bits(struct vcpu *v, const struct insn *i, type value)                    \
    {                                                                                                       \
        if (!insn_is_memory(i)) {                                                                           \
            reg_set_##bits(v, i->rm_at, value);                                                             \
            return true;                                                                                    \
        }                                                                                                   \
        u64 linear;                                                                                         \
        return insn_linear(v, i, sizeof(type), ACCESS_WRITE, &linear) && mem_write##bits(v, linear, value); \
    }                                                                                                       \
    static inline bool rm_open_##bits(struct vcpu *v, const struct insn *i, struct mem_rmw *rmw, type *value) \
    {                                                                                                       \
        if (!insn_is_memory(i)) {                                                                           \
            *value = reg_get_##bits(v, i->rm_at);                                                           \
            return true;                                                                                    \
        }                                                                                                   \
        u64 linear;                                                                                         \
        if (!insn_linear(v, i, sizeof(type), ACCESS_WRITE, &linear) ||                                      \
            !mem_rmw_begin(v, linear, sizeof(type), rmw))                                                   \
            return false;                                                                                   \
        __builtin_memcpy(value, rmw->host, sizeof(type));                                                   \
        return true;                                                                                        \
    }                                                                                                       \
    static inline void rm_close_##bits(struct vcpu *v, const struct insn *i, struct mem_rmw *rmw, type value) \
    {                                                                                                       \
        if (!insn_is_memory(i)) {                                                                           \
            reg_set_##bits(v, i->rm_at, value);                                                             \
            return;                                                                                         \
        }                                                                                                   \
        __builtin_memcpy(rmw->host, &value, sizeof(type));                                                  \
        mem_rmw_end(v, rmw);                                                                                \
    }

RM_ACCESSORS(8, u8)
RM_ACCESSORS(16, u16)
RM_ACCESSORS(32, u32)
RM_ACCESSORS(64, u64)

/* A condition code 0..15 (SDM vol. 2, appendix B.1.4.7). Without branches: guests' conditions defeat the host's predictor
 * when they share one switch. SF != OF goes to bit 1, which aflags does not use. */
static inline bool condition(const struct cpu *c, unsigned cc)
{
    static const u16 wanted[8] = {FLAG_OF, FLAG_CF, FLAG_ZF, FLAG_CF | FLAG_ZF, FLAG_SF, FLAG_PF, FLAG_FIXED,
                                  FLAG_ZF | FLAG_FIXED};
    u32 f = c->aflags;
    u32 less = (f >> 7 ^ f >> 11) & 1;
    return (((f | less << 1) & wanted[cc >> 1 & 7]) != 0) != (cc & 1);
}

/* Completes a near branch: limit (or canonical) check of the target, then RIP. `target` is masked to the operand size by
 * this function. #GP(0) without any change otherwise. */
enum exec branch_near(struct vcpu *v, const struct insn *i, u64 target);

/* True if v->fault was recorded: the model lacks the row's feature, CPL or FPU state forbid it. Called by the run loop
 * before handlers of rows with any of those attributes. */
bool insn_forbidden(struct vcpu *v, const struct insn *i);

#endif
