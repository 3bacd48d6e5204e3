/* Hash of the complete guest-visible state: processors, memory, devices, clock. Equal states give equal hashes on every
 * engine, build and host. */
#ifndef REPRISE_REPLAY_HASH_H
#define REPRISE_REPLAY_HASH_H

#include "core/types.h"

struct vm;
u64 state_hash(struct vm *vm);

#endif
