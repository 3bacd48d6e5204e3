#include "sim/fuzz_verb.h"

#include "sim/complain.h"
#include "sim/dump.h"
#include "sim/engines.h"
#include "sim/exit_code.h"
#include "sim/files.h"
#include "sim/fuzz_afl.h"
#include "sim/fuzz_guest.h"
#include "sim/help.h"
#include "sim/host_linux.h"
#include "sim/symbols.h"
#include "sim/text.h"
#include "sim/visit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fuzz_options {
    struct fuzz_setup setup;
    struct fuzz_search search;
    const char *at_symbol, *symbols, *input_at, *length_at, *crash_at, *done_at, *crash_on;
    const char *run, *record;
    u64 repeat;
    bool target, help;
};

#define FIELD(name) offsetof(struct fuzz_options, name)
#define WHERE "Where runs begin"
#define INPUTS "Where inputs go"
#define ENDS "How runs end"
#define SEARCH "The search"

const struct option fuzz_options_table[] = {
    {"guest", 0, OPTION_FILE, FIELD(setup.log), "LOG", NULL, WHERE,
     "A recorded run of the guest; --guest may be left out. It has to get as far as the place where runs begin.", NULL},
    {"at", 0, OPTION_COUNT, FIELD(setup.at), "ICOUNT", NULL, WHERE,
     "Begin when the guest has executed this many instructions. Without --at and --at-symbol, where it says FUZZ_BEGIN.", NULL},
    {"at-symbol", 0, OPTION_TEXT, FIELD(at_symbol), "PLACE", NULL, WHERE,
     "Begin where the guest first comes to this symbol or linear address (hexadecimal).", NULL},
    {"symbols", 0, OPTION_FILE, FIELD(symbols), "ELF", NULL, WHERE, "Where symbols are looked up: vmlinux, for example.", NULL},

    {"input-at", 0, OPTION_TEXT, FIELD(input_at), "PLACE", NULL, INPUTS,
     "Linear address of the buffer, or a symbol, as mapped at the beginning. Without it, as the guest says with FUZZ_BEGIN.", NULL},
    {"input-max", 0, OPTION_SIZE, FIELD(setup.input_max), "BYTES", "1M", INPUTS, "Longer inputs are cut off; at most 1M.", NULL},
    {"length-at", 0, OPTION_TEXT, FIELD(length_at), "PLACE", NULL, INPUTS, "A 32-bit word for the input's length.", NULL},

    {"max-insns", 0, OPTION_COUNT, FIELD(setup.max_insns), "N", "10M", ENDS, "Most instructions of one run.", NULL},
    {"crash-on-limit", 0, OPTION_FLAG, FIELD(setup.crash_on_limit), NULL, NULL, ENDS, "Reaching --max-insns is a crash.", NULL},
    {"crash-on", 0, OPTION_TEXT, FIELD(crash_on), "VECTOR[,...]", NULL, ENDS,
     "Exceptions that are crashes: 13 or #GP, 14 or #PF, 6 or #UD, and so on. Triple faults, resets, debug exits other than 0, halting "
     "for ever and FUZZ_CRASH always are.", NULL},
    {"crash-at", 0, OPTION_TEXT, FIELD(crash_at), "PLACE", NULL, ENDS,
     "Coming here is a crash: panic, for example. The code there is replaced by one that says so, in ring 0.", NULL},
    {"done-at", 0, OPTION_TEXT, FIELD(done_at), "PLACE", NULL, ENDS, "The same for the good end of a run.", NULL},

    {"seeds", 0, OPTION_FILE, FIELD(search.seeds), "FOLDER", NULL, SEARCH, "Inputs to begin with. Without it, one of four letters.",
     NULL},
    {"output", 'o', OPTION_FILE, FIELD(search.output), "FOLDER", "fuzz-out", SEARCH,
     "What afl-fuzz keeps, and crashes/*.rlog. A later search goes on from there.", NULL},
    {"minutes", 0, OPTION_SECONDS, FIELD(search.nanoseconds), "N", NULL, SEARCH, "Stop after so long; without it, at Ctrl-C.", NULL},
    {"until-crash", 0, OPTION_FLAG, FIELD(search.until_crash), NULL, NULL, SEARCH, "Stop at the first crash.", NULL},
    {"json", 0, OPTION_FLAG, FIELD(search.json), NULL, NULL, SEARCH, "Report as a JSON object.", NULL},
    {"run", 0, OPTION_FILE, FIELD(run), "FILE", NULL, SEARCH, "No search: run this input alone, and say what becomes of it.", NULL},
    {"record", 0, OPTION_FILE, FIELD(record), "LOG", NULL, SEARCH, "With --run: write a log of it, for `reprise replay`.", NULL},
    {"repeat", 0, OPTION_COUNT, FIELD(repeat), "N", "1", SEARCH, "With --run: run it so often, and say how fast that is.", NULL},
    {"target", 0, OPTION_FLAG, FIELD(target), NULL, NULL, SEARCH, "Be the target of an afl-fuzz that you started yourself.", NULL},
    {"engine", 0, OPTION_CHOICE, FIELD(setup.engine), "ENGINE", ENGINE_DEFAULT, SEARCH,
     "What executes the guest; only engines that translate count edges.", visit_choice_engine},
    {"help", 'h', OPTION_FLAG, FIELD(help), NULL, NULL, SEARCH, "Explain these options.", NULL},
};
const unsigned fuzz_options_count = ARRAY_LEN(fuzz_options_table);

