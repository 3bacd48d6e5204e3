/* High precision event timers at 0xFED00000: IA-PC HPET specification 1.0a.
 *
 * One block, three 64-bit timers, the first of which can be periodic. The main counter runs at 100 MHz of virtual time
 * (10 ns, 10,000,000 fs a tick). Legacy replacement routing is supported; otherwise timers route to I/O APIC inputs
 * 16..23. No FSB delivery. An edge-triggered timer holds its line high until it fires again or is disabled, so that a
 * pulse is never shorter than a controller needs. */
#ifndef REPRISE_DEVICES_HPET_H
#define REPRISE_DEVICES_HPET_H

#include "devices/device.h"

enum { HPET_TIMERS = 3 };
#define HPET_BASE 0xfed00000ull
#define HPET_TICK_NS 10u
/* General capabilities: period in fs, vendor 8086, legacy routing, 64-bit counter, last timer's number, revision 1 */
#define HPET_CAPABILITIES \
    (HPET_TICK_NS * 1000000ull << 32 | 0x8086ull << 16 | 1ull << 15 | 1ull << 13 | (HPET_TIMERS - 1ull) << 8 | 1)

struct hpet_timer {
    u64 config;
    u64 comparator;
    u64 period;   /* periodic mode: added to the comparator at each match */
    u64 fire_at;  /* virtual ns of the next match; CLOCK_NEVER while the counter stands or none comes */
    u8 line_high; /* edge-triggered: the line is held */
    u8 set_value; /* Tn_VAL_SET_CNF awaits the next comparator write */
    u8 line;      /* the line it holds */
};

struct hpet {
    u64 config, status;
    u64 counter;    /* value at `started`, or while halted */
    u64 started;    /* virtual ns */
    struct hpet_timer timer[HPET_TIMERS];
};

void hpet_reset(struct hpet *h);

/* The 1 KiB register block: accesses of 4 or 8 bytes, aligned; others, which the specification forbids, read 0 and
 * write nothing. */
u64 hpet_read(const struct hpet *h, unsigned offset, unsigned size, u64 now);
void hpet_write(struct hpet *h, unsigned offset, u64 value, unsigned size, const struct device_env *e);

/* Timer 0 replaces IRQ 0 and timer 1 replaces IRQ 8: PIT and RTC are cut off. */
bool hpet_legacy_routing(const struct hpet *h);

u64 hpet_deadline(const struct hpet *h);
void hpet_tick(struct hpet *h, const struct device_env *e);

/* What every state of the timers satisfies, and what a state from a file must satisfy before it is used: the lines that they
 * hold exist. */
static inline bool hpet_valid(const struct hpet *h)
{
    return h->timer[0].line < 24 && h->timer[1].line < 24 && h->timer[2].line < 24;
}

#endif
