/* Memory operands in the window (mmu/window.h): one host instruction, no look-up, no check. An address that does not lie in the
 * window, or whose page is not mapped there, faults, and the exception leads to the site.
 *
 * A sum of one register and a displacement is not truncated to 32 bits: where it would have wrapped, it lies beside the
 * window, where nothing is, and the interpreter sees to it. Two registers are added by LEA, which truncates. */
#include "core/segment.h"
#include "sbe/heat.h"
#include "sbe/translate_internal.h"

/* Displacements from here on are taken for an offset from a register, those below for the address of something static in
 * the upper half, which is counted from the window's end. */
enum { OFFSET_MIN = -(1 << 24) };

static unsigned window_register(s32 disp) { return disp < OFFSET_MIN ? HOST_WINDOW_END : HOST_WINDOW; }

bool window_wanted(const struct translation *t)
{
    const struct sbe *s = t->s;
    const struct block *b = &s->blocks[t->block];
    return s->windows && !t->wide && !(t->key & KEY_CODE16) && (!s->heat || heat_windows(s->heat, b->offset)) &&
           !codecache_strained(s, block_offset(b, t->rip));
}

/* Segments with a base, x87 instructions, which remember the address, and sums of two registers want it in a register. */
static bool wants_sum(const struct translation *t, const struct insn *i)
{
    bool based = segment_kind(t, i->seg) != SEGMENT_FLAT;
    return based || (isa_rows[i->row].attributes & A_X87) || (i->base < GPR_COUNT && i->index < GPR_COUNT);
}

struct host_rm emit_window_operand(struct translation *t, const struct insn *i, unsigned size)
{
    current_site(t);
    if (wants_sum(t, i))
        return rm_indexed(HOST_WINDOW, emit_linear_address(t, i, size), 0, 0);
    s32 disp = (s32)i->disp;
    if (i->base < GPR_COUNT)
        return rm_indexed(window_register(disp), host_of(false, i->base), 0, disp);
    if (i->index < GPR_COUNT)
        return rm_indexed(window_register(disp), host_of(false, i->index), i->scale, disp);
    return rm_memory(disp < 0 ? HOST_WINDOW_END : HOST_WINDOW, disp);
}
