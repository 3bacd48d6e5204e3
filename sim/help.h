/* Everything that explains the command line, made from the tables in sim/options.h and sim/exit_code.h. */
#ifndef REPRISE_SIM_HELP_H
#define REPRISE_SIM_HELP_H

#include "sim/options.h"

#include <stdio.h>

void help_overview(FILE *to);     /* reprise --help */
void help_run(FILE *to);          /* reprise run --help */
/* Options by group, but for those named in `without` (NULL: all). */
void help_options(FILE *to, const struct option *rows, unsigned count, const char *const *without);
void help_list(FILE *to);         /* reprise list */
void help_man_page(FILE *to);     /* roff, for man -l */
void help_completion(FILE *to);   /* for bash */

#endif
