#include "sim/gdb_travel.h"

#include "sim/complain.h"
#include "sim/exit_code.h"
#include "sim/host_linux.h"

#include <inttypes.h>
#include <stdio.h>

static u64 here(const struct gdb_travel *t) { return t->session->vm->vcpu[0]->cpu.icount; }

static bool interrupted(void *context)
{
    struct gdb_travel *t = context;
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
    const struct gdb_travel *t = context;
    host_console_set_tap(on || t->always_mute ? swallow : NULL, NULL);
}

/* Why a place could not be reached, for a person. */
static void explain(const struct gdb_travel *t, enum replay_stop stop, char *text, size_t room)
{
    const struct replay_divergence *d = &t->session->replay.divergence;
    switch (stop) {
    case REPLAY_ENDED: snprintf(text, room, "the recorded run ends here, at instruction %" PRIu64, here(t)); return;
    case REPLAY_LOG_OUT: snprintf(text, room, "the log says no more after instruction %" PRIu64, here(t)); return;
    case REPLAY_DIVERGED:
        snprintf(text, room, "the replay differs from the recorded run: %s at instruction %" PRIu64, d->what,
                 d->icount);
        return;
    case REPLAY_FAILED: snprintf(text, room, "%s", t->session->failure); return;
    default: snprintf(text, room, "interrupted at instruction %" PRIu64, here(t)); return;
    }
}

/* Says once that going back is slow for want of memory. */
static void warn(struct gdb_travel *t)
{
    char text[200];
    if (!t->timeline.tight || t->warned)
        return;
    t->warned = true;
    snprintf(text, sizeof text, "--checkpoint-memory: %" PRIu64 " MiB do not hold what the guest has in memory, so each step "
             "back replays from far; give more", t->budget >> 20);
    complain(0, text);
}

bool gdb_travel_seek(struct gdb_travel *t, u64 icount, char *message, size_t room)
{
    enum replay_stop stop = timeline_seek(&t->timeline, icount);
    warn(t);
    if (stop == REPLAY_REACHED)
        return true;
    explain(t, stop, message, room);
    return false;
}

void gdb_travel_obey(struct gdb_travel *t, enum gdb_wish wish, struct gdb_stop *why)
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
    warn(t);
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
        if (!back && stop != REPLAY_ENDED && !t->always_mute)
            complain(0, text);
    }
}

void gdb_travel_mute(struct gdb_travel *t) { repeats(t, t->timeline.repeating); }

int gdb_travel_start(struct gdb_travel *t, char message[GDB_MESSAGE_MAX])
{
    t->timeline.replay = &t->session->replay;
    t->timeline.interrupted = interrupted;
    t->timeline.repeats = repeats;
    t->timeline.context = t;
    t->timeline.spacing = t->spacing;
    enum status status = timeline_create(&t->timeline, t->budget);
    if (status == STATUS_OK)
        return 0;
    snprintf(message, GDB_MESSAGE_MAX, "--checkpoint-memory: %s; give %s",
             status == STATUS_NO_MEMORY ? "the host has not so much" : "the first checkpoint does not fit",
             status == STATUS_NO_MEMORY ? "less" : "more");
    return status == STATUS_NO_MEMORY ? EXIT_HOST : EXIT_USAGE;
}

void gdb_travel_end(struct gdb_travel *t)
{
    host_console_set_tap(NULL, NULL);
    timeline_destroy(&t->timeline);
}
