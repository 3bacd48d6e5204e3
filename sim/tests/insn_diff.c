/* Differential test of the interpreter, one instruction at a time, row by row of isa.def: `insn_diff --help`. */
#include "sim/tests/insn_diff.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GROUPS_MAX = 8192, EXCEPTIONS_MAX = 256, ROWS_MAX = 4096, EXIT_USAGE = 2, PLANT_EVERY = 997 };

static const char usage[] =
    "usage: insn_diff [OPTION]...\n"
    "Executes instances of each row of isa.def in the interpreter, in Unicorn and on the host processor, and\n"
    "compares registers, flags, memory, x87 and SSE state, exceptions.\n"
    "  --seed N        start of the random numbers (default 1); the same seed gives the same cases\n"
    "  --cases N       cases for each row and reference, at least (default 1000); the row's modes share them\n"
    "  --rows PATTERN  only rows whose mnemonic matches the shell pattern\n"
    "  --row N         only the row at this place in isa.def\n"
    "  --mode N        only 16-, 32- or 64-bit code\n"
    "  --on NAME       only this reference: unicorn or host\n"
    "  --plant         spoil a bit of what the interpreter computes now and then: the run must fail\n"
    "  --verbose       coverage of every row, and all exceptions\n"
    "  --help          this text\n"
    "Exit codes: 0 every difference is explained, 1 some are not, 2 usage or set-up.\n";

struct options {
    u64 seed;
    unsigned cases, row, mode;
    const char *rows;
    int on;
    bool verbose, plant;
};

/* Unexplained differences of one kind: counted, with one example. */
struct group {
    char key[96], text[DIFFERENCE_TEXT];
    unsigned count;
    u8 mode, length;
    u8 bytes[INSN_MAX + 1];
};

struct run {
    struct options options;
    struct batch *batch;
    struct worker *workers[REF_COUNT];
    const char *missing[REF_COUNT][CODE_64 + 1];
    u64 executed[ROWS_MAX][REF_COUNT];
    u64 explained[EXCEPTIONS_MAX], unexplained, total, skipped;
    bool no_encoding[ROWS_MAX];
    struct group groups[GROUPS_MAX];
    unsigned group_count;
};

static const struct backend *const backends[] = {[REF_UNICORN] = &backend_unicorn, [REF_HOST] = &backend_host};

/* ---- Options -------------------------------------------------------------------------------------- */

static unsigned long long number(const char *name, const char *text)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 0);
    if (!*text || *end) {
        fprintf(stderr, "insn_diff: %s: a number, not %s; see --help\n", name, text);
        exit(EXIT_USAGE);
    }
    return value;
}

static unsigned mode_of(const char *text)
{
    switch (number("--mode", text)) {
    case 16: return CODE_16;
    case 32: return CODE_32;
    case 64: return CODE_64;
    }
    fprintf(stderr, "insn_diff: --mode: 16, 32 or 64, not %s\n", text);
    exit(EXIT_USAGE);
}

static int reference_of(const char *text)
{
    for (int n = 0; n < REF_COUNT; n++)
        if (!strcmp(text, n == REF_UNICORN ? "unicorn" : "host"))
            return n;
    fprintf(stderr, "insn_diff: --on: unicorn or host, not %s\n", text);
    exit(EXIT_USAGE);
}

static bool parse_value(struct options *o, const char *name, const char *value)
{
    if (!value)
        return false;
    if (!strcmp(name, "--seed"))
        o->seed = number(name, value);
    else if (!strcmp(name, "--cases"))
        o->cases = (unsigned)number(name, value);
    else if (!strcmp(name, "--row"))
        o->row = (unsigned)number(name, value);
    else if (!strcmp(name, "--rows"))
        o->rows = value;
    else if (!strcmp(name, "--mode"))
        o->mode = mode_of(value);
    else if (!strcmp(name, "--on"))
        o->on = reference_of(value);
    else
        return false;
    return true;
}

