#include "sim/replay_session.h"

#include "core/host.h"
#include "sim/complain.h"
#include "sim/exit_code.h"
#include "sim/log_file.h"
#include "sim/machine.h"
#include "sim/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* "PATH: what; action", with the field's two values where they differ. */
static void describe(const char *path, const struct log_error *e, char *message)
{
    char values[300] = "";
    if (e->wanted_text)
        snprintf(values, sizeof values, " is \"%.100s\" in the log and \"%.100s\" here", e->wanted_text, e->have_text);
    else if (e->wanted != e->have)
        snprintf(values, sizeof values, " is 0x%" PRIx64 " in the log and 0x%" PRIx64 " here", e->wanted, e->have);
    snprintf(message, SESSION_MESSAGE_MAX, "%.200s: %s%s; %s", path, e->what, values, e->action);
}

static bool open_reader(struct replay_session *s, char *message)
{
    struct log_error why;
    struct log_file file = log_file_of(s->fd);
    s->reader = host_alloc(sizeof *s->reader);
    if (!s->reader) {
        snprintf(message, SESSION_MESSAGE_MAX, "%.200s: no memory to read it; free some", s->path);
        return false;
    }
    if (log_reader_open(s->reader, &file, &log_codec_zstd, &why) == STATUS_OK)
        return true;
    describe(s->path, &why, message);
    return false;
}

bool session_open(struct replay_session *s, const char *path, char message[SESSION_MESSAGE_MAX])
{
    s->vm = NULL;
    s->reader = NULL;
    s->fd = -1;
    s->failure[0] = 0;
    if (!path && !ring_newest(s->path, message, SESSION_MESSAGE_MAX))
        return false;
    if (path)
        snprintf(s->path, sizeof s->path, "%s", path);
    s->fd = open(s->path, O_RDONLY | O_CLOEXEC);
    if (s->fd < 0)
        snprintf(message, SESSION_MESSAGE_MAX, "%.200s: %s; check the path", s->path, strerror(errno));
    if (s->fd >= 0 && open_reader(s, message))
        return true;
    session_close(s);
    return false;
}

static bool reboot(void *context, struct vm *vm)
{
    struct replay_session *s = context;
    struct boot_report report;
    return images_boot_set(vm, &s->images, &report, s->failure);
}

int session_create(struct replay_session *s, const struct engine *engine)
{
    char message[SESSION_MESSAGE_MAX];
    const struct log_machine *m = &s->reader->machine;
    struct log_error why;
    struct boot_report report;
    if (!log_machine_matches(m, &why)) {
        describe(s->path, &why, message);
        return complain(EXIT_USAGE, message);
    }
    const struct vm_config config = {.ram_bytes = m->ram_bytes, .model = cpu_model_find(m->cpu), .engine = engine,
                                     .debug_exit = m->debug_exit, .rtc_start = m->rtc_start, .chaos = m->chaos};
    int code = machine_create(&s->vm, &config);
    if (code)
        return code;
    images_from_log(&s->images, s->reader);
    if (!images_boot_set(s->vm, &s->images, &report, message))
        return complain(EXIT_USAGE, message);
    s->replay.vm = s->vm;
    s->replay.log = s->reader;
    s->replay.reboot = reboot;
    s->replay.reboot_context = s;
    replay_start(&s->replay);
    return 0;
}

u64 session_length(struct replay_session *s)
{
    struct log_event e = {0};
    struct log_cursor here = log_tell(s->reader);
    log_seek_icount(s->reader, UINT64_MAX);
    while (log_next(s->reader, &e))
        ;
    (void)log_seek(s->reader, &here);
    return e.icount;
}

bool session_is_live(const struct replay_session *s) { return log_file_is_live(s->fd); }

void session_close(struct replay_session *s)
{
    if (s->vm)
        vm_destroy(s->vm);
    if (s->reader)
        host_free(s->reader, sizeof *s->reader);
    if (s->fd >= 0)
        close(s->fd);
    s->vm = NULL;
    s->reader = NULL;
    s->fd = -1;
}
