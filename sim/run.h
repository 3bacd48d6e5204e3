/* The verb `run`: boots a kernel and runs it to its end. */
#ifndef REPRISE_SIM_RUN_H
#define REPRISE_SIM_RUN_H

#include "sim/images.h"

/* Arguments after the verb. Returns enum exit_code, or what the guest wrote to its debug-exit port. */
int verb_run(int argc, char **argv);

/* For a replay that goes over into a run of its own (`replay --go-live`). First, with the machine at its first
 * instruction and its images held: begins the recording that `options` want, which then takes in what is replayed as
 * well. False with one line in `message`: the user's log cannot be written. */
bool run_record(struct vm *vm, const struct run_options *options, struct image_set *images,
                char message[IMAGES_MESSAGE_MAX]);
/* Then, where the replay has stopped: runs on until the run ends. Returns the exit code. */
int run_go_live(void);

#endif
