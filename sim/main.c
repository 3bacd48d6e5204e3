#include "core/selftest.h"
#include "core/version.h"
#include "sim/exit_code.h"
#include "sim/fuzz_verb.h"
#include "sim/help.h"
#include "sim/log_verbs.h"
#include "sim/options.h"
#include "sim/replay_verb.h"
#include "sim/run.h"
#include "sim/tool_verbs.h"
#include "sim/verify.h"

#include <string.h>

/* Help that could not be printed, say into a full disk, has not been given. */
static int finish_output(void)
{
    return fflush(stdout) || ferror(stdout) ? EXIT_HOST : EXIT_POWER_OFF;
}

static int verb_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("reprise %s\n", REPRISE_VERSION);
    return finish_output();
}

static int verb_list(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    help_list(stdout);
    return finish_output();
}

static const char *candidate_verb(unsigned n, const void *context)
{
    (void)context;
    return verbs[n].name;
}

static int unknown_verb(const char *word)
{
    const char *near = nearest(word, candidate_verb, NULL);
    fprintf(stderr, "reprise: there is no verb \"%.80s\"; ", word);
    fprintf(stderr, near ? "did you mean `reprise %s`?\n" : "`reprise help` lists them\n", near);
    return EXIT_USAGE;
}

static const struct verb *find_verb(const char *name)
{
    for (const struct verb *v = verbs; v->name; v++)
        if (!strcmp(v->name, name))
            return v;
    return NULL;
}

/* The lines are those of the metal image, so that the two can be compared. */
static int verb_selftest(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    struct selftest_result result = selftest_run();
    printf("self-test: %s%s\n", result.passed ? "passed" : "FAILED: ", result.passed ? "" : result.failure);
    printf("self-test state hash: 0x%llx\n", (unsigned long long)result.hash);
    int code = finish_output();
    return result.passed ? code : EXIT_HOST;
}

/* Some verbs have more to say than the overview does. */
static int verb_help(int argc, char **argv)
{
    static const char *const with_options[] = {"run", "replay", "seek", "verify", "info", "log", "diff", "trace",
                                               "who-wrote", "core", "timeline", "fuzz", NULL};
    static char help[] = "--help";
    const struct verb *verb = argc ? find_verb(argv[0]) : NULL;
    if (argc && !verb)
        return unknown_verb(argv[0]);
    if (verb && options_listed(with_options, verb->name))
        return verb->run(1, (char *[]){help, NULL});
    help_overview(stdout);
    return finish_output();
}

enum { SEEK_ARGUMENTS_MAX = 32 };

static int help_seek(void)
{
    puts("Usage: reprise seek LOG|--last ICOUNT [OPTIONS]\n"
         "Prints where the guest of a recorded run is after ICOUNT instructions: registers, code, stack.\n"
         "OPTIONS are those of `reprise replay`, such as --engine, --verify or --snapshot-to FILE.\n"
         "\n"
         "  reprise seek --last 500M\n"
         "  reprise seek boot.rlog 1500000 --snapshot-to there.snapshot");
    return finish_output();
}

/* A replay without the guest's output. */
static int verb_seek(int argc, char **argv)
{
    char *arguments[SEEK_ARGUMENTS_MAX] = {"--serial", "none", "--debug-console", "none"};
    unsigned count = 4;
    if (argc == 1 && (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h")))
        return help_seek();
    if (argc < 2 || argc > SEEK_ARGUMENTS_MAX - 5 || (argv[0][0] == '-' && strcmp(argv[0], "--last")) ||
        argv[1][0] == '-') {
        fprintf(stderr, "reprise: seek takes a log and an icount; write for example `reprise seek LOG 1500000`\n");
        return EXIT_USAGE;
    }
    arguments[count++] = argv[0];
    arguments[count++] = "--to";
    for (int n = 1; n < argc; n++)
        arguments[count++] = argv[n];
    return verb_replay((int)count, arguments);
}

const struct verb verbs[] = {
    {"run", "OPTIONS", "boot a kernel and run it to its end", verb_run},
    {"replay", "LOG|--last", "repeat a recorded run", verb_replay},
    {"seek", "LOG|--last ICOUNT", "print where a recorded run is after so many instructions", verb_seek},
    {"info", "LOG|--last", "say what a log holds: machine, length, sizes, hashes", verb_info},
    {"log", "LOG|--last", "list the events of a log", verb_log},
    {"trace", "LOG|--last OPTIONS", "print instructions, memory accesses and events of a stretch of a recorded run", verb_trace},
    {"who-wrote", "LOG|--last ADDRESS", "print which instruction last wrote to an address", verb_who_wrote},
    {"core", "LOG|--last --at ICOUNT -o FILE", "write an ELF core of the guest for gdb and crash", verb_core},
    {"timeline", "LOG|--last OPTIONS", "draw a picture of a recorded run: on the terminal, as SVG or numbers", verb_timeline},
    {"diff", "LOG LOG", "print the first difference of two recorded runs", verb_diff},
    {"verify", "--engines A,B OPTIONS", "run two engines in step and find their first difference", verb_verify},
    {"fuzz", "--guest LOG OPTIONS", "search for inputs that crash a guest, with afl-fuzz", verb_fuzz},
    {"list", "", "list processor models and engines", verb_list},
    {"selftest", "", "run the build's self-test, which the metal image runs too", verb_selftest},
    {"help", "[VERB]", "explain a verb", verb_help},
    {"version", "", "print the version", verb_version},
    {NULL, NULL, NULL, NULL},
};

/* Options in place of a verb. */
static int global_option(int argc, char **argv)
{
    const char *word = argv[0];
    if (!strcmp(word, "--help") || !strcmp(word, "-h"))
        return verb_help(0, NULL);
    if (!strcmp(word, "--version"))
        return verb_version(0, NULL);
    if (!strcmp(word, "--man")) {
        help_man_page(stdout);
        return finish_output();
    }
    if (!strcmp(word, "--completion")) {
        if (argc < 2 || strcmp(argv[1], "bash")) {
            fprintf(stderr, "reprise: --completion knows one shell; write --completion bash\n");
            return EXIT_USAGE;
        }
        help_completion(stdout);
        return finish_output();
    }
    fprintf(stderr, "reprise: %.80s is no verb; write `reprise run %.80s ...`, or `reprise help`\n", word, word);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "reprise: a verb is missing; try `reprise run --kernel FILE`, or `reprise help`\n");
        return EXIT_USAGE;
    }
    if (argv[1][0] == '-')
        return global_option(argc - 1, argv + 1);
    const struct verb *verb = find_verb(argv[1]);
    return verb ? verb->run(argc - 2, argv + 2) : unknown_verb(argv[1]);
}
