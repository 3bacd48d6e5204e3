/* Virtual time. The guest's clock is a function of icount and of logged adjustments, never of the host. */
#ifndef REPRISE_CORE_CLOCK_H
#define REPRISE_CORE_CLOCK_H

#include "core/scale.h"
#include "core/types.h"

/* One instruction takes one virtual nanosecond; HLT adds the time it skips. */
struct clock {
    u64 skipped_ns; /* by HLT, and later by logged adjustments */
};

#define CLOCK_NEVER UINT64_MAX
#define CLOCK_JUMP_MAX (3600 * NS_PER_SECOND) /* of one adjustment while no timer runs */
#define NS_PER_SECOND 1000000000ull

static inline u64 clock_now(const struct clock *c, u64 icount) { return icount + c->skipped_ns; }

/* Periods of a `hz` counter elapsed at `ns`. */
static inline u64 clock_ticks(u64 ns, u64 hz) { return clock_scale(ns, hz, 0, NS_PER_SECOND); }

/* The first ns at which clock_ticks(ns, hz) >= ticks; CLOCK_NEVER if that is beyond all time. */
static inline u64 clock_tick_time(u64 ticks, u64 hz) { return clock_scale(ticks, NS_PER_SECOND, hz - 1, hz); }

#endif
