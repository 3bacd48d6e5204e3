#include "replay/wall.h"

#include "replay/input.h"

/* Smaller differences are not worth a record: four milliseconds are a tick of most kernels. */
static const u64 smallest_jump_ns = 4000000;
/* What a guest may be behind before it loses time: more, and it would only see timer interrupts. */
static const u64 longest_lag_ns = NS_PER_SECOND;

void wall_start(struct wall *wall, struct vm *vm, u64 host_ns)
{
    wall->on = true;
    wall->host_base = host_ns;
    wall->virtual_base = vm_now(vm);
}

/* What virtual time should be. */
static u64 target(const struct wall *wall, u64 host_ns) { return wall->virtual_base + (host_ns - wall->host_base); }

static void jump(struct vm *vm, u64 to)
{
    u64 now = vm_now(vm), wake = vm_wake_time(vm);
    if (to > wake)
        to = wake;
    if (to > now && to - now > CLOCK_JUMP_MAX)
        to = now + CLOCK_JUMP_MAX;
    if (to > now)
        (void)input_deliver(vm, INPUT_TIME, 0, to - now); /* refused while a reset is due: time can wait */
}

void wall_follow(struct wall *wall, struct vm *vm, u64 host_ns)
{
    u64 now = vm_now(vm), wanted = wall->on ? target(wall, host_ns) : 0;
    if (wanted <= now || wanted - now < smallest_jump_ns)
        return;
    if (wanted - now > longest_lag_ns) {
        wall->host_base += wanted - now - longest_lag_ns;
        wanted = now + longest_lag_ns;
    }
    jump(vm, wanted);
}

void wall_catch_up(struct wall *wall, struct vm *vm, u64 host_ns)
{
    if (wall->on)
        jump(vm, target(wall, host_ns));
}

u64 wall_until(const struct wall *wall, u64 ns, u64 host_ns)
{
    u64 now = wall->on ? target(wall, host_ns) : ns;
    return ns > now ? ns - now : 0;
}
