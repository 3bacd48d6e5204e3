#include "sim/gdb_live.h"

#include "sim/host_linux.h"

#include <inttypes.h>
#include <stdio.h>

static u64 present(const struct gdb_live *l) { return l->vm->vcpu[0]->cpu.icount; }

static void leave_past(struct gdb_live *l)
{
    if (!l->in_past)
        return;
    l->in_past = false;
    l->time.read_only = NULL;
    host_console_set_tap(NULL, NULL);
    gdb_move(gdb_server_session(l->server), l->vm);
}

static bool open_past(struct gdb_live *l, char *message)
{
    char why[SESSION_MESSAGE_MAX];
    if (!session_open(&l->session, l->recording->path, why)) {
        snprintf(message, GDB_MESSAGE_MAX, "%.390s", why);
        return false;
    }
    snprintf(message, GDB_MESSAGE_MAX, "the second machine cannot be made; reprise has printed why");
    if (session_create(&l->session, l->vm->config.engine) || gdb_travel_start(&l->travel, message)) {
        session_close(&l->session);
        return false;
    }
    l->open = true;
    return true;
}

/* The second machine comes to where the first one stands. */
static bool catch_up(struct gdb_live *l, char *message)
{
    enum replay_stop stop = timeline_run(&l->travel.timeline, UINT64_MAX);
    u64 there = l->session.vm->vcpu[0]->cpu.icount;
    if (stop == REPLAY_LOG_OUT && there == present(l))
        return true;
    if (stop == REPLAY_INTERRUPTED)
        snprintf(message, GDB_MESSAGE_MAX, "interrupted on the way, at instruction %" PRIu64, there);
    else
        snprintf(message, GDB_MESSAGE_MAX, "the log of this run leads to instruction %" PRIu64 " instead of %" PRIu64,
                 there, present(l));
    return false;
}

/* False with one line in `message`: there is no way back. */
static bool enter_past(struct gdb_live *l, char message[GDB_MESSAGE_MAX])
{
    if (l->in_past)
        return true;
    if (!l->recording->on) {
        snprintf(message, GDB_MESSAGE_MAX, "this run is not recorded, or no longer: it cannot go back");
        return false;
    }
    recording_flush(l->recording);
    l->travel.always_mute = true;
    if (!l->open && !open_past(l, message))
        return false;
    struct gdb *g = gdb_server_session(l->server);
    bool within = g->stops.delivered == present(l);
    gdb_travel_mute(&l->travel);
    if (!catch_up(l, message)) {
        host_console_set_tap(NULL, NULL);
        return false;
    }
    l->travel.timeline.within |= within;
    gdb_move(g, l->session.vm);
    l->in_past = true;
    l->time.read_only = "the past cannot be changed; `continue` leads to the present";
    return true;
}

static bool seek(void *context, u64 icount, char *message, size_t room)
{
    struct gdb_live *l = context;
    char why[GDB_MESSAGE_MAX];
    if (icount > present(l)) {
        snprintf(message, room, "the run has come to instruction %" PRIu64 " only; `continue` leads on", present(l));
        return false;
    }
    if (icount == present(l)) {
        leave_past(l);
        return true;
    }
    if (enter_past(l, why))
        return gdb_travel_seek(&l->travel, icount, message, room);
    snprintf(message, room, "%s", why);
    return false;
}

/* What gdb wants after a stop in the present. Returns its first wish for the present. */
static enum gdb_wish on_wish(void *context, enum gdb_wish wish)
{
    struct gdb_live *l = context;
    char message[GDB_MESSAGE_MAX];
    for (;;) {
        struct gdb_stop why = {.kind = GDB_STOP_SIGNAL, .number = GDB_SIGNAL_TRAP};
        bool back = wish == GDB_BACK_CONTINUE || wish == GDB_BACK_STEP;
        if (wish == GDB_DETACH || wish == GDB_KILL)
            leave_past(l);
        if (!l->in_past && !back)
            return wish;
        if (enter_past(l, message)) {
            gdb_travel_obey(&l->travel, wish, &why);
        } else {
            gdb_print(gdb_server_session(l->server), message);
            gdb_print(gdb_server_session(l->server), "\n");
        }
        if (why.kind == GDB_STOP_END)
            leave_past(l);
        wish = gdb_server_stopped(l->server, &why);
    }
}

void gdb_live_prepare(struct gdb_live *l, struct vm *vm, struct recording *recording,
                      const struct run_options *options)
{
    l->vm = vm;
    l->recording = recording;
    l->travel.session = &l->session;
    l->travel.budget = options->checkpoint_memory;
    l->travel.spacing = options->checkpoint_spacing;
    l->time = (struct gdb_time){.context = l, .seek = seek};
}

void gdb_live_attach(struct gdb_live *l, struct gdb_server *server)
{
    l->server = l->travel.server = server;
    gdb_server_on_wish(server, on_wish, l);
}

void gdb_live_close(struct gdb_live *l)
{
    leave_past(l);
    if (!l->open)
        return;
    gdb_travel_end(&l->travel);
    session_close(&l->session);
    l->open = false;
}
