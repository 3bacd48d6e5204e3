/* Processor exceptions of the hypervisor itself. */
#ifndef REPRISE_METAL_TRAPS_H
#define REPRISE_METAL_TRAPS_H

#include "core/types.h"

void traps_init(void);

/* Exceptions #MF and #XM in [begin, begin + bytes) resume at fpu_thunk_fault (core/host.h). */
void traps_set_thunks(const u8 *begin, size_t bytes);

#endif
