/* The recorder: writes what passes replay/input.h into a log, with state hashes at regular icounts. The run loop
 * around it stops at recorder.next, and calls recorder_checkpoint() there. Where a guest waits it either delivers an
 * input and runs the machine again, or lets time pass to vm_wake_time() exactly: a replay does the latter by itself. */
#ifndef REPRISE_REPLAY_RECORD_H
#define REPRISE_REPLAY_RECORD_H

#include "replay/input.h"
#include "replay/log.h"

struct vm;

struct recorder {
    struct log_writer *log; /* borrowed, open */
    u64 interval;           /* instructions between two state hashes; 0: none before the end */
    u64 next;               /* icount of the next one, UINT64_MAX for never */
};

/* Starts recording `vm`, at its first instruction, with every image loaded. From now on vm->recorder is `r`. */
void recorder_start(struct recorder *r, struct vm *vm, struct log_writer *log, u64 interval);

/* Where an input was delivered: the state before it. */
struct input_place {
    u64 icount, skipped_ns;
};
/* For replay/input.c alone. */
void recorder_input(struct recorder *r, const struct input_place *place, enum input_source source, unsigned unit,
                    u64 value);

/* After VM_STOP_ICOUNT: records a state hash if one is due here. */
void recorder_checkpoint(struct recorder *r, struct vm *vm);
/* Records that nothing more happened so far, and makes the log readable up to here: now and then, and before a long
 * wait. To be called between two instructions, like all of these. */
void recorder_flush(struct recorder *r, struct vm *vm);
/* Records the end of the run with its last state hash; the log is then to be closed. */
void recorder_end(struct recorder *r, struct vm *vm, enum log_ending ending);

#endif
