/* The other end of afl-fuzz: its fork server protocol, spoken by a process that stays alive from input to input.
 *
 * afl-fuzz asks for a run by four bytes on descriptor 198, and is told a process id, then a wait status on 199. Inputs and the
 * map of edges lie in shared memory. A worker process creates the machine and answers by itself; its parent only sees to it
 * that there is one: a worker that dies in a run (a bug of ours, or afl-fuzz's time limit) is answered for and replaced. */
#ifndef REPRISE_SIM_FUZZ_AFL_H
#define REPRISE_SIM_FUZZ_AFL_H

#include "core/types.h"

struct afl_target {
    void *context;
    /* In each new worker: prepares for runs that count edges in `map` (COVERAGE_MAP_BYTES). Zero, or an exit code. */
    int (*open)(void *context, u8 *map);
    /* One input. True if the guest crashes. */
    bool (*run)(void *context, const u8 *data, size_t size);
};

/* Has an afl-fuzz started this process? */
bool afl_is_there(void);

/* Serves until afl-fuzz goes away. Zero, or the exit code of what went wrong, which the user has been told. */
int afl_serve(const struct afl_target *target);

#endif
