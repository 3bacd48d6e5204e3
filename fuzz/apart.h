/* Work in a process of its own, which may crash or not end without harm to us. */
#ifndef REPRISE_FUZZ_APART_H
#define REPRISE_FUZZ_APART_H

#include <stddef.h>

enum { APART_CRASHED = -1, APART_NO_PROCESS = -2 };

/* What work(context) returns, 0..127, or one of the above. */
int apart_run(int (*work)(void *context), void *context);

/* In such a process: it ends as if it had crashed unless this is called again within so many seconds; 0: no more. */
void apart_limit(unsigned seconds);

/* Zeroed memory that processes share; NULL if there is none. */
void *apart_shared(size_t bytes);

#endif
