/* The recording of a guest: a log (replay/log.h) that leaves through a serial port as it is written. Nobody reads it
 * back, so it has no index; it is complete at every flush all the same. */
#ifndef REPRISE_METAL_GUEST_LOG_H
#define REPRISE_METAL_GUEST_LOG_H

#include "core/vm.h"
#include "core/vmx.h"
#include "metal/guest_images.h"
#include "replay/record.h"

struct guest_log {
    struct log_writer *writer; /* NULL: no recording */
    struct recorder recorder;
    u64 flushed_at; /* by clock_ns() */
};

/* Begins the recording of a guest that has been booted, if its configuration wants one. False, which the person has
 * been told, if it cannot be. */
bool guest_log_start(struct guest_log *log, struct vm *vm, const struct vmx *vmx, const struct guest_images *images);
/* Now and then, and before a long wait (`now`: do not ask the clock whether it is time). */
void guest_log_pulse(struct guest_log *log, struct vm *vm, bool now);
/* The end of the run, or just the end of the recording (LOG_ENDINGS). */
void guest_log_finish(struct guest_log *log, struct vm *vm, enum log_ending ending);

/* A log in memory, to be read. */
struct log_file guest_log_file(const struct boot_file *file);

#endif
