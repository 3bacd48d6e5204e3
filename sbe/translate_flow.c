/* Near branches.
 *
 * A direct jump within its page becomes a jump of the host, which the code cache aims at the target's block. Within a page the
 * target is mapped whenever the jump itself is; beyond it that would have to be checked, so such jumps go through the
 * table of indirect jumps, which is emptied when translations change. The target's indirect entry compares R10 with
 * the RIP that it was made for. */
#include "core/segment.h"
#include "sbe/coverage.h"
#include "sbe/translate_internal.h"

/* ---- Jumps -------------------------------------------------------------------------------------- */

u32 emit_link_stub(struct translation *t, u64 rip, u32 jump)
{
    struct emitter *e = &t->e;
    u32 n = codecache_link(t->s, t->block);
    u32 stub = cache_offset(t, e->at);
    t->s->links[n] = (struct link){.rip = rip, .block = t->block, .jump = jump, .stub = stub};
    emit_patch(t->s->code.rw + jump, e->at);
    emit_constant(e, RCX, n);
    u8 *out = emit_jump(e);
    emit_patch(out, t->s->link_exit[t->wide] - t->s->code.rx + t->s->code.rw);
    return n;
}

/* What crosses into the next page is not reached directly either. */
static bool direct(const struct translation *t, u64 rip)
{
    u64 base = t->tag >> 32, here = block_rip(&t->s->blocks[t->block]) + base, linear = rip + base;
    if (!t->wide)
        here = (u32)here, linear = (u32)linear;
    if ((t->key & KEY_SHORT) && rip > 0xffff)
        return false; /* beyond the limit */
    return linear >> PAGE_SHIFT == here >> PAGE_SHIFT && (linear & PAGE_MASK) <= PAGE_SIZE - INSN_MAX;
}

/* From RSP to the table of a class. */
static s32 class_table(const struct translation *t, u8 class)
{
    return (s32)(offsetof(struct vcpu, context.jump) + class * sizeof t->v->context.jump[0]);
}

static s32 jump_table(const struct translation *t) { return class_table(t, t->s->blocks[t->block].class); }

/* The jump itself, with the target in R10: by a slot known now, or by the one that R10 chooses. */
static void emit_jump_slot(struct translation *t, u64 rip)
{
    s32 table = jump_table(t);
    emit_op(&t->e, 0, 0xff, 4, rm_memory(RSP, table + (s32)(jump_slot(rip) * sizeof(u8 *))));
}

void emit_jump_class(struct translation *t, u8 class)
{
    if (t->tag) {
        emit_constant(&t->e, HOST_ADDEND, t->tag);
        emit_lea(&t->e, true, HOST_ADDRESS, rm_indexed(HOST_ADDRESS, HOST_ADDEND, 0, 0));
    }
    if (t->wide)
        emit_store_constant_32(&t->e, current_site(t), IN_CONTEXT(site));
    emit_pext(&t->e, HOST_ADDEND, HOST_ADDRESS, IN_CONTEXT(jump_mask));
    emit_op(&t->e, 0, 0xff, 4, rm_indexed(RSP, HOST_ADDEND, 3, class_table(t, class)));
    t->ended = true;
}

static void emit_jump_indirect(struct translation *t)
{
    if (coverage_wanted(t) && (DO_RETURN != (enum treatment)t->treatments[t->at])) {
        emit_fixups_inline(t); /* what follows is longer than exits reach */
        emit_coverage_target(t);
    }
    emit_jump_class(t, t->s->blocks[t->block].class);
}

void emit_jump_to(struct translation *t, u64 rip)
{
    if (direct(t, rip)) {
        u8 *jump = emit_jump(&t->e);
        emit_link_stub(t, rip, cache_offset(t, jump));
    } else {
        emit_constant(&t->e, HOST_ADDRESS, t->tag | rip);
        emit_jump_slot(t, rip);
    }
    t->ended = true;
}

void emit_side_exits(struct translation *t)
{
    for (unsigned n = 0; n < t->side_exits; n++) {
        const struct side_exit *x = &t->side_exit[n];
        emit_patch(x->displacement, t->e.at);
        if (coverage_wanted(t))
            emit_coverage(t, coverage_index(t->rips[t->count - 1], COVERAGE_JUMPS));
        if (x->unexecuted)
            emit_lea(&t->e, true, HOST_COUNTER, rm_memory(HOST_COUNTER, x->unexecuted));
        emit_jump_to(t, x->rip);
    }
}

/* Of LOOP and its kin: the count, and a jump where they branch, or, if `round`, where they do not. The jump is one of 32
 * bits behind those that JRCXZ reaches. */
