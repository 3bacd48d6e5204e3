/* Executable memory of the simulator: which addresses it covers, so that the SIGFPE handler can tell a guest's
 * floating-point exception from a bug of ours. */
#ifndef REPRISE_SIM_EXEC_ARENA_H
#define REPRISE_SIM_EXEC_ARENA_H

#include "core/host.h"

/* True if `address` lies in the rx mapping of a live host_exec. Async-signal-safe. */
bool exec_arena_contains(u64 address);

/* Installs the SIGFPE handler, again if someone has replaced it. */
enum status fpu_trap_install(void);

#endif
