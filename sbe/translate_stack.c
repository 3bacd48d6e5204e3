/* The stack. Of a 16-bit stack the pointer is SP: offsets wrap there, and the rest of ESP stays. */
#include "core/segment.h"
#include "sbe/translate_internal.h"

static bool stack_is_16(const struct translation *t) { return t->key & KEY_CODE16; }

void emit_load_word(struct translation *t, unsigned reg, struct host_rm rm)
{
    if (t->word == 2)
        emit_load_16_zero(&t->e, reg, rm);
    else
        emit_op(&t->e, t->word == 8 ? REX_W : 0, 0x8b, reg, rm);
}

void emit_store_word(struct translation *t, unsigned reg, struct host_rm rm)
{
    if (t->word == 2)
        emit_store_16(&t->e, reg, rm);
    else
        emit_op(&t->e, t->word == 8 ? REX_W : 0, 0x89, reg, rm);
}

/* A word into a register of the guest. */
static void emit_load_guest(struct translation *t, unsigned reg, struct host_rm rm)
{
    if (t->word == 2)
        emit8(&t->e, 0x66);
    emit_op(&t->e, t->word == 8 ? REX_W : 0, 0x8b, reg, rm);
}

/* The stack pointer becomes that of `reg`, moved. */
static void emit_stack_set(struct translation *t, unsigned reg, s32 bytes)
{
    struct emitter *e = &t->e;
    if (stack_is_16(t)) {
        emit_lea(e, false, HOST_ADDEND, rm_memory(reg, bytes));
        emit_move_16(e, stack_pointer(t), HOST_ADDEND);
    } else {
        emit_lea(e, t->wide, stack_pointer(t), rm_memory(reg, bytes));
    }
}

void emit_stack_adjust(struct translation *t, s32 bytes) { emit_stack_set(t, stack_pointer(t), bytes); }

/* The new top of the stack. Uses RCX and R10. */
static struct host_rm emit_push_operand(struct translation *t)
{
    return emit_stack_operand(t, stack_pointer(t), -(s32)t->word, t->word, true);
}

void emit_push_constant(struct translation *t, u64 value)
{
    struct emitter *e = &t->e;
    struct host_rm top = emit_push_operand(t);
    if (t->word == 2) {
        emit8(e, 0x66);
        emit_op(e, 0, 0xc7, 0, top);
        emit16(e, (unsigned)value);
    } else if (!t->wide || value == (u64)(s64)(s32)value) {
        emit_op(e, t->wide ? REX_W : 0, 0xc7, 0, top);
        emit32(e, (u32)value);
    } else {
        emit_lea(e, true, HOST_ADDEND, top);
        emit_constant(e, HOST_ADDRESS, value);
        emit_store(e, HOST_ADDRESS, rm_memory(HOST_ADDEND, 0));
    }
    emit_stack_adjust(t, -(s32)t->word);
}

static void emit_push_register(struct translation *t, unsigned reg)
{
    struct emitter *e = &t->e;
    unsigned host = host_of(t->wide, reg);
    struct host_rm top = emit_push_operand(t);
    if (host == HOST_NONE) {
        emit_lea(e, true, HOST_ADDEND, top);
        emit_load(e, HOST_ADDRESS, guest_slot(reg));
        host = HOST_ADDRESS;
        top = rm_memory(HOST_ADDEND, 0);
    }
    emit_store_word(t, host, top);
    emit_stack_adjust(t, -(s32)t->word);
}

void emit_push_scratch(struct translation *t)
{
    struct emitter *e = &t->e;
    emit_store(e, HOST_ADDRESS, IN_CONTEXT(scratch));
    emit_lea(e, true, HOST_ADDEND, emit_push_operand(t));
    emit_load(e, HOST_ADDRESS, IN_CONTEXT(scratch));
    emit_store_word(t, HOST_ADDRESS, rm_memory(HOST_ADDEND, 0));
    emit_stack_adjust(t, -(s32)t->word);
}

static void emit_push_memory(struct translation *t, const struct insn *i)
{
    struct host_rm rm = emit_memory_operand(t, i, false);
    emit_load_word(t, HOST_ADDRESS, rm);
    emit_fixups_inline(t); /* what follows is longer than exits reach */
    emit_push_scratch(t);
}

static void emit_pop_register(struct translation *t, unsigned reg)
{
    struct emitter *e = &t->e;
    unsigned host = host_of(t->wide, reg);
    struct host_rm top = emit_stack_operand(t, stack_pointer(t), 0, t->word, false);
    emit_load_guest(t, host == HOST_NONE ? HOST_ADDRESS : host, top);
    if (host == HOST_NONE)
        emit_store(e, HOST_ADDRESS, guest_slot(reg));
    emit_stack_adjust(t, (s32)t->word);
}

static void emit_leave_frame(struct translation *t)
{
    emit_load_word(t, HOST_ADDRESS, emit_stack_operand(t, RBP, 0, t->word, false));
    emit_stack_set(t, RBP, (s32)t->word);
    if (t->word == 2)
        emit_move_16(&t->e, RBP, HOST_ADDRESS);
    else
        emit_move(&t->e, RBP, HOST_ADDRESS);
}

/* PUSHA, POPA: one look-up for all. What crosses a page faults with its last word, which therefore is the first that is
 * accessed: then nothing has changed. A window has no holes between its pages, so there they go by the tables as well. */
