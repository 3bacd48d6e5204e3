/* gdb at the other end of a socket, between two pieces of a run. */
#ifndef REPRISE_SIM_GDB_SERVER_H
#define REPRISE_SIM_GDB_SERVER_H

#include "sim/gdb.h"

enum { GDB_MESSAGE_MAX = 400 };

struct gdb_server;

/* Listens at `where`: a TCP port of this host (not reachable from others; 0 picks one), or unix:PATH; says so on
 * stderr. `time` may be NULL. False with one line in `message` otherwise. */
bool gdb_server_open(const char *where, struct vm *vm, const struct gdb_time *time, struct gdb_server **server,
                     char message[GDB_MESSAGE_MAX]);
void gdb_server_close(struct gdb_server *s);

/* The guest stands still: tells gdb why, then does as gdb says until it wants the guest to go on. Waits for a gdb if
 * there is none. A gdb that goes away detaches: the guest goes on without. GDB_KILL also if the host asks to stop. */
enum gdb_wish gdb_server_stopped(struct gdb_server *s, const struct gdb_stop *stop);

/* Called before gdb changes memory or registers. */
void gdb_server_on_change(struct gdb_server *s, void (*before_change)(void *context), void *context);

/* Asked for each wish that gdb_server_attend() would return or act upon; returns the one that it is to act upon
 * instead. */
typedef enum gdb_wish gdb_wish_filter(void *context, enum gdb_wish wish);
void gdb_server_on_wish(struct gdb_server *s, gdb_wish_filter *on_wish, void *context);

/* For a run loop that only goes forward: before the first piece of the run with VM_STOP_ICOUNT, and after each, when
 * `stop` says how it ended. Does all that gdb wants while the guest stands still, which it does at first. False: gdb
 * has ended the run. */
bool gdb_server_attend(struct gdb_server *s, enum vm_stop stop);
/* How far the next piece may go: one instruction while gdb steps. */
u64 gdb_server_until(const struct gdb_server *s);

/* The guest runs: has gdb asked it to stop, or a new one connected? Costs a system call. */
bool gdb_server_interrupted(struct gdb_server *s);

/* The run has ended with this exit code. `failed`: the guest crashed, and gdb may look at it before it is gone. */
void gdb_server_ended(struct gdb_server *s, unsigned exit_code, bool failed);

/* The session, for text on gdb's console. */
struct gdb *gdb_server_session(struct gdb_server *s);

/* Is a gdb connected? */
bool gdb_server_attached(const struct gdb_server *s);

#endif
