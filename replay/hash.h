/* Hash of the complete guest-visible state: processors, memory, devices, clock. Equal states give equal hashes on
 * every engine, build and host.
 *
 * Memory enters as a sum over its pages. A machine that is hashed often remembers its pages' hashes and looks only
 * at those that may have been written since (phys_track_writes); the result is the same. */
#ifndef REPRISE_REPLAY_HASH_H
#define REPRISE_REPLAY_HASH_H

#include "core/status.h"
#include "core/types.h"

struct vm;

/* In struct vm. */
struct page_hashes {
    u64 *page; /* of each RAM page when last looked at; NULL: none is remembered */
    u64 sum;   /* of them all */
    u64 since; /* interval (mmu/physmem.h) of the last look; 0: none yet */
};

u64 state_hash(struct vm *vm);
/* The same by looking at all of memory, whatever is remembered: the reference for tests. */
u64 state_hash_whole(struct vm *vm);

/* From now on state_hash() remembers pages: RAM that was written without note of it in physmem.written is not seen.
 * STATUS_NO_MEMORY: it does not, and works as before. */
enum status state_hash_remember(struct vm *vm);
/* Gives the memory back; vm_destroy() calls it. */
void state_hash_forget(struct vm *vm);

#endif
