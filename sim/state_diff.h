/* Two machines side by side: is their state the same, and if not, where does it differ? Looks at all that state_hash()
 * covers. Both machines stand between two calls of vm_run() and have the same amount of RAM. */
#ifndef REPRISE_SIM_STATE_DIFF_H
#define REPRISE_SIM_STATE_DIFF_H

#include "core/vm.h"

/* Processors, devices, clock: everything but RAM. Cheap enough for every instruction. */
bool state_same(const struct vm *a, const struct vm *b);

enum { STATE_NAME_MAX = 24, STATE_VALUE_MAX = 16 };

/* One register, or one byte of a device's state, that differs. Values are little-endian. */
struct state_difference {
    char name[STATE_NAME_MAX]; /* "rax", "cs.base", "xmm3", "pit+12", ... */
    u8 bytes;                  /* of a value: 1..STATE_VALUE_MAX */
    u8 a[STATE_VALUE_MAX], b[STATE_VALUE_MAX];
};

/* The first `max` differences that state_same() has seen, in a fixed order; returns how many there are in all. */
unsigned state_differences(const struct vm *a, const struct vm *b, struct state_difference *to, unsigned max);

/* The register of this name in one processor, as above; false if there is none. */
bool state_value(const struct cpu *c, const char *name, u8 to[STATE_VALUE_MAX]);

/* The lowest RAM address at or above `from` at which the two differ; UINT64_MAX if there is none. Pages that neither
 * machine has touched cost nothing. */
u64 memory_first_difference(const struct vm *a, const struct vm *b, u64 from);

/* The same among pages written in either since phys_track_writes() (mmu/access.h) returned `since[0]` for a and `since[1]`
 * for b; nothing else is looked at. */
u64 memory_written_difference(const struct vm *a, const struct vm *b, const u64 since[2]);

#endif
