/* The verbs that look at logs without replaying them: `info`, `log`, `diff`. */
#ifndef REPRISE_SIM_LOG_VERBS_H
#define REPRISE_SIM_LOG_VERBS_H

#include "sim/options.h"

/* Arguments after the verb; enum exit_code. */
int verb_info(int argc, char **argv); /* what ran, how long, sizes by source, hashes */
int verb_log(int argc, char **argv);  /* the events */
int verb_diff(int argc, char **argv); /* the first difference of two runs: EXIT_DIVERGED if there is one */

#endif
