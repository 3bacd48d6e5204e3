/* The verbs that look at logs without replaying them: `info`, `log`, `diff`. */
#ifndef REPRISE_SIM_LOG_VERBS_H
#define REPRISE_SIM_LOG_VERBS_H

#include "sim/options.h"

extern const struct option info_options_table[], log_options_table[], diff_options_table[];
extern const unsigned info_options_count, log_options_count, diff_options_count;

/* Arguments after the verb; enum exit_code. */
int verb_info(int argc, char **argv); /* what ran, how long, sizes by source, hashes */
int verb_log(int argc, char **argv);  /* the events */
int verb_diff(int argc, char **argv); /* the first difference of two runs: EXIT_DIVERGED if there is one */

#endif
