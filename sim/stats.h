/* --stats: figures about a run, as JSON. */
#ifndef REPRISE_SIM_STATS_H
#define REPRISE_SIM_STATS_H

#include "core/vm.h"

struct run_summary {
    const char *stop;  /* why the run ended: "power-off", ... */
    int exit_code;
    unsigned resets;      /* of the machine, by the guest */
    u64 startup_ns;       /* host time from program start to the first guest instruction */
    u64 host_ns;          /* host time from there to the end */
};

enum { STATS_MESSAGE_MAX = 400 };

/* Writes all or nothing to `path`. Hashes the machine's whole state. */
bool stats_write(const char *path, struct vm *vm, const struct run_summary *run, char message[STATS_MESSAGE_MAX]);

/* Millions of guest instructions per second of host time. */
double stats_mips(const struct vm *vm, const struct run_summary *run);

#endif
