#include "metal/schedule.h"

#include "metal/clock.h"
#include "metal/console.h"
#include "metal/processor.h"
#include "metal/timer.h"

/* The interval in which a cap counts. */
static const u64 window_ns = 100000000;
/* A guest that slept has no claim on what it did not use before, but for this. */
static const u64 credit_ns = 20000000;
enum { WATCHDOG_SECONDS = 60 };

static bool below_cap(struct guest *g, u64 now)
{
    if (now / window_ns != g->window) {
        g->window = now / window_ns;
        g->window_used = 0;
    }
    return g->vmx.cap_percent >= 100 || g->window_used * 100 < window_ns * g->vmx.cap_percent;
}

static bool runnable(struct guest *g, u64 now)
{
    if (g->state == GUEST_WAITING && now >= g->wake_ns)
        g->state = GUEST_READY;
    return g->state == GUEST_READY && !g->paused && below_cap(g, now);
}

/* The runnable guest that is furthest behind, or NULL. */
static struct guest *choose(struct guest *guests, unsigned count, u64 now)
{
    struct guest *best = NULL;
    for (unsigned n = 0; n < count; n++)
        if (runnable(&guests[n], now) && (!best || guests[n].pass < best->pass))
            best = &guests[n];
    return best;
}

static void run(struct guest *g, u64 *floor)
{
    u64 before = g->used_ns, share_ns = credit_ns * 1000 / g->vmx.shares;
    if (g->pass + share_ns < *floor)
        g->pass = *floor - share_ns;
    *floor = g->pass > *floor ? g->pass : *floor;
    console_switch_output(g);
    guest_slice(g);
    console_switch_output(NULL);
    u64 used = g->used_ns - before;
    g->window_used += used;
    g->pass += used * 1000 / g->vmx.shares;
}

static bool any_left(const struct guest *guests, unsigned count)
{
    for (unsigned n = 0; n < count; n++)
        if (guests[n].state != GUEST_OFF)
            return true;
    return false;
}

void schedule_run(struct guest *guests, unsigned count)
{
    u64 floor = 0;
    while (any_left(guests, count) || console_holds()) {
        timer_alive(WATCHDOG_SECONDS);
        console_poll();
        struct guest *g = choose(guests, count, clock_ns());
        if (g)
            run(g, &floor);
        else
            wait_for_interrupt();
    }
}
