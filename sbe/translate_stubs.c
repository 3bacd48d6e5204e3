/* Fixed stubs: into translated code, and out of it. They load and store the guest's registers, by width of its code. */
#include "core/vm.h"
#include "sbe/translate_internal.h"

#define CALLEE_SAVED(x) x(RBX) x(RBP) x(R12) x(R13) x(R14) x(R15)

static void emit_push(struct emitter *e, unsigned reg)
{
    struct host_rm rm = rm_register(reg);
    emit_rex(e, 0, 0, &rm);
    emit8(e, 0x50 | (reg & 7));
}

static void emit_pop(struct emitter *e, unsigned reg)
{
    struct host_rm rm = rm_register(reg);
    emit_rex(e, 0, 0, &rm);
    emit8(e, 0x58 | (reg & 7));
}

static void emit_jump_memory(struct emitter *e, struct host_rm rm) { emit_op(e, 0, 0xff, 4, rm); }

static void emit_call_absolute(struct emitter *e, const void *function)
{
    emit_constant(e, RAX, (u64)function);
    emit_op(e, 0, 0xff, 2, rm_register(RAX));
}

/* The six arithmetic flags go in by SAHF, which leaves the others alone, as POPF in ring 0 would not: adding 127 to the
 * wanted OF sets OF, SAHF sets the rest. */
void emit_load_flags_from_rax(struct emitter *e)
{
    emit_move_32(e, RCX, RAX);
    emit_op(e, 0, 0xc1, 5, rm_register(RCX)); /* shr ecx, 11 */
    emit8(e, 11);
    emit_op(e, 0, 0x83, 4, rm_register(RCX)); /* and ecx, 1 */
    emit8(e, 1);
    emit8(e, 0x88); /* mov ah, al */
    emit8(e, 0xc4);
    emit8(e, 0x80); /* add cl, 127 */
    emit8(e, 0xc1);
    emit8(e, 127);
    emit8(e, 0x9e); /* sahf */
}

static void emit_resume(struct emitter *e, bool wide)
{
    emit_load(e, HOST_COUNTER, IN_CONTEXT(counter));
    emit_load(e, HOST_WRITE_TABLE, IN_CONTEXT(tables.write));
    emit_load(e, HOST_READ_TABLE, IN_CONTEXT(tables.read));
    if (!wide) {
        emit_load(e, HOST_WINDOW, IN_CONTEXT(tables.window));
        emit_load(e, HOST_WINDOW_END, IN_CONTEXT(tables.window_end));
    }
    emit_load_32(e, RAX, IN_CPU(aflags));
    emit_load_flags_from_rax(e);
    for (unsigned reg = 0; reg < GPR_COUNT; reg++)
        if (host_of(wide, reg) != HOST_NONE)
            emit_load(e, host_of(wide, reg), guest_slot(reg));
    emit_load(e, HOST_ADDRESS, IN_CONTEXT(target));
    emit_jump_memory(e, IN_CONTEXT(resume));
}

static void emit_spill(struct emitter *e, bool wide)
{
    for (unsigned reg = 0; reg < GPR_COUNT; reg++)
        if (host_of(wide, reg) != HOST_NONE)
            emit_store(e, host_of(wide, reg), guest_slot(reg));
    emit8(e, 0x9c); /* pushfq */
    emit_pop(e, RAX);
    emit_store(e, RAX, IN_CONTEXT(flags));
    emit_store(e, HOST_COUNTER, IN_CONTEXT(counter));
}

static void emit_leave(struct emitter *e)
{
    emit_load(e, RSP, IN_CONTEXT(host_rsp));
    emit_pop(e, R15);
    emit_pop(e, R14);
    emit_pop(e, R13);
    emit_pop(e, R12);
    emit_pop(e, RBP);
    emit_pop(e, RBX);
    emit8(e, 0xc3);
}

/* void enter(struct vcpu *v, const u8 *code) */
static void emit_enter(struct emitter *e, bool wide)
{
#define PUSH(reg) emit_push(e, reg);
    CALLEE_SAVED(PUSH)
#undef PUSH
    emit_store(e, RSP, rm_memory(RDI, (s32)offsetof(struct vcpu, context.host_rsp)));
    emit_move(e, RSP, RDI);
    emit_store(e, RSI, IN_CONTEXT(resume));
    emit_resume(e, wide);
}

/* Calls `function` with the vCPU and a register; goes on where it says, or leaves. */
static void emit_exit(struct emitter *e, bool wide, unsigned argument, const void *function)
{
    emit_spill(e, wide);
    emit_move(e, RSI, argument);
    emit_move(e, RDI, RSP);
    emit_call_absolute(e, function);
    emit_op(e, REX_W, 0x85, RAX, rm_register(RAX)); /* test rax, rax */
    u8 *leave = emit_jump_if(e, 4);
    emit_store(e, RAX, IN_CONTEXT(resume));
    emit_resume(e, wide);
    emit_patch(leave, e->at);
    emit_leave(e);
}

u32 translate_fixed_stubs(struct vcpu *v)
{
    struct sbe *s = v->sbe;
    struct emitter e = {.at = s->code.rw, .end = s->code.rw + s->code_limit};
    const s64 rx = s->code.rx - s->code.rw;
    for (unsigned wide = 0; wide < 2; wide++) {
        s->enter[wide] = e.at + rx;
        emit_enter(&e, wide);
        s->site_exit[wide] = e.at + rx;
        emit_exit(&e, wide, RCX, sbe_site);
        s->link_exit[wide] = e.at + rx;
        emit_exit(&e, wide, RCX, sbe_link);
        s->budget_exit[wide] = e.at + rx;
        emit_exit(&e, wide, RCX, sbe_budget);
        s->indirect_exit[wide] = e.at + rx;
        emit_exit(&e, wide, HOST_ADDRESS, sbe_indirect);
    }
    return (u32)(e.at - s->code.rw);
}
