/* What to do: the Multiboot command line of the guests here, "fib sort n=50". Where a boot loader gives none, ci/bench
 * writes one behind the marker in the image. And the lines around whatever is measured, which the stopwatch awaits. */
#ifndef GUESTS_BENCH_COMMAND_H
#define GUESTS_BENCH_COMMAND_H

#include "guests/lib/guest.h"

/* The number after "key=", or `otherwise`. */
u32 command_number(const char *key, u32 otherwise);
/* Whether the command line names this, or none of the `count` names at all. */
bool command_wants(const char *name, const char *const *names, u32 count);
/* "bench: at NAME": a mark by itself. */
void bench_at(const char *name);
/* "bench: begin NAME". */
void bench_begin(const char *name);
/* "bench: end NAME RESULT TICKS": what it computed, and how far the time stamp counter went, which in Reprise is
 * instructions. */
void bench_end(const char *name, u32 result, u64 ticks);

#endif
