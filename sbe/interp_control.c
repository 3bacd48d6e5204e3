/* Handlers: far transfers, software interrupts, IRET. */
#include "core/exception.h"
#include "core/far.h"
#include "sbe/far_pointer.h"
#include "sbe/handlers.h"

static u64 next_rip(const struct vcpu *v, const struct insn *i) { return (v->cpu.rip + i->length) & v->rip_mask; }

static enum exec transfer(struct vcpu *v, const struct insn *i, enum far_kind kind, u16 selector, u64 offset)
{
    struct far_request request = {
        .kind = kind, .selector = selector, .opsize = i->opsize, .offset = offset, .next_rip = next_rip(v, i)};
    return far_transfer(v, &request);
}

static enum exec transfer_direct(struct vcpu *v, const struct insn *i, enum far_kind kind)
{
    return transfer(v, i, kind, i->imm2, i->opsize == 2 ? (u16)i->imm : (u32)i->imm);
}

static enum exec transfer_indirect(struct vcpu *v, const struct insn *i, enum far_kind kind)
{
    u64 offset;
    u16 selector;
    if (!far_pointer_read(v, i, &offset, &selector))
        return EXEC_FAULT;
    return transfer(v, i, kind, selector, offset);
}

enum exec op_call_far_direct(struct vcpu *v, const struct insn *i) { return transfer_direct(v, i, FAR_CALL); }
enum exec op_jmp_far_direct(struct vcpu *v, const struct insn *i) { return transfer_direct(v, i, FAR_JMP); }
enum exec op_call_far_indirect(struct vcpu *v, const struct insn *i) { return transfer_indirect(v, i, FAR_CALL); }
enum exec op_jmp_far_indirect(struct vcpu *v, const struct insn *i) { return transfer_indirect(v, i, FAR_JMP); }

enum exec op_ret_far(struct vcpu *v, const struct insn *i) { return far_return(v, i->opsize, 0); }
enum exec op_ret_far_imm(struct vcpu *v, const struct insn *i) { return far_return(v, i->opsize, (u16)i->imm); }
enum exec op_iret(struct vcpu *v, const struct insn *i) { return far_iret(v, i->opsize, next_rip(v, i)); }

enum exec op_int3(struct vcpu *v, const struct insn *i)
{
    return exception_software(v, VEC_BP, EVENT_SOFTWARE_TRAP, next_rip(v, i));
}

enum exec op_int_imm(struct vcpu *v, const struct insn *i)
{
    return exception_software(v, (u8)i->imm, EVENT_SOFTWARE, next_rip(v, i));
}

enum exec op_into(struct vcpu *v, const struct insn *i)
{
    if (!(v->cpu.aflags & FLAG_OF))
        return EXEC_NEXT;
    return exception_software(v, VEC_OF, EVENT_SOFTWARE_TRAP, next_rip(v, i));
}

enum exec op_int1(struct vcpu *v, const struct insn *i)
{
    return exception_software(v, VEC_DB, EVENT_ICEBP, next_rip(v, i));
}
