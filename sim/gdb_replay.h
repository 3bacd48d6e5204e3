/* gdb on a recorded run, in both directions. */
#ifndef REPRISE_SIM_GDB_REPLAY_H
#define REPRISE_SIM_GDB_REPLAY_H

#include "sim/options.h"
#include "sim/replay_session.h"

/* Waits for gdb at `where` (sim/gdb_server.h) with the session's replay at its first instruction, and does as it says
 * until it detaches, kills, or a signal comes. Memory and distance of checkpoints are in `options`. Returns the exit code; the user has
 * been told what is wrong, if anything. */
int gdb_replay(struct replay_session *s, const char *where, const struct run_options *options);

#endif