static struct options parse(char **arguments)
{
    struct options o = {.seed = 1, .cases = 1000, .mode = CODE_64 + 1, .on = -1};
    for (char **a = arguments + 1; *a; a++) {
        if (!strcmp(*a, "--help")) {
            fputs(usage, stdout);
            exit(0);
        }
        if (!strcmp(*a, "--verbose"))
            o.verbose = true;
        else if (!strcmp(*a, "--plant"))
            o.plant = true;
        else if (!parse_value(&o, a[0], a[1])) {
            fprintf(stderr, "insn_diff: %s: unknown, or without its value; see --help\n", *a);
            exit(EXIT_USAGE);
        } else
            a++;
    }
    return o;
}

/* ---- Differences ---------------------------------------------------------------------------------- */

static void report_unexplained(struct run *run, const struct difference *d)
{
    char key[sizeof(run->groups[0].key)];
    const struct isa_row *row = &isa_rows[d->c->row];
    snprintf(key, sizeof(key), "%s %d-bit row %u %s: %s", backends[d->ref]->name, 16 << d->c->mode, d->c->row,
             row->mnemonic, d->what);
    run->unexplained++;
    unsigned n = 0;
    while (n < run->group_count && strcmp(run->groups[n].key, key))
        n++;
    if (n == GROUPS_MAX)
        return;
    struct group *g = &run->groups[n];
    if (n == run->group_count) {
        run->group_count++;
        memcpy(g->key, key, sizeof(key));
        memcpy(g->text, d->text, sizeof(g->text));
        memcpy(g->bytes, d->c->bytes, sizeof(g->bytes));
        g->mode = d->c->mode;
        g->length = d->c->length;
    }
    g->count++;
}

/* A test of the test: one bit of a register, of the flags or of RIP. */
static void spoil(struct outcome *o, u64 number)
{
    u64 *const places[] = {&o->out.gpr[RBX], &o->out.rflags, &o->out.rip};
    *places[number / PLANT_EVERY % ARRAY_LEN(places)] ^= FLAG_ZF;
}

static void judge(struct run *run, enum reference ref, const struct outcome *theirs)
{
    static struct outcome ours;
    static struct difference d[DIFFERENCES_MAX];
    for (unsigned n = 0; n < run->batch->count; n++) {
        const struct diff_case *c = &run->batch->cases[n];
        if (theirs[n].vector == OUTCOME_NOT_RUN) {
            run->skipped++;
            continue;
        }
        interp_execute(c, ref, &ours);
        run->executed[c->row][ref]++;
        run->total++;
        if (run->options.plant && run->total % PLANT_EVERY == 0)
            spoil(&ours, run->total);
        unsigned count = outcome_compare(c, ref, &ours, &theirs[n], d);
        for (unsigned k = 0; k < count; k++) {
            const struct exception *e = exception_find(&d[k]);
            if (e)
                run->explained[e - exceptions]++;
            else
                report_unexplained(run, &d[k]);
        }
    }
}

/* ---- Rows ----------------------------------------------------------------------------------------- */

static bool wanted_on(const struct run *run, unsigned row, enum code_mode mode, enum reference ref)
{
    return run->workers[ref] && !run->missing[ref][mode] && !row_excluded(row, mode, ref);
}

static bool in_mode(const struct run *run, unsigned row, enum code_mode mode)
{
    return (isa_rows[row].modes >> mode & 1) && (run->options.mode > CODE_64 || run->options.mode == mode);
}

/* Cases in each mode, so that every reference that can execute the row gets as many as were asked for. */
static unsigned cases_in_mode(const struct run *run, unsigned row)
{
    unsigned fewest = CODE_64 + 1;
    for (unsigned ref = 0; ref < REF_COUNT; ref++) {
        unsigned modes = 0;
        for (enum code_mode mode = CODE_16; mode <= CODE_64; mode++)
            modes += in_mode(run, row, mode) && wanted_on(run, row, mode, (enum reference)ref);
        fewest = modes && modes < fewest ? modes : fewest;
    }
    return (run->options.cases + fewest - 1) / fewest;
}

