/* Which pages of guest RAM have been touched at all, as the host's kernel knows it: whoever looks at all of a large and
 * mostly empty RAM saves looking at the rest. */
#ifndef REPRISE_SIM_TOUCHED_H
#define REPRISE_SIM_TOUCHED_H

#include "core/vm.h"

enum { TOUCHED_PAGES = 512 };
#define TOUCHED_BYTES ((u64)TOUCHED_PAGES * PAGE_SIZE)

/* A handle for the calls below; where the kernel does not answer, every page counts as touched. */
int touched_open(void);
void touched_close(int handle);

/* Sets those of `touched` whose page of [address, address + TOUCHED_BYTES) the host backs; others stay. An untouched
 * page reads as zeros. `address` is a multiple of TOUCHED_BYTES. */
void touched_add(int handle, const struct vm *vm, u64 address, bool touched[TOUCHED_PAGES]);

#endif
