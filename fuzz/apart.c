#include "fuzz/apart.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

int apart_run(int (*work)(void *context), void *context)
{
    int status;
    fflush(stdout);
    pid_t child = fork();
    if (child < 0)
        return APART_NO_PROCESS;
    if (!child) {
        int result = work(context);
        fflush(stdout);
        _exit(result);
    }
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return APART_NO_PROCESS;
    return WIFEXITED(status) ? WEXITSTATUS(status) : APART_CRASHED;
}

void apart_limit(unsigned seconds) { alarm(seconds); }

void *apart_shared(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}
