#include "sim/fuzz_afl.h"

#include "sbe/coverage.h"
#include "sim/complain.h"
#include "sim/exit_code.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FROM_AFL = 198, TO_AFL = 199 };

/* The bits of the first word that we send, and the size of our map in it (AFL++, include/types.h). */
#define AFL_ENABLED 0x80000001u
#define AFL_HAS_MAP_SIZE 0x40000000u
#define AFL_SHARED_INPUT 0x01000000u
#define AFL_MAP_SIZE ((COVERAGE_MAP_BYTES - 1u) << 1)

/* What worker and parent share. */
struct common {
    volatile bool greeted; /* afl-fuzz has had our first word */
    volatile bool running; /* it waits for a status */
};

static void *attach(const char *variable)
{
    const char *id = getenv(variable);
    void *memory = id ? shmat(atoi(id), NULL, 0) : (void *)-1;
    return memory == (void *)-1 ? NULL : memory;
}

bool afl_is_there(void) { return getenv("__AFL_SHM_ID"); }

static bool say(u32 word) { return write(TO_AFL, &word, sizeof word) == sizeof word; }

static bool hear(u32 *word)
{
    ssize_t n;
    while ((n = read(FROM_AFL, word, sizeof *word)) < 0 && errno == EINTR)
        ;
    return n == sizeof *word;
}

static bool greet(void)
{
    u32 answer;
    return say(AFL_ENABLED | AFL_HAS_MAP_SIZE | AFL_SHARED_INPUT | AFL_MAP_SIZE) && hear(&answer);
}

/* The worker: one run after another. */
static int work(const struct afl_target *t, struct common *common, u8 *map, const u8 *input)
{
    u32 word;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int code = t->open(t->context, map);
    if (code)
        return code;
    if (!common->greeted && !greet())
        return EXIT_HOST;
    common->greeted = true;
    while (hear(&word)) {
        u32 size;
        common->running = true;
        if (!say((u32)getpid()))
            break;
        memcpy(&size, input, sizeof size);
        map[0] = 1; /* an empty map is taken for a program without instrumentation */
        word = t->run(t->context, input + sizeof size, size) ? SIGABRT : 0;
        if (!say(word))
            break;
        common->running = false;
    }
    return 0;
}

int afl_serve(const struct afl_target *t)
{
    u8 *map = attach("__AFL_SHM_ID"), *input = attach("__AFL_SHM_FUZZ_ID");
    struct common *common = mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!map || !input || common == MAP_FAILED)
        return complain(EXIT_USAGE, "fuzz: --target is for afl-fuzz (4.0 or later) to start, which gives shared memory");
    for (;;) {
        int status;
        pid_t worker = fork();
        if (worker < 0)
            return complain(EXIT_HOST, "fuzz: the host gives no process");
        if (!worker)
            _exit(work(t, common, map, input));
        while (waitpid(worker, &status, 0) < 0 && errno == EINTR)
            ;
        if (WIFEXITED(status))
            return WEXITSTATUS(status);
        if (!common->greeted || !common->running || !say((u32)status))
            return EXIT_HOST;
        common->running = false;
    }
}
