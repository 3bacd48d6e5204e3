/* The verb `fuzz`: a guest under afl-fuzz, from one place in a recorded run. */
#ifndef REPRISE_SIM_FUZZ_VERB_H
#define REPRISE_SIM_FUZZ_VERB_H

#include "sim/options.h"

extern const struct option fuzz_options_table[];
extern const unsigned fuzz_options_count;

int verb_fuzz(int argc, char **argv); /* enum exit_code: EXIT_GUEST if an input crashes the guest */

/* ---- sim/fuzz_search.c: the search, with afl-fuzz ---- */

struct fuzz_guest;
struct fuzz_setup;

struct fuzz_search {
    const char *seeds, *output;
    u64 nanoseconds; /* 0: until it is interrupted */
    bool until_crash, json;
    int argc;    /* the verb's own arguments, for the targets that afl-fuzz starts */
    char **argv;
};

/* Runs afl-fuzz, then writes a log for each crash. */
int fuzz_search_run(struct fuzz_guest *g, const struct fuzz_setup *setup, const struct fuzz_search *search);

#endif
