#include "fuzz/pair.h"

#include "core/cpuid.h"
#include "mmu/access.h"
#include "sim/known_stretch.h"
#include "sim/state_diff.h"

#include <string.h>

enum { SKIPS_MAX = 64, RESETS_MAX = 3, PIECE_MAX = 997, SMALL_PIECE_MAX = 4, MEMORY_EVERY = 32 };

struct pair {
    struct vm *vm[2];
    enum vm_stop stop[2];
    unsigned skips, resets, cuts;
    bool reference; /* the second engine is one: after each instruction, what is known to differ is taken over */
    struct known_stretch stretch;
    u64 since[2]; /* RAM was the same then */
};

/* As if it had just been created, but for what its engine remembers. */
static void renew(struct vm *vm)
{
    static const u8 zeros[PAGE_SIZE];
    vm->vcpu[0]->cpu.icount = 0;
    vm->clock.skipped_ns = 0;
    vm->exit_value = 0;
    vm_reset(vm);
    for (u64 at = 0; at < vm->memory.size; at += PAGE_SIZE) {
        const u8 *page = physmem_pointer(&vm->memory, gpa(at));
        if (page && memcmp(page, zeros, PAGE_SIZE))
            (void)physmem_zero(&vm->memory, gpa(at), PAGE_SIZE);
    }
}

static struct vm **pool_place(const struct pair_setup *s, unsigned n)
{
    size_t model = (size_t)(s->model - cpu_models);
    return s->pool && model < PAIR_MODELS ? &s->pool->vm[model][n] : NULL;
}

static bool create(const struct pair_setup *s, struct pair *p)
{
    for (unsigned n = 0; n < 2; n++) {
        const struct vm_config config = {.ram_bytes = 1 << 20, .model = s->model, .engine = s->engines[n]};
        struct vm **kept = pool_place(s, n);
        if (kept && *kept) {
            p->vm[n] = *kept;
            renew(p->vm[n]);
        } else if (vm_create(&p->vm[n], &config) != STATUS_OK) {
            return false;
        }
        if (kept)
            *kept = p->vm[n];
        s->load(s->context, p->vm[n]);
    }
    return true;
}

static void destroy(struct vm *vm[2])
{
    for (unsigned n = 0; n < 2; n++) {
        if (vm[n])
            vm_destroy(vm[n]);
        vm[n] = NULL;
    }
}

void pair_pool_destroy(struct pair_pool *pool)
{
    for (unsigned n = 0; n < PAIR_MODELS; n++)
        destroy(pool->vm[n]);
}

static u64 next_cut(const struct pair_setup *s, const struct pair *p, u64 now, u32 *seed)
{
    if (p->reference)
        return now + 1;
    if (!s->cut_seed)
        return s->limit;
    *seed = *seed * 1664525u + 1013904223u;
    u64 cut = now + 1 + (*seed >> 8) % (s->cut_seed & 2 ? SMALL_PIECE_MAX : PIECE_MAX);
    return cut < s->limit ? cut : s->limit;
}

/* What whoever runs a machine does after a stop. False: the run is over. */
static bool go_on(struct pair *p)
{
    u64 wake = vm_wake_time(p->vm[0]);
    switch (p->stop[0]) {
    case VM_STOP_ICOUNT: return true;
    case VM_STOP_RESET:
        for (unsigned n = 0; n < 2; n++)
            vm_reset(p->vm[n]);
        return ++p->resets <= RESETS_MAX;
    case VM_STOP_WAIT_INPUT:
        if (wake == CLOCK_NEVER || ++p->skips > SKIPS_MAX)
            return false;
        for (unsigned n = 0; n < 2; n++)
            vm_skip_to(p->vm[n], wake);
        return true;
    default: return false;
    }
}

static bool memory_same(const struct pair *p)
{
    return memory_first_difference(p->vm[0], p->vm[1], 0) == UINT64_MAX;
}

