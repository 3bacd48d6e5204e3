#include "sim/tests/insn_diff.h"

#include "sbe/decode.h"
#include "sbe/fpu_thunk.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct comparison {
    struct difference *d;
    unsigned count;
    const struct difference *common;
};

static void __attribute__((format(printf, 4, 5)))
differs(struct comparison *k, const char *what, u64 bits, const char *format, ...)
{
    if (k->count == DIFFERENCES_MAX)
        return;
    struct difference *d = &k->d[k->count++];
    *d = *k->common;
    d->what = what;
    d->bits = bits;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(d->text, sizeof(d->text), format, arguments);
    va_end(arguments);
}

static void compare_value(struct comparison *k, const char *what, u64 ours, u64 theirs)
{
    if (ours != theirs)
        differs(k, what, ours ^ theirs, "ours %llx, reference %llx", (unsigned long long)ours,
                (unsigned long long)theirs);
}

static void compare_integers(struct comparison *k, const struct outcome *a, const struct outcome *b)
{
    const struct diff_case *c = k->common->c;
    u64 mask = c->mode == CODE_64 ? ~0ull : 0xffffffff, bits = 0;
    unsigned first = 0;
    for (unsigned n = c->mode == CODE_64 ? GPR_COUNT : R8; n-- > 0;)
        if ((a->out.gpr[n] ^ b->out.gpr[n]) & mask) {
            bits |= 1u << n;
            first = n;
        }
    if (bits)
        differs(k, "gpr", bits, "register %u: before %llx, ours %llx, reference %llx", first,
                (unsigned long long)c->in.gpr[first], (unsigned long long)a->out.gpr[first],
                (unsigned long long)b->out.gpr[first]);
    if (a->vector == OUTCOME_NONE || k->common->ref == REF_HOST)
        compare_value(k, "rip", a->out.rip & mask, b->out.rip & mask);
}

/* Unicorn is asked about defined flags, the host about all of them. */
static void compare_flags(struct comparison *k, const struct outcome *a, const struct outcome *b)
{
    u64 mask = FLAGS_ARITH | FLAG_DF;
    if (k->common->ref == REF_UNICORN)
        mask &= ~(u64)isa_rows[k->common->c->row].flags_undefined;
    u64 ours = a->out.rflags & (FLAGS_ARITH | FLAG_DF), theirs = b->out.rflags & (FLAGS_ARITH | FLAG_DF);
    u64 bits = (ours ^ theirs) & mask;
    if (bits)
        differs(k, "flags", bits, "differ in %llx: before %llx, ours %llx, reference %llx", (unsigned long long)bits,
                (unsigned long long)k->common->c->in.rflags, (unsigned long long)ours, (unsigned long long)theirs);
}

static void print_bytes(char *to, unsigned room, const struct outcome *o)
{
    unsigned at = (unsigned)snprintf(to, room, "%u at %x:", o->written_bytes, o->written_at);
    for (unsigned n = 0; n < o->written_bytes && n < 16 && at + 3 < room; n++)
        at += (unsigned)snprintf(to + at, room - at, " %02x", o->written[n]);
}

static void compare_memory(struct comparison *k, const struct outcome *a, const struct outcome *b)
{
    char ours[80], theirs[80];
    unsigned bytes = a->written_bytes < WRITTEN_MAX ? a->written_bytes : WRITTEN_MAX;
    if (a->written_at == b->written_at && a->written_bytes == b->written_bytes &&
        !memcmp(a->written, b->written, bytes))
        return;
    print_bytes(ours, sizeof(ours), a);
    print_bytes(theirs, sizeof(theirs), b);
    differs(k, "memory", 0, "ours %s, reference %s", ours, theirs);
}

static void compare_registers(struct comparison *k, const char *what, const u8 *a, const u8 *b, unsigned count,
                              unsigned bytes)
{
    u64 bits = 0, ours[2] = {0}, theirs[2] = {0};
    unsigned first = 0;
    for (unsigned n = count; n-- > 0;)
        if (memcmp(a + 16 * n, b + 16 * n, bytes)) {
            bits |= 1u << n;
            first = n;
        }
    if (!bits)
        return;
    memcpy(ours, a + 16 * first, bytes);
    memcpy(theirs, b + 16 * first, bytes);
    differs(k, what, bits, "register %u: ours %016llx.%016llx, reference %016llx.%016llx", first,
            (unsigned long long)ours[1], (unsigned long long)ours[0], (unsigned long long)theirs[1],
            (unsigned long long)theirs[0]);
}

static void compare_unit(struct comparison *k, const u8 *a, const u8 *b)
{
    bool host = k->common->ref == REF_HOST;
    compare_value(k, "fcw", image_get_16(a, FXSAVE_FCW), image_get_16(b, FXSAVE_FCW));
    compare_value(k, "fsw", image_get_16(a, FXSAVE_FSW), image_get_16(b, FXSAVE_FSW));
    compare_value(k, "ftw", a[FXSAVE_FTW], b[FXSAVE_FTW]);
    compare_value(k, "mxcsr", image_get_32(a, FXSAVE_MXCSR), image_get_32(b, FXSAVE_MXCSR));
    if (host) { /* Unicorn has no pointers */
        compare_value(k, "fop", image_get_16(a, FXSAVE_FOP), image_get_16(b, FXSAVE_FOP));
        compare_value(k, "fip", image_get_64(a, FXSAVE_FIP), image_get_64(b, FXSAVE_FIP));
        compare_value(k, "fdp", image_get_64(a, FXSAVE_FDP), image_get_64(b, FXSAVE_FDP));
    }
    compare_registers(k, "st", a + FXSAVE_ST, b + FXSAVE_ST, 8, 10);
    compare_registers(k, "xmm", a + FXSAVE_XMM, b + FXSAVE_XMM, k->common->c->mode == CODE_64 ? 16 : 8, 16);
}

/* Unicorn reports accesses to nothing as such, not as page faults. */
static bool same_vector(const struct outcome *ours, const struct outcome *theirs)
{
    return ours->vector == theirs->vector || (ours->vector == VEC_PF && theirs->vector == OUTCOME_UNMAPPED);
}

unsigned outcome_compare(const struct diff_case *c, enum reference ref, const struct outcome *ours,
                         const struct outcome *theirs, struct difference d[DIFFERENCES_MAX])
{
    static struct insn insn;
    bool decoded = decode(c->bytes, c->length, (enum code_mode)c->mode, &insn) == DECODE_OK;
    struct difference common = {.c = c, .insn = decoded ? &insn : NULL, .ref = ref, .ours = ours, .theirs = theirs};
    struct comparison k = {.d = d, .common = &common};
    if (!same_vector(ours, theirs)) {
        differs(&k, "vector", 0, "ours %d, reference %d", ours->vector, theirs->vector);
        return k.count;
    }
    if (ref == REF_HOST && ours->has_error)
        compare_value(&k, "error", ours->error, theirs->error);
    if (ref == REF_HOST && ours->has_cr2)
        compare_value(&k, "cr2", ours->cr2, theirs->cr2);
    compare_integers(&k, ours, theirs);
    compare_flags(&k, ours, theirs);
    compare_memory(&k, ours, theirs);
    if (c->uses_unit)
        compare_unit(&k, ours->out.fxsave, theirs->out.fxsave);
    return k.count;
}
