/* The reader of snapshots: machine_state_valid() for any bytes; and what it accepts is within the bounds that the machine
 * counts on (log_rd's companion: a snapshot file is believed no more than a log). */
#include "eva/eva.h"

#include "replay/snapshot.c"

static struct machine_state state;

/* proofs/eva/chipset.c shows what states the board takes. */
bool chipset_plausible(const struct chipset *c) { return c ? any_bool() : false; }
bool chaos_valid(const struct chaos *c, const struct clock *clock, u64 icount)
{
    (void)clock;
    (void)icount;
    return c ? any_bool() : false;
}

void main(void)
{
    any_bytes(&state.cpu, sizeof state.cpu);
    any_bytes(&state.clock, sizeof state.clock);
    state.request = (enum device_request)any_u32();
    if (!machine_state_valid(&state)) {
        REACHED(refused);
        return;
    }
    REACHED(accepted);
    //@ check level: state.cpu[0].cpl <= 3;
    //@ check activity: state.cpu[0].activity <= ACTIVITY_SHUTDOWN;
    //@ check icount: state.cpu[0].icount <= TIME_MAX;
    //@ check skipped: state.clock.skipped_ns <= TIME_MAX;
    //@ check request: (unsigned)state.request <= REQUEST_DEBUG_EXIT;
}
