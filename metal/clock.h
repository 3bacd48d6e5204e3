/* Time of the machine: nanoseconds since clock_init(), from the time stamp counter, whose rate is measured against a
 * timer of known frequency. */
#ifndef REPRISE_METAL_CLOCK_H
#define REPRISE_METAL_CLOCK_H

#include "core/types.h"

/* Measures for some 20 ms. False if nothing ticks; time then passes at an assumed 1 GHz. */
bool clock_init(void);
/* Hertz of the time stamp counter, and what it was measured against. */
u64 clock_tsc_hz(void);
const char *clock_source(void);

u64 clock_ns(void);
void clock_wait_ns(u64 ns);

/* Seconds since 1970 by the machine's CMOS clock, which is taken to be in UTC; 0 if it says nothing sensible. */
u64 clock_wall_seconds(void);

#endif
