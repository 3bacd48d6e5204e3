/* The userspace side of core/host.h: what only the simulator itself may ask of its host. */
#ifndef REPRISE_SIM_HOST_LINUX_H
#define REPRISE_SIM_HOST_LINUX_H

#include "core/host.h"

enum stop_reason { STOP_REASON_NONE, STOP_REASON_TIMEOUT, STOP_REASON_SIGNAL, STOP_REASON_USER, STOP_REASON_OUTPUT };

/* Asks the run to end; the first reason counts. Async-signal-safe. */
void host_request_stop(enum stop_reason reason);
enum stop_reason host_stop_reason(void);

/* Connects a channel to a descriptor, -1 for none. Output is buffered to the end of each line. */
void host_console_attach(enum host_channel channel, int fd);
/* With a tap, every byte of a guest's output goes to it first; what it returns true for goes on to its channel. NULL:
 * no tap. For whoever compares the output of several machines. */
typedef bool host_console_tap(void *context, enum host_channel channel, u8 byte);
void host_console_set_tap(host_console_tap *tap, void *context);
/* Writes out what is buffered. */
void host_console_flush(void);
/* True once some of a guest's output could not be written. */
bool host_output_lost(void);
/* True if the last byte that went to the terminal's descriptor `fd` did not end its line. */
bool host_console_midline(int fd);

/* SIGINT, SIGTERM, SIGHUP and SIGQUIT ask for the end of the run; SIGPIPE is ignored. */
void host_catch_signals(void);
/* Asks for the end of the run after `ns` of host time. */
enum status host_start_timer(u64 ns);

/* Nanoseconds of the host's monotonic clock. */
u64 host_nanoseconds(void);

#endif