static const char usage[] =
    "Usage: reprise fuzz --guest LOG [OPTIONS]\n"
    "Searches for inputs that crash a guest: brings it to a place in a recorded run, puts an input into its memory, runs it to its\n"
    "end, goes back to the place, and so on, thousands of times a second. afl-fuzz (Debian: afl++) makes the inputs; it sees edges\n"
    "of guest code, which the translator counts. Each crash becomes a log, to be replayed and debugged backwards.\n"
    "\n"
    "  reprise run --kernel guest.elf --record base.rlog --embed --debug-exit --max-insns 10M\n"
    "  reprise fuzz --guest base.rlog --minutes 10\n"
    "  reprise replay fuzz-out/crashes/....rlog --gdb 1234\n"
    "\n"
    "A guest that takes part writes 32-bit commands to port 0xF8, with OUT or in its place in ring 3 by a helper of its kernel:\n"
    "  1 FUZZ_BEGIN  runs begin here; RBX: linear address of the buffer, RCX: its bytes, RDX: address of a 32-bit word for the\n"
    "                length of the input, or 0\n"
    "  2 FUZZ_DONE   the input has been consumed (so does a second FUZZ_BEGIN)\n"
    "  3 FUZZ_CRASH  something is wrong; RBX: what, for people\n"
    "Without a fuzzer these do nothing. A guest that does not know of this is fuzzed by addresses, here a function of a kernel:\n"
    "  reprise fuzz --guest linux.rlog --symbols vmlinux --at-symbol parse --input-at ffff888003a0c000 --input-max 512 \\\n"
    "      --done-at after_parse --crash-at panic\n";

/* ---- The command line ---------------------------------------------------------------------------- */

/* "#GP" or a number; 32 if it is neither. */
static unsigned vector_of(const char *text)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (end != text && !*end && n < 32)
        return (unsigned)n;
    for (unsigned vector = 0; vector < 32; vector++)
        if (vector_name(vector)[0] == '#' && (!strcasecmp(text, vector_name(vector)) || !strcasecmp(text, vector_name(vector) + 1)))
            return vector;
    return 32;
}

static bool parse_vectors(struct fuzz_options *o, char *message)
{
    char name[16];
    for (const char *at = o->crash_on; at && *at;) {
        size_t length = strcspn(at, ",");
        snprintf(name, sizeof name, "%.*s", (int)length, at);
        unsigned vector = vector_of(name);
        if (vector == 32) {
            snprintf(message, FILE_MESSAGE_MAX, "--crash-on: \"%s\" is no exception; write for example #GP,#PF or 13,14", name);
            return false;
        }
        o->setup.crash_vectors |= 1u << vector;
        at += length + (at[length] == ',');
    }
    return true;
}

static bool parse_places(struct fuzz_options *o, char *message)
{
    const struct {
        const char *option, *text;
        u64 *to;
    } places[] = {
        {"at-symbol", o->at_symbol, &o->setup.stop},     {"input-at", o->input_at, &o->setup.input_at},
        {"length-at", o->length_at, &o->setup.length_at}, {"crash-at", o->crash_at, &o->setup.crash_at},
        {"done-at", o->done_at, &o->setup.done_at},
    };
    for (unsigned n = 0; n < ARRAY_LEN(places); n++)
        if (places[n].text && !symbols_place(places[n].option, places[n].text, o->symbols, places[n].to, message))
            return false;
    return true;
}

