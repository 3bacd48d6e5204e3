/* A recorded run as a line on which one can go to any place: forwards by replay, backwards by going to a checkpoint
 * and replaying from there. Checkpoints are left on the way, close together before the place that was asked for,
 * because whoever goes back usually goes on doing so. */
#ifndef REPRISE_REPLAY_TIMELINE_H
#define REPRISE_REPLAY_TIMELINE_H

#include "replay/checkpoint.h"
#include "replay/replay.h"

enum { TIMELINE_SPACING = 4000000 };

struct timeline {
    struct replay *replay; /* borrowed, started; the machine at its first instruction */
    /* NULL, or: true ends what is being done with REPLAY_INTERRUPTED. Asked every few million instructions. */
    bool (*interrupted)(void *context);
    /* NULL, or: `on` while the run passes where it has been before, and repeats its output. */
    void (*repeats)(void *context, bool on);
    void *context;
    u64 spacing; /* instructions between two checkpoints on new ground; 0: TIMELINE_SPACING */

    struct checkpoints *checkpoints;
    u64 first;    /* icount of the first checkpoint: no way back beyond it */
    u64 frontier; /* the furthest icount reached */
    bool within;  /* the machine stands behind the first moment of its icount: an interrupt was delivered there */
    bool repeating;
    bool tight;   /* a checkpoint did not fit, even alone: going back replays from far, until the guest needs less */
};

/* *t with the members above `checkpoints` set. `budget` bytes of checkpoints (checkpoint.h). */
enum status timeline_create(struct timeline *t, u64 budget);
void timeline_destroy(struct timeline *t);

/* Goes on to icount `until`, as replay_run() does, for whose results see there. Stops of a debugger count:
 * REPLAY_DEBUG. */
enum replay_stop timeline_run(struct timeline *t, u64 until);

/* Goes to the first moment of an icount, wherever it lies. Stops of a debugger do not count. REPLAY_REACHED, or where
 * the log ends before: REPLAY_ENDED or REPLAY_LOG_OUT, and the machine stands there. An icount before the first
 * checkpoint means that. */
enum replay_stop timeline_seek(struct timeline *t, u64 icount);

/* Goes back to the last place before here at which one of the machine's stops (core/stops.h) is met, and which it
 * then is in vm.stops->hit_point: REPLAY_DEBUG. Execution stops: before the instruction; data stops: before the
 * instruction that makes the access, so that memory is what it was before. REPLAY_REACHED: there is none, the machine
 * stands at the first checkpoint. */
enum replay_stop timeline_reverse(struct timeline *t);

/* One instruction back; or from within an icount to its first moment. REPLAY_REACHED; nothing happens at the first
 * checkpoint, where timeline_at_begin() is true. */
enum replay_stop timeline_step_back(struct timeline *t);
bool timeline_at_begin(const struct timeline *t);

#endif
