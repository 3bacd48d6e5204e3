#include "sim/verify_options.h"

#include "sim/engines.h"

#include <stdio.h>
#include <string.h>

#define FIELD(name) offsetof(struct verify_options, name)
#define GROUP "Comparing engines"

const struct option verify_options_table[] = {
    {"log", 0, OPTION_FILE, FIELD(log), "LOG", NULL, GROUP,
     "Compare over a recorded run: both machines are the log's, and get its input. --log may be left out. Without a log, "
     "--kernel says what to boot, and nobody gives input.", NULL},
    {"against", 0, OPTION_TEXT, FIELD(against), "ENGINE", NULL, GROUP,
     "Short for --engines interp,ENGINE; against interp itself, the engine that recorded the log is the other one.", NULL},
    {"engines", 0, OPTION_TEXT, FIELD(engines_text), "A,B", NULL, GROUP,
     "The two engines to compare; `reprise list` shows them. A is the one that is believed. The same engine twice "
     "shows that it is deterministic. bochs is a reference from another hand: what is known to differ from it, and why, does "
     "not count, and the report says how often each reason was needed.", NULL},
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
    .bare = "log",
};

static bool find_engine(const char *name, size_t length, const struct engine **engine, char *message)
{
    char text[40];
    snprintf(text, sizeof text, "%.*s", (int)length, name);
    *engine = engine_find(text);
    if (!*engine)
        snprintf(message, MESSAGE_MAX, "--engines: there is no engine \"%s\"; `reprise list` shows them", text);
    const char *missing = *engine ? engine_missing(*engine) : NULL;
    if (missing)
        snprintf(message, MESSAGE_MAX, "--engines: %s", missing);
    return *engine && !missing;
}

/* --against X: the interpreter and X, or X and the engine of the log. */
static bool parse_against(struct verify_options *o, char *message)
{
    static struct replay_session session;
    const char *first = "interp";
    char recorded[sizeof session.reader->machine.engine], why[SESSION_MESSAGE_MAX];
    if (!strcmp(o->against, first) && o->log) {
        if (!session_open(&session, o->log, why)) {
            snprintf(message, MESSAGE_MAX, "%.*s", MESSAGE_MAX - 1, why);
            return false;
        }
        snprintf(recorded, sizeof recorded, "%s", session.reader->machine.engine);
        session_close(&session);
        first = recorded;
    }
    return find_engine(first, strlen(first), &o->engines[0], message) &&
           find_engine(o->against, strlen(o->against), &o->engines[1], message);
}

static bool parse_engines(struct verify_options *o, char *message)
{
    if (o->against && o->engines_text) {
        snprintf(message, MESSAGE_MAX, "--against and --engines say the same thing; leave one of them out");
        return false;
    }
    if (o->against)
        return parse_against(o, message);
    size_t first = o->engines_text ? strcspn(o->engines_text, ",") : 0;
    if (!first || !o->engines_text[first]) {
        snprintf(message, MESSAGE_MAX, "two engines to compare are missing; write for example --engines interp,sbe, or "
                 "--against bochs");
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

static bool check_machine(const struct verify_options *o, char *message)
{
    if (!o->log)
        return options_check(&o->run, message);
    if (!o->run.kernel && !o->run.initrd && !o->run.restore)
        return true;
    snprintf(message, MESSAGE_MAX, "the log names machine and images; leave --kernel and what belongs to it out");
    return false;
}

struct verify_guest verify_options_guest(const struct verify_options *o)
{
    return (struct verify_guest){.engines = {o->engines[0], o->engines[1]}, .options = &o->run, .log = o->log};
}

bool verify_options_parse(int argc, char **argv, struct verify_options *options, char message[MESSAGE_MAX])
{
    struct option_set set = verify_option_set;
    set.table[1].count = run_options_count;
    memset(options, 0, sizeof *options);
    if (!options_parse_set(&set, argc, argv, options, message))
        return false;
    return options->run.help || (parse_engines(options, message) && parse_every(options, message) &&
                                 check_machine(options, message));
}
