/* Which code accesses memory in windows (mmu/window.h), where that is decided by how often code runs: engine sbe-auto.
 *
 * Windows make hot code faster, but a fault there costs as much as ten thousand accesses gain. Pages of code begin with the
 * tables. Translated code is sampled each HEAT_PERIOD instructions; a page that is met often enough is translated again
 * with windows, and gets credit for as many faults as it was met before. Each further sample earns one. Without credit it
 * goes back to the tables, and must be met twice as often the next time: what is mapped by then stays, so that code with much
 * memory gets there in the end, and other code costs little. */
#ifndef REPRISE_SBE_HEAT_H
#define REPRISE_SBE_HEAT_H

#include "core/types.h"

struct vcpu;
struct sbe;

enum {
    HEAT_PERIOD = 250000,
    HEAT_FIRST = 64,    /* samples before a page of code gets windows */
    HEAT_MOST = 1 << 12, /* after many failures */
    HEAT_DEBT = 1000,   /* mappings taken away, beyond one a sample: then all code cools down */
};

struct heat_page {
    u16 wanted;  /* samples before it gets windows; 0: HEAT_FIRST */
    u16 samples;
    u16 credit;  /* faults that it may still cost */
    bool windows;
};

struct heat {
    u64 frames;
    u64 next;    /* icount of the next sample */
    u64 debt, unmaps; /* windows.unmaps at the last sample */
    struct heat_page page[]; /* by page of RAM */
};

/* Makes v->sbe->heat. False if the host refuses memory. */
bool heat_create(struct vcpu *v);
/* Does nothing if there is none. */
void heat_destroy(struct vcpu *v);

/* Up to which icount, at most `until`, translated code may run before a sample is due. At least a block from now. */
u64 heat_limit(const struct vcpu *v, u64 now, u64 until);

/* Code at `offset` in RAM runs. May throw away the translations of its page, or all. */
void heat_sample(struct vcpu *v, u64 offset);
/* It has faulted in a window. The same. */
void heat_fault(struct vcpu *v, u64 offset);

/* Shall code at `offset` access windows? */
bool heat_windows(const struct heat *h, u64 offset);

#endif
