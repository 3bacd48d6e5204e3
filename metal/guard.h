/* A way out of the portable modules when the machine has no memory left for a guest: what was reserved on behalf of
 * that guest is given back as a whole, whatever state it was in, and the others go on. */
#ifndef REPRISE_METAL_GUARD_H
#define REPRISE_METAL_GUARD_H

#include "core/types.h"

/* Calls work(context). True: it came to its end. False: guard_leave() ended it. One at a time, not nested. */
bool guard_run(void (*work)(void *context), void *context);

/* Is guard_run() under way? */
extern u64 guard_stack; /* its stack pointer, 0 if not */

/* Code, not a function: goes on where guard_run() returns false. For a trap handler, to be returned to. */
extern const u8 guard_leave[];

#endif
