/* Sensitive instructions that are frequent enough for sequences of their own, and string instructions without a count.
 * What they depend on beside registers is in the key of the block. */
#include "sbe/translate_internal.h"

static unsigned word_rex(unsigned bytes) { return bytes == 8 ? REX_W : REX_NONE; }

/* ---- Time ----------------------------------------------------------------------------------------- */

/* RDTSC, RDTSCP. Virtual time is a number of instructions, and R12 counts what is left of them: tsc = tsc_base - R12 -
 * instructions of the block from this one on. NOT makes the difference without flags. */
void emit_time(struct translation *t, const struct isa_row *row)
{
    struct emitter *e = &t->e;
    emit_load(e, HOST_ADDEND, IN_CONTEXT(tsc_base));
    emit_move(e, HOST_ADDRESS, HOST_COUNTER);
    emit_op(e, REX_W, 0xf7, 2, rm_register(HOST_ADDRESS)); /* not r10: -R12 - 1 */
    s32 left = (s32)(t->count - t->at);
    emit_lea(e, true, HOST_ADDRESS, rm_indexed(HOST_ADDRESS, HOST_ADDEND, 0, 1 - left));
    emit_store(e, HOST_ADDRESS, IN_CONTEXT(scratch));
    emit_move_32(e, RAX, HOST_ADDRESS);
    emit_load_32(e, RDX, rm_memory(RSP, (s32)offsetof(struct vcpu, context.scratch) + 4));
    if (row_named(row, "rdtscp"))
        emit_load_32(e, host_of(t->wide, RCX), IN_CPU(tsc_aux));
}

/* ---- System flags --------------------------------------------------------------------------------- */

void emit_and(struct emitter *e, struct host_rm mask)
{
    emit_pext(e, HOST_ADDEND, HOST_ADDEND, mask);
    emit_pdep(e, HOST_ADDEND, HOST_ADDEND, mask);
}

void emit_cli(struct translation *t)
{
    struct emitter *e = &t->e;
    emit_load_32(e, HOST_ADDEND, IN_CPU(rflags));
    emit_and(e, IN_CONTEXT(without_if));
    emit_store_32(e, HOST_ADDEND, IN_CPU(rflags));
}

/* The instruction behind STI still runs without interrupts. While none waits, that makes no difference: a block runs to its end
 * before the next one can arrive. But at its end, somebody may look. */
void emit_sti(struct translation *t)
{
    struct emitter *e = &t->e;
    if (t->at + 1 == t->count) {
        emit_site(t);
        t->ended = true;
        return;
    }
    emit_load(e, HOST_ADDEND, IN_VCPU(interrupt_if));
    emit_site_unless_zero(t);
    emit_load_32(e, HOST_ADDEND, IN_CPU(rflags));
    emit_and(e, IN_CONTEXT(without_if));
    emit_lea(e, false, HOST_ADDEND, rm_memory(HOST_ADDEND, FLAG_IF));
    emit_store_32(e, HOST_ADDEND, IN_CPU(rflags));
}

void emit_swapgs(struct translation *t)
{
    struct emitter *e = &t->e;
    const struct host_rm base = IN_CPU(seg[SEG_GS].base), other = IN_CPU(kernel_gs_base);
    emit_load(e, HOST_ADDEND, base);
    emit_load(e, HOST_ADDRESS, other);
    emit_store(e, HOST_ADDRESS, base);
    emit_store(e, HOST_ADDEND, other);
}

/* RF and VM are clear in translated code. */
void emit_pushf(struct translation *t)
{
    struct emitter *e = &t->e;
    emit8(e, 0x9c); /* pushfq, onto our own stack */
    emit8(e, 0x59); /* pop rcx */
    emit_and(e, IN_CONTEXT(arithmetic));
    emit_load_32(e, HOST_ADDRESS, IN_CPU(rflags));
    emit_lea(e, true, HOST_ADDRESS, rm_indexed(HOST_ADDRESS, HOST_ADDEND, 0, 0));
    emit_push_scratch(t);
}

/* ---- Strings -------------------------------------------------------------------------------------- */

static unsigned element_bytes(const struct isa_row *row, const struct insn *i)
{
    return row->attributes & A_BYTE ? 1 : i->opsize;
}

/* `opcode` is that of the form for bytes; the next is for the others. */
static void emit_element(struct emitter *e, unsigned bytes, unsigned opcode, unsigned reg, struct host_rm rm)
{
    if (bytes == 2)
        emit8(e, 0x66);
    emit_rex(e, word_rex(bytes), reg, &rm);
    emit8(e, opcode + (bytes > 1));
    emit_modrm(e, reg, &rm);
}

/* The element at the offset in `reg`. Uses RCX and, unless the segment is flat, R10. */
static struct host_rm emit_element_at(struct translation *t, unsigned seg, unsigned reg, unsigned bytes, bool write)
{
    if (t->key & KEY_CODE16) {
        emit_load_16_zero(&t->e, HOST_ADDRESS, rm_register(reg));
        emit_segment_base(t, seg, bytes, 16);
        reg = HOST_ADDRESS;
    }
    emit_addend(t, reg, bytes, write);
    return rm_indexed(HOST_ADDEND, reg, 0, 0);
}

/* STOS, SCAS and the second half of MOVS and CMPS. In 16-bit code a value in R10 has to stand back while the address is made. */
static void emit_destination(struct translation *t, const struct isa_row *row, unsigned bytes, unsigned value)
{
    struct emitter *e = &t->e;
    bool compares = row_named(row, "cmps") || row_named(row, "scas");
    bool aside = (t->key & KEY_CODE16) && value == HOST_ADDRESS;
    if (aside)
        emit_store(e, value, IN_CONTEXT(scratch));
    struct host_rm to = emit_element_at(t, SEG_ES, RDI, bytes, !compares);
    if (aside) {
        emit_lea(e, true, HOST_ADDEND, to);
        to = rm_memory(HOST_ADDEND, 0);
        emit_load(e, value, IN_CONTEXT(scratch));
    }
    emit_element(e, bytes, compares ? 0x3a : 0x88, value, to);
}

/* With addresses as wide as code, and segments as classify_string() wants them. */
void emit_string(struct translation *t, const struct insn *i)
{
    const struct isa_row *row = &isa_rows[i->row];
    unsigned bytes = element_bytes(row, i), value = RAX;
    s32 step = t->key & KEY_DOWN ? -(s32)bytes : (s32)bytes;
    bool loads = row_named(row, "lods") || row_named(row, "movs") || row_named(row, "cmps");
    if (loads) {
        if (!row_named(row, "lods"))
            value = HOST_ADDRESS;
        struct host_rm source = emit_element_at(t, i->seg, RSI, bytes, false);
        emit_element(&t->e, bytes, 0x8a, value, source);
        emit_room(t, ROOM_REST_BYTES);
    }
    if (!row_named(row, "lods")) {
        emit_destination(t, row, bytes, value);
        emit_add_address(t, RDI, step, i->addrsize);
    }
    if (loads)
        emit_add_address(t, RSI, step, i->addrsize);
}
