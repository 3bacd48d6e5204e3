/* Everything that explains the command line, made from the tables in sim/options.h and sim/exit_code.h. */
#ifndef REPRISE_SIM_HELP_H
#define REPRISE_SIM_HELP_H

#include <stdbool.h>
#include <stdio.h>

void help_overview(FILE *to);     /* reprise --help */
void help_run(FILE *to);          /* reprise run --help */
void help_verify(FILE *to);       /* reprise verify --help */
void help_list(FILE *to);         /* reprise list */
void help_man_page(FILE *to);     /* roff, for man -l */
void help_completion(FILE *to);   /* for bash */

#endif
