/* The same small guest on two engines: cut at the same places, and the same after each cut. */
#ifndef REPRISE_FUZZ_PAIR_H
#define REPRISE_FUZZ_PAIR_H

#include "core/vm.h"

/* Machines of earlier guests, kept because new ones cost more than a short run. What their engines have cached of the
 * earlier guests must not matter; that is tested along the way. */
enum { PAIR_MODELS = 16 };
struct pair_pool {
    struct vm *vm[PAIR_MODELS][2]; /* by position in cpu_models */
};
void pair_pool_destroy(struct pair_pool *pool);

struct pair_setup {
    const struct engine *engines[2]; /* the first one is believed */
    const struct cpu_model *model;
    u64 limit;    /* instructions to run */
    u32 cut_seed; /* 0: no cuts. Else pieces of random size; of a few instructions if bit 1 is set */
    void (*load)(void *context, struct vm *vm); /* what makes a machine that was just created the guest */
    void *context;
    struct pair_pool *pool; /* NULL: new machines */
};

enum pair_result {
    PAIR_AGREE,
    PAIR_DISAGREE,
    PAIR_IMPOSSIBLE, /* this host cannot run the model, or has no memory */
};

struct pair_outcome {
    enum pair_result result;
    u64 icount;          /* at the end, or of the cut after which they differ */
    u64 equal_at;        /* of the last cut at which all but memory was equal */
    enum vm_stop stop[2];
};

/* Runs both. With `keep`, the machines stay as they are, keep[0] and keep[1], for a report; the caller destroys them,
 * or the pool does if there is one. NULL: nothing stays. */
struct pair_outcome pair_run(const struct pair_setup *setup, struct vm *keep[2]);

#endif