static void emit_all(struct translation *t, bool push)
{
    s32 bytes = 8 * (s32)t->word;
    t->window = false;
    struct host_rm words = emit_stack_operand(t, stack_pointer(t), push ? -bytes : 0, (unsigned)bytes, push);
    for (unsigned reg = RAX; reg <= RDI; reg++) { /* RAX stands highest */
        struct host_rm word = words;
        word.disp += (s32)((7 - reg) * t->word);
        if (push)
            emit_store_word(t, host_of(false, reg), word);
        else if (reg != RSP)
            emit_load_guest(t, host_of(false, reg), word);
    }
    emit_stack_adjust(t, push ? -bytes : bytes);
}

/* ---- Segment registers -------------------------------------------------------------------------- */

static struct host_rm selector_of(enum seg seg)
{
    return rm_memory(RSP, (s32)(offsetof(struct vcpu, cpu.seg[0].selector) + seg * sizeof(struct segment)));
}

/* With a 32-bit operand only 16 bits are written: interp_segment.c. */
static void emit_push_selector(struct translation *t, enum seg seg)
{
    struct emitter *e = &t->e;
    unsigned bytes = t->word == 4 ? 2 : t->word;
    emit_lea(e, true, HOST_ADDEND, emit_stack_operand(t, stack_pointer(t), -(s32)t->word, bytes, true));
    emit_load_16_zero(e, HOST_ADDRESS, selector_of(seg));
    if (bytes == 2)
        emit_store_16(e, HOST_ADDRESS, rm_memory(HOST_ADDEND, 0));
    else
        emit_store(e, HOST_ADDRESS, rm_memory(HOST_ADDEND, 0));
    emit_stack_adjust(t, -(s32)t->word);
}

static void emit_pop_selector(struct translation *t, enum seg seg)
{
    struct emitter *e = &t->e;
    emit_load_16_zero(e, HOST_ADDRESS, emit_stack_operand(t, stack_pointer(t), 0, 2, false));
    emit_stack_adjust(t, (s32)t->word);
    emit_load_real(t, seg, HOST_ADDRESS);
}

void emit_load_real(struct translation *t, enum seg seg, unsigned selector)
{
    struct emitter *e = &t->e;
    emit_store_16(e, selector, selector_of(seg));
    emit_shift_x(e, VEX_SHLX, false, selector, selector, HOST_READ_TABLE);  /* << 12 */
    emit_shift_x(e, VEX_SHRX, false, selector, selector, HOST_WRITE_TABLE); /* >> 8 */
    emit_store(e, selector, rm_memory(RSP, (s32)(offsetof(struct vcpu, cpu.seg[0].base) + seg * sizeof(struct segment))));
}

static void emit_store_selector(struct translation *t, const struct insn *i, enum seg seg)
{
    struct emitter *e = &t->e;
    if (i->prefixes & INSN_MEM) {
        emit_lea(e, true, HOST_ADDEND, emit_memory_operand(t, i, true));
        emit_load_16_zero(e, HOST_ADDRESS, selector_of(seg));
        emit_store_16(e, HOST_ADDRESS, rm_memory(HOST_ADDEND, 0));
        return;
    }
    unsigned host = host_of(t->wide, i->rm);
    emit_load_16_zero(e, HOST_ADDEND, selector_of(seg));
    if (i->opsize == 2 && host != HOST_NONE)
        emit_move_16(e, host, HOST_ADDEND);
    else if (i->opsize == 2)
        emit_store_16(e, HOST_ADDEND, guest_slot(i->rm));
    else if (host != HOST_NONE)
        emit_move(e, host, HOST_ADDEND);
    else
        emit_store(e, HOST_ADDEND, guest_slot(i->rm));
}

void emit_selector(struct translation *t, const struct insn *i, enum treatment treatment)
{
    enum seg seg = row_segment(&isa_rows[i->row], i);
    if (treatment == DO_STORE_SELECTOR) {
        emit_store_selector(t, i, seg);
        return;
    }
    bool memory = i->prefixes & INSN_MEM;
    struct host_rm from = memory ? emit_memory_operand(t, i, false) : rm_register(host_of(t->wide, i->rm));
    emit_load_16_zero(&t->e, HOST_ADDRESS, from);
    emit_load_real(t, seg, HOST_ADDRESS);
}

/* ---- All of them -------------------------------------------------------------------------------- */

void emit_stack(struct translation *t, const struct insn *i, enum treatment treatment)
{
    const struct isa_row *row = &isa_rows[i->row];
    switch (treatment) {
    case DO_LEAVE: emit_leave_frame(t); break;
    case DO_PUSH_MEMORY: emit_push_memory(t, i); break;
    case DO_PUSH_SELECTOR: emit_push_selector(t, row_segment(row, i)); break;
    case DO_POP_SELECTOR: emit_pop_selector(t, row_segment(row, i)); break;
    case DO_PUSH_ALL: emit_all(t, true); break;
    case DO_POP_ALL: emit_all(t, false); break;
    case DO_POP: emit_pop_register(t, i->rm); break;
    default:
        if (row_has_operand(row, OPD_Iz) || row_has_operand(row, OPD_Isb))
            emit_push_constant(t, i->imm);
        else
            emit_push_register(t, i->rm);
    }
}
