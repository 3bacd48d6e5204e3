/* Executable memory of the simulator: which addresses it covers, so that the signal handlers can tell a processor
 * exception of the guest's code from a bug of ours. */
#ifndef REPRISE_SIM_EXEC_ARENA_H
#define REPRISE_SIM_EXEC_ARENA_H

#include "core/host.h"

/* The live host_exec in whose rx mapping `address` lies, or NULL. Async-signal-safe. */
const struct host_exec *exec_arena_find(u64 address);

/* Installs the handlers of SIGFPE, SIGSEGV and SIGBUS, again if someone has replaced them. */
enum status exec_traps_install(void);

#endif
