/* A virtual machine on bare metal: made of boot modules as its configuration says, run in slices, recorded to a
 * serial port or replayed from a module. The scheduler (metal/schedule.h) gives it processor time, the console
 * (metal/console.h) a keyboard. */
#ifndef REPRISE_METAL_GUEST_H
#define REPRISE_METAL_GUEST_H

#include "core/vm.h"
#include "core/vmx.h"
#include "metal/boot_info.h"
#include "metal/guest_images.h"
#include "metal/guest_log.h"
#include "replay/replay.h"
#include "replay/wall.h"

enum { GUESTS_MAX = 8, GUEST_QUEUE_BYTES = 1024, GUEST_HISTORY_BYTES = 16 << 10 };

enum guest_state {
    GUEST_OFF,     /* not there yet, or not any more; `ending` says why */
    GUEST_READY,   /* wants the processor */
    GUEST_WAITING, /* for input, or until `wake_ns` */
};

struct guest {
    const char *name;
    unsigned owner;
    const struct boot_info *boot;
    struct vmx vmx;
    enum guest_state state;
    bool paused;
    u64 wake_ns; /* by clock_ns(); CLOCK_NEVER */
    const char *ending;
    struct vm *vm; /* NULL: off */
    struct guest_images images;
    struct wall wall;
    struct guest_log log;
    struct log_reader *reader; /* of a replay, else NULL */
    struct replay replay;

    u8 queue[GUEST_QUEUE_BYTES]; /* typed, and not yet taken */
    u32 queue_read, queue_written;
    u8 history[GUEST_HISTORY_BYTES]; /* the last output; the console's */
    u64 history_written;

    u64 used_ns, turns; /* processor time so far, slices */
    u64 pass;           /* used_ns in proportion to its shares: the scheduler's */
    u64 window, window_used; /* processor time in the present interval of the cap: the scheduler's */
};

/* Reads the configuration of a guest from a module. False, which the person has been told, if it makes no sense.
 * `owner`: its number for metal/areas.h. *g is large, and zero. */
bool guest_configure(struct guest *g, unsigned owner, const struct boot_info *boot, const struct boot_file *file);
/* Creates its machine and boots it. False, which the person has been told, if that cannot be. */
bool guest_start(struct guest *g);
/* Runs it for a slice, if it is ready. */
void guest_slice(struct guest *g);
/* Ends it; `ending` says why, for people. */
void guest_stop(struct guest *g, enum log_ending ending, const char *why);
/* A byte from its keyboard; lost if it does not listen. */
void guest_type(struct guest *g, u8 byte);
/* What it has executed so far, and where it is. */
void guest_print_state(const struct guest *g);

#endif
