#include "sim/options.h"

#include "core/cpuid.h"
#include "sim/chaos_option.h"
#include "sim/engines.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *choice_engine(unsigned n) { return engine_at(n) ? engine_at(n)->name : NULL; }
static const char *choice_cpu(unsigned n) { return n < cpu_model_count ? cpu_models[n].name : NULL; }
static const char *choice_reset(unsigned n) { return n == 0 ? "reload" : n == 1 ? "exit" : NULL; }
static const char *choice_clock(unsigned n) { return n == 0 ? "auto" : n == 1 ? "virtual" : n == 2 ? "wall" : NULL; }

#define FIELD(name) offsetof(struct run_options, name)

const struct option run_options_table[] = {
    {"kernel", 'k', OPTION_FILE, FIELD(kernel), "FILE", NULL, "What to boot",
     "Linux bzImage or Multiboot 1 kernel (ELF32 or address fields); which it is, the content tells.", NULL},
    {"initrd", 'i', OPTION_FILE, FIELD(initrd), "FILE", NULL, "What to boot", "Linux: the initial RAM disk.", NULL},
    {"append", 'a', OPTION_TEXT, FIELD(append), "STRING", "", "What to boot",
     "The kernel command line, handed over as it is.", NULL},
    {"module", 0, OPTION_LIST, FIELD(modules), "\"FILE [STRING]\"", NULL, "What to boot",
     "Multiboot: a module; the text after the first space is its string. Repeat for more.", NULL},

    {"memory", 'm', OPTION_SIZE, FIELD(memory), "SIZE", "512M", "The machine",
     "Guest memory: a multiple of 1M, with suffix K, M or G. The host backs only what the guest touches.", NULL},
    {"cpu", 0, OPTION_CHOICE, FIELD(cpu), "MODEL", CPU_MODEL_DEFAULT, "The machine",
     "Processor model that the guest sees; `reprise list` shows them.", choice_cpu},
    {"engine", 0, OPTION_CHOICE, FIELD(engine), "ENGINE", ENGINE_DEFAULT, "The machine",
     "What executes guest code; `reprise list` shows them.", choice_engine},
    {"shadow-memory", 0, OPTION_SIZE, FIELD(shadow_memory), "SIZE", "16M", "The machine",
     "Most that shadow page tables may take, 1M to 1G; beyond it, tables that were not used for long go. The guest cannot "
     "tell. Of engines that have them.", NULL},
    {"code-cache", 0, OPTION_SIZE, FIELD(code_cache), "SIZE", "8M", "The machine",
     "Most that translated code may take, 1M to 256M; beyond it, the oldest goes. What is known about the code takes up to three "
     "times as much again. The guest cannot tell. Of engines that translate.", NULL},
    {"rtc", 0, OPTION_NUMBER, FIELD(rtc), "SECONDS", "1735689600", "The machine",
     "Time of the real-time clock at power-up, in seconds since 1970 (UTC). Never the host's own time, so that runs "
     "repeat; for that say --rtc $(date +%s).", NULL},
    {"debug-exit", 0, OPTION_FLAG, FIELD(debug_exit), NULL, NULL, "The machine",
     "Add the isa-debug-exit port: a guest that writes v to 0xF4 ends the run with code (v << 1) | 1.", NULL},
    {"reset", 0, OPTION_CHOICE, FIELD(reset), "ACTION", "reload", "The machine",
     "When the guest resets the machine: `reload` boots the same images again, `exit` ends the run.", choice_reset},

    {"serial", 0, OPTION_FILE, FIELD(serial), "stdio|FILE|none", "stdio", "Input and output",
     "Where the first serial port (COM1) goes. On a terminal, Ctrl-A h lists the keys that are ours.", NULL},
    {"debug-console", 0, OPTION_FILE, FIELD(debug_console), "stdio|stderr|FILE|none", "stderr", "Input and output",
     "Where bytes written to port 0xE9 go.", NULL},
    {"clock", 0, OPTION_CHOICE, FIELD(clock), "auto|virtual|wall", "auto", "Input and output",
     "What the guest's time follows: `virtual`, its instructions, and an idle guest jumps to its next timer at once; "
     "`wall`, real time, by adjustments that are recorded. `auto` is `wall` with a terminal on standard input, else `virtual`.",
     choice_clock},

    {"record", 0, OPTION_FILE, FIELD(record), "FILE", NULL, "Recording",
     "Write the log of the run to FILE, for `reprise replay FILE`. Without it, runs are recorded into a ring of recent "
     "runs under $XDG_STATE_HOME/reprise or ~/.local/state/reprise, at most 256 MiB.", NULL},
    {"no-record", 0, OPTION_FLAG, FIELD(no_record), NULL, NULL, "Recording",
     "Record nothing. REPRISE_RECORD=off in the environment does the same for runs without --record.", NULL},
    {"embed", 0, OPTION_FLAG, FIELD(embed), NULL, NULL, "Recording",
     "Put kernel, initrd and modules into the log, so that it alone is enough; else it names them by path and SHA-256.",
     NULL},
    {"uncompressed", 0, OPTION_FLAG, FIELD(uncompressed), NULL, NULL, "Recording",
     "Store the log as it is: the bare-metal image replays no other.", NULL},
    {"checkpoint", 0, OPTION_COUNT, FIELD(checkpoint), "N", "100M", "Recording",
     "Instructions between two state hashes in the log, which `replay --verify` compares.", NULL},

    {"snapshot-to", 0, OPTION_FILE, FIELD(snapshot_to), "FILE", NULL, "Snapshots",
     "Write the whole machine to FILE, at the instruction that --at names, else where the run ends.", NULL},
    {"at", 0, OPTION_COUNT, FIELD(at), "ICOUNT", NULL, "Snapshots",
     "With --snapshot-to: when this many instructions have been executed. The run goes on behind it.", NULL},
    {"restore", 0, OPTION_FILE, FIELD(restore), "FILE", NULL, "Snapshots",
     "Go on from a snapshot instead of booting. Memory, processor model and devices are those of the snapshot; a kernel "
     "is needed only if the guest resets the machine. Such a run is not recorded.", NULL},

    {"max-insns", 0, OPTION_COUNT, FIELD(max_insns), "N", NULL, "Limits and reports",
     "Stop after exactly N guest instructions; suffix K, M or G for thousands, millions, milliards.", NULL},
    {"timeout", 0, OPTION_SECONDS, FIELD(timeout), "SECONDS", NULL, "Limits and reports",
     "Stop after this much host time.", NULL},
    {"stats", 0, OPTION_FILE, FIELD(stats), "FILE.json", NULL, "Limits and reports",
     "Write instructions, exits by reason, virtual and host seconds, MIPS, peak memory and a hash of the guest's state "
     "when the run ends.", NULL},
    {"trace", 0, OPTION_TEXT, FIELD(trace), "CATEGORY[,...][,FILE]", NULL, "Limits and reports",
     "Print what happens, to stderr or FILE (a last element with a dot or slash in it): exceptions, interrupts, io, "
     "mmio, memory (every access to RAM: very long), insn (every instruction: as long), all.", NULL},
    {"help", 'h', OPTION_FLAG, FIELD(help), NULL, NULL, "Limits and reports", "Explain these options.", NULL},
    {"gdb", 0, OPTION_TEXT, FIELD(gdb), "PORT|unix:PATH", NULL, "Debugging",
     "Wait for gdb before the first instruction, on a TCP port of this host or a socket in the file system. In gdb: "
     "`target remote localhost:PORT`, then for example `break *0x7c00`, `continue`, `monitor help`. With the symbols of "
     "a 32-bit program, `set architecture i386:x86-64` comes first: the target is described as 64-bit in every mode.",
     NULL},
    {"checkpoint-memory", 0, OPTION_SIZE, FIELD(checkpoint_memory), "SIZE", "512M", "Debugging",
     "With --gdb: memory for checkpoints, which make going back fast. When it is used up, those go that are missed least.",
     NULL},
    {"checkpoint-spacing", 0, OPTION_COUNT, FIELD(checkpoint_spacing), "N", "4M", "Debugging",
     "With --gdb: instructions between two checkpoints where the guest has not been before. Fewer make the first step "
     "back from a new place faster, and the way there slower.", NULL},
    {"chaos", 0, OPTION_CHAOS, FIELD(chaos), "SEED[,KIND...]", NULL, "Debugging",
     "Do otherwise what real hardware may do otherwise, as the seed says, so that rare bugs of the guest appear. Kinds, all "
     "unless some are named: `irq`, interrupts wait for up to 2048 instructions; `clock`, virtual time runs at half "
     "to four times its rate, and jumps by up to 4 microseconds; `tlb`, shadow page tables are thrown away, which no "
     "guest must notice (engines that have them). The log says it all, so a replay needs no option.", NULL},
};
const unsigned run_options_count = ARRAY_LEN(run_options_table);

