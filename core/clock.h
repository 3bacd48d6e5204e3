/* Virtual time. The guest's clock is a function of icount and of logged adjustments, never of the host. */
#ifndef REPRISE_CORE_CLOCK_H
#define REPRISE_CORE_CLOCK_H

#include "core/types.h"

/* One instruction takes one virtual nanosecond; HLT adds the time it skips. */
struct clock {
    u64 skipped_ns; /* by HLT, and later by logged adjustments */
};

#define CLOCK_NEVER UINT64_MAX
#define NS_PER_SECOND 1000000000ull

static inline u64 clock_now(const struct clock *c, u64 icount) { return icount + c->skipped_ns; }

/* Periods of a `hz` counter elapsed at `ns`, without overflow for hz < 2^32. */
static inline u64 clock_ticks(u64 ns, u64 hz) { return (u64)((u128)ns * hz / NS_PER_SECOND); }

/* The first ns at which clock_ticks(ns, hz) >= ticks. */
static inline u64 clock_tick_time(u64 ticks, u64 hz)
{
    return (u64)(((u128)ticks * NS_PER_SECOND + hz - 1) / hz);
}

#endif
