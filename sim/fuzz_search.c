#include "sim/fuzz_verb.h"

#include "sim/complain.h"
#include "sim/exit_code.h"
#include "sim/fuzz_guest.h"
#include "sim/host_linux.h"
#include "sim/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, ARGUMENTS_MAX = 96, LOGS_MAX = 1000 };

/* afl-fuzz's own clock only has to end what never comes back to us. */
static const char run_timeout_ms[] = "20000", start_timeout_ms[] = "3600000";

/* ---- Before -------------------------------------------------------------------------------------- */

static bool make_folder(const char *path) { return !mkdir(path, 0777) || errno == EEXIST; }

/* Some input to begin with, where the user has none. */
static bool make_seed(const char *folder)
{
    char path[PATH_BYTES + 20];
    snprintf(path, sizeof path, "%s/seed", folder);
    FILE *f = make_folder(folder) ? fopen(path, "we") : NULL;
    bool ok = f && fputs("seed", f) >= 0;
    return f && !fclose(f) && ok;
}

static void set_environment(const struct fuzz_search *s)
{
    setenv("AFL_SKIP_CPUFREQ", "1", 0);
    setenv("AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES", "1", 0);
    setenv("AFL_AUTORESUME", "1", 0);
    setenv("AFL_NO_AFFINITY", "1", 0);
    setenv("AFL_SKIP_BIN_CHECK", "1", 1);
    setenv("AFL_FORKSRV_INIT_TMOUT", start_timeout_ms, 1);
    if (!isatty(STDOUT_FILENO) || s->json)
        setenv("AFL_NO_UI", "1", 1);
    if (s->until_crash)
        setenv("AFL_BENCH_UNTIL_CRASH", "1", 1);
}

/* afl-fuzz, with this program and this verb's arguments as its target. */
static void become_afl(const struct fuzz_search *s, const char *seeds, const char *log_path)
{
    static char self[PATH_BYTES], seconds[32];
    const char *argument[ARGUMENTS_MAX] = {"afl-fuzz", "-t", run_timeout_ms, "-i", seeds, "-o", s->output};
    int count = 7;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (s->nanoseconds) {
        snprintf(seconds, sizeof seconds, "%" PRIu64, (s->nanoseconds + 999999999) / 1000000000);
        argument[count++] = "-V";
        argument[count++] = seconds;
    }
    argument[count++] = "--";
    argument[count++] = n > 0 ? self : "reprise";
    argument[count++] = "fuzz";
    for (int i = 0; i < s->argc && count < ARGUMENTS_MAX - 2; i++)
        argument[count++] = s->argv[i];
    argument[count++] = "--target";
    set_environment(s);
    if (getenv("AFL_NO_UI")) {
        int fd = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
    }
    execvp("afl-fuzz", (char *const *)argument);
    _exit(127);
}

/* afl-fuzz's exit code; 127: there is none. Ctrl-C is for it to answer. */
static int run_afl(const struct fuzz_search *s, const char *seeds, const char *log_path)
{
    int status;
    fflush(stdout);
    signal(SIGINT, SIG_IGN);
    pid_t child = fork();
    if (!child) {
        signal(SIGINT, SIG_DFL);
        become_afl(s, seeds, log_path);
    }
    if (child < 0)
        return 127;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    signal(SIGINT, SIG_DFL);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* ---- After --------------------------------------------------------------------------------------- */

struct report {
    unsigned crashes;
    char log[LOGS_MAX][PATH_BYTES / 8];
    struct fuzz_outcome outcome[LOGS_MAX];
};

static double figure(const struct fuzz_search *s, const char *key)
{
    char path[PATH_BYTES], line[400];
    double value = 0;
    snprintf(path, sizeof path, "%.4000s/default/fuzzer_stats", s->output);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (colon && !strncmp(line, key, strlen(key)) && strspn(line + strlen(key), " ") == (size_t)(colon - line) - strlen(key))
            value = strtod(colon + 1, NULL);
    }
    if (f)
        fclose(f);
    return value;
}

static bool is_crash(const struct dirent *e) { return !strncmp(e->d_name, "id:", 3) || !strncmp(e->d_name, "id_", 3); }