/* Edits that turn a into b: insert, delete, replace, exchange neighbours. Both shorter than 32. */
static unsigned distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    unsigned d[33][33];
    if (n > 32 || m > 32)
        return 99;
    for (size_t i = 0; i <= n; i++)
        d[i][0] = (unsigned)i;
    for (size_t j = 0; j <= m; j++)
        d[0][j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        for (size_t j = 1; j <= m; j++) {
            unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            best = d[i - 1][j] + 1 < best ? d[i - 1][j] + 1 : best;
            best = d[i][j - 1] + 1 < best ? d[i][j - 1] + 1 : best;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            d[i][j] = swapped && d[i - 2][j - 2] + 1 < best ? d[i - 2][j - 2] + 1 : best;
        }
    }
    return d[n][m];
}

const char *nearest(const char *word, const char *(*candidate)(unsigned n, const void *context), const void *context)
{
    unsigned best = (unsigned)strlen(word) / 3 + 2;
    const char *found = NULL, *name;
    for (unsigned n = 0; (name = candidate(n, context)); n++) {
        unsigned cost = distance(word, name);
        /* The beginning of a name is near, however long the rest. */
        if (strlen(word) >= 3 && !strncmp(word, name, strlen(word)))
            cost = 1;
        if (cost < best) {
            best = cost;
            found = name;
        }
    }
    return found;
}

