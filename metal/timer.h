/* A regular interrupt, from the local APIC's timer, or from the 8254 where there is no local APIC. It keeps serial
 * input from getting lost, and sees when nothing moves any more. */
#ifndef REPRISE_METAL_TIMER_H
#define REPRISE_METAL_TIMER_H

#include "core/types.h"

enum { TIMER_HZ = 1000 };

/* After clock_init() and paging_init(). Turns interrupts on. Returns what ticks, for people. */
const char *timer_start(void);

/* Interrupts since then. */
u64 timer_ticks(void);

/* The watchdog: unless this is called at least every `seconds` from the first call on, the machine stops with a
 * dump. */
void timer_alive(unsigned seconds);

#endif
