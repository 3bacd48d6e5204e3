#include "sim/gdb_replay.h"

#include "replay/timeline.h"
#include "sim/complain.h"
#include "sim/exit_code.h"
#include "sim/gdb_server.h"
#include "sim/host_linux.h"

#include <inttypes.h>
#include <stdio.h>

struct travel {
    struct replay_session *session;
    struct timeline timeline;
    struct gdb_server *server;
};

static u64 here(const struct travel *t) { return t->session->vm->vcpu[0]->cpu.icount; }

static bool interrupted(void *context)
{
    struct travel *t = context;
    host_console_flush();
    return gdb_server_interrupted(t->server) || host_stop_requested();
}

static bool swallow(void *context, enum host_channel channel, u8 byte)
{
    (void)context;
    (void)channel;
    (void)byte;
    return false;
}

/* What the guest prints for the second time was seen the first time. */
static void repeats(void *context, bool on)
{
    (void)context;
    host_console_set_tap(on ? swallow : NULL, NULL);
}

/* Why a place could not be reached, for a person. */
static void explain(const struct travel *t, enum replay_stop stop, char *text, size_t room)
{
    const struct replay_divergence *d = &t->session->replay.divergence;
    switch (stop) {
    case REPLAY_ENDED: snprintf(text, room, "the recorded run ends here, at instruction %" PRIu64, here(t)); return;
    case REPLAY_LOG_OUT: snprintf(text, room, "the log says no more after instruction %" PRIu64, here(t)); return;
    case REPLAY_DIVERGED:
        snprintf(text, room, "the replay differs from the recorded run: %s at instruction %" PRIu64, d->what, d->icount);
        return;
    case REPLAY_FAILED: snprintf(text, room, "%s", t->session->failure); return;
    default: snprintf(text, room, "interrupted at instruction %" PRIu64, here(t)); return;
    }
}

static bool seek(void *context, u64 icount, char *message, size_t room)
{
    struct travel *t = context;
    enum replay_stop stop = timeline_seek(&t->timeline, icount);
    if (stop == REPLAY_REACHED)
        return true;
    explain(t, stop, message, room);
    return false;
}

/* Does what gdb wants; *why says how it ended. */
static void obey(struct travel *t, enum gdb_wish wish, struct gdb_stop *why)
{
    struct timeline *line = &t->timeline;
    bool back = wish == GDB_BACK_CONTINUE || wish == GDB_BACK_STEP;
    enum replay_stop stop;
    switch (wish) {
    case GDB_STEP: stop = timeline_run(line, here(t) + 1); break;
    case GDB_BACK_STEP: stop = timeline_at_begin(line) ? REPLAY_ENDED : timeline_step_back(line); break;
    case GDB_BACK_CONTINUE: stop = timeline_reverse(line); break;
    default: stop = timeline_run(line, UINT64_MAX); break;
    }
    struct stops *stops = &gdb_server_session(t->server)->stops;
    *why = (struct gdb_stop){.kind = GDB_STOP_SIGNAL, .number = GDB_SIGNAL_TRAP};
    if (stop == REPLAY_DEBUG) {
        why->kind = GDB_STOP_POINT;
        why->point = stops->hit_point;
        stops->hit = false;
    } else if (stop == REPLAY_INTERRUPTED) {
        why->number = GDB_SIGNAL_INT;
    } else if (stop != REPLAY_REACHED || wish == GDB_BACK_CONTINUE) {
        char text[500];
        why->kind = back ? GDB_STOP_BEGIN : GDB_STOP_END;
        explain(t, stop, text, sizeof text - 1);
        if (!back && stop != REPLAY_ENDED)
            complain(0, text);
    }
}

static void serve(struct travel *t)
{
    struct gdb_stop why = {.kind = GDB_STOP_SIGNAL, .number = GDB_SIGNAL_TRAP};
    for (;;) {
        enum gdb_wish wish = gdb_server_stopped(t->server, &why);
        if (wish == GDB_DETACH || wish == GDB_KILL || host_stop_requested())
            return;
        obey(t, wish, &why);
    }
}

int gdb_replay(struct replay_session *s, const char *where, u64 budget)
{
    static struct travel t;
    char message[GDB_MESSAGE_MAX];
    t = (struct travel){.session = s,
                        .timeline = {.replay = &s->replay, .interrupted = interrupted, .repeats = repeats, .context = &t}};
    const struct gdb_time time = {
        .context = &t, .seek = seek,
        .read_only = "a recorded run cannot be changed: `reprise replay LOG --go-live` continues it as a new one"};
    enum status status = timeline_create(&t.timeline, budget);
    if (status != STATUS_OK) {
        snprintf(message, sizeof message, "--checkpoint-memory: %s; give %s",
                 status == STATUS_NO_MEMORY ? "the host has not so much" : "the first checkpoint does not fit",
                 status == STATUS_NO_MEMORY ? "less" : "more");
        return complain(status == STATUS_NO_MEMORY ? EXIT_HOST : EXIT_USAGE, message);
    }
    int code = EXIT_POWER_OFF;
    if (gdb_server_open(where, s->vm, &time, &t.server, message)) {
        serve(&t);
        gdb_server_close(t.server);
    } else {
        code = complain(EXIT_USAGE, message);
    }
    repeats(NULL, false);
    timeline_destroy(&t.timeline);
    return host_stop_requested() ? complain(EXIT_QUIT, "ended by a signal") : code;
}
