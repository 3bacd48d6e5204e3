/* A difference shows at the end of a stretch that an engine runs in one go, so a trial is: both from the base (or from
 * power-on) to the instruction in question, with the cuts of the first run on the way, and one more at the end. Trials
 * halve the distance between an instruction after which all is the same and one after which something differs. */
#include "sim/verify_search.h"

#include "sbe/decode.h"
#include "sim/dump.h"
#include "sim/host_linux.h"

#include <string.h>

/* How far back the report's list of instructions begins; repeated ones take one line. */
enum { LOOK_BACK = 300 };

enum { PERIOD_INSNS = 20000000, PERIOD_CUTS = 2000, BLOCK_TYPICAL = 8, PERIOD_REFERENCE = 20000 };

u64 verify_period(const struct grain *grain, bool reference)
{
    if (reference)
        return PERIOD_REFERENCE;
    u64 size = grain->kind == GRAIN_COUNT ? grain->count : BLOCK_TYPICAL;
    if (size >= PERIOD_INSNS)
        return size;
    u64 cuts = PERIOD_INSNS / size < PERIOD_CUTS ? PERIOD_INSNS / size : PERIOD_CUTS;
    return cuts * size;
}

enum pair_state verify_advance(struct verify_pair *p, u64 until, const struct verify_options *o)
{
    u64 period = verify_period(&o->grain, p->reference);
    enum pair_state state = PAIR_SAME;
    while (state == PAIR_SAME && verify_pair_icount(p) < until) {
        u64 now = verify_pair_icount(p), next = now - now % period + period;
        state = verify_pair_run(p, next < until ? next : until, &o->grain);
    }
    return state;
}

struct trial {
    const struct verify_search *search;
    bool cold; /* from the base, else from power-on */
    char *message;
};

/* Both machines at the base. */
static bool trial_begin(const struct trial *t, struct verify_pair *p)
{
    const struct verify_search *s = t->search;
    const struct verify_guest guest = verify_options_guest(s->options);
    if (!verify_pair_create(p, &guest, !t->cold, t->message))
        return false;
    for (unsigned n = 0; n < 2 && t->cold; n++)
        verify_base_give(s->base, p->vm[n]);
    if (t->cold)
        verify_pair_seek(p, &s->base->place);
    p->memory_each = p->reference && t->cold;
    if (!t->cold)
        (void)verify_advance(p, s->base_at, s->options); /* it was the same all the way */
    return true;
}

enum outcome { TRIAL_SAME, TRIAL_DIFFERS, TRIAL_FAILED };

/* Runs to `until` and looks. *p stays with the caller unless it failed. */
static enum outcome trial_run(const struct trial *t, u64 until, struct verify_pair *p)
{
    if (!trial_begin(t, p))
        return TRIAL_FAILED;
    enum pair_state state = verify_advance(p, until, t->search->options);
    return state == PAIR_DIFFERS || !verify_pair_same(p) ? TRIAL_DIFFERS : TRIAL_SAME;
}

/* ---- The way there ------------------------------------------------------------------------------ */

struct watched_bytes {
    u8 now[VERIFY_MEMORY][16];
};

static void watch_memory(const struct verify_divergence *d, const struct vm *vm, struct watched_bytes *w)
{
    for (unsigned n = 0; n < d->memory_count; n++) {
        const u8 *from = physmem_pointer(&vm->memory, gpa(d->memory[n].address));
        memcpy(w->now[n], from, d->memory[n].bytes);
    }
}

/* Has the instruction changed a register or byte that will differ? */
static bool is_involved(const struct verify_divergence *d, const struct cpu *before, const struct cpu *after)
{
    u8 old[STATE_VALUE_MAX], new[STATE_VALUE_MAX];
    for (unsigned n = 0; n < d->difference_count && n < VERIFY_DIFFERENCES; n++) {
        const char *name = d->difference[n].name;
        if (strcmp(name, "rip") && strcmp(name, "icount") && state_value(before, name, old) &&
            state_value(after, name, new) && memcmp(old, new, sizeof old))
            return true;
    }
    return false;
}

static void describe_instruction(struct vcpu *v, struct verify_step *s)
{
    struct insn insn;
    s->icount = v->cpu.icount;
    s->cs = v->cpu.seg[SEG_CS].selector;
    s->rip = v->cpu.rip;
    s->row = ISA_INVALID;
    unsigned available = dump_code(v, s->rip, s->bytes, INSN_MAX);
    s->length = (u8)disasm(s->bytes, available, (enum code_mode)v->mode, s->rip, s->text);
    if (decode(s->bytes, available, (enum code_mode)v->mode, &insn) == DECODE_OK) {
        s->row = insn.row;
        s->length = insn.length;
    } else if (!s->length) {
        s->length = (u8)available;
    }
}