static bool check(const struct fuzz_options *o, char *message)
{
    const char *wrong = NULL;
    if (!o->setup.log)
        wrong = "which guest is not said; write `reprise fuzz --guest LOG` with a log of `reprise run --record`";
    else if (o->setup.at && o->setup.stop)
        wrong = "--at and --at-symbol name two places; leave one out";
    else if (o->record && !o->run)
        wrong = "--record belongs to --run; a search writes a log for each crash by itself";
    else if (o->run && (o->target || o->search.seeds))
        wrong = "--run runs one input; leave --target and --seeds out";
    if (wrong)
        snprintf(message, FILE_MESSAGE_MAX, "fuzz: %s", wrong);
    return !wrong;
}

/* ---- One input ----------------------------------------------------------------------------------- */

static void tell(const struct fuzz_options *o, const struct fuzz_outcome *r, double per_second)
{
    if (!o->search.json) {
        printf("%s: %s, value 0x%" PRIx64 ", after %" PRIu64 " instructions", r->crash ? "CRASH" : "no crash", fuzz_end_names[r->end],
               r->value, r->instructions);
        printf(o->repeat > 1 ? "; %.0f runs/s\n" : "\n", per_second);
        return;
    }
    printf("{\"crash\": %s, \"end\": \"%s\", \"value\": \"0x%" PRIx64 "\", \"instructions\": %" PRIu64, r->crash ? "true" : "false",
           fuzz_end_names[r->end], r->value, r->instructions);
    if (o->repeat > 1)
        printf(", \"runs_per_second\": %.0f", per_second);
    printf("}\n");
}

static int run_input(struct fuzz_guest *g, const struct fuzz_options *o, const struct file *input)
{
    char message[FUZZ_MESSAGE_MAX];
    struct fuzz_outcome r = {0};
    u64 begin = host_nanoseconds();
    for (u64 n = 0; n < o->repeat; n++)
        r = fuzz_guest_run(g, input->data, input->size);
    double seconds = (double)(host_nanoseconds() - begin) / 1e9;
    if (o->record && !fuzz_guest_record(g, o->record, input, &r, message))
        return complain(EXIT_HOST, message);
    tell(o, &r, (double)o->repeat / seconds);
    return fflush(stdout) ? EXIT_HOST : r.crash ? EXIT_GUEST : EXIT_POWER_OFF;
}

static int run_one(struct fuzz_guest *g, const struct fuzz_options *o)
{
    char message[FILE_MESSAGE_MAX];
    struct file input;
    static u8 map[1 << 16];
    if (!file_read(o->run, FUZZ_INPUT_MAX, &input, message))
        return complain(EXIT_USAGE, message);
    bool translates = !strncmp(o->setup.engine, "sbe", 3);
    int code = fuzz_guest_open(g, &o->setup, translates ? map : NULL);
    if (!code) {
        code = run_input(g, o, &input);
        fuzz_guest_close(g);
    }
    file_free(&input);
    return code;
}

/* ---- As a target --------------------------------------------------------------------------------- */

struct target {
    struct fuzz_guest *guest;
    const struct fuzz_setup *setup;
};

static int target_open(void *context, u8 *map)
{
    struct target *t = context;
    return fuzz_guest_open(t->guest, t->setup, map);
}

static bool target_run(void *context, const u8 *data, size_t size)
{
    struct target *t = context;
    return fuzz_guest_run(t->guest, data, size).crash;
}

int verb_fuzz(int argc, char **argv)
{
    static struct fuzz_options o;
    static struct fuzz_guest guest;
    char message[SESSION_MESSAGE_MAX];
    const struct option_set set = {
        .verb = "fuzz", .table = {{fuzz_options_table, ARRAY_LEN(fuzz_options_table)}}, .bare = "guest"};
    if (!options_parse_set(&set, argc, argv, &o, message))
        return complain(EXIT_USAGE, message);
    if (o.help) {
        fputs(usage, stdout);
        help_options(stdout, fuzz_options_table, ARRAY_LEN(fuzz_options_table), NULL);
        return fflush(stdout) ? EXIT_HOST : EXIT_POWER_OFF;
    }
    if (!parse_places(&o, message) || !parse_vectors(&o, message) || !check(&o, message))
        return complain(EXIT_USAGE, message);
    struct target target = {&guest, &o.setup};
    if (o.target)
        return afl_serve(&(struct afl_target){.context = &target, .open = target_open, .run = target_run});
    if (o.run)
        return run_one(&guest, &o);
    o.search.nanoseconds *= 60;
    o.search.argc = argc;
    o.search.argv = argv;
    return fuzz_search_run(&guest, &o.setup, &o.search);
}
