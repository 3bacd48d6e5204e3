/* Random programs on two engines:
 *
 *   random_engines [--engines A,B] [--seconds S | --programs N] [--seed S] [--program N] [--keep-going] [--no-shrink]
 *                  [--show] [--coverage N] [--system | --by-row] [--from N] [--rows FILE]
 *
 * Runs programs 0, 1, 2... of a seed on both engines and compares their whole state at every cut. A program for which
 * they differ, or one of them crashes or does not end, is made smaller and printed, with the state on both sides; then
 * the search ends with status 1 (or goes on, with --keep-going). --program N runs that one alone; --show prints it,
 * whatever comes of it. --coverage N tells how often the first engine executes each row of isa.def in N programs.
 * --system changes page tables, descriptors, gates and tasks around each program; --by-row makes program N of row 1 + N mod (number of rows)
 * of isa.def. --from N begins with program N: what a failure that depends on earlier ones needs is found so. --rows FILE writes how often each row was executed, and trapped, in programs on which both agree.
 * Status 2: usage. */
#include "core/cpuid.h"
#include "fuzz/apart.h"
#include "fuzz/coverage.h"
#include "fuzz/pair.h"
#include "fuzz/shrink.h"
#include "sbe/decode.h"
#include "sim/disasm.h"
#include "sim/engines.h"
#include "sim/host_linux.h"
#include "sim/state_diff.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIFFERENCES_SHOWN = 24, MEMORY_SHOWN = 8, SECONDS_DEFAULT = 10, PROGRAM_SECONDS_MAX = 6,
       PREDECESSORS = 400 };
#define NO_PROGRAM UINT64_MAX

struct options {
    const struct engine *engines[2];
    double seconds;
    u64 programs, seed, program, coverage, from;
    bool keep_going, shrink, show;
    bool system, by_row;
    const char *rows;
};

static _Noreturn void usage(const char *what)
{
    fprintf(stderr, "random_engines: %s\nusage: random_engines [--engines A,B] [--seconds S | --programs N] [--seed S] "
            "[--program N] [--keep-going] [--no-shrink] [--show] [--coverage N] [--system | --by-row] [--from N] [--rows FILE]\n", what);
    exit(2);
}

/* ---- One program ---------------------------------------------------------------------------------- */

static u64 program_seed(const struct options *o, u64 number)
{
    struct random r = {.state = o->seed * 0x10001 + 0x1234567};
    r.state = random_next(&r) + number;
    return random_next(&r);
}

static void generate(const struct options *o, struct program *p, u64 number)
{
    u64 seed = program_seed(o, number);
    if (o->system)
        program_generate_system(p, seed);
    else if (o->by_row)
        program_generate_row(p, seed, (unsigned)(1 + number % (isa_row_count - 1)));
    else
        program_generate(p, seed);
}

static void load(void *context, struct vm *vm) { program_load(context, vm); }

static struct pair_setup setup_for(const struct options *o, struct program *p)
{
    return (struct pair_setup){
        .engines = {o->engines[0], o->engines[1]},
        .model = &cpu_models[p->model],
        .limit = p->limit,
        .cut_seed = p->cut_seed,
        .load = load,
        .context = p,
    };
}

/* What became of a program. An engine may crash, or go round for ever. */
enum verdict { VERDICT_AGREE, VERDICT_DISAGREE, VERDICT_CRASH };

struct trial {
    const struct options *options;
    const struct program *before; /* runs first, in the same machines; NULL: new machines */
    struct program program;
    enum verdict verdict; /* of the program: what is looked for */
};

static int work_trial(void *context)
{
    struct trial *t = context;
    struct pair_pool pool = {.vm = {{NULL}}};
    struct pair_setup setup = setup_for(t->options, &t->program);
    apart_limit(PROGRAM_SECONDS_MAX);
    if (t->before) {
        struct program before = *t->before;
        struct pair_setup first = setup_for(t->options, &before);
        setup.pool = first.pool = &pool;
        (void)pair_run(&first, NULL);
    }
    return pair_run(&setup, NULL).result == PAIR_DISAGREE ? VERDICT_DISAGREE : VERDICT_AGREE;
}

static bool shows(struct trial *t)
{
    int result = apart_run(work_trial, t);
    return (result == APART_CRASHED ? (int)VERDICT_CRASH : result) == (int)t->verdict;
}