/* A name without colons and commas, which make trouble in paths: "000001", from "id:000001,sig:06,...". */
static bool log_crash(struct fuzz_guest *g, const struct fuzz_search *s, const char *name, struct report *report)
{
    char path[PATH_BYTES], message[FUZZ_MESSAGE_MAX];
    char *log = report->log[report->crashes];
    struct file input;
    snprintf(path, sizeof path, "%.3500s/default/crashes/%.400s", s->output, name);
    if (report->crashes == LOGS_MAX || !file_read(path, FUZZ_INPUT_MAX, &input, message))
        return true; /* it has gone meanwhile */
    snprintf(log, sizeof report->log[0], "%.400s/crashes/%.6s.rlog", s->output, name + 3);
    bool ok = fuzz_guest_record(g, log, &input, &report->outcome[report->crashes], message);
    file_free(&input);
    report->crashes += ok;
    return ok || complain(0, message);
}

static bool log_crashes(struct fuzz_guest *g, const struct fuzz_search *s, struct report *report)
{
    char folder[PATH_BYTES];
    struct dirent **list;
    bool ok = true;
    snprintf(folder, sizeof folder, "%.4000s/default/crashes", s->output);
    int count = scandir(folder, &list, NULL, alphasort);
    for (int n = 0; n < count; n++) {
        if (is_crash(list[n]))
            ok &= log_crash(g, s, list[n]->d_name, report);
        free(list[n]);
    }
    if (count >= 0)
        free(list);
    return ok;
}

static void put_report(const struct fuzz_search *s, const struct report *r)
{
    printf("%.0f runs, %.0f/s, %.0f edges, %.0f inputs kept, %u crashes\n", figure(s, "execs_done"), figure(s, "execs_per_sec"),
           figure(s, "edges_found"), figure(s, "corpus_count"), r->crashes);
    for (unsigned n = 0; n < r->crashes; n++)
        printf("  %s: %s, value 0x%" PRIx64 ", after %" PRIu64 " instructions\n", r->log[n], fuzz_end_names[r->outcome[n].end],
               r->outcome[n].value, r->outcome[n].instructions);
    if (r->crashes)
        printf("  reprise replay LOG --gdb 1234     debugs one, also backwards\n");
}

static void put_report_json(const struct fuzz_search *s, const struct report *r)
{
    printf("{\"runs\": %.0f, \"runs_per_second\": %.2f, \"edges\": %.0f, \"corpus\": %.0f, \"seconds\": %.0f, \"crashes\": [",
           figure(s, "execs_done"), figure(s, "execs_per_sec"), figure(s, "edges_found"), figure(s, "corpus_count"),
           figure(s, "run_time"));
    for (unsigned n = 0; n < r->crashes; n++) {
        printf("%s{\"log\": ", n ? ", " : "");
        text_put_json(stdout, r->log[n]);
        printf(", \"end\": \"%s\", \"value\": \"0x%" PRIx64 "\", \"instructions\": %" PRIu64 "}", fuzz_end_names[r->outcome[n].end],
               r->outcome[n].value, r->outcome[n].instructions);
    }
    printf("]}\n");
}

static int conclude(struct fuzz_guest *g, const struct fuzz_search *s)
{
    static struct report report;
    bool ok = log_crashes(g, s, &report);
    (s->json ? put_report_json : put_report)(s, &report);
    return fflush(stdout) || !ok ? EXIT_HOST : report.crashes ? EXIT_GUEST : EXIT_POWER_OFF;
}

int fuzz_search_run(struct fuzz_guest *g, const struct fuzz_setup *setup, const struct fuzz_search *s)
{
    static char seeds[PATH_BYTES], crashes[PATH_BYTES], log[PATH_BYTES];
    char message[FUZZ_MESSAGE_MAX];
    static u8 map[1 << 16];
    int code = fuzz_guest_open(g, setup, map); /* what is wrong is better said before afl-fuzz starts */
    if (code)
        return code;
    snprintf(seeds, sizeof seeds, s->seeds ? "%.4000s" : "%.4000s/seeds", s->seeds ? s->seeds : s->output);
    snprintf(crashes, sizeof crashes, "%.4000s/crashes", s->output);
    snprintf(log, sizeof log, "%.4000s/afl-fuzz.log", s->output);
    if (!make_folder(s->output) || !make_folder(crashes) || (!s->seeds && !make_seed(seeds))) {
        snprintf(message, sizeof message, "--output: %.200s: %s; choose a folder where you may write", s->output, strerror(errno));
        code = complain(EXIT_USAGE, message);
    } else if ((code = run_afl(s, seeds, log)) == 127) {
        code = complain(EXIT_HOST, "fuzz: afl-fuzz cannot be run; install it (Debian: apt install afl++)");
    } else if (code && !figure(s, "execs_done")) {
        snprintf(message, sizeof message, "fuzz: afl-fuzz failed; what it says is in %.300s", log);
        code = complain(EXIT_HOST, message);
    } else {
        code = conclude(g, s);
    }
    fuzz_guest_close(g);
    return code;
}
