#include "sim/known_differences.h"

#include "sbe/isa.h"
#include "sim/state_fields.h"

#include <string.h>

/* ---- Conditions ----------------------------------------------------------------------------------- */

static const struct isa_row *last_row(const struct known_stretch *s)
{
    return &isa_rows[s->rows[s->count - 1]];
}

/* Every flag that differs was left undefined by the last instruction of the stretch that wrote it. */
static bool undefined_flags(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    u32 open = ours->aflags ^ theirs->aflags;
    for (unsigned n = s->count; n-- && open;) {
        const struct isa_row *row = &isa_rows[s->rows[n]];
        if (open & row->flags_written & ~row->flags_undefined)
            return false;
        open &= ~row->flags_undefined;
    }
    return !open;
}

/* Conditions on memory get no processors. */
static bool far_faulted(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    (void)ours;
    (void)theirs;
    return s->faulted && last_row(s)->cls == CLS_CALLOUT;
}

static bool general_detect(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    (void)ours;
    (void)theirs;
    return s->faulted && (s->before.dr[7] & DR7_GD);
}

static bool only_rf(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    (void)s;
    return (ours->rflags ^ theirs->rflags) == FLAG_RF;
}

static bool in_64_bit_code(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    (void)ours;
    (void)theirs;
    return cpu_code64(&s->before);
}

/* ---- The table ------------------------------------------------------------------------------------- */

const struct known_row known_rows[] = {
    {"*", NULL, "flags", undefined_flags, KNOWN_UNDEFINED,
     "flags that the instruction leaves undefined (isa.def; SDM vol. 2): ours are the host processor's"},
    {"bochs", "f*", "fcs fds", in_64_bit_code, KNOWN_UNDEFINED,
     "x87 selectors in 64-bit code: FXSAVE64 has none, and processors may report 0 (SDM vol. 1, 8.1.8, 10.5.1.1)"},
    {"bochs", "call jmp ret* iret* int* into", "memory", far_faulted, KNOWN_UNDEFINED,
     "a far transfer that faults on its way: Bochs has written part of the frame, or touched its page; ours nothing"},
    {"bochs", "mov", "memory", general_detect, KNOWN_OURS,
     "general detect pushes RF as every fault but an instruction breakpoint does (SDM vol. 3, 17.3.1.1); Bochs pushes 0"},
    {"bochs", "sysret", "rflags", only_rf, KNOWN_OURS,
     "SYSRET loads RFLAGS from R11 & 3C7FD7H, without RF (SDM vol. 2, \"SYSRET\"); Bochs takes RF"},
};
const unsigned known_row_count = ARRAY_LEN(known_rows);
_Static_assert(ARRAY_LEN(known_rows) <= KNOWN_ROWS_MAX, "a count for each row");

/* ---- Looking it up --------------------------------------------------------------------------------- */

static bool word_matches(const char *word, size_t length, const char *name)
{
    if (length && word[length - 1] == '*')
        return !strncmp(word, name, length - 1);
    return strlen(name) == length && !strncmp(word, name, length);
}

static bool list_has(const char *list, const char *name)
{
    if (!list)
        return true;
    for (const char *word = list; *word; word += strspn(word, " ")) {
        size_t length = strcspn(word, " ");
        if (word_matches(word, length, name))
            return true;
        word += length;
    }
    return false;
}

static bool applies(const struct known_row *r, const struct engine *reference, const struct known_stretch *s)
{
    if (!list_has(r->engine, reference->name))
        return false;
    return !r->insns || (s->count == 1 && list_has(r->insns, last_row(s)->mnemonic));
}

/* The row that explains a difference in `field`; known_row_count if none does. */
static unsigned find_row(const struct engine *reference, const struct known_stretch *s, const char *field,
                         const struct cpu *ours, const struct cpu *theirs)
{
    unsigned n = 0;
    while (n < known_row_count) {
        const struct known_row *r = &known_rows[n];
        if (list_has(r->fields, field) && applies(r, reference, s) && (!r->holds || r->holds(s, ours, theirs)))
            break;
        n++;
    }
    return n;
}

static bool field_differs(const struct state_field *f, const struct cpu *a, const struct cpu *b)
{
    for (unsigned n = 0; n < f->count; n++)
        if (memcmp((const u8 *)a + f->offset + n * f->stride, (const u8 *)b + f->offset + n * f->stride, f->bytes))
            return true;
    return false;
}

bool known_differences_adopt(const struct engine *reference, const struct known_stretch *stretch, const struct cpu *ours,
                             struct cpu *theirs, u64 counts[KNOWN_ROWS_MAX])
{
    bool used[KNOWN_ROWS_MAX] = {false};
    if (!stretch->count)
        return false;
    for (unsigned n = 0; n < state_field_count; n++) {
        const struct state_field *f = &state_fields[n];
        if (!field_differs(f, ours, theirs))
            continue;
        unsigned row = find_row(reference, stretch, f->name, ours, theirs);
        if (row == known_row_count)
            return false;
        used[row] = true;
    }
    for (unsigned n = 0; n < known_row_count; n++)
        counts[n] += used[n];
    *theirs = *ours;
    return true;
}

bool known_differences_in_memory(const struct engine *reference, const struct known_stretch *stretch,
                                 u64 counts[KNOWN_ROWS_MAX])
{
    unsigned row = stretch->count ? find_row(reference, stretch, "memory", NULL, NULL) : known_row_count;
    if (row == known_row_count)
        return false;
    counts[row]++;
    return true;
}
