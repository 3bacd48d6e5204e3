/* The end of everything, with what a person needs to find out why: registers, the code around, return addresses. */
#ifndef REPRISE_METAL_CRASH_H
#define REPRISE_METAL_CRASH_H

#include "metal/traps.h"

/* An exception of the hypervisor's own. */
_Noreturn void crash_exception(const struct trap_frame *frame);
/* No frame is left for a page that somebody uses. */
_Noreturn void crash_out_of_memory(const struct trap_frame *frame);

/* The watchdog: nothing has moved for long. */
_Noreturn void crash_stuck(const struct trap_frame *frame);

/* Return addresses found on the stack from `rsp` on, the innermost first. Some may be left from earlier calls. */
void crash_stack_trace(u64 rsp);

#endif
