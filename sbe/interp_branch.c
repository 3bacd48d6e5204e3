/* Near control transfers: SDM vol. 2, CALL JMP RET Jcc JCXZ LOOPcc. */
#include "sbe/exec_stack.h"
#include "sbe/handlers.h"

/* Masks the target to the operand size and checks it; false with #GP(0) recorded. */
static inline bool target_valid(struct vcpu *v, const struct insn *i, u64 *target)
{
    if (i->opsize == 8) {
        if (__builtin_expect(canonical(*target), 1))
            return true;
    } else {
        *target = i->opsize == 4 ? (u32)*target : (u16)*target;
        if (__builtin_expect(*target <= v->cpu.seg[SEG_CS].limit, 1))
            return true;
    }
    fault_gp(v, 0);
    return false;
}

static inline enum exec jump(struct vcpu *v, const struct insn *i, u64 target)
{
    if (!target_valid(v, i, &target))
        return EXEC_FAULT;
    v->cpu.rip = target;
    return EXEC_JUMP;
}

enum exec branch_near(struct vcpu *v, const struct insn *i, u64 target) { return jump(v, i, target); }

static inline u64 next_rip(const struct vcpu *v, const struct insn *i) { return v->cpu.rip + i->length; }
static inline u64 relative_target(const struct vcpu *v, const struct insn *i) { return next_rip(v, i) + i->imm; }

enum exec op_jmp_rel(struct vcpu *v, const struct insn *i) { return jump(v, i, relative_target(v, i)); }

enum exec op_jcc(struct vcpu *v, const struct insn *i)
{
    if (!condition(&v->cpu, i->opcode))
        return EXEC_NEXT;
    return jump(v, i, relative_target(v, i));
}

/* The return address is pushed only when the target is known to be good, and RIP moves only when it was pushed. */
static inline enum exec call(struct vcpu *v, const struct insn *i, u64 target)
{
    if (!target_valid(v, i, &target))
        return EXEC_FAULT;
    u64 back = next_rip(v, i);
    bool pushed = i->opsize == 8   ? push_64(v, back)
                  : i->opsize == 4 ? push_32(v, (u32)back)
                                   : push_16(v, (u16)back);
    if (!pushed)
        return EXEC_FAULT;
    v->cpu.rip = target;
    return EXEC_JUMP;
}

enum exec op_call_rel(struct vcpu *v, const struct insn *i) { return call(v, i, relative_target(v, i)); }

#define INDIRECT(bits)                                                                                     \
    enum exec op_jmp_rm_##bits(struct vcpu *v, const struct insn *i)                                       \
    {                                                                                                      \
        u##bits target;                                                                                    \
        return rm_read_##bits(v, i, &target) ? jump(v, i, target) : EXEC_FAULT;                            \
    }                                                                                                      \
    enum exec op_call_rm_##bits(struct vcpu *v, const struct insn *i)                                      \
    {                                                                                                      \
        u##bits target;                                                                                    \
        return rm_read_##bits(v, i, &target) ? call(v, i, target) : EXEC_FAULT;                            \
    }
INDIRECT(16)
INDIRECT(32)
INDIRECT(64)

static inline bool top(struct vcpu *v, unsigned size, u64 *value)
{
    u32 narrow;
    u16 word;
    if (size == 8)
        return top_64(v, value);
    if (size == 4) {
        bool ok = top_32(v, &narrow);
        *value = narrow;
        return ok;
    }
    bool ok = top_16(v, &word);
    *value = word;
    return ok;
}

/* C3, and C2 with the bytes of arguments to release as the immediate. */
enum exec op_ret(struct vcpu *v, const struct insn *i)
{
    u64 target = 0;
    if (!top(v, i->opsize, &target) || !target_valid(v, i, &target))
        return EXEC_FAULT;
    stack_adjust(v, i->opsize + (s64)(i->imm & 0xffff));
    v->cpu.rip = target;
    return EXEC_JUMP;
}

/* Takes the branch if `wanted` and the decremented count is not 0. A faulting branch leaves the count alone. */
static inline enum exec loop(struct vcpu *v, const struct insn *i, bool wanted)
{
    u64 count = address_truncate(i, v->cpu.gpr[RCX] - 1);
    enum exec result = EXEC_NEXT;
    if (wanted && count != 0)
        result = jump(v, i, relative_target(v, i));
    if (result != EXEC_FAULT)
        set_address_register(v, i, RCX, count);
    return result;
}

enum exec op_loop(struct vcpu *v, const struct insn *i) { return loop(v, i, true); }
enum exec op_loope(struct vcpu *v, const struct insn *i) { return loop(v, i, v->cpu.aflags & FLAG_ZF); }
enum exec op_loopne(struct vcpu *v, const struct insn *i) { return loop(v, i, !(v->cpu.aflags & FLAG_ZF)); }

enum exec op_jcxz(struct vcpu *v, const struct insn *i)
{
    if (address_register(v, i, RCX) != 0)
        return EXEC_NEXT;
    return jump(v, i, relative_target(v, i));
}
