/* References run in child processes: Unicorn can abort, and the host executes whatever the case is. */
#include <signal.h>
#undef REG_RIP /* sbe/insn.h has one of its own */

#include "sim/tests/insn_diff.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 120000 }; /* a batch takes milliseconds; the machine may be busy */

struct worker {
    const struct backend *backend;
    const struct batch *batch;
    struct {
        volatile unsigned begin; /* case to start from */
        volatile unsigned done;  /* cases that have an outcome */
        struct outcome outcomes[BATCH_CASES];
    } *shared;
    pid_t child;
    int to_child, from_child;
};

static void *share(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

struct batch *batch_shared(void) { return share(sizeof(struct batch)); }

static void serve(struct worker *w, int from_parent, int to_parent)
{
    char token;
    if (!w->backend->open() || write(to_parent, "", 1) != 1)
        _exit(3);
    while (read(from_parent, &token, 1) == 1) {
        for (unsigned n = w->shared->begin; n < w->batch->count; n++) {
            w->backend->execute(&w->batch->cases[n], &w->shared->outcomes[n]);
            w->shared->done = n + 1;
        }
        if (write(to_parent, &token, 1) != 1)
            break;
    }
    _exit(0);
}

/* True when the child has opened its engine, or finished the batch; false when it died or hung. */
static bool answered(struct worker *w)
{
    struct pollfd p = {.fd = w->from_child, .events = POLLIN};
    char token;
    return poll(&p, 1, PATIENCE_MS) == 1 && read(w->from_child, &token, 1) == 1;
}

static bool spawn(struct worker *w)
{
    int down[2], up[2];
    if (pipe(down) || pipe(up))
        return false;
    fflush(stdout);
    w->child = fork();
    if (w->child < 0)
        return false;
    if (w->child == 0) {
        close(down[1]);
        close(up[0]);
        serve(w, down[0], up[1]);
    }
    close(down[0]);
    close(up[1]);
    w->to_child = down[1];
    w->from_child = up[0];
    return answered(w); /* has opened */
}

static void reap(struct worker *w)
{
    close(w->to_child);
    close(w->from_child);
    kill(w->child, SIGKILL);
    waitpid(w->child, NULL, 0);
}

struct worker *worker_open(const struct backend *backend, const struct batch *shared_batch)
{
    struct worker *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    signal(SIGPIPE, SIG_IGN); /* a dead child is no reason to die */
    w->backend = backend;
    w->batch = shared_batch;
    w->shared = share(sizeof(*w->shared));
    if (w->shared && spawn(w))
        return w;
    fprintf(stderr, "insn_diff: %s cannot be set up here\n", backend->name);
    free(w);
    return NULL;
}

void worker_close(struct worker *w)
{
    reap(w);
    munmap(w->shared, sizeof(*w->shared));
    free(w);
}

static void kick(struct worker *w)
{
    char token = 0;
    if (write(w->to_child, &token, 1) != 1)
        return; /* dead: worker_wait() sees it */
}

void worker_start(struct worker *w)
{
    w->shared->begin = w->shared->done = 0;
    kick(w);
}

const struct outcome *worker_wait(struct worker *w)
{
    while (!answered(w)) {
        unsigned killer = w->shared->done;
        reap(w);
        if (killer < w->batch->count)
            w->shared->outcomes[killer++] = (struct outcome){.vector = OUTCOME_CRASHED};
        w->shared->begin = w->shared->done = killer;
        if (!spawn(w)) {
            fprintf(stderr, "insn_diff: cannot start the %s process again\n", w->backend->name);
            exit(2);
        }
        kick(w);
    }
    return w->shared->outcomes;
}