/* Fills the batch with up to `wanted` cases. */
static void make_batch(struct batch *b, struct random *r, unsigned row, enum code_mode mode, unsigned wanted)
{
    b->count = 0;
    while (b->count < BATCH_CASES && b->count < wanted && case_make(r, row, mode, b->count, &b->cases[b->count]))
        b->count++;
}

/* How many cases the reference that has executed fewest still lacks of `wanted`, given what it had `before`. */
static unsigned missing_cases(const struct run *run, unsigned row, const bool *on, const u64 *before, unsigned wanted)
{
    u64 most = 0;
    for (unsigned ref = 0; ref < REF_COUNT; ref++) {
        u64 done = run->executed[row][ref] - before[ref];
        if (on[ref] && done < wanted && wanted - done > most)
            most = wanted - done;
    }
    return (unsigned)most;
}

static void run_row_mode(struct run *run, unsigned row, enum code_mode mode)
{
    struct random r = {run->options.seed * 0x2545f4914f6cdd1dull + row * 4 + mode};
    bool on[REF_COUNT], any = false;
    u64 before[REF_COUNT];
    for (unsigned ref = 0; ref < REF_COUNT; ref++) {
        any |= on[ref] = wanted_on(run, row, mode, (enum reference)ref);
        before[ref] = run->executed[row][ref];
    }
    unsigned wanted = any ? cases_in_mode(run, row) : 0;
    unsigned left = wanted;
    for (unsigned batches = 0; left && batches < wanted; batches++) {
        make_batch(run->batch, &r, row, mode, left);
        if (!run->batch->count) {
            run->no_encoding[row] = true;
            return;
        }
        for (unsigned ref = 0; ref < REF_COUNT; ref++)
            if (on[ref])
                worker_start(run->workers[ref]);
        for (unsigned ref = 0; ref < REF_COUNT; ref++)
            if (on[ref])
                judge(run, (enum reference)ref, worker_wait(run->workers[ref]));
        left = missing_cases(run, row, on, before, wanted);
    }
}

static bool row_selected(const struct options *o, unsigned row)
{
    return (!o->row || o->row == row) && (!o->rows || !fnmatch(o->rows, isa_rows[row].mnemonic, 0));
}

static void run_rows(struct run *run)
{
    for (unsigned row = 1; row < isa_row_count; row++) {
        if (!row_selected(&run->options, row))
            continue;
        for (enum code_mode mode = CODE_16; mode <= CODE_64; mode++)
            if (in_mode(run, row, mode))
                run_row_mode(run, row, mode);
    }
}

/* ---- Reports -------------------------------------------------------------------------------------- */

static void print_differences(const struct run *run)
{
    for (unsigned n = 0; n < exception_count; n++)
        if (run->explained[n] || run->options.verbose)
            printf("  %8llu  %s: %s\n", (unsigned long long)run->explained[n],
                   exceptions[n].ref < 0 ? "any" : backends[exceptions[n].ref]->name, exceptions[n].reason);
    for (unsigned n = 0; n < run->group_count; n++) {
        const struct group *g = &run->groups[n];
        printf("UNEXPLAINED %u: %s: %s:", g->count, g->key, g->text);
        for (unsigned at = 0; at < g->length; at++)
            printf(" %02x", g->bytes[at]);
        printf("\n");
    }
}

static const char *why_not(const struct run *run, unsigned row, enum reference ref)
{
    const char *reason = NULL;
    for (enum code_mode mode = CODE_16; mode <= CODE_64 && !reason; mode++)
        if (isa_rows[row].modes >> mode & 1)
            reason = run->missing[ref][mode] ? run->missing[ref][mode] : row_excluded(row, mode, ref);
    return reason ? reason : run->no_encoding[row] ? "no encoding found" : "not run";
}

