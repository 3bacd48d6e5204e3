/* The command line of `reprise verify`: its own options, and those of `run` that make sense for it. */
#ifndef REPRISE_SIM_VERIFY_OPTIONS_H
#define REPRISE_SIM_VERIFY_OPTIONS_H

#include "core/engine.h"
#include "sim/options.h"
#include "sim/verify_pair.h"

struct verify_options {
    struct run_options run; /* first: tables of both verbs count from here */
    const char *engines_text, *every, *log, *against;
    bool json;

    const struct engine *engines[2];
    struct grain grain;
};

extern const struct option verify_options_table[];
extern const unsigned verify_options_count;
extern const struct option_set verify_option_set;

/* What is to be run, as verify_pair_create() wants it. */
struct verify_guest verify_options_guest(const struct verify_options *options);

/* Parses and checks. False with one line in `message` otherwise. With run.help set nothing else counts. */
bool verify_options_parse(int argc, char **argv, struct verify_options *options, char message[MESSAGE_MAX]);

#endif
