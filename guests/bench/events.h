/* The events of the benchmarks: what a kernel does often and an emulator does slowly.
 *
 * Each runs `count` times and returns how many of them did what they should; all but the fast system calls are the same
 * in both widths (events.c). The rest of events32.c and events64.c is how a trap frame is edited in each. */
#ifndef GUESTS_BENCH_EVENTS_H
#define GUESTS_BENCH_EVENTS_H

#include "guests/lib/pages.h"

struct event {
    const char *name;
    u32 unit; /* times for n=1: some 20 ms in QEMU */
    u32 (*run)(u32 count);
};

/* The fast system call of this width. Returns 0 if the processor has none. */
extern const char *const fast_call_name;
u32 fast_call(u32 count);

/* Runs the probe in ring 3 with CX = count; returns AX at its end, which starts as 0. */
u32 run_user(const char *probe, u32 count);

/* Table entries of this width, and the page tables that hold them. */
extern const struct page_format *const event_format;
enum { ENTRIES = PAGE / sizeof(word) };

/* Traps, in assembly: count in AX and return; skip UD2, too; map the page that faulted; count a timer interrupt. */
extern const char on_call[], on_ud2[], on_page_fault[], on_timer[];
/* The table for TEST, which on_page_fault fills with frames from FRAMES + 4 MiB on. */
extern volatile word table_a[ENTRIES];
extern volatile u32 timer_ticks;
#define FRAMES 0x2000000

#endif