static const char *coverage_note(unsigned row, enum reference ref)
{
    return row_only_refused(row, ref) ? " (only the refusal at CPL 3)" : "";
}

static void print_rows(const struct run *run)
{
    for (unsigned row = 1; row < isa_row_count; row++) {
        if (!row_selected(&run->options, row))
            continue;
        const u64 *x = run->executed[row];
        if (!run->options.verbose && (x[REF_UNICORN] || x[REF_HOST]))
            continue;
        printf("row %u map %u opcode %02x %s:", row, isa_rows[row].map, isa_rows[row].opcode, isa_rows[row].mnemonic);
        for (unsigned ref = 0; ref < REF_COUNT; ref++)
            if (x[ref])
                printf(" %s %llu%s;", backends[ref]->name, (unsigned long long)x[ref],
                       coverage_note(row, (enum reference)ref));
            else
                printf(" %s: %s;", backends[ref]->name, why_not(run, row, (enum reference)ref));
        printf("\n");
    }
}

static void print_summary(const struct run *run)
{
    unsigned rows = 0, on[REF_COUNT] = {0}, refused = 0, either = 0;
    for (unsigned row = 1; row < isa_row_count; row++) {
        if (!row_selected(&run->options, row))
            continue;
        const u64 *x = run->executed[row];
        rows++;
        on[REF_UNICORN] += x[REF_UNICORN] != 0;
        on[REF_HOST] += x[REF_HOST] != 0;
        either += x[REF_UNICORN] || x[REF_HOST];
        refused += x[REF_HOST] && row_only_refused(row, REF_HOST);
    }
    printf("%u rows, %u covered by Unicorn, %u by the host (%u of them only as refused at CPL 3), %u by neither\n",
           rows, on[REF_UNICORN], on[REF_HOST], refused, rows - either);
    printf("%llu cases compared, %llu left out (LOCK where it is not allowed aborts Unicorn), seed %llu: %s\n",
           (unsigned long long)run->total, (unsigned long long)run->skipped, (unsigned long long)run->options.seed,
           run->unexplained ? "FAILED, differences are not explained" : "every difference is explained");
}

/* ---- */

static bool set_up(struct run *run)
{
    window_seed(run->options.seed);
    run->batch = batch_shared();
    if (!run->batch || exception_count > EXCEPTIONS_MAX || isa_row_count > ROWS_MAX)
        return false;
    for (unsigned ref = 0; ref < REF_COUNT; ref++) {
        for (enum code_mode mode = CODE_16; mode <= CODE_64; mode++) {
            run->missing[ref][mode] = backends[ref]->missing(mode);
            if (run->missing[ref][mode])
                printf("%s, %d-bit code: %s\n", backends[ref]->name, 16 << mode, run->missing[ref][mode]);
        }
        if (run->options.on < 0 || run->options.on == (int)ref) {
            run->workers[ref] = worker_open(backends[ref], run->batch);
            if (!run->workers[ref])
                return false;
        }
    }
    return interp_open();
}

int main(int argc, char **argv)
{
    (void)argc;
    struct run *run = calloc(1, sizeof(*run));
    if (!run)
        return EXIT_USAGE;
    run->options = parse(argv);
    if (!set_up(run)) {
        fprintf(stderr, "insn_diff: no machine, no memory or no reference: cannot go on\n");
        return EXIT_USAGE;
    }
    printf("seed %llu, %u cases for each row and reference\n", (unsigned long long)run->options.seed,
           run->options.cases);
    run_rows(run);
    print_differences(run);
    print_rows(run);
    print_summary(run);
    bool failed = run->unexplained != 0;
    for (unsigned ref = 0; ref < REF_COUNT; ref++)
        if (run->workers[ref])
            worker_close(run->workers[ref]);
    interp_close();
    free(run);
    return failed;
}