static u8 *emit_loop_jump(struct translation *t, const struct insn *i, bool round)
{
    struct emitter *e = &t->e;
    const struct isa_row *row = &isa_rows[i->row];
    unsigned count = host_of(t->wide, RCX);
    bool jcxz = row_named(row, "jcxz"), flag = row_named(row, "loope") || row_named(row, "loopne");
    if (!jcxz) {
        emit_lea(e, i->addrsize == 8, HOST_ADDEND, rm_memory(count, -1));
        if (i->addrsize == 2)
            emit_move_16(e, count, HOST_ADDEND);
        else
            emit_move(e, count, HOST_ADDEND);
    }
    if (i->addrsize == 2)
        emit_load_16_zero(e, HOST_ADDEND, rm_register(count));
    else if (jcxz)
        emit_op(e, i->addrsize == 8 ? REX_W : 0, 0x8b, HOST_ADDEND, rm_register(count));
    u8 *zero = emit_jrcxz(e), *over = NULL;
    if (jcxz == round && !flag) { /* zero leads past the jump */
        u8 *jump = emit_jump(e);
        emit_patch_short(zero, e->at);
        return jump;
    }
    if (flag && !round) { /* so does the wrong flag */
        over = emit_jump_if_short(e, row_named(row, "loope") ? 5 : 4);
        u8 *jump = emit_jump(e);
        emit_patch_short(zero, e->at);
        emit_patch_short(over, e->at);
        return jump;
    }
    over = flag ? emit_jump_if_short(e, row_named(row, "loope") ? 4 : 5) : emit_jump_short(e);
    emit_patch_short(zero, e->at);
    u8 *jump = emit_jump(e);
    emit_patch_short(over, e->at);
    return jump;
}

/* In the middle of a block, or to another page: by way of a side exit. */
static void emit_jump_if_to(struct translation *t, const struct insn *i, u64 target, u64 next)
{
    bool last = t->at + 1 == t->count, round = !last && t->rips[t->at + 1] == target; /* the loop's next round follows */
    bool loop = t->treatments[t->at] == DO_LOOP;
    u8 *jump = loop ? emit_loop_jump(t, i, round) : emit_jump_if(&t->e, i->opcode ^ round);
    if (coverage_wanted(t)) /* `last`, then */
        emit_coverage(t, coverage_index(t->rip, COVERAGE_FALLS));
    else if (last && direct(t, target) && direct(t, next)) {
        u8 *fall = emit_jump(&t->e);
        emit_link_stub(t, target, cache_offset(t, jump));
        emit_link_stub(t, next, cache_offset(t, fall));
        t->ended = true;
        return;
    }
    t->side_exit[t->side_exits++] =
        (struct side_exit){.displacement = jump, .rip = round ? next : target, .unexecuted = (u8)(t->count - t->at - 1)};
    if (last)
        emit_jump_to(t, next);
}

/* A target that is not canonical, or beyond a limit of 64 KiB, is the instruction's own fault, before it has done anything. */
void emit_target_check(struct translation *t)
{
    struct emitter *e = &t->e;
    if (t->wide) {
        emit_shift_x(e, VEX_SHLX, true, HOST_ADDEND, HOST_ADDRESS, HOST_WRITE_TABLE);
        emit_shift_x(e, VEX_SARX, true, HOST_ADDEND, HOST_ADDEND, HOST_WRITE_TABLE);
    } else if ((t->key & KEY_SHORT) && t->word == 4) {
        emit_load_16_zero(e, HOST_ADDEND, rm_register(HOST_ADDRESS));
    } else {
        return;
    }
    emit_op(e, REX_W, 0xf7, 2, rm_register(HOST_ADDRESS)); /* not: writes no flags */
    emit_lea(e, true, HOST_ADDEND, rm_indexed(HOST_ADDEND, HOST_ADDRESS, 0, 1)); /* 0 if they were equal */
    emit_op(e, REX_W, 0xf7, 2, rm_register(HOST_ADDRESS));
    u8 *good = emit_jrcxz(e);
    emit_site(t);
    emit_patch_short(good, e->at);
}

/* The target of an indirect jump or call into R10. */
static void emit_target(struct translation *t, const struct insn *i)
{
    if (i->prefixes & INSN_MEM) {
        struct host_rm rm = emit_memory_operand(t, i, false);
        emit_load_word(t, HOST_ADDRESS, rm);
        return;
    }
    unsigned host = host_of(t->wide, i->rm);
    emit_load_word(t, HOST_ADDRESS, host == HOST_NONE ? guest_slot(i->rm) : rm_register(host));
}

static void emit_call_indirect(struct translation *t, const struct insn *i, u64 next)
{
    emit_target(t, i);
    emit_fixups_inline(t); /* what follows is longer than exits reach */
    emit_target_check(t);
    emit_store(&t->e, HOST_ADDRESS, IN_CONTEXT(scratch));
    emit_push_constant(t, next);
    emit_load(&t->e, HOST_ADDRESS, IN_CONTEXT(scratch));
    emit_jump_indirect(t);
}

static void emit_return(struct translation *t, const struct insn *i)
{
    t->s->sites[current_site(t)].kind = SITE_RETURN;
    emit_load_word(t, HOST_ADDRESS, emit_stack_operand(t, stack_pointer(t), 0, t->word, false));
    if (!t->wide)
        emit_target_check(t);
    emit_stack_adjust(t, (s32)(t->word + (i->imm & 0xffff)));
    emit_jump_indirect(t);
}

void emit_flow(struct translation *t, const struct insn *i, enum treatment treatment)
{
    u64 mask = t->wide ? UINT64_MAX : 0xffffffffu;
    u64 next = (t->rip + i->length) & mask, target = branch_target(t, i);
    switch (treatment) {
    case DO_JUMP: emit_jump_to(t, target); break;
    case DO_LOOP:
    case DO_JUMP_IF: emit_jump_if_to(t, i, target, next); break;
    case DO_CALL:
        emit_push_constant(t, next);
        emit_jump_to(t, target);
        break;
    case DO_RETURN: emit_return(t, i); break;
    case DO_CALL_INDIRECT: emit_call_indirect(t, i, next); break;
    default:
        emit_target(t, i);
        if (!t->wide)
            emit_target_check(t);
        emit_jump_indirect(t);
    }
}
