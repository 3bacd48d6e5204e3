/* Virtual time. The guest's clock is a function of icount and of logged adjustments, never of the host. */
#ifndef REPRISE_CORE_CLOCK_H
#define REPRISE_CORE_CLOCK_H

#include "core/scale.h"
#include "core/types.h"

enum { CLOCK_RATE_ONE = 1024 };

/* One instruction takes one virtual nanosecond; HLT adds the time it skips. */
struct clock {
    u64 skipped_ns; /* by HLT and by logged adjustments */
    /* Else: nanoseconds that CLOCK_RATE_ONE instructions take (core/chaos.h); 0: CLOCK_RATE_ONE, since power-up. */
    u64 rate;
    u64 from_icount, from_ns; /* since when, and the time then, less skipped_ns; 0 without a rate */
};

#define CLOCK_NEVER UINT64_MAX
#define CLOCK_JUMP_MAX (3600 * NS_PER_SECOND) /* of one adjustment while no timer runs */
#define NS_PER_SECOND 1000000000ull

/* Less what was skipped. */
static inline u64 clock_executed(const struct clock *c, u64 icount)
{
    return c->rate ? c->from_ns + (icount - c->from_icount) * c->rate / CLOCK_RATE_ONE : icount;
}

static inline u64 clock_now(const struct clock *c, u64 icount) { return clock_executed(c, icount) + c->skipped_ns; }

/* The first icount at which clock_now() is `ns` or later, if the processor executes until then and the rate stays. `ns` is
 * not in the past, and may be CLOCK_NEVER. */
static inline u64 clock_icount(const struct clock *c, u64 ns)
{
    if (ns == CLOCK_NEVER || !c->rate)
        return ns == CLOCK_NEVER ? UINT64_MAX : ns - c->skipped_ns;
    u64 wait = clock_scale(ns - c->skipped_ns - c->from_ns, CLOCK_RATE_ONE, c->rate - 1, c->rate);
    return wait < UINT64_MAX - c->from_icount ? c->from_icount + wait : UINT64_MAX;
}

/* From now on. Time goes on where it was, to the nanosecond. */
static inline void clock_set_rate(struct clock *c, u64 icount, u64 rate)
{
    c->from_ns = clock_executed(c, icount);
    c->from_icount = icount;
    c->rate = rate;
}

static inline bool clock_same(const struct clock *a, const struct clock *b)
{
    return a->skipped_ns == b->skipped_ns && a->rate == b->rate &&
           (!a->rate || (a->from_icount == b->from_icount && a->from_ns == b->from_ns));
}

/* Periods of a `hz` counter elapsed at `ns`. */
static inline u64 clock_ticks(u64 ns, u64 hz) { return clock_scale(ns, hz, 0, NS_PER_SECOND); }

/* The first ns at which clock_ticks(ns, hz) >= ticks; CLOCK_NEVER if that is beyond all time. */
static inline u64 clock_tick_time(u64 ticks, u64 hz) { return clock_scale(ticks, NS_PER_SECOND, hz - 1, hz); }

#endif
