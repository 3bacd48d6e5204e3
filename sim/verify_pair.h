/* Two machines that differ in nothing but their engine, run in step: the same start, the same cuts, and after each cut
 * the question whether they are still the same. */
#ifndef REPRISE_SIM_VERIFY_PAIR_H
#define REPRISE_SIM_VERIFY_PAIR_H

#include "core/vm.h"
#include "sim/images.h"
#include "sim/known_differences.h"
#include "sim/options.h"
#include "sim/replay_session.h"

/* Where the two are cut. */
enum grain_kind {
    GRAIN_COUNT, /* at every multiple of grain.count instructions */
    GRAIN_BLOCK, /* after each block: at a branch, at a sensitive instruction, at a page's end, after 64 instructions */
    GRAIN_WHOLE, /* only where the caller wants */
};
struct grain {
    enum grain_kind kind;
    u64 count;
};

enum { CONSOLE_TAIL = 48 };

/* What each machine has written to its consoles so far. */
struct console_record {
    unsigned running; /* 0 or 1: whose output comes now */
    bool shown;       /* the first one's output goes on to its channels */
    u64 hash[2], bytes[2];
    u8 tail[2][CONSOLE_TAIL]; /* the last bytes; byte n stands at n % CONSOLE_TAIL */
};

struct verify_pair {
    struct vm *vm[2];
    struct replay_session *session[2]; /* a recorded run: they own the machines, and give them their input; else NULL */
    const struct run_options *options;
    enum vm_stop stop[2];
    u64 same_at, cut; /* icount of the last cut at which both were the same; icount to which both were sent last */
    u64 cuts;
    unsigned resets;
    struct console_record console;
    bool reference; /* the second engine is one: explained differences do not count, and it is cut at least at blocks */
    struct known_stretch stretch;  /* if `reference`: what lies behind the last cut */
    u64 explained[KNOWN_ROWS_MAX]; /* how often each row of the table was needed */
    bool memory_each; /* compare RAM at each cut as well */
    u64 since[2];     /* and there: where the writes are looked at from */
};

enum pair_state {
    PAIR_SAME,   /* both are where they were sent */
    PAIR_ENDED,  /* both have ended, the same way: stop[0] */
    PAIR_DIFFERS,
};

struct verify_guest {
    const struct engine *engines[2];
    const struct run_options *options; /* the machine and its images, unless they come from a log */
    const char *log;                   /* a recorded run whose input both get; NULL: none */
};

/* Creates both machines in power-up state; `boot` also loads the images. False with one line in `message` otherwise, which is
 * empty if the user has been told; nothing is then held. */
bool verify_pair_create(struct verify_pair *p, const struct verify_guest *guest, bool boot,
                        char message[IMAGES_MESSAGE_MAX]);

/* The place in the log where both stand, for verify_pair_seek() on a pair whose machines are given the same state. */
struct replay_place verify_pair_place(const struct verify_pair *p);
void verify_pair_seek(struct verify_pair *p, const struct replay_place *place);

void verify_pair_destroy(struct verify_pair *p);

/* Runs both to icount `until`, cut by `grain` on the way, and compares all but RAM at each cut. Ends at the first
 * difference, or where the guest ends. */
enum pair_state verify_pair_run(struct verify_pair *p, u64 until, const struct grain *grain);

/* Runs the first machine alone for one instruction, and passes idle time. */
enum vm_stop verify_pair_step(struct verify_pair *p);

/* RAM included. */
bool verify_pair_same(const struct verify_pair *p);

static inline u64 verify_pair_icount(const struct verify_pair *p) { return p->vm[0]->vcpu[0]->cpu.icount; }

#endif
