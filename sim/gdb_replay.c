#include "sim/gdb_replay.h"

#include "sim/complain.h"
#include "sim/exit_code.h"
#include "sim/gdb_travel.h"
#include "sim/host_linux.h"

static bool seek(void *context, u64 icount, char *message, size_t room)
{
    return gdb_travel_seek(context, icount, message, room);
}

static void serve(struct gdb_travel *t)
{
    struct gdb_stop why = {.kind = GDB_STOP_SIGNAL, .number = GDB_SIGNAL_TRAP};
    for (;;) {
        enum gdb_wish wish = gdb_server_stopped(t->server, &why);
        if (wish == GDB_DETACH || wish == GDB_KILL || host_stop_requested())
            return;
        gdb_travel_obey(t, wish, &why);
    }
}

int gdb_replay(struct replay_session *s, const char *where, const struct run_options *options)
{
    static struct gdb_travel t;
    char message[GDB_MESSAGE_MAX];
    t = (struct gdb_travel){.session = s, .budget = options->checkpoint_memory,
                            .spacing = options->checkpoint_spacing};
    const struct gdb_time time = {
        .context = &t, .seek = seek,
        .read_only = "a recorded run cannot be changed: `reprise replay LOG --to ICOUNT --go-live` goes on as a new one"};
    int code = gdb_travel_start(&t, message);
    if (code)
        return complain(code, message);
    if (gdb_server_open(where, s->vm, &time, &t.server, message)) {
        serve(&t);
        gdb_server_close(t.server);
    } else {
        code = complain(EXIT_USAGE, message);
    }
    gdb_travel_end(&t);
    return host_stop_requested() ? complain(EXIT_QUIT, "ended by a signal") : code;
}
