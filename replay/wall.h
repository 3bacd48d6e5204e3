/* Virtual time follows real time, by jumps that are recorded like any other input. `host_ns` is the host's clock, which
 * never goes back, in nanoseconds. */
#ifndef REPRISE_REPLAY_WALL_H
#define REPRISE_REPLAY_WALL_H

#include "core/vm.h"

struct wall {
    bool on;
    u64 host_base, virtual_base; /* the same instant on both clocks, in nanoseconds */
};

/* They agree from now on. */
void wall_start(struct wall *wall, struct vm *vm, u64 host_ns);

/* Between two slices of guest code: if virtual time has fallen behind by more than a few milliseconds, lets it catch
 * up, but not beyond the next timer: the guest must see its interrupt first. A guest that falls behind for long
 * loses time. */
void wall_follow(struct wall *wall, struct vm *vm, u64 host_ns);

/* The guest waits, and has been woken before its next timer: lets the time that has passed pass for it, too. */
void wall_catch_up(struct wall *wall, struct vm *vm, u64 host_ns);

/* Nanoseconds of real time until virtual time `ns`; 0 if it has come, or if it is not `on`. */
u64 wall_until(const struct wall *wall, u64 ns, u64 host_ns);

#endif
