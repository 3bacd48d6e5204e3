/* Which instructions random programs really execute, as opposed to try and fault. */
#ifndef REPRISE_FUZZ_COVERAGE_H
#define REPRISE_FUZZ_COVERAGE_H

#include "core/engine.h"
#include "fuzz/program.h"

enum { COVERAGE_ROWS = 1024 };

struct coverage {
    u64 executed[COVERAGE_ROWS]; /* by row of isa.def: retired without a fault */
    u64 trapped[COVERAGE_ROWS];  /* ended in an exception */
    u64 instructions, faults;
};

/* Adds what `engine` does with one program. Programs that this host cannot run add nothing. */
void coverage_add(struct coverage *c, const struct engine *engine, const struct program *p);

#endif
