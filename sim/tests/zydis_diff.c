/* Differential test of the decoder against Zydis: zydis_diff [cases per mode [seed]].
 *
 * For each mode: every legacy opcode with every ModRM byte and mandatory prefix, instances of isa.def rows under random
 * prefixes, VEX encodings, and random strings. Each difference must be one that zydis_exceptions.c explains; the others
 * are printed, and fail the test. So does a truncated string that does not decode as such. */
#include "sim/tests/zydis_cases.h"
#include "sim/tests/zydis_exceptions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_CASES = 2400000, GROUPS_MAX = 4096, EXCEPTIONS_MAX = 256 };

/* Unexplained differences of one kind: counted, with one example. */
struct group {
    char key[160];
    unsigned count;
    enum code_mode mode;
    u8 example[CASE_BYTES];
};

struct run {
    enum code_mode mode;
    u64 cases, verdicts[VERDICT_DIFFERENT + 1], explained[EXCEPTIONS_MAX], truncations, truncation_failures;
    struct group groups[GROUPS_MAX];
    unsigned group_count;
    u64 unexplained;
};

static const char *const verdict_names[] = {
    "both refuse", "same", "only ours decodes", "only Zydis decodes", "decoded differently"};
static const char *const mode_names[] = {"16-bit", "32-bit", "64-bit"};

static void report_unexplained(struct run *run, const struct comparison *c, const u8 bytes[CASE_BYTES])
{
    bool zydis = ZYAN_SUCCESS(c->zydis_status);
    char key[sizeof(run->groups[0].key)];
    snprintf(key, sizeof(key), "%s; Zydis: %s (%s, status %x); ours: %s; %s", verdict_names[c->verdict],
             zydis ? ZydisMnemonicGetString(c->zydis.mnemonic) : "-",
             zydis ? ZydisISASetGetString(c->zydis.meta.isa_set) : "-", c->zydis_status & 0xff,
             c->ours_status == DECODE_OK ? isa_rows[c->ours.row].mnemonic : "-", c->what ? c->what : "");
    run->unexplained++;
    unsigned n = 0;
    while (n < run->group_count && strcmp(run->groups[n].key, key))
        n++;
    if (n == GROUPS_MAX)
        return;
    struct group *group = &run->groups[n];
    if (n == run->group_count) {
        run->group_count++;
        memcpy(group->key, key, sizeof(key));
        memcpy(group->example, bytes, CASE_BYTES);
        group->mode = run->mode;
    }
    group->count++;
}

/* Every proper prefix of an instruction is truncated, whatever follows; the whole of it is not. */
static void check_truncation(struct run *run, const struct comparison *c, const u8 *bytes, unsigned available)
{
    struct insn insn;
    run->truncations++;
    bool right = decode(bytes, available % c->ours.length, run->mode, &insn) == DECODE_TRUNCATED &&
                 decode(bytes, c->ours.length, run->mode, &insn) == DECODE_OK &&
                 !memcmp(&insn, &c->ours, offsetof(struct insn, vex_l) + 1); /* not the padding */
    run->truncation_failures += !right;
}

static void run_case(struct run *run, const ZydisDecoder *decoder, const u8 bytes[CASE_BYTES])
{
    static struct comparison c;
    compare(decoder, run->mode, bytes, &c);
    run->cases++;
    run->verdicts[c.verdict]++;
    if (c.ours_status == DECODE_OK && run->cases % 4 == 0)
        check_truncation(run, &c, bytes, (unsigned)(run->cases / 4));
    if (c.verdict == VERDICT_SAME || (c.verdict == VERDICT_BOTH_REFUSE && !c.what))
        return;
    const struct exception *e = exception_find(&c);
    if (e)
        run->explained[e - exceptions]++;
    else
        report_unexplained(run, &c, bytes);
}

static void run_mode(struct run *run, enum code_mode mode, u64 cases, u64 seed)
{
    struct random r = {seed ^ (u64)mode << 56};
    ZydisDecoder decoder;
    zydis_decoder(&decoder, mode);
    run->mode = mode;
    u8 bytes[CASE_BYTES];
    for (u64 n = 0; n < cases; n++) {
        if (n < CASES_SWEEP)
            case_sweep(&r, (unsigned)n, mode, bytes);
        else if (n % 8 < 4)
            case_row(&r, mode, bytes);
        else if (n % 8 < 5)
            case_vex(&r, bytes);
        else
            case_random(&r, bytes);
        run_case(run, &decoder, bytes);
    }
}

static void print_run(const struct run *run)
{
    printf("%s: %llu strings", mode_names[run->mode], (unsigned long long)run->cases);
    for (unsigned n = 0; n <= VERDICT_DIFFERENT; n++)
        printf(", %s %llu", verdict_names[n], (unsigned long long)run->verdicts[n]);
    printf("; truncations checked %llu, wrong %llu\n", (unsigned long long)run->truncations,
           (unsigned long long)run->truncation_failures);
    for (unsigned n = 0; n < exception_count; n++)
        if (run->explained[n])
            printf("  %8llu  %s: %s\n", (unsigned long long)run->explained[n], verdict_names[exceptions[n].verdict],
                   exceptions[n].reason);
    for (unsigned n = 0; n < run->group_count; n++) {
        printf("  UNEXPLAINED %u: %s:", run->groups[n].count, run->groups[n].key);
        for (unsigned at = 0; at < INSN_MAX; at++)
            printf(" %02x", run->groups[n].example[at]);
        printf("\n");
    }
}

/* Exceptions that explained nothing: claims that this run did not test. */
static void print_unused(const bool *used)
{
    for (unsigned n = 0; n < exception_count; n++)
        if (!used[n])
            printf("not met in this run: %s\n", exceptions[n].reason);
}

int main(int argc, char **argv)
{
    u64 cases = argc > 1 ? strtoull(argv[1], NULL, 0) : DEFAULT_CASES;
    u64 seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    bool failed = exception_count > EXCEPTIONS_MAX, used[EXCEPTIONS_MAX] = {false};
    if (failed)
        return 2;
    for (enum code_mode mode = CODE_16; mode <= CODE_64; mode++) {
        struct run *run = calloc(1, sizeof(*run));
        if (!run)
            return 2;
        run_mode(run, mode, cases, seed);
        print_run(run);
        for (unsigned n = 0; n < exception_count; n++)
            used[n] |= run->explained[n] != 0;
        failed |= run->unexplained || run->truncation_failures;
        free(run);
    }
    print_unused(used);
    puts(failed ? "FAILED" : "every difference is explained");
    return failed;
}
