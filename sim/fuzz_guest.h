/* One guest, run from one place in its recorded run again and again, each time with another input in its memory.
 *
 * The place is an instruction count, a symbol, or where the guest says so: it speaks by writing to FUZZ_PORT, which is
 * unassigned and so does nothing in a run without a fuzzer. Inputs go through replay/input.h, so a run that ends badly can be
 * written down as a log like any other. */
#ifndef REPRISE_SIM_FUZZ_GUEST_H
#define REPRISE_SIM_FUZZ_GUEST_H

#include "replay/checkpoint.h"
#include "sim/replay_session.h"

/* What the guest writes there, 32 bits, with more in its registers. */
#define FUZZ_PORT 0xf8u
enum fuzz_command {
    FUZZ_BEGIN = 1, /* RBX: linear address of the buffer for inputs, RCX: its bytes, RDX: of a 32-bit word for the length, or 0 */
    FUZZ_DONE = 2,  /* this input has been consumed; so says FUZZ_BEGIN as well when it comes again */
    FUZZ_CRASH = 3, /* RBX: why */
};

enum { FUZZ_INPUT_MAX = 1 << 20, FUZZ_MESSAGE_MAX = SESSION_MESSAGE_MAX };

struct fuzz_setup {
    const char *log;
    const char *engine;
    u64 at;             /* icount; 0: where `stop` is reached, or the guest says so */
    u64 stop;           /* linear address; 0: none */
    u64 input_at, input_max, length_at; /* linear addresses; 0: as the guest says */
    u64 crash_at, done_at; /* linear addresses where the guest is taken to say so; 0: none */
    u64 max_insns;      /* of one run */
    u32 crash_vectors;  /* 1 << vector of each exception that is a crash */
    bool crash_on_limit;
};

/* How a run ended. */
enum fuzz_end {
    FUZZ_END_DONE,      /* consumed; or power off, or debug exit with 0 */
    FUZZ_END_LIMIT,     /* max_insns */
    FUZZ_END_WAITS,     /* for other input than we give */
    FUZZ_END_SAID,      /* FUZZ_CRASH; value: RBX */
    FUZZ_END_EXCEPTION, /* of crash_vectors; value: the vector */
    FUZZ_END_TRIPLE_FAULT,
    FUZZ_END_RESET,
    FUZZ_END_HALTED,    /* for ever */
    FUZZ_END_EXIT,      /* debug exit; value: what it wrote */
    FUZZ_ENDS
};
extern const char *const fuzz_end_names[FUZZ_ENDS];

struct fuzz_outcome {
    enum fuzz_end end;
    bool crash;
    u64 value;
    u64 instructions; /* since the place */
    enum log_ending logged;
};

struct fuzz_guest {
    struct fuzz_setup setup;
    struct replay_session session;
    struct vm *vm;
    struct checkpoints *checkpoints;
    struct stops stops;
    struct tracer tracer;
    u8 *map;            /* NULL: nobody counts edges */
    u32 said;           /* enum fuzz_command, or 0 */
    u64 said_value;
    u32 raised;         /* vectors of crash_vectors since the place */
    u64 begin;          /* icount of the place */
    u64 capacity;       /* bytes of an input that the guest takes */
    u64 pages[FUZZ_INPUT_MAX / PAGE_SIZE + 1]; /* guest-physical, of the buffer's pages */
    u64 length_page;
};

/* Brings the guest to the place. Zero, or an exit code, and the user has been told. *g is large: not for a stack. */
int fuzz_guest_open(struct fuzz_guest *g, const struct fuzz_setup *setup, u8 *map);
void fuzz_guest_close(struct fuzz_guest *g);

/* Back to the place, then a run with this input, of which no more than the guest takes is used. The guest stays as the run
 * left it. */
struct fuzz_outcome fuzz_guest_run(struct fuzz_guest *g, const u8 *data, size_t size);

/* The same, and a log of all that leads there from power-on, for `replay`. False with one line in `message` otherwise. */
bool fuzz_guest_record(struct fuzz_guest *g, const char *path, const struct file *input, struct fuzz_outcome *outcome,
                       char message[FUZZ_MESSAGE_MAX]);

#endif