/* Memory is compared now and then, and at the end: what has become different there mostly stays so. */
static bool same(struct pair *p)
{
    return p->stop[0] == p->stop[1] && state_same(p->vm[0], p->vm[1]) && (++p->cuts % MEMORY_EVERY || memory_same(p));
}

/* Differences in memory come from pages written in this step. */
static bool memory_explained(struct pair *p, u64 counts[KNOWN_ROWS_MAX])
{
    u64 at = memory_written_difference(p->vm[0], p->vm[1], p->since);
    if (at == UINT64_MAX)
        return true;
    if (!known_differences_in_memory(p->vm[1]->config.engine, &p->stretch, counts))
        return false;
    for (; at != UINT64_MAX; at = memory_written_difference(p->vm[0], p->vm[1], p->since)) {
        u64 page = at & ~(u64)PAGE_MASK;
        phys_write(p->vm[1], gpa(page), physmem_pointer(&p->vm[0]->memory, gpa(page)), PAGE_SIZE);
    }
    return true;
}

static void begin(struct pair *p)
{
    struct vcpu *v = p->vm[0]->vcpu[0];
    known_stretch_begin(&p->stretch, v);
    if (v->cpu.activity == ACTIVITY_RUNNING) /* now: it may overwrite itself */
        known_stretch_decode(&p->stretch, v, v->cpu.rip, 1);
    for (unsigned n = 0; n < 2; n++)
        p->since[n] = phys_track_writes(p->vm[n]);
}

static bool same_or_explained(struct pair *p)
{
    u64 counts[KNOWN_ROWS_MAX] = {0};
    if (!p->reference)
        return same(p);
    known_stretch_end(&p->stretch, p->vm[0]);
    bool together = p->stop[0] == p->stop[1], equal = together && state_same(p->vm[0], p->vm[1]);
    if (equal && memory_written_difference(p->vm[0], p->vm[1], p->since) == UINT64_MAX)
        return true;
    /* An explained fault that only one side raises may be the third in a row there, which ends the run. */
    return (together || p->stop[0] == VM_STOP_TRIPLE_FAULT) &&
           known_stretch_explain(&p->stretch, p->vm[0], p->vm[1], counts) && memory_explained(p, counts) &&
           state_same(p->vm[0], p->vm[1]);
}

static void drive(const struct pair_setup *s, struct pair *p, struct pair_outcome *o)
{
    const struct cpu *c = &p->vm[0]->vcpu[0]->cpu;
    u32 seed = s->cut_seed;
    while (c->icount < s->limit) {
        u64 cut = next_cut(s, p, c->icount, &seed);
        if (p->reference)
            begin(p);
        for (unsigned n = 0; n < 2; n++)
            p->stop[n] = vm_run(p->vm[n], cut);
        o->icount = cut;
        if (!same_or_explained(p)) {
            o->result = PAIR_DISAGREE;
            return;
        }
        o->equal_at = c->icount;
        if (!go_on(p))
            break;
    }
    if (!memory_same(p))
        o->result = PAIR_DISAGREE;
}

struct pair_outcome pair_run(const struct pair_setup *setup, struct vm *keep[2])
{
    struct pair_outcome outcome = {.result = PAIR_AGREE};
    static struct pair pair;
    pair = (struct pair){.vm = {NULL, NULL}, .reference = setup->engines[1]->reference};
    if (create(setup, &pair))
        drive(setup, &pair, &outcome);
    else
        outcome.result = PAIR_IMPOSSIBLE;
    for (unsigned n = 0; n < 2; n++)
        outcome.stop[n] = pair.stop[n];
    if (!keep || outcome.result == PAIR_IMPOSSIBLE) {
        if (!setup->pool)
            destroy(pair.vm);
        return outcome;
    }
    keep[0] = pair.vm[0];
    keep[1] = pair.vm[1];
    return outcome;
}
