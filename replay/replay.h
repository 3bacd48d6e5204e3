/* The replayer: runs a machine as its log says, to any icount, on any engine.
 *
 * The machine is created as log.machine describes it, its images booted, nothing executed; then replay_run() is the
 * only one who runs it and gives it input. */
#ifndef REPRISE_REPLAY_REPLAY_H
#define REPRISE_REPLAY_REPLAY_H

#include "core/vm.h"
#include "replay/log.h"

enum replay_stop {
    REPLAY_REACHED,  /* the icount asked for, before any event of the log that happened there */
    REPLAY_ENDED,    /* the run's recorded end; replay.ending */
    REPLAY_LOG_OUT,  /* the log says no more: log_tail() why. A log that grows can be replayed on */
    REPLAY_DIVERGED, /* the machine does something else than the log says: replay.divergence */
    REPLAY_STOPPED,  /* host_stop_requested() */
    REPLAY_INTERRUPTED, /* replay/timeline.h: its owner wanted an end */
    REPLAY_DEBUG,    /* vm.stops->hit (core/stops.h): clear it before going on */
    REPLAY_FAILED,   /* the machine was reset, and `reboot` returned false */
};

struct replay_divergence {
    const char *what;      /* "the state hash differs", ... */
    u64 icount;            /* where it was found */
    u64 good;              /* icount of the last equal state hash, 0 if none: it happened in between */
    u64 wanted, have;      /* state hashes, if they are what differs */
};

struct replay {
    struct vm *vm;          /* borrowed */
    struct log_reader *log; /* borrowed, open */
    bool verify;            /* compare state hashes; otherwise they are passed over */
    /* Boots the machine's images again after vm_reset(). */
    bool (*reboot)(void *reboot_context, struct vm *vm);
    void *reboot_context;
    /* NULL, or: called every few million instructions or more often, for progress and flushing of output. */
    void (*pulse)(void *pulse_context, struct vm *vm);
    void *pulse_context;

    struct replay_place {  /* where it stands; see replay_tell() */
        struct log_cursor cursor; /* before `next` */
        struct log_event next;
        bool have_next;
        u64 good, hashes;  /* icount of the last equal state hash; how many were compared */
        u32 resets;
        bool done;         /* the END event was met */
    } place;
    u32 exit_value;
    enum log_ending ending;
    struct replay_divergence divergence;
};

/* *r with the members above `place` set by the caller; the log stands at its first event. */
void replay_start(struct replay *r);

/* Runs until cpu.icount >= until, or something else in enum replay_stop. Returns at once if it is there already. At
 * REPLAY_REACHED the machine has met `until` for the first time: timers that are due have acted, no interrupt was
 * delivered. */
enum replay_stop replay_run(struct replay *r, u64 until);

/* For snapshots of a replay: the place goes with the machine's state. False if the log's chunk cannot be read any
 * more. */
struct replay_place replay_tell(const struct replay *r);
bool replay_seek(struct replay *r, const struct replay_place *place);

#endif
