/* The verb `replay`: repeats a recorded run. */
#ifndef REPRISE_SIM_REPLAY_VERB_H
#define REPRISE_SIM_REPLAY_VERB_H

#include "sim/options.h"

extern const struct option replay_options_table[];
extern const unsigned replay_options_count;

/* Arguments after the verb. Returns what the recorded run returned if it was repeated to its end, else enum
 * exit_code. */
int verb_replay(int argc, char **argv);

#endif