/* Into the next place of the window, or into the last one if it is the same instruction again. */
static void window_add(struct verify_divergence *d, const struct verify_step *s)
{
    struct verify_step *last = d->step_count ? &d->step[d->step_count - 1] : NULL;
    if (last && last->rip == s->rip && last->cs == s->cs && last->length == s->length) {
        last->times++;
        last->involved |= s->involved;
        return;
    }
    if (d->step_count == VERIFY_WINDOW) {
        memmove(d->step, d->step + 1, sizeof d->step - sizeof d->step[0]);
        d->step_count--;
    }
    d->step[d->step_count++] = *s;
}

/* One instruction of the believed engine, described. False where it cannot go on. */
static bool window_step(struct verify_divergence *d, struct verify_pair *p)
{
    struct vm *vm = p->vm[0];
    struct vcpu *v = vm->vcpu[0];
    struct watched_bytes before = {0}, after = {0};
    struct verify_step s = {.times = 1};
    describe_instruction(v, &s);
    d->before = v->cpu;
    watch_memory(d, vm, &before);
    enum vm_stop stop = verify_pair_step(p);
    watch_memory(d, vm, &after);
    s.involved = is_involved(d, &d->before, &v->cpu) || memcmp(&before, &after, sizeof before);
    if (v->cpu.icount > s.icount)
        window_add(d, &s);
    return stop == VM_STOP_ICOUNT || stop == VM_STOP_WAIT_INPUT;
}

static bool swallow(void *context, enum host_channel channel, u8 byte)
{
    (void)context;
    (void)channel;
    (void)byte;
    return false;
}

/* The last instructions before the difference, by the believed engine alone. */
static void collect_window(const struct trial *t, struct verify_divergence *d)
{
    struct verify_pair p;
    u64 base_at = t->search->base_at;
    u64 from = d->icount > base_at + LOOK_BACK ? d->icount - LOOK_BACK : base_at;
    d->step_count = 0;
    if (!trial_begin(t, &p))
        return; /* the report goes without it */
    host_console_set_tap(swallow, NULL);
    if (verify_advance(&p, from, t->search->options) == PAIR_SAME)
        while (verify_pair_icount(&p) < d->icount && window_step(d, &p))
            ;
    host_console_set_tap(NULL, NULL);
    verify_pair_destroy(&p);
}

/* ---- The search --------------------------------------------------------------------------------- */

/* Halves [same, differs) down to one instruction, and leaves a pair there. An engine may reserve much of the address
 * space for a machine, so there is never more than one pair. */
static bool narrow(const struct trial *t, u64 same, u64 differs, struct verify_divergence *d, struct verify_pair *p)
{
    while (differs - same > 1 && !host_stop_requested()) {
        u64 middle = same + (differs - same) / 2;
        if (t->search->progress)
            t->search->progress(same, differs);
        enum outcome outcome = trial_run(t, middle, p);
        if (outcome == TRIAL_FAILED)
            return false;
        if (outcome == TRIAL_SAME)
            same = middle;
        else
            differs = p->cut;
        verify_pair_destroy(p);
    }
    d->equal_at = same;
    d->located = true;
    d->cold = t->cold;
    return trial_run(t, differs, p) != TRIAL_FAILED;
}

static bool search_from(struct trial *t, struct verify_divergence *d, struct verify_pair *at)
{
    enum outcome outcome = trial_run(t, t->search->seen_at, at);
    if (outcome == TRIAL_FAILED)
        return false;
    u64 differs = at->cut;
    verify_pair_destroy(at);
    if (outcome == TRIAL_SAME || !narrow(t, t->search->base_at, differs, d, at))
        return false;
    verify_report_collect(d, at);
    verify_pair_destroy(at);
    collect_window(t, d);
    return trial_run(t, d->icount, at) != TRIAL_FAILED;
}

bool verify_search(const struct verify_search *search, struct verify_divergence *divergence, struct verify_pair *at,
                   char message[IMAGES_MESSAGE_MAX])
{
    struct trial t = {.search = search, .cold = true, .message = message};
    message[0] = 0;
    if (search_from(&t, divergence, at))
        return true;
    if (message[0])
        return false;
    t.cold = false;
    return search_from(&t, divergence, at);
}
