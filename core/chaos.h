/* Chaos: what real hardware may do otherwise, done otherwise at random. Bugs that need an interrupt at just the wrong
 * instruction appear under some seed, and then again under the same one.
 *
 * Everything here is a function of the seed and of what the guest does, at exact icounts, and of nothing else: not of the
 * engine, nor of how a run was cut. So a log that names seed and kinds is enough for a replay. Within these bounds:
 *
 *     irq    an interrupt that could be delivered waits for up to CHAOS_HOLD_MAX instructions more
 *     clock  virtual time runs at CHAOS_RATE_MIN to CHAOS_RATE_MAX per instruction, changed every CHAOS_PIECE_MIN to
 *            CHAOS_PIECE_MAX instructions; and sometimes it jumps ahead, up to CHAOS_JUMP_MAX but not beyond the next
 *            device event, as if firmware had kept the processor busy. So timers come early or late by the
 *            guest's own instructions, and the TSC agrees with them
 *     tlb    translations are lost, which no guest can tell (mmu/shadow.h does this one) */
#ifndef REPRISE_CORE_CHAOS_H
#define REPRISE_CORE_CHAOS_H

#include "core/clock.h"

struct vm;

enum chaos_kind {
    CHAOS_IRQ = 1, CHAOS_CLOCK = 2, CHAOS_TLB = 4,
    CHAOS_ALL = 7,
    CHAOS_SEEN = CHAOS_IRQ | CHAOS_CLOCK, /* those that a guest can tell */
};

enum {
    CHAOS_HOLD_MAX = 2048,                                          /* instructions */
    CHAOS_RATE_MIN = CLOCK_RATE_ONE / 2, CHAOS_RATE_MAX = 4 * CLOCK_RATE_ONE,
    CHAOS_PIECE_MIN = 256, CHAOS_PIECE_MAX = 128 << 10,             /* instructions */
    CHAOS_JUMP_MAX = 4096,                                          /* nanoseconds */
};

/* Part of struct vm_config. */
struct chaos_config {
    u64 seed;
    u32 kinds; /* enum chaos_kind; 0: none */
};

/* Part of the machine's state: plain data. All 0 while there is no chaos that a guest can tell. */
struct chaos {
    u64 irq, clock; /* states of two generators (core/random.h) */
    u64 held_until; /* icount; 0: no interrupt is held up */
    u64 piece_end;  /* icount of the next change of the clock, 0: never */
};

/* The first number of one kind's own stream. */
u64 chaos_seed(const struct chaos_config *config, enum chaos_kind kind);

/* Begins anew at the present icount, as vm->config.chaos says. */
void chaos_start(struct vm *vm);

/* Changes the clock if its time has come. Like a device's timers (replay/input.h, input_settle()), before anything
 * looks at the machine. */
void chaos_change_clock(struct vm *vm);
static inline bool chaos_clock_due(const struct chaos *c, u64 icount) { return c->piece_end && icount >= c->piece_end; }

/* An interrupt could be delivered here: is it held up? To be asked at the first such boundary, whatever the engine. */
bool chaos_holds(struct vm *vm);

/* The next icount after `icount` at which the run loop must look. UINT64_MAX: none. */
u64 chaos_next(const struct chaos *c, u64 icount);

/* Could a machine have come to this state? For state that comes from a file. */
bool chaos_valid(const struct chaos *c, const struct clock *clock, u64 icount);

#endif
