/* The build's self-test: a small guest that passes through real, protected and long mode, with paging, SSE and x87, and
 * must end in one known state. It runs on every build: equal hashes show that they compute the same machine. */
#ifndef REPRISE_CORE_SELFTEST_H
#define REPRISE_CORE_SELFTEST_H

#include "core/types.h"

struct selftest_result {
    bool passed;
    const char *failure; /* if not: what went wrong; static text */
    u64 hash;            /* state_hash() at the end */
    u64 icount;
};

struct selftest_result selftest_run(void);

#endif
