/* The ring of recent runs: logs under the user's state folder, the oldest of which make room for new ones. */
#ifndef REPRISE_SIM_RING_H
#define REPRISE_SIM_RING_H

#include "core/types.h"

/* Of all logs in the ring together, and of one. */
#define RING_BYTES_MAX (256ull << 20)
#define RING_LOG_BYTES_MAX (64ull << 20)
enum { RING_LOGS_MAX = 64, RING_PATH_MAX = 4096 };

/* Creates a log for a new run, removes old ones, and tells the user the first time. The descriptor, locked, and its
 * path; or -1 where there is no folder for it, or no room: the run is then not recorded. */
int ring_create(char path[RING_PATH_MAX]);

/* The path of the newest log that holds a run; `false` if there is none, with one line in `message`. */
bool ring_newest(char path[RING_PATH_MAX], char *message, size_t room);

#endif
