/* PUSH and POP of one operand, inline: core/segment.h has the general form, which costs a call and a size to switch on. */
#ifndef REPRISE_SBE_EXEC_STACK_H
#define REPRISE_SBE_EXEC_STACK_H

#include "sbe/exec.h"

/* push_<bits>: rSP moves only if the write succeeded. top_<bits>: reads at rSP and does not move it. */
#define STACK_ACCESSORS(bits, type)                                                                        \
    static inline bool push_##bits(struct vcpu *v, type value)                                             \
    {                                                                                                      \
        u64 linear, offset = (v->cpu.gpr[RSP] - sizeof(type)) & v->stack_mask;                             \
        if (!seg_linear(v, SEG_SS, offset, sizeof(type), ACCESS_WRITE, &linear) ||                         \
            !mem_write##bits(v, linear, value))                                                            \
            return false;                                                                                  \
        stack_adjust(v, -(s64)sizeof(type));                                                               \
        return true;                                                                                       \
    }                                                                                                      \
    static inline bool top_##bits(struct vcpu *v, type *value)                                             \
    {                                                                                                      \
        u64 linear, offset = v->cpu.gpr[RSP] & v->stack_mask;                                              \
        return seg_linear(v, SEG_SS, offset, sizeof(type), ACCESS_READ, &linear) &&                        \
               mem_read##bits(v, linear, value);                                                           \
    }
STACK_ACCESSORS(16, u16)
STACK_ACCESSORS(32, u32)
STACK_ACCESSORS(64, u64)

#endif