bool options_listed(const char *const *names, const char *name)
{
    for (; names && *names; names++)
        if (!strcmp(*names, name))
            return true;
    return false;
}

/* The n-th option of a verb that is not left out; NULL past the last. */
static const struct option *option_at(const struct option_set *set, unsigned n)
{
    for (unsigned t = 0; t < ARRAY_LEN(set->table); t++)
        for (unsigned row = 0; row < set->table[t].count; row++)
            if (!options_listed(set->without, set->table[t].rows[row].name) && !n--)
                return &set->table[t].rows[row];
    return NULL;
}

static const char *candidate_option(unsigned n, const void *context)
{
    const struct option *o = option_at(context, n);
    return o ? o->name : NULL;
}

static const char *candidate_choice(unsigned n, const void *context)
{
    return ((const struct option *)context)->choice(n);
}

/* Digits and an optional suffix; `unit` is 1000 or 1024. */
static bool parse_scaled(const char *text, u64 unit, u64 *value)
{
    u64 v = 0;
    const char *p = text;
    for (; isdigit((unsigned char)*p); p++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (u64)(*p - '0'), &v))
            return false;
    if (p == text)
        return false;
    unsigned powers = 0;
    switch (toupper((unsigned char)*p)) {
    case 0: break;
    case 'K': powers = 1; break;
    case 'M': powers = 2; break;
    case 'G': powers = 3; break;
    default: return false;
    }
    if (powers && p[1])
        return false;
    while (powers--)
        if (__builtin_mul_overflow(v, unit, &v))
            return false;
    *value = v;
    return true;
}

/* "12" or "0.25", up to a year. */
static bool parse_seconds(const char *text, u64 *ns)
{
    char *end;
    if (!isdigit((unsigned char)text[0]) && text[0] != '.')
        return false;
    double seconds = strtod(text, &end);
    if (*end || !(seconds >= 1e-9) || seconds > 366.0 * 86400)
        return false;
    *ns = (u64)(seconds * 1e9);
    return true;
}

static bool bad_value(const struct option *o, const char *value, const char *wanted, char *message)
{
    snprintf(message, MESSAGE_MAX, "--%s: \"%.80s\" is not %s", o->name, value, wanted);
    return false;
}

static bool store_choice(const struct option *o, const char *value, const char **field, char *message)
{
    const char *name;
    for (unsigned n = 0; (name = o->choice(n)); n++) {
        if (!strcmp(name, value)) {
            *field = name;
            return true;
        }
    }
    const char *near = nearest(value, candidate_choice, o);
    int used = snprintf(message, MESSAGE_MAX, "--%s: there is no \"%.80s\"", o->name, value);
    if (near) {
        snprintf(message + used, MESSAGE_MAX - (size_t)used, "; did you mean \"%s\"?", near);
        return false;
    }
    used += snprintf(message + used, MESSAGE_MAX - (size_t)used, "; choose one of:");
    for (unsigned n = 0; (name = o->choice(n)) && used < MESSAGE_MAX - 40; n++)
        used += snprintf(message + used, MESSAGE_MAX - (size_t)used, " %s", name);
    return false;
}

