#include "core/chaos.h"

#include "core/random.h"
#include "core/vm.h"

u64 chaos_seed(const struct chaos_config *config, enum chaos_kind kind)
{
    struct random r = {config->seed ^ (u64)kind << 56};
    return random_next(&r);
}

static u32 draw_below(u64 *generator, u32 limit)
{
    struct random r = {*generator};
    const u32 drawn = random_below(&r, limit);
    *generator = r.state;
    return drawn;
}

/* 0 to 2^bits - 1, as likely below 2^n as between 2^n and 2^(n+1): most are small, the largest not rare. */
static u32 draw_scale(u64 *generator, unsigned bits)
{
    const u32 scale = draw_below(generator, bits + 1);
    return draw_below(generator, 1u << scale);
}

static void begin_piece(struct vm *vm)
{
    enum { SCALES = 9 };
    _Static_assert(CHAOS_PIECE_MIN << SCALES == CHAOS_PIECE_MAX, "pieces are as long as promised");
    struct chaos *c = &vm->chaos;
    const u64 icount = vm->vcpu[0]->cpu.icount;
    u32 shortest = CHAOS_PIECE_MIN << draw_below(&c->clock, SCALES);
    c->piece_end = icount + shortest + draw_below(&c->clock, shortest);
    clock_set_rate(&vm->clock, icount,
                   CHAOS_RATE_MIN + draw_below(&c->clock, CHAOS_RATE_MAX - CHAOS_RATE_MIN + 1));
}

void chaos_start(struct vm *vm)
{
    const struct chaos_config *config = &vm->config.chaos;
    vm->chaos = (struct chaos){0};
    if (config->kinds & CHAOS_IRQ)
        vm->chaos.irq = chaos_seed(config, CHAOS_IRQ);
    if (!(config->kinds & CHAOS_CLOCK))
        return;
    vm->chaos.clock = chaos_seed(config, CHAOS_CLOCK);
    begin_piece(vm);
}

/* The jump is the clock's own: vm->clock.skipped_ns names places in logs, and must not move by itself. */
static void jump(struct vm *vm)
{
    const u64 now = vm_now(vm), wake = vm_wake_time(vm);
    u64 by = draw_scale(&vm->chaos.clock, 12);
    if (wake <= now)
        by = 0;
    else if (by > wake - now)
        by = wake - now;
    vm->clock.from_ns += by;
}

void chaos_change_clock(struct vm *vm)
{
    _Static_assert(CHAOS_JUMP_MAX == 1 << 12, "the scale of jump()");
    begin_piece(vm);
    if (!draw_below(&vm->chaos.clock, 4))
        jump(vm);
}

bool chaos_holds(struct vm *vm)
{
    _Static_assert(CHAOS_HOLD_MAX == 1 << 11, "the scale below");
    struct chaos *c = &vm->chaos;
    const struct cpu *cpu = &vm->vcpu[0]->cpu;
    if (!(vm->config.chaos.kinds & CHAOS_IRQ))
        return false;
    if (!c->held_until && cpu->activity != ACTIVITY_HALTED)
        c->held_until = cpu->icount + draw_scale(&c->irq, 11);
    /* Nothing is executed while the processor waits, so that would be for ever. */
    if (cpu->icount < c->held_until && cpu->activity != ACTIVITY_HALTED)
        return true;
    c->held_until = 0;
    return false;
}

u64 chaos_next(const struct chaos *c, u64 icount)
{
    u64 next = c->piece_end ? c->piece_end : UINT64_MAX;
    return c->held_until > icount && c->held_until < next ? c->held_until : next;
}

bool chaos_valid(const struct chaos *c, const struct clock *clock, u64 icount)
{
    const u64 most = 1ull << 61; /* beyond, sums could overflow */
    if (c->held_until > most || c->piece_end > most || clock->from_ns > most)
        return false;
    return !clock->rate || (clock->rate >= CHAOS_RATE_MIN && clock->rate <= CHAOS_RATE_MAX &&
                            clock->from_icount <= icount && icount - clock->from_icount <= 2 * CHAOS_PIECE_MAX);
}
