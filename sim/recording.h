/* Recording of a run: into a file that the user names, or into the ring of recent runs (sim/ring.h). */
#ifndef REPRISE_SIM_RECORDING_H
#define REPRISE_SIM_RECORDING_H

#include "replay/record.h"
#include "sim/images.h"
#include "sim/options.h"

struct recording {
    const struct run_options *options;
    struct vm *vm;
    struct image_set *images;
    bool wall;
    bool wanted, on;
    int fd;
    u64 flushed_at; /* host time */
    struct recorder recorder;
    struct log_writer *writer;
    char path[4096];
};

/* Before the images are booted: do the options and $REPRISE_RECORD want a recording? Then their hashes are taken on
 * the way. */
void recording_prepare(struct recording *r, const struct run_options *options, struct vm *vm, struct image_set *images);
/* After the boot, before the first instruction: begins the log, and releases the images. False if the user has asked
 * for a log that cannot be written, with one line in `message`. */
bool recording_start(struct recording *r, char message[IMAGES_MESSAGE_MAX]);

/* Now and then: makes what was recorded visible, and watches over its size. */
void recording_pulse(struct recording *r);
/* Before a long wait. */
void recording_flush(struct recording *r);
/* The end of the run; LOG_ENDINGS: none that a replay could meet. False if the log could not be written and the user
 * had asked for it, which has been said. */
bool recording_finish(struct recording *r, enum log_ending ending);

/* The name of the host's processor, which decides undefined flags. */
const char *recording_host_processor(void);

#endif
