/* A failing program made smaller while it still fails. */
#ifndef REPRISE_FUZZ_SHRINK_H
#define REPRISE_FUZZ_SHRINK_H

#include "fuzz/program.h"

/* True if the program still shows the fault. */
typedef bool shrink_test(void *context, const struct program *p);

/* Drops instructions and circumstances (interrupts, cuts, odd segments, ...) for which `test` does not care. */
void shrink(struct program *p, shrink_test *test, void *context);

#endif