static bool is_wanted(void *context, const struct program *p)
{
    struct trial t = *(struct trial *)context;
    t.program = *p;
    return shows(&t);
}

static bool is_wanted_before(void *context, const struct program *p)
{
    struct trial t = *(struct trial *)context;
    t.before = p;
    return shows(&t);
}

/* The least number of instructions after which the two differ, run in one go. */
static u64 first_difference(const struct options *o, struct program *p)
{
    u64 same = 0, differs = p->limit;
    struct pair_setup setup = setup_for(o, p);
    setup.cut_seed = 0;
    while (differs - same > 1) {
        setup.limit = same + (differs - same) / 2;
        if (pair_run(&setup, NULL).result == PAIR_DISAGREE)
            differs = setup.limit;
        else
            same = setup.limit;
    }
    return differs;
}

/* ---- Report --------------------------------------------------------------------------------------- */

static void print_value(const u8 *value, unsigned bytes)
{
    for (unsigned n = bytes; n--;)
        printf("%02x", value[n]);
}

static void print_differences(struct vm *vm[2])
{
    struct state_difference list[DIFFERENCES_SHOWN];
    unsigned count = state_differences(vm[0], vm[1], list, DIFFERENCES_SHOWN);
    for (unsigned n = 0; n < count && n < DIFFERENCES_SHOWN; n++) {
        printf("  %-14s %s ", list[n].name, vm[0]->config.engine->name);
        print_value(list[n].a, list[n].bytes);
        printf("  %s ", vm[1]->config.engine->name);
        print_value(list[n].b, list[n].bytes);
        printf("\n");
    }
    u64 at = memory_first_difference(vm[0], vm[1], 0);
    for (unsigned n = 0; n < MEMORY_SHOWN && at != UINT64_MAX; n++) {
        printf("  memory %08" PRIx64 "  %s %02x  %s %02x\n", at, vm[0]->config.engine->name,
               *physmem_pointer(&vm[0]->memory, gpa(at)), vm[1]->config.engine->name,
               *physmem_pointer(&vm[1]->memory, gpa(at)));
        at = memory_first_difference(vm[0], vm[1], at + 1);
    }
}

/* Where the believed engine stands, an instruction before `icount`. */
static void print_instruction_before(const struct options *o, struct program *p, u64 icount)
{
    struct vm *vm[2];
    char text[DISASM_MAX];
    u8 bytes[INSN_MAX];
    struct pair_setup setup = setup_for(o, p);
    setup.engines[1] = setup.engines[0];
    setup.cut_seed = 0;
    setup.limit = icount - 1;
    if (pair_run(&setup, vm).result == PAIR_IMPOSSIBLE)
        return;
    struct vcpu *v = vm[0]->vcpu[0];
    u64 linear = (v->mode == CODE_64 ? 0 : v->cpu.seg[SEG_CS].base) + v->cpu.rip;
    for (unsigned n = 0; n < INSN_MAX; n++) {
        const u8 *from = physmem_pointer(&vm[0]->memory, gpa(linear + n));
        bytes[n] = from ? *from : 0xff;
    }
    disasm(bytes, INSN_MAX, (enum code_mode)v->mode, v->cpu.rip, text);
    printf("the last of them, at %04x:%08" PRIx64 " (if mapped one to one): %s\n", v->cpu.seg[SEG_CS].selector,
           v->cpu.rip, text);
    vm_destroy(vm[0]);
    vm_destroy(vm[1]);
}

static void report(const struct options *o, struct program *p, bool crashes)
{
    struct vm *vm[2];
    program_print(p);
    if (crashes)
        return;
    struct pair_setup setup = setup_for(o, p);
    if (!p->cut_seed) {
        setup.limit = first_difference(o, p);
        printf("different after %" PRIu64 " instructions\n", setup.limit);
        print_instruction_before(o, p, setup.limit);
    }
    if (pair_run(&setup, vm).result == PAIR_IMPOSSIBLE)
        return;
    print_differences(vm);
    vm_destroy(vm[0]);
    vm_destroy(vm[1]);
}

/* ---- The search ----------------------------------------------------------------------------------- */

/* New machines agree on it: what earlier programs have left in an engine makes the difference. Looks for one of them that
 * is enough. `vm` is as in examine(). */
