/* Checkpoints in memory: any number of whole-machine states that share the pages in which they agree.
 *
 * A checkpoint is a tree of page references over a pool of fixed size, and the plain state of processors and devices.
 * Taking one stores the pages that were written since the last one (mmu/access.h, phys_track_writes()); going to one
 * copies the pages in which it differs from what the machine holds. When the pool is full, checkpoints are given up
 * so that those near the present place stay close together and the rest still cover the whole run. */
#ifndef REPRISE_REPLAY_CHECKPOINT_H
#define REPRISE_REPLAY_CHECKPOINT_H

#include "core/vm.h"

struct checkpoints;

enum { CHECKPOINTS_MAX = 4096, CHECKPOINT_NOTE_MAX = 256 };

/* Room for `budget` bytes of pages, backed by the host as they are used; bookkeeping comes on top (a few MiB). The
 * machine outlives the checkpoints. */
enum status checkpoints_create(struct vm *vm, u64 budget, struct checkpoints **result);
void checkpoints_destroy(struct checkpoints *c);

/* Keeps the present state, at an icount where vm_run() returned VM_STOP_ICOUNT, and with it a note of the caller's,
 * such as his place in a log. Nothing happens if there is one of this icount. STATUS_TOO_BIG: it does not fit, even
 * alone. */
enum status checkpoints_take(struct checkpoints *c, const void *note, size_t bytes);

/* The number of the last checkpoint at or before `icount`, -1 if there is none. Numbers change with every other call
 * that is not a question. */
int checkpoints_find(const struct checkpoints *c, u64 icount);
unsigned checkpoints_count(const struct checkpoints *c);
u64 checkpoints_icount(const struct checkpoints *c, unsigned number);

/* Makes the machine what it was, and gives back the note, of the same size. */
void checkpoints_restore(struct checkpoints *c, unsigned number, void *note, size_t bytes);

/* Forgets those later than `icount`: what follows will be another history. */
void checkpoints_drop_after(struct checkpoints *c, u64 icount);

/* Bytes of the budget in use now. */
u64 checkpoints_bytes(const struct checkpoints *c);

#endif
