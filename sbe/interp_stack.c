/* The stack: SDM vol. 2, PUSH POP PUSHA POPA ENTER LEAVE. */
#include "sbe/exec_stack.h"
#include "sbe/handlers.h"

#define PUSH_POP(bits, type)                                                                               \
    enum exec op_push_r_##bits(struct vcpu *v, const struct insn *i)                                       \
    {                                                                                                      \
        return push_##bits(v, reg_get_##bits(v, i->rm_at)) ? EXEC_NEXT : EXEC_FAULT;                       \
    }                                                                                                      \
    enum exec op_push_imm_##bits(struct vcpu *v, const struct insn *i)                                     \
    {                                                                                                      \
        return push_##bits(v, (type)i->imm) ? EXEC_NEXT : EXEC_FAULT;                                      \
    }                                                                                                      \
    enum exec op_push_rm_##bits(struct vcpu *v, const struct insn *i)                                      \
    {                                                                                                      \
        type value;                                                                                        \
        return rm_read_##bits(v, i, &value) && push_##bits(v, value) ? EXEC_NEXT : EXEC_FAULT;             \
    }                                                                                                      \
    enum exec op_pop_r_##bits(struct vcpu *v, const struct insn *i)                                        \
    {                                                                                                      \
        type value;                                                                                        \
        if (!top_##bits(v, &value))                                                                        \
            return EXEC_FAULT;                                                                             \
        stack_adjust(v, sizeof(type));                                                                     \
        reg_set_##bits(v, i->rm_at, value); /* last: POP of rSP leaves the value */                        \
        return EXEC_NEXT;                                                                                  \
    }                                                                                                      \
    enum exec op_pop_rm_##bits(struct vcpu *v, const struct insn *i)                                       \
    {                                                                                                      \
        /* An address based on rSP uses the incremented one (SDM vol. 2, "POP"). */                        \
        type value;                                                                                        \
        u64 rsp = v->cpu.gpr[RSP];                                                                         \
        if (!top_##bits(v, &value))                                                                        \
            return EXEC_FAULT;                                                                             \
        stack_adjust(v, sizeof(type));                                                                     \
        if (rm_write_##bits(v, i, value))                                                                  \
            return EXEC_NEXT;                                                                              \
        v->cpu.gpr[RSP] = rsp;                                                                             \
        return EXEC_FAULT;                                                                                 \
    }
PUSH_POP(16, u16)
PUSH_POP(32, u32)
PUSH_POP(64, u64)

/* True if stack_read or stack_write at rSP + displacement would succeed. */
static bool stack_probe(struct vcpu *v, s64 displacement, unsigned size, enum access access)
{
    u64 linear, offset = (v->cpu.gpr[RSP] + (u64)displacement) & v->stack_mask;
    return seg_linear(v, SEG_SS, offset, size, access, &linear) &&
           mem_probe(v, linear, size, access, (enum tlb_rights)v->tlb.rights);
}

/* The same for `count` slots of `size` bytes below rSP. */
static bool stack_probe_pushes(struct vcpu *v, unsigned count, unsigned size)
{
    for (unsigned n = 1; n <= count; n++)
        if (!stack_probe(v, -(s64)(n * size), size, ACCESS_WRITE))
            return false;
    return true;
}

enum exec op_pusha(struct vcpu *v, const struct insn *i)
{
    unsigned size = i->opsize;
    if (!stack_probe_pushes(v, 8, size))
        return EXEC_FAULT;
    for (unsigned n = 0; n < 8; n++)
        if (!stack_write(v, -(s64)((n + 1) * size), v->cpu.gpr[n], size))
            return EXEC_FAULT;
    stack_adjust(v, -8 * (s64)size);
    return EXEC_NEXT;
}

/* The slot of rSP is skipped, but the instruction reads the stack around it. */
enum exec op_popa(struct vcpu *v, const struct insn *i)
{
    unsigned size = i->opsize;
    u64 value[8];
    for (unsigned n = 0; n < 8; n++)
        if (!stack_read(v, (s64)(n * size), &value[n], size))
            return EXEC_FAULT;
    for (unsigned n = 0; n < 8; n++) {
        unsigned reg = 7 - n;
        if (reg == RSP)
            continue;
        if (size == 2)
            reg_set_16(v, (u8)(reg * 8), (u16)value[n]);
        else
            reg_set_32(v, (u8)(reg * 8), (u32)value[n]);
    }
    stack_adjust(v, 8 * (s64)size);
    return EXEC_NEXT;
}

static void set_rbp(struct vcpu *v, u64 value, unsigned size)
{
    if (size == 2)
        reg_set_16(v, RBP * 8, (u16)value);
    else if (size == 4)
        reg_set_32(v, RBP * 8, (u32)value);
    else
        v->cpu.gpr[RBP] = value;
}

/* Copies level - 1 frame pointers from the display below rBP, and the new one, to below the pushed rBP. Everything was
 * probed; the copies go one by one because old and new display may overlap. */
static bool enter_display(struct vcpu *v, unsigned level, unsigned size, u64 frame)
{
    s64 to_rbp = (s64)(v->cpu.gpr[RBP] - v->cpu.gpr[RSP]);
    for (unsigned n = 1; n < level; n++) {
        u64 value;
        if (!stack_read(v, to_rbp - (s64)(n * size), &value, size) ||
            !stack_write(v, -(s64)((n + 1) * size), value, size))
            return false;
    }
    return level == 0 || stack_write(v, -(s64)((level + 1) * size), frame, size);
}

enum exec op_enter(struct vcpu *v, const struct insn *i)
{
    unsigned size = i->opsize, level = i->imm2 & 31;
    s64 allocated = (s64)(i->imm & 0xffff), pushed = (s64)((level + 1) * size);
    s64 to_rbp = (s64)(v->cpu.gpr[RBP] - v->cpu.gpr[RSP]);
    if (!stack_probe_pushes(v, level + 1, size))
        return EXEC_FAULT;
    for (unsigned n = 1; n < level; n++)
        if (!stack_probe(v, to_rbp - (s64)(n * size), size, ACCESS_READ))
            return EXEC_FAULT;
    /* The final stack pointer must be writable, though nothing is written there. */
    if (!stack_probe(v, -pushed - allocated, size, ACCESS_WRITE))
        return EXEC_FAULT;
    /* rBP takes the whole of rSP at the operand size, whatever part of it SS.B lets the stack use. */
    u64 rsp = v->cpu.gpr[RSP], frame = (rsp & ~v->stack_mask) | ((rsp - size) & v->stack_mask);
    if (!stack_write(v, -(s64)size, v->cpu.gpr[RBP], size) || !enter_display(v, level, size, frame))
        return EXEC_FAULT;
    set_rbp(v, frame, size);
    stack_adjust(v, -pushed - allocated);
    return EXEC_NEXT;
}

enum exec op_leave(struct vcpu *v, const struct insn *i)
{
    unsigned size = i->opsize;
    s64 to_rbp = (s64)(v->cpu.gpr[RBP] - v->cpu.gpr[RSP]);
    u64 value;
    if (!stack_read(v, to_rbp, &value, size))
        return EXEC_FAULT;
    stack_adjust(v, to_rbp + size);
    set_rbp(v, value, size);
    return EXEC_NEXT;
}