static void examine_history(struct trial *t, u64 number, struct vm *vm[2])
{
    struct program before;
    u64 n = number;
    for (unsigned tries = 0; n && tries < PREDECESSORS && !t->before; tries++) {
        generate(t->options, &before, --n);
        t->before = before.model == t->program.model ? &before : NULL;
        if (t->before && !shows(t))
            t->before = NULL;
    }
    if (!t->before) {
        printf("New machines agree on it: it depends on several programs before. Run the same seed from program 0.\n");
        program_print(&t->program);
        if (vm)
            print_differences(vm);
        return;
    }
    if (t->options->shrink) {
        shrink(&t->program, is_wanted, t);
        shrink(&before, is_wanted_before, t);
    }
    printf("New machines agree on it, but not after program %" PRIu64 ". First this one runs:\n", n);
    program_print(&before);
    printf("then, in the same machines, this one:\n");
    program_print(&t->program);
    if (vm)
        print_differences(vm);
}

static int work_report(void *context)
{
    struct trial *t = context;
    apart_limit(PROGRAM_SECONDS_MAX);
    report(t->options, &t->program, t->verdict == VERDICT_CRASH);
    return 0;
}

/* A program that has failed: `vm` shows how, or is NULL if an engine has crashed. */
static void examine(const struct options *o, u64 number, struct vm *vm[2])
{
    struct trial t = {.options = o, .verdict = vm ? VERDICT_DISAGREE : VERDICT_CRASH};
    generate(o, &t.program, number);
    printf("%s and %s %s: --seed %" PRIu64 " --program %" PRIu64 "\n", o->engines[0]->name, o->engines[1]->name,
           vm ? "differ" : "crash or do not end", o->seed, number);
    if (!is_wanted(&t, &t.program)) {
        examine_history(&t, number, vm);
        return;
    }
    if (o->shrink)
        shrink(&t.program, is_wanted, &t);
    (void)apart_run(work_report, &t); /* whoever looks closer may crash, too */
}

/* True if the engines agree. */
static bool run_program(const struct options *o, struct pair_pool *pool, struct coverage *coverage, u64 number)
{
    struct program p;
    struct vm *vm[2];
    generate(o, &p, number);
    if (o->show) {
        program_print(&p);
        fflush(stdout);
    }
    struct pair_setup setup = setup_for(o, &p);
    setup.pool = pool;
    apart_limit(PROGRAM_SECONDS_MAX);
    struct pair_outcome outcome = pair_run(&setup, vm);
    enum pair_result result = outcome.result;
    apart_limit(0); /* what follows has limits of its own */
    if (outcome.stop[0] != outcome.stop[1])
        printf("they stop for different reasons (enum vm_stop): %d, %d\n", outcome.stop[0], outcome.stop[1]);
    if (result == PAIR_DISAGREE)
        examine(o, number, vm);
    if (result == PAIR_AGREE && o->rows)
        coverage_add(coverage, o->engines[0], &p);
    return result != PAIR_DISAGREE;
}

/* How far the search is; shared with the process that does it. */
struct progress {
    u64 next, bad;
    struct coverage coverage;
};

static bool goes_on(const struct options *o, const struct progress *at, u64 begin)
{
    if (at->bad && !o->keep_going)
        return false;
    if (o->program != NO_PROGRAM)
        return at->next == o->program;
    return o->programs ? at->next < o->programs : (double)(host_nanoseconds() - begin) < o->seconds * 1e9;
}

struct search {
    const struct options *options;
    struct progress *at;
    u64 begin;
};

static int work_search(void *context)
{
    static struct pair_pool pool;
    const struct search *s = context;
    for (; goes_on(s->options, s->at, s->begin); s->at->next++)
        s->at->bad += !run_program(s->options, &pool, &s->at->coverage, s->at->next);
    pair_pool_destroy(&pool);
    return 0;
}

static void write_rows(const struct options *o, const struct coverage *c)
{
    FILE *f = o->rows ? fopen(o->rows, "we") : NULL;
    for (unsigned row = 1; f && row < isa_row_count; row++)
        fprintf(f, "%u %" PRIu64 " %" PRIu64 "\n", row, c->executed[row], c->trapped[row]);
    if (o->rows && (!f || fclose(f)))
        usage("--rows: the file cannot be written");
}

