/* What goes wrong in the small world around a random program: entries of its page tables and descriptor tables, gates and task
 * segments, changed at random, one by one, so that a failing program can be freed of those that do not matter. */
#ifndef REPRISE_FUZZ_WORLD_H
#define REPRISE_FUZZ_WORLD_H

#include "fuzz/program.h"

enum { WORLD_CHANGES = 16 };

/* Makes the changes of program.world_mask in a machine that has just been given the program. */
void world_apply(const struct program *p, struct vm *vm);

/* One line for each of them. */
void world_print(const struct program *p);

#endif
