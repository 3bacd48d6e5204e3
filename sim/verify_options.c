#include "sim/verify_options.h"

#include "sim/engines.h"

#include <stdio.h>
#include <string.h>

#define FIELD(name) offsetof(struct verify_options, name)
#define GROUP "Comparing engines"

const struct option verify_options_table[] = {
    {"engines", 0, OPTION_TEXT, FIELD(engines_text), "A,B", NULL, GROUP,
     "The two engines to compare; `reprise list` shows them. A is the one that is believed. The same engine twice "
     "shows that it is deterministic.", NULL},
    {"every", 0, OPTION_TEXT, FIELD(every), "insn|block|N", "100K", GROUP,
     "How often both are stopped and compared: after every instruction, after every block (where a translator can use "
     "whole translations), or every N instructions. Memory is compared every 20 million instructions or 2000 stops. A "
     "difference found late is traced back to the first instruction that shows it.", NULL},
    {"json", 0, OPTION_FLAG, FIELD(json), NULL, NULL, GROUP,
     "Print the result as one JSON object on standard output, in place of text on standard error.", NULL},
};
const unsigned verify_options_count = ARRAY_LEN(verify_options_table);

/* Both machines get no input, record nothing, and wait for nobody. */
static const char *const without[] = {
    "engine", "clock", "stats", "trace", "serial", "debug-console", "record", "no-record", "embed", "uncompressed",
    "checkpoint", "gdb", NULL,
};

const struct option_set verify_option_set = {
    .verb = "verify",
    .table = {{verify_options_table, ARRAY_LEN(verify_options_table)}, {run_options_table, 0}},
    .without = without,
};

static bool find_engine(const char *name, size_t length, const struct engine **engine, char *message)
{
    char text[40];
    snprintf(text, sizeof text, "%.*s", (int)length, name);
    *engine = engine_find(text);
    if (!*engine)
        snprintf(message, MESSAGE_MAX, "--engines: there is no engine \"%s\"; `reprise list` shows them", text);
    return *engine;
}

static bool parse_engines(struct verify_options *o, char *message)
{
    size_t first = o->engines_text ? strcspn(o->engines_text, ",") : 0;
    if (!first || !o->engines_text[first]) {
        snprintf(message, MESSAGE_MAX, "two engines to compare are missing; write for example --engines interp,sbe");
        return false;
    }
    const char *second = o->engines_text + first + 1;
    return find_engine(o->engines_text, first, &o->engines[0], message) &&
           find_engine(second, strlen(second), &o->engines[1], message);
}

static bool parse_every(struct verify_options *o, char *message)
{
    o->grain = (struct grain){.kind = GRAIN_COUNT, .count = 1};
    if (!strcmp(o->every, "block"))
        o->grain.kind = GRAIN_BLOCK;
    else if (strcmp(o->every, "insn") && !options_parse_count(o->every, &o->grain.count)) {
        snprintf(message, MESSAGE_MAX, "--every: \"%.80s\" is neither insn nor block nor a number of at least 1; write "
                 "for example --every 1M", o->every);
        return false;
    }
    return true;
}

bool verify_options_parse(int argc, char **argv, struct verify_options *options, char message[MESSAGE_MAX])
{
    struct option_set set = verify_option_set;
    set.table[1].count = run_options_count;
    memset(options, 0, sizeof *options);
    if (!options_parse_set(&set, argc, argv, options, message))
        return false;
    return options->run.help || (parse_engines(options, message) && parse_every(options, message) &&
                                 options_check(&options->run, message));
}