static int search(const struct options *o)
{
    struct search s = {.options = o, .at = apart_shared(sizeof *s.at), .begin = host_nanoseconds()};
    if (!s.at)
        usage("the host gives no memory");
    s.at->next = o->program != NO_PROGRAM ? o->program : o->from;
    while (goes_on(o, s.at, s.begin)) {
        int result = apart_run(work_search, &s);
        if (result == APART_NO_PROCESS)
            usage("the host gives no process");
        if (result != APART_CRASHED)
            break;
        s.at->bad++;
        examine(o, s.at->next++, NULL);
    }
    printf("%" PRIu64 " programs on %s and %s, seed %" PRIu64 ": %" PRIu64 " fail\n", s.at->next, o->engines[0]->name,
           o->engines[1]->name, o->seed, s.at->bad);
    write_rows(o, &s.at->coverage);
    return s.at->bad != 0;
}

static int coverage(const struct options *o)
{
    static struct coverage c;
    unsigned executed = 0;
    for (u64 n = 0; n < o->coverage; n++) {
        struct program p;
        generate(o, &p, n);
        coverage_add(&c, o->engines[0], &p);
    }
    for (unsigned row = 1; row < isa_row_count; row++) {
        printf("%10" PRIu64 "  row %u: %s", c.executed[row], row, isa_rows[row].mnemonic);
        for (unsigned n = 0; n < ISA_OPERANDS && isa_rows[row].operands[n]; n++)
            printf("%s %s", n ? "," : "", isa_operands[isa_rows[row].operands[n]].text);
        printf("\n");
        executed += c.executed[row] != 0;
    }
    printf("%u of %u rows executed; %" PRIu64 " instructions, %" PRIu64 " faults\n", executed, isa_row_count - 1,
           c.instructions, c.faults);
    return 0;
}

static void choose_engines(struct options *o, const char *text)
{
    char names[80];
    snprintf(names, sizeof names, "%s", text);
    char *comma = strchr(names, ',');
    if (!comma)
        usage("--engines wants two names, as in interp,sbe");
    *comma = 0;
    o->engines[0] = engine_find(names);
    o->engines[1] = engine_find(comma + 1);
    if (!o->engines[0] || !o->engines[1])
        usage("--engines: no such engine; `reprise list` shows them");
    for (unsigned n = 0; n < 2; n++)
        if (engine_missing(o->engines[n]))
            usage(engine_missing(o->engines[n]));
}

static bool take_flag(struct options *o, const char *word)
{
    if (!strcmp(word, "--keep-going"))
        o->keep_going = true;
    else if (!strcmp(word, "--no-shrink"))
        o->shrink = false;
    else if (!strcmp(word, "--system"))
        o->system = true;
    else if (!strcmp(word, "--by-row"))
        o->by_row = true;
    else if (!strcmp(word, "--show"))
        o->show = true;
    else
        return false;
    return true;
}

static void take_value(struct options *o, const char *word, const char *value)
{
    if (!strcmp(word, "--engines"))
        choose_engines(o, value);
    else if (!strcmp(word, "--rows"))
        o->rows = value;
    else if (!strcmp(word, "--seconds"))
        o->seconds = strtod(value, NULL);
    else if (!strcmp(word, "--programs"))
        o->programs = strtoull(value, NULL, 0);
    else if (!strcmp(word, "--from"))
        o->from = strtoull(value, NULL, 0);
    else if (!strcmp(word, "--seed"))
        o->seed = strtoull(value, NULL, 0);
    else if (!strcmp(word, "--coverage"))
        o->coverage = strtoull(value, NULL, 0);
    else if (!strcmp(word, "--program"))
        o->program = strtoull(value, NULL, 0);
    else
        usage("unknown option");
}

/* The last engine of the list against the first one, unless told otherwise. */
static void default_engines(struct options *o)
{
    o->engines[0] = o->engines[1] = engine_at(0);
    for (unsigned n = 1; engine_at(n); n++)
        o->engines[1] = engine_at(n);
}

int main(int argc, char **argv)
{
    struct options o = {.seconds = SECONDS_DEFAULT, .program = NO_PROGRAM, .shrink = true};
    default_engines(&o);
    for (int n = 1; n < argc; n++) {
        if (take_flag(&o, argv[n]))
            continue;
        if (n + 1 == argc)
            usage("an option wants a value");
        take_value(&o, argv[n], argv[n + 1]);
        n++;
    }
    return o.coverage ? coverage(&o) : search(&o);
}
