/* The state of a machine as plain data, but for its RAM: what a checkpoint or a snapshot file holds beside the
 * pages. */
#ifndef REPRISE_REPLAY_SNAPSHOT_H
#define REPRISE_REPLAY_SNAPSHOT_H

#include "core/vm.h"

struct machine_state {
    struct cpu cpu[VCPU_MAX];
    struct chipset chipset;
    struct clock clock;
    struct chaos chaos;
    enum device_request request; /* not answered yet */
    u32 exit_value;
};

/* Copies the state out. The machine stands between two calls of vm_run(); nothing the guest can see changes. */
void machine_state_save(struct vm *vm, struct machine_state *to);

/* Could a machine have come to this state? For state that comes from a file: machine_state_load() relies on it. */
bool machine_state_valid(const struct machine_state *state);

/* Puts the state back into a machine of the same configuration. RAM is the caller's to restore, before or after; every
 * translation is dropped. */
void machine_state_load(struct vm *vm, const struct machine_state *from);

#endif
