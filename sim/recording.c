#include "sim/recording.h"

#include "core/host.h"
#include "core/version.h"
#include "core/vm.h"
#include "sim/complain.h"
#include "sim/host_linux.h"
#include "sim/log_file.h"
#include "sim/ring.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* At most this much of a run is lost when the program is killed. */
static const u64 flush_every_ns = NS_PER_SECOND / 4;

static bool is_off(const struct run_options *o)
{
    const char *variable = getenv("REPRISE_RECORD");
    return o->no_record || (!o->record && variable && (!strcmp(variable, "off") || !strcmp(variable, "0")));
}

/* CPUID leaves 0x80000002 to 0x80000004. */
const char *recording_host_processor(void)
{
    static char name[49];
    unsigned word[12];
    for (unsigned n = 0; n < 3; n++)
        if (!__get_cpuid(0x80000002 + n, &word[4 * n], &word[4 * n + 1], &word[4 * n + 2], &word[4 * n + 3]))
            return "unknown";
    memcpy(name, word, sizeof word);
    for (size_t n = strlen(name); n && name[n - 1] == ' '; n--)
        name[n - 1] = 0;
    const char *at = name;
    while (*at == ' ')
        at++;
    return at;
}

/* Images get names that hold elsewhere, too; what has none goes into the log. */
static void name_images(const struct recording *r, struct log_machine *m)
{
    static char paths[LOG_IMAGES_MAX][PATH_MAX];
    memcpy(m->images, r->images->item, sizeof m->images);
    m->image_count = r->images->count;
    for (unsigned n = 0; n < m->image_count; n++) {
        struct stat st;
        bool plain = !stat(m->images[n].path, &st) && S_ISREG(st.st_mode) && realpath(m->images[n].path, paths[n]);
        m->images[n].embedded = r->options->embed || !plain;
        if (plain)
            m->images[n].path = paths[n];
    }
}

static void describe_machine(const struct recording *r, struct log_machine *m)
{
    const struct vm_config *c = &r->vm->config;
    *m = (struct log_machine){
        .ram_bytes = c->ram_bytes,
        .rtc_start = c->rtc_start,
        .debug_exit = c->debug_exit,
        .chaos = c->chaos,
        .reset_exits = !strcmp(r->options->reset, "exit"),
        .cpu = c->model->name,
        .model = *c->model,
        .append = r->options->append,
        .program = REPRISE_VERSION,
        .engine = c->engine->name,
        .host = recording_host_processor(),
        .started = (u64)time(NULL),
        .checkpoint_interval = r->options->checkpoint,
        .wall = r->wall,
    };
    name_images(r, m);
}

/* Opens the file; -1 where there is none to be had. Only a log that the user has asked for is missed. */
static bool open_file(struct recording *r, char *message)
{
    if (!r->options->record) {
        r->fd = ring_create(r->path);
        return r->fd >= 0;
    }
    snprintf(r->path, sizeof r->path, "%s", r->options->record);
    r->fd = open(r->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (r->fd < 0)
        snprintf(message, IMAGES_MESSAGE_MAX, "--record: %.200s: %s; choose a place where you may write", r->path,
                 strerror(errno));
    else if (!log_file_lock(r->fd))
        snprintf(message, IMAGES_MESSAGE_MAX, "--record: %.200s is being written by another run; choose another name",
                 r->path);
    else if (!ftruncate(r->fd, 0))
        return true;
    else
        snprintf(message, IMAGES_MESSAGE_MAX, "--record: %.200s: %s; choose an ordinary file", r->path,
                 strerror(errno));
    return false;
}

static bool write_beginning(struct recording *r, char *message)
{
    static struct log_machine machine;
    struct log_file file = log_file_of(r->fd);
    const struct log_codec *codec = r->options->uncompressed ? NULL : &log_codec_zstd;
    describe_machine(r, &machine);
    r->writer = host_alloc(sizeof *r->writer);
    enum status status = r->writer ? log_writer_open(r->writer, &file, codec, &machine) : STATUS_NO_MEMORY;
    for (unsigned n = 0; status == STATUS_OK && n < machine.image_count; n++)
        if (machine.images[n].embedded &&
            !log_put_image(r->writer, n, r->images->files[n].data, r->images->files[n].size))
            status = STATUS_IO;
    if (status == STATUS_OK)
        return true;
    snprintf(message, IMAGES_MESSAGE_MAX, "%s%.200s: %s", r->options->record ? "--record: " : "", r->path,
             status == STATUS_TOO_BIG ? "the command line and the modules' strings are too long for a log; shorten them"
             : status == STATUS_IO    ? "cannot be written; make room, or choose another place"
                                      : "no memory to write it; free some");
    return false;
}

static void let_go(struct recording *r)
{
    r->vm->recorder = NULL;
    r->on = false;
    if (r->writer)
        host_free(r->writer, sizeof *r->writer);
    r->writer = NULL;
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
}

void recording_prepare(struct recording *r, const struct run_options *options, struct vm *vm, struct image_set *images)
{
    r->options = options;
    r->vm = vm;
    r->images = images;
    r->fd = -1;
    r->wanted = !is_off(options);
    images->hash = images->keep = r->wanted;
}

bool recording_start(struct recording *r, char message[IMAGES_MESSAGE_MAX])
{
    if (!r->wanted)
        return true;
    r->on = open_file(r, message) && write_beginning(r, message);
    r->images->keep = false;
    images_release(r->images);
    if (!r->on) {
        let_go(r);
        return !r->options->record; /* what nobody asked for can be done without */
    }
    recorder_start(&r->recorder, r->vm, r->writer, r->options->checkpoint);
    recording_flush(r);
    return true;
}

void recording_flush(struct recording *r)
{
    if (!r->on)
        return;
    recorder_flush(&r->recorder, r->vm);
    r->flushed_at = host_nanoseconds();
}

/* Gives up a log that has grown beyond the ring, or that takes no more; it is valid up to here. */
static void stop(struct recording *r, const char *why)
{
    char message[5000];
    snprintf(message, sizeof message, "recording ends here, the run goes on: %s (%.4000s)", why, r->path);
    if (!r->writer->failed)
        (void)log_close(r->writer);
    let_go(r);
    complain(0, message);
}

void recording_pulse(struct recording *r)
{
    if (!r->on || host_nanoseconds() - r->flushed_at < flush_every_ns)
        return;
    recording_flush(r);
    if (r->writer->failed)
        stop(r, "the log can no longer be written");
    else if (!r->options->record && r->writer->bytes > RING_LOG_BYTES_MAX)
        stop(r, "the log has its largest size; --record FILE has no limit");
}

bool recording_finish(struct recording *r, enum log_ending ending)
{
    bool missed = r->wanted && r->options->record && !r->on;
    if (!r->on)
        return !missed;
    if (ending < LOG_ENDINGS)
        recorder_end(&r->recorder, r->vm, ending);
    bool ok = log_close(r->writer);
    let_go(r);
    if (!ok)
        complain(0, "the log could not be written to its end; make room");
    return ok || !r->options->record;
}
