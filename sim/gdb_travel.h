/* What gdb wants of a recorded run's time, carried out on its timeline. */
#ifndef REPRISE_SIM_GDB_TRAVEL_H
#define REPRISE_SIM_GDB_TRAVEL_H

#include "replay/timeline.h"
#include "sim/gdb_server.h"
#include "sim/replay_session.h"

struct gdb_travel {
    struct replay_session *session;
    u64 budget;       /* bytes of checkpoints */
    u64 spacing;      /* instructions between them */
    bool warned;      /* that the budget is too small */
    bool always_mute; /* what the guest prints was seen in a run that goes on beside this one */
    struct timeline timeline;
    struct gdb_server *server;
};

/* With session, budget, server and always_mute set: makes the timeline of a session that stands at its first
 * instruction. Zero, or an exit code with one line in `message`. */
int gdb_travel_start(struct gdb_travel *t, char message[GDB_MESSAGE_MAX]);
void gdb_travel_end(struct gdb_travel *t);

/* From now on output is shown, or not, as always_mute says. */
void gdb_travel_mute(struct gdb_travel *t);

/* Does what gdb wants; *why says how it ended. */
void gdb_travel_obey(struct gdb_travel *t, enum gdb_wish wish, struct gdb_stop *why);
/* Goes to an icount. False with one line in `message`: it cannot be reached. */
bool gdb_travel_seek(struct gdb_travel *t, u64 icount, char *message, size_t room);

#endif
