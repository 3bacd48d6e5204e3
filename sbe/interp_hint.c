/* Instructions that do nothing, check an address, or fault: SDM vol. 2, NOP PAUSE PREFETCHh CLFLUSH xFENCE UD BOUND. */
#include "sbe/handlers.h"

enum exec op_nop(struct vcpu *v, const struct insn *i)
{
    (void)v;
    (void)i;
    return EXEC_NEXT;
}

/* With REX.B this is no PAUSE but XCHG R8, rAX. */
enum exec op_pause(struct vcpu *v, const struct insn *i)
{
    if (!(i->rex & 1))
        return EXEC_NEXT;
    u64 mask = i->opsize == 8 ? UINT64_MAX : i->opsize == 4 ? 0xffffffffu : 0xffffu;
    u64 keep = i->opsize == 2 ? ~mask : 0;
    u64 a = v->cpu.gpr[RAX], b = v->cpu.gpr[R8];
    v->cpu.gpr[RAX] = (a & keep) | (b & mask);
    v->cpu.gpr[R8] = (b & keep) | (a & mask);
    return EXEC_NEXT;
}

/* Guest memory is coherent; what remains of CLFLUSH are the checks of a byte load. */
enum exec op_clflush(struct vcpu *v, const struct insn *i)
{
    u64 linear;
    if (!insn_linear(v, i, 1, ACCESS_READ, &linear) ||
        !mem_probe(v, linear, 1, ACCESS_READ, (enum tlb_rights)v->tlb.rights))
        return EXEC_FAULT;
    return EXEC_NEXT;
}

enum exec op_undefined(struct vcpu *v, const struct insn *i)
{
    (void)i;
    return fault_ud(v);
}

/* Both bounds are read, each with its own limit check, before either is compared. */
#define BOUND(bits)                                                                                        \
    static enum exec bound_##bits(struct vcpu *v, const struct insn *i)                                        \
    {                                                                                                      \
        u64 linear;                                                                                        \
        u##bits lower, upper;                                                                              \
        if (!insn_linear(v, i, 2 * sizeof(lower), ACCESS_READ, &linear) ||                                 \
            !mem_read##bits(v, linear, &lower) || !mem_read##bits(v, linear + sizeof(lower), &upper))      \
            return EXEC_FAULT;                                                                             \
        s##bits index = (s##bits)reg_get_##bits(v, i->reg_at);                                             \
        if (index < (s##bits)lower || index > (s##bits)upper)                                              \
            return fault_vector(v, VEC_BR);                                                                \
        return EXEC_NEXT;                                                                                  \
    }
BOUND(16)
BOUND(32)

enum exec op_bound(struct vcpu *v, const struct insn *i)
{
    return i->opsize == 2 ? bound_16(v, i) : bound_32(v, i);
}
