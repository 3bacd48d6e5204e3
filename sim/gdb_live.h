/* A way back for gdb in a run that is being recorded: a second machine replays the log of the first, which stands still
 * meanwhile, and gdb looks at that one until it comes to the present again. */
#ifndef REPRISE_SIM_GDB_LIVE_H
#define REPRISE_SIM_GDB_LIVE_H

#include "sim/gdb_travel.h"
#include "sim/recording.h"

struct gdb_live {
    struct gdb_server *server;
    struct vm *vm; /* the present */
    struct recording *recording;
    struct gdb_time time; /* for the server: what gdb may do, now */
    bool open, in_past;
    struct gdb_travel travel;
    struct replay_session session;
};

/* Before the server is opened with &l->time: what gdb will be able to do. Memory and distance of checkpoints are in `options`. *l is large:
 * not for a stack. */
void gdb_live_prepare(struct gdb_live *l, struct vm *vm, struct recording *recording,
                      const struct run_options *options);
/* Then: wishes for another time than the present are carried out here. */
void gdb_live_attach(struct gdb_live *l, struct gdb_server *server);
/* Before the server is closed. */
void gdb_live_close(struct gdb_live *l);

#endif
