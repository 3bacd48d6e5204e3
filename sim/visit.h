/* What the verbs that look into a recorded run have in common: how the log is named, the replay without the guest's
 * output, its progress on a terminal, and what is said when a place is not reached. */
#ifndef REPRISE_SIM_VISIT_H
#define REPRISE_SIM_VISIT_H

#include "sim/options.h"
#include "sim/progress.h"
#include "sim/replay_session.h"

#include <stdio.h>

struct visit_options {
    const char *log, *engine, *output;
    struct option_list words; /* of a verb that takes more than a log alone: the log (without --last), then what follows */
    bool last, json, help;
};

/* Rows for these in the table of a verb whose results, a `type`, begin with a struct visit_options. */
#define VISIT_OPTIONS(type, group)                                                                                        \
    {"log", 0, OPTION_FILE, offsetof(type, visit.log), "LOG", NULL, group,                                                \
     "The log of the run; --log may be left out. It names machine and images; nothing else is needed.", NULL},            \
        {"last", 0, OPTION_FLAG, offsetof(type, visit.last), NULL, NULL, group,                                           \
         "The newest of the recent runs that `run` has recorded.", NULL},                                                 \
        {"engine", 0, OPTION_CHOICE, offsetof(type, visit.engine), "ENGINE", ENGINE_DEFAULT, group,                       \
         "What replays the run; the result is the same on each.", visit_choice_engine},                                   \
        {"help", 'h', OPTION_FLAG, offsetof(type, visit.help), NULL, NULL, group, "Explain these options.", NULL}
#define VISIT_JSON(type, group, text) {"json", 0, OPTION_FLAG, offsetof(type, visit.json), NULL, NULL, group, text, NULL}
#define VISIT_OUTPUT(type, group, text)                                                                                   \
    {"output", 'o', OPTION_FILE, offsetof(type, visit.output), "FILE", NULL, group, text, NULL}

const char *visit_choice_engine(unsigned n);

struct visit {
    struct replay_session session;
    struct progress progress;
    FILE *to;     /* --output, or stdout */
    u64 length;   /* icount of the last event in the log */
    u64 length_ns; /* its virtual time */
};

/* Parses a verb's arguments and opens the log; with `usage` answers --help. True: go on. False: *code is the verb's
 * exit code, and the user has been told. */
bool visit_parse(struct visit *v, const struct option_set *set, int argc, char **argv, struct visit_options *results,
                 const char *usage, int *code);

/* Creates the machine and opens --output for writing; progress says `what`, up to icount `until` (0: the log's end). */
bool visit_begin(struct visit *v, const struct visit_options *o, const char *what, u64 until, int *code);

/* Replays to an icount, UINT64_MAX: to the end of what the log holds, whatever that is. Zero; or an exit code, and the user
 * has been told why the place that `option` names is not reached. */
int visit_to(struct visit *v, u64 icount, const char *option);

/* The same judgement of a replay that somebody else has run. */
int visit_judge(struct visit *v, enum replay_stop stop, u64 icount, const char *option);

/* Closes everything. `code`, or EXIT_HOST if the output could not be written. */
int visit_end(struct visit *v, const struct visit_options *o, int code);

#endif
