/* Logs of fuzzed runs: the recorded run up to the place, the input, and how it ended. */
#include "sim/fuzz_guest.h"

#include "core/host.h"
#include "replay/record.h"
#include "sim/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool put_images(struct fuzz_guest *g, struct log_writer *w)
{
    struct log_reader *from = g->session.reader;
    for (unsigned n = 0; n < from->machine.image_count; n++) {
        const struct log_image *image = &from->machine.images[n];
        if (!image->embedded)
            continue;
        u8 *data = malloc(image->size ? image->size : 1);
        bool ok = data && log_read_image(from, n, data) && log_put_image(w, n, data, image->size);
        free(data);
        if (!ok)
            return false;
    }
    return true;
}

/* The events that led to the place. */
static bool put_events(struct fuzz_guest *g, struct log_writer *w)
{
    const struct replay_place *place = &g->session.replay.place;
    struct log_reader *from = g->session.reader;
    struct log_event e;
    log_rewind(from);
    for (;;) {
        struct log_cursor here = log_tell(from);
        bool there = place->have_next && here.chunk == place->cursor.chunk && here.at == place->cursor.at;
        if (there || !log_next(from, &e) || e.source == LOG_END)
            return true;
        if (!log_put(w, &e))
            return false;
    }
}

/* A log in which a reset of the guest is the end, if that is how this run ends. */
static bool write_log(struct fuzz_guest *g, struct log_writer *w, int fd, const struct file *input, struct fuzz_outcome *o)
{
    struct log_machine machine = g->session.reader->machine;
    struct log_file file = log_file_of(fd);
    struct recorder recorder;
    machine.reset_exits |= o->end == FUZZ_END_RESET;
    machine.engine = g->setup.engine;
    if (log_writer_open(w, &file, &log_codec_zstd, &machine) != STATUS_OK || !put_images(g, w) || !put_events(g, w))
        return false;
    recorder_start(&recorder, g->vm, w, 0);
    *o = fuzz_guest_run(g, input->data, input->size);
    recorder_end(&recorder, g->vm, o->logged);
    g->vm->recorder = NULL;
    return log_close(w) && !w->failed;
}

bool fuzz_guest_record(struct fuzz_guest *g, const char *path, const struct file *input, struct fuzz_outcome *o,
                       char message[FUZZ_MESSAGE_MAX])
{
    *o = fuzz_guest_run(g, input->data, input->size); /* how it ends stands at the log's beginning */
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    struct log_writer *w = host_alloc(sizeof *w);
    errno = 0;
    bool ok = fd >= 0 && w && write_log(g, w, fd, input, o);
    if (!ok)
        snprintf(message, FUZZ_MESSAGE_MAX, "%.200s: cannot be written%s%s; make room, or choose another place", path,
                 errno ? ": " : "", errno ? strerror(errno) : "");
    if (w)
        host_free(w, sizeof *w);
    if (fd >= 0)
        close(fd);
    return ok;
}
