/* Where a replay that differs from its recorded run began to differ: both engines along the same log, in step. */
#ifndef REPRISE_SIM_REPLAY_BISECT_H
#define REPRISE_SIM_REPLAY_BISECT_H

#include "core/engine.h"
#include "replay/replay.h"

/* Runs the log at `path` on the engine that recorded it and on `engine`, and prints to stderr the first instruction
 * after which they differ, within the interval that `divergence` leaves. Says so if it cannot be found. */
void replay_bisect(const char *path, const struct engine *engine, const struct replay_divergence *divergence);

#endif
