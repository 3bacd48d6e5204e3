/* The command line. One table of options and one of verbs; parser, help, manual page and completion all read them. */
#ifndef REPRISE_SIM_OPTIONS_H
#define REPRISE_SIM_OPTIONS_H

#include "core/boot.h"
#include "core/chaos.h"
#include "core/types.h"

enum option_kind {
    OPTION_FLAG,    /* bool */
    OPTION_TEXT,    /* const char * */
    OPTION_FILE,    /* const char *; completed as a path */
    OPTION_LIST,    /* several: struct option_list */
    OPTION_SIZE,    /* u64 bytes: digits with K, M or G */
    OPTION_COUNT,   /* u64, not 0; K, M and G are powers of ten */
    OPTION_SECONDS, /* u64 nanoseconds from a decimal fraction, not 0 */
    OPTION_NUMBER,  /* u64 */
    OPTION_CHOICE,  /* const char *, one of option.choice(0...) */
    OPTION_CHAOS,   /* struct chaos_config: sim/chaos_option.h */
};

struct option_list {
    const char *item[BOOT_MODULES_MAX];
    unsigned count;
};

/* Results of `run`; text points into argv. */
struct run_options {
    const char *kernel, *initrd, *append;
    struct option_list modules;
    u64 memory;
    const char *engine, *cpu;
    u64 rtc;
    const char *serial, *debug_console, *clock, *reset;
    bool debug_exit;
    struct chaos_config chaos;
    u64 max_insns; /* 0: no limit */
    u64 timeout;   /* nanoseconds; 0: no limit */
    const char *stats, *trace, *gdb;
    const char *snapshot_to, *restore;
    u64 shadow_memory, code_cache; /* bytes */
    u64 checkpoint_memory; /* bytes */
    u64 checkpoint_spacing; /* instructions */
    u64 at; /* icount of the snapshot; 0: when the run ends */
    const char *record;
    bool no_record, embed, uncompressed;
    u64 checkpoint; /* instructions between two state hashes in a log */
    bool help;
};

struct option {
    const char *name; /* without "--" */
    char letter;      /* 0: none */
    enum option_kind kind;
    size_t field;         /* offset in the verb's results, which begin with a struct run_options */
    const char *argument; /* how help names it; NULL for flags */
    const char *fallback; /* value if not given; NULL: none */
    const char *group;    /* heading in help; options of one group stand together */
    const char *help;
    const char *(*choice)(unsigned n); /* OPTION_CHOICE: the n-th value, NULL past the last */
};

extern const struct option run_options_table[];
extern const unsigned run_options_count;

struct verb {
    const char *name;
    const char *argument; /* "" if none */
    const char *summary;
    int (*run)(int argc, char **argv); /* arguments after the verb; returns an exit code */
};
extern const struct verb verbs[]; /* sim/main.c; ends with a NULL name */

enum { MESSAGE_MAX = 400, OPTIONS_MAX = 64 };

/* The options of a verb: those of its own tables, but for some of them. At most OPTIONS_MAX in all. */
struct option_set {
    const char *verb;
    struct {
        const struct option *rows;
        unsigned count;
    } table[2];
    const char *const *without; /* names of options that the verb does not take; ends with NULL; NULL: none */
    const char *bare;           /* name of the option whose value may stand alone; NULL: none */
};

/* Is `name` among `names` (ends with NULL; NULL: none)? */
bool options_listed(const char *const *names, const char *name);

/* Parses the arguments after a verb into `results`, which the caller has zeroed. False with one line in `message`
 * (what, where, what to do) otherwise. */
bool options_parse_set(const struct option_set *set, int argc, char **argv, void *results, char message[MESSAGE_MAX]);

/* A number of at least 1, with K, M or G for powers of ten, as OPTION_COUNT takes it. */
bool options_parse_count(const char *text, u64 *value);

/* The same for `run`. */
bool options_parse(int argc, char **argv, struct run_options *options, char message[MESSAGE_MAX]);

/* Refuses combinations that make no sense. */
bool options_check(const struct run_options *options, char message[MESSAGE_MAX]);

/* The candidate most like `word` if any is near enough to be a slip of the fingers, else NULL. `candidate(n, context)`
 * gives the n-th or NULL. */
const char *nearest(const char *word, const char *(*candidate)(unsigned n, const void *context), const void *context);

#endif