static bool store_item(const struct option *o, const char *value, struct option_list *list, char *message)
{
    if (list->count == BOOT_MODULES_MAX) {
        snprintf(message, MESSAGE_MAX, "--%s: more than %d of them; leave some out", o->name, BOOT_MODULES_MAX);
        return false;
    }
    list->item[list->count++] = value;
    return true;
}

static bool store(const struct option *o, const char *value, void *results, char *message)
{
    void *field = (char *)results + o->field;
    switch (o->kind) {
    case OPTION_FLAG:
        *(bool *)field = true;
        return true;
    case OPTION_TEXT:
        *(const char **)field = value;
        return true;
    case OPTION_FILE:
        *(const char **)field = value;
        return *value || bad_value(o, value, "a file name", message);
    case OPTION_LIST:
        return store_item(o, value, field, message);
    case OPTION_SIZE:
        return parse_scaled(value, 1024, field) || bad_value(o, value, "a size; write for example 512M or 2G", message);
    case OPTION_COUNT:
        return (parse_scaled(value, 1000, field) && *(u64 *)field) ||
               bad_value(o, value, "a number of at least 1; write for example 5000000 or 5M", message);
    case OPTION_SECONDS:
        return parse_seconds(value, field) ||
               bad_value(o, value, "a time in seconds greater than 0; write for example 30 or 0.5", message);
    case OPTION_NUMBER:
        return parse_scaled(value, 1000, field) || bad_value(o, value, "a whole number", message);
    case OPTION_CHAOS:
        return chaos_parse(value, field) ||
               bad_value(o, value, "a seed and kinds; write for example 7 or 7,irq,clock,tlb", message);
    case OPTION_CHOICE:
        return store_choice(o, value, field, message);
    }
    return false;
}

/* The number of the option that argv[at] names, or -1. *value is what follows '=' or the letter, or NULL. */
static int find_option(const struct option_set *set, const char *word, const char **value)
{
    const struct option *o;
    bool is_long = word[1] == '-';
    size_t length = is_long ? strcspn(word + 2, "=") : 1;
    for (int n = 0; (o = option_at(set, (unsigned)n)); n++) {
        if (is_long ? strlen(o->name) == length && !strncmp(o->name, word + 2, length)
                    : o->letter && o->letter == word[1]) {
            const char *rest = word + (is_long ? 2 + length : 2);
            *value = !*rest ? NULL : is_long ? rest + 1 : rest;
            return n;
        }
    }
    return -1;
}

/* The number of the option that a word alone belongs to, or -1. */
static int find_bare(const struct option_set *set)
{
    const struct option *o;
    for (int n = 0; set->bare && (o = option_at(set, (unsigned)n)); n++)
        if (!strcmp(o->name, set->bare))
            return n;
    return -1;
}

static bool unknown_option(const struct option_set *set, const char *word, char *message)
{
    char name[40];
    if (word[0] != '-') {
        snprintf(message, MESSAGE_MAX, "\"%.80s\" does not belong to any option; did you mean --kernel %.80s?", word,
                 word);
        return false;
    }
    snprintf(name, sizeof name, "%.*s", (int)strcspn(word + strspn(word, "-"), "="), word + strspn(word, "-"));
    const char *near = nearest(name, candidate_option, set);
    if (near)
        snprintf(message, MESSAGE_MAX, "unknown option %.80s; did you mean --%s?", word, near);
    else
        snprintf(message, MESSAGE_MAX, "unknown option %.80s; `reprise help %s` lists all", word, set->verb);
    return false;
}

static bool store_fallbacks(const struct option_set *set, void *results, char *message)
{
    const struct option *o;
    for (unsigned n = 0; (o = option_at(set, n)); n++)
        if (o->fallback && !store(o, o->fallback, results, message))
            return false;
    return true;
}

