/* The verbs that replay a recorded run to show what is in it: `trace`, `who-wrote`, `core`, `timeline`. */
#ifndef REPRISE_SIM_TOOL_VERBS_H
#define REPRISE_SIM_TOOL_VERBS_H

#include "sim/options.h"

extern const struct option trace_options_table[], who_wrote_options_table[], core_options_table[], timeline_options_table[];
extern const unsigned trace_options_count, who_wrote_options_count, core_options_count, timeline_options_count;

/* Arguments after the verb; enum exit_code. */
int verb_trace(int argc, char **argv);     /* instructions, accesses, events of a stretch of the run */
int verb_who_wrote(int argc, char **argv); /* the last writers of an address */
int verb_core(int argc, char **argv);      /* an ELF core of the guest */
int verb_timeline(int argc, char **argv);  /* a picture of the whole run */

#endif
