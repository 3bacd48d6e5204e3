/* Runs an engine and measures its kernels from outside: `bench-stopwatch SECONDS COMMAND...`.
 *
 * Watches the command's output for the lines "bench: begin NAME", "bench: end NAME CHECKSUM TICKS" and
 * "bench: at NAME", wherever in a line they start, and reads the wall clock and the clock of the command's processor
 * time when they arrive. Prints, one line each:
 *
 *     kernel NAME CHECKSUM TICKS CPU-SECONDS WALL-SECONDS
 *     mark NAME CPU-SECONDS WALL-SECONDS (since the start)
 *     whole CPU-SECONDS WALL-SECONDS PEAK-BYTES EXIT-CODE
 *
 * The engine is killed after SECONDS. Exit code: 0, whatever the command's is; 1 if it could not be run; 2 usage. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 4096, NAME = 32 };

struct moment { double cpu, wall; };

struct watch {
    pid_t child;
    clockid_t cpu_clock;
    struct moment started, begun;
    char name[NAME], line[LINE];
    size_t used;
};

static double read_clock(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now))
        return 0; /* the process has ended */
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static struct moment moment(const struct watch *w)
{
    return (struct moment){read_clock(w->cpu_clock), read_clock(CLOCK_MONOTONIC)};
}

static void take_line(struct watch *w, struct moment now)
{
    char name[NAME], sum[NAME], ticks[NAME];
    const char *mark = strstr(w->line, "bench: ");
    if (!mark)
        return;
    if (sscanf(mark, "bench: at %31s", name) == 1) {
        printf("mark %s %.6f %.6f\n", name, now.cpu, now.wall - w->started.wall);
    } else if (sscanf(mark, "bench: begin %31s", name) == 1) {
        memcpy(w->name, name, NAME);
        w->begun = now;
    } else if (sscanf(mark, "bench: end %31s %31s %31s", name, sum, ticks) == 3 && !strcmp(name, w->name)) {
        printf("kernel %s %s %llu %.6f %.6f\n", name, sum, strtoull(ticks, NULL, 16), now.cpu - w->begun.cpu,
               now.wall - w->begun.wall);
        *w->name = 0;
    }
}

static void take(struct watch *w, const char *bytes, size_t count, struct moment now)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] == '\n') {
            w->line[w->used] = 0;
            take_line(w, now);
            w->used = 0;
        } else if (w->used < LINE - 1 && bytes[i]) {
            w->line[w->used++] = bytes[i];
        }
    }
}

/* Until the command closes its output, or the time is over. */
static void observe(struct watch *w, int from, double limit)
{
    char bytes[LINE];
    for (;;) {
        double left = w->started.wall + limit - read_clock(CLOCK_MONOTONIC);
        struct pollfd p = {.fd = from, .events = POLLIN};
        int ready = left > 0 ? poll(&p, 1, (int)(left * 1000) + 1) : 0;
        struct moment now = moment(w);
        if (ready == 0) {
            fprintf(stderr, "bench-stopwatch: killed after %.0f s\n", limit);
            kill(w->child, SIGKILL);
            return;
        }
        ssize_t n = ready > 0 ? read(from, bytes, sizeof bytes) : -1;
        if (n == 0 || (n < 0 && errno != EINTR))
            return;
        if (n > 0)
            take(w, bytes, (size_t)n, now);
    }
}

static double seconds(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec / 1e6; }

static void start(struct watch *w, char **command, int *from)
{
    int ends[2];
    if (pipe(ends) || (w->child = fork()) < 0) {
        perror("bench-stopwatch");
        exit(1);
    }
    if (!w->child) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execvp(command[0], command);
        perror(command[0]);
        _exit(127);
    }
    close(ends[1]);
    *from = ends[0];
    /* Late marks are wrong marks: the engine works on meanwhile. Only root may; a quiet machine does not need it. */
    if (sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1}))
        setpriority(PRIO_PROCESS, 0, -10);
    clock_getcpuclockid(w->child, &w->cpu_clock);
}

int main(int argc, char **argv)
{
    static struct watch w;
    struct rusage usage;
    int from, status;
    double limit = argc > 2 ? strtod(argv[1], NULL) : 0;
    if (limit <= 0) {
        fprintf(stderr, "usage: bench-stopwatch SECONDS COMMAND...\n");
        return 2;
    }
    w.started.wall = read_clock(CLOCK_MONOTONIC);
    start(&w, argv + 2, &from);
    observe(&w, from, limit);
    if (wait4(w.child, &status, 0, &usage) < 0)
        return 1;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    printf("whole %.6f %.6f %llu %d\n", seconds(usage.ru_utime) + seconds(usage.ru_stime),
           read_clock(CLOCK_MONOTONIC) - w.started.wall, (unsigned long long)usage.ru_maxrss * 1024, code);
    return code == 127;
}