bool options_parse_set(const struct option_set *set, int argc, char **argv, void *results, char message[MESSAGE_MAX])
{
    bool given[OPTIONS_MAX] = {false};
    if (!store_fallbacks(set, results, message))
        return false;
    for (int at = 0; at < argc; at++) {
        const char *value = NULL;
        int number = argv[at][0] == '-' && argv[at][1] ? find_option(set, argv[at], &value) : find_bare(set);
        if (number >= 0 && argv[at][0] != '-')
            value = argv[at];
        if (number < 0)
            return unknown_option(set, argv[at], message);
        const struct option *o = option_at(set, (unsigned)number);
        if (o->kind == OPTION_FLAG && value) {
            snprintf(message, MESSAGE_MAX, "--%s takes no value; leave out \"%.80s\"", o->name, value);
            return false;
        }
        if (o->kind != OPTION_FLAG && !value && ++at == argc) {
            snprintf(message, MESSAGE_MAX, "--%s: a value is missing; write --%s %s", o->name, o->name, o->argument);
            return false;
        }
        if (given[number] && o->kind != OPTION_LIST) {
            snprintf(message, MESSAGE_MAX, "--%s is given twice; leave one out", o->name);
            return false;
        }
        given[number] = true;
        if (!store(o, value ? value : o->kind == OPTION_FLAG ? "" : argv[at], results, message))
            return false;
    }
    return true;
}

bool options_parse(int argc, char **argv, struct run_options *options, char message[MESSAGE_MAX])
{
    const struct option_set set = {.verb = "run", .table = {{run_options_table, run_options_count}}};
    memset(options, 0, sizeof *options);
    return options_parse_set(&set, argc, argv, options, message);
}

bool options_parse_count(const char *text, u64 *value)
{
    return parse_scaled(text, 1000, value) && *value;
}

static bool is_path(const char *output)
{
    return output && strcmp(output, "stdio") && strcmp(output, "stderr") && strcmp(output, "none");
}

/* Two outputs into one file would overwrite each other. */
static bool check_outputs(const struct run_options *o, char *message)
{
    const char *const files[] = {o->serial, o->debug_console, o->stats, o->record, o->snapshot_to};
    const char *const names[] = {"serial", "debug-console", "stats", "record", "snapshot-to"};
    for (unsigned i = 0; i < ARRAY_LEN(files); i++) {
        for (unsigned j = i + 1; j < ARRAY_LEN(files); j++) {
            if (is_path(files[i]) && is_path(files[j]) && !strcmp(files[i], files[j])) {
                snprintf(message, MESSAGE_MAX, "--%s and --%s both write %.200s; give each its own file", names[i],
                         names[j], files[i]);
                return false;
            }
        }
    }
    return true;
}

static bool check_pools(const struct run_options *o, char *message)
{
    const u64 mib = 1 << 20;
    if (o->shadow_memory < mib || o->shadow_memory > 1024 * mib)
        snprintf(message, MESSAGE_MAX, "--shadow-memory: from 1M to 1G is possible; write for example 32M");
    else if (o->code_cache < mib || o->code_cache > 256 * mib)
        snprintf(message, MESSAGE_MAX, "--code-cache: from 1M to 256M is possible; write for example 32M");
    else
        return true;
    return false;
}

bool options_check(const struct run_options *o, char message[MESSAGE_MAX])
{
    const char *missing = o->engine ? engine_missing(engine_find(o->engine)) : NULL;
    if (missing) {
        snprintf(message, MESSAGE_MAX, "--engine: %s", missing);
        return false;
    }
    if (o->record && o->no_record) {
        snprintf(message, MESSAGE_MAX, "--record and --no-record contradict each other; leave one of them out");
        return false;
    }
    if (o->record && o->restore) {
        snprintf(message, MESSAGE_MAX, "--record: a run that begins with a snapshot cannot be recorded; leave it out");
        return false;
    }
    if (o->at && !o->snapshot_to) {
        snprintf(message, MESSAGE_MAX, "--at says when, but not what; add --snapshot-to FILE");
        return false;
    }
    const u64 mib = 1 << 20;
    if (!o->kernel && !o->restore) {
        snprintf(message, MESSAGE_MAX, "nothing to boot; give --kernel FILE (`reprise help` shows examples)");
        return false;
    }
    if (o->initrd && o->modules.count) {
        snprintf(message, MESSAGE_MAX,
                 "--initrd is for Linux and --module for Multiboot kernels; leave one of them out");
        return false;
    }
    if (o->memory < mib || o->memory % mib) {
        snprintf(message, MESSAGE_MAX, "--memory: %llu bytes is not a multiple of 1M; write for example %lluM",
                 (unsigned long long)o->memory,
                 (unsigned long long)(o->memory < mib ? o->memory : o->memory / mib + 1));
        return false;
    }
    if (o->memory > 512ull << 30) {
        snprintf(message, MESSAGE_MAX, "--memory: more than the 512G that this machine model takes; give less");
        return false;
    }
    return check_pools(o, message) && check_outputs(o, message);
}
