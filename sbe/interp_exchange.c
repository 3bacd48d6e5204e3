/* Exchanges: SDM vol. 2, XCHG XADD CMPXCHG CMPXCHG8B/CMPXCHG16B.
 *
 * Each opens its memory operand for writing and writes it, changed or not. One virtual processor makes LOCK free. */
#include "core/vm.h"
#include "sbe/handlers.h"
#include "sbe/native_flags.h"

#define EXCHANGE(bits, type, suffix, cast)                                                                 \
    enum exec op_xchg_rm_r_##bits(struct vcpu *v, const struct insn *i)                                    \
    {                                                                                                      \
        struct mem_rmw rmw;                                                                                \
        type old;                                                                                          \
        if (!rm_open_##bits(v, i, &rmw, &old))                                                             \
            return EXEC_FAULT;                                                                             \
        rm_close_##bits(v, i, &rmw, reg_get_##bits(v, i->reg_at));                                         \
        reg_set_##bits(v, i->reg_at, old);                                                                 \
        return EXEC_NEXT;                                                                                  \
    }                                                                                                      \
    enum exec op_xadd_rm_r_##bits(struct vcpu *v, const struct insn *i)                                    \
    {                                                                                                      \
        struct mem_rmw rmw;                                                                                \
        type old;                                                                                          \
        if (!rm_open_##bits(v, i, &rmw, &old))                                                             \
            return EXEC_FAULT;                                                                             \
        type sum = native_add_##bits(old, reg_get_##bits(v, i->reg_at), &v->cpu.aflags);                   \
        reg_set_##bits(v, i->reg_at, old); /* first: XADD of a register with itself leaves the sum */      \
        rm_close_##bits(v, i, &rmw, sum);                                                                  \
        return EXEC_NEXT;                                                                                  \
    }
NATIVE_SIZES(EXCHANGE)

/* 90+r. XCHG rAX, rAX is NOP: at 32 bits it does not clear the upper half (SDM vol. 2, "NOP"). */
#define EXCHANGE_A(bits, type, suffix, cast)                                                               \
    enum exec op_xchg_r_a_##bits(struct vcpu *v, const struct insn *i)                                     \
    {                                                                                                      \
        if (i->rm == RAX)                                                                                  \
            return EXEC_NEXT;                                                                              \
        type a = (type)v->cpu.gpr[RAX];                                                                    \
        reg_set_##bits(v, RAX * 8, reg_get_##bits(v, i->rm_at));                                           \
        reg_set_##bits(v, i->rm_at, a);                                                                    \
        return EXEC_NEXT;                                                                                  \
    }
NATIVE_WIDE(EXCHANGE_A)

/* CMPXCHG with a register destination runs as it stands: processors differ in which upper halves a 32-bit form
 * clears. With rAX as the destination it always succeeds. */
#define COMPARE_EXCHANGE(bits, type, suffix, cast)                                                         \
    static enum exec cmpxchg_register_##bits(struct vcpu *v, const struct insn *i)                         \
    {                                                                                                      \
        type source = reg_get_##bits(v, i->reg_at);                                                        \
        if (i->rm_at == RAX * 8) {                                                                         \
            native_cmp_##bits(0, 0, &v->cpu.aflags);                                                       \
            reg_set_##bits(v, RAX * 8, source);                                                            \
            return EXEC_NEXT;                                                                              \
        }                                                                                                  \
        unsigned shift = (i->rm_at & 1) * 8;                                                               \
        u64 *whole = &v->cpu.gpr[i->rm_at / 8];                                                            \
        u64 destination = *whole >> shift, rax = v->cpu.gpr[RAX], flags;                                   \
        __asm__("cmpxchg" suffix " %[source], %" cast "[destination]\n\tpushfq\n\tpopq %[flags]"           \
                : "+&a"(rax), [destination] "+&r"(destination), [flags] "=r"(flags)                        \
                : [source] "r"(source) : "cc", "memory");                                                  \
        v->cpu.gpr[RAX] = rax;                                                                             \
        if (shift)                                                                                         \
            reg_set_8(v, i->rm_at, (u8)destination);                                                       \
        else                                                                                               \
            *whole = destination;                                                                          \
        v->cpu.aflags = (u32)flags & FLAGS_ARITH;                                                          \
        return EXEC_NEXT;                                                                                  \
    }                                                                                                      \
    enum exec op_cmpxchg_rm_r_##bits(struct vcpu *v, const struct insn *i)                                 \
    {                                                                                                      \
        if (!insn_is_memory(i))                                                                            \
            return cmpxchg_register_##bits(v, i);                                                          \
        struct mem_rmw rmw;                                                                                \
        type old;                                                                                          \
        if (!rm_open_##bits(v, i, &rmw, &old))                                                             \
            return EXEC_FAULT;                                                                             \
        native_cmp_##bits((type)v->cpu.gpr[RAX], old, &v->cpu.aflags);                                     \
        bool equal = v->cpu.aflags & FLAG_ZF;                                                              \
        rm_close_##bits(v, i, &rmw, equal ? reg_get_##bits(v, i->reg_at) : old);                           \
        if (!equal)                                                                                        \
            reg_set_##bits(v, RAX * 8, old);                                                               \
        return EXEC_NEXT;                                                                                  \
    }
NATIVE_SIZES(COMPARE_EXCHANGE)

/* Bytes of the pair are in `old`: swaps in CX:BX if they equal DX:AX, else loads DX:AX. `half` is 4 or 8. */
static void exchange_pair(struct vcpu *v, u8 *memory, unsigned half)
{
    struct cpu *c = &v->cpu;
    u64 low = 0, high = 0;
    memcpy(&low, memory, half);
    memcpy(&high, memory + half, half);
    u64 mask = half == 8 ? UINT64_MAX : UINT32_MAX;
    if (low == (c->gpr[RAX] & mask) && high == (c->gpr[RDX] & mask)) {
        memcpy(memory, &c->gpr[RBX], half);
        memcpy(memory + half, &c->gpr[RCX], half);
        c->aflags |= FLAG_ZF;
        return;
    }
    c->gpr[RAX] = low;
    c->gpr[RDX] = high;
    c->aflags &= ~FLAG_ZF;
}

enum exec op_cmpxchg_pair(struct vcpu *v, const struct insn *i)
{
    unsigned half = i->opsize;
    if (half == 8 && !model_has(v->vm->config.model, FEAT_CX16))
        return fault_ud(v);
    u64 linear;
    struct mem_rmw rmw;
    if (!insn_linear(v, i, 2 * half, ACCESS_WRITE, &linear))
        return EXEC_FAULT;
    if (half == 8 && (linear & 15))
        return fault_gp(v, 0);
    if (!mem_rmw_begin(v, linear, 2 * half, &rmw))
        return EXEC_FAULT;
    exchange_pair(v, rmw.host, half);
    mem_rmw_end(v, &rmw);
    return EXEC_NEXT;
}
