/* A state that two machines have shared, kept so that both can start from it again: a copy of one of them. */
#ifndef REPRISE_SIM_VERIFY_BASE_H
#define REPRISE_SIM_VERIFY_BASE_H

#include "core/vm.h"
#include "replay/replay.h"

struct verify_base {
    struct cpu cpu[VCPU_MAX];
    struct chipset chipset;
    struct clock clock;
    enum device_request request;
    u32 exit_value;
    struct replay_place place; /* the caller's: where in a log it was */
    u64 ram_bytes;
    u8 *ram;      /* offset in it: guest-physical address; host memory only where the guest has touched it */
    bool *filled; /* per page of `ram` */
};

/* Empty, for machines with this much RAM. False if the host has no memory for it. */
bool verify_base_create(struct verify_base *base, const struct vm *vm);
void verify_base_destroy(struct verify_base *base);

/* Copies the state of `vm`; cheap where RAM has not changed since the last time. */
void verify_base_take(struct verify_base *base, struct vm *vm);

/* The same if only pages written since phys_track_writes() returned `since` can have changed. */
void verify_base_take_written(struct verify_base *base, struct vm *vm, u64 since);

/* Takes a running machine back to the base. */
void verify_base_restore(const struct verify_base *base, struct vm *vm);

/* Gives the state to a machine that was just created with the same configuration. */
void verify_base_give(const struct verify_base *base, struct vm *vm);

#endif
