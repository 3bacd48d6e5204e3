#include "sim/verify_crash.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct verify_pair *watched;

/* Formats in a signal handler: the process is lost already, and this way it says where. */
static void on_crash(int number)
{
    char text[400];
    const struct verify_pair *p = watched;
    const struct vm *vm = p->vm[p->console.running];
    int length = 0;
    signal(number, SIG_DFL);
    if (vm && vm->vcpu_count)
        length = snprintf(text, sizeof text,
                          "\nreprise: engine %s has crashed (%s) on the way from %" PRIu64 " to %" PRIu64
                          " instructions, near %04x:%" PRIx64 "; until then both were the same. With --every block or "
                          "insn, and --max-insns %" PRIu64 ", the place is found more exactly.\n",
                          vm->config.engine->name, strsignal(number), p->same_at, p->cut,
                          vm->vcpu[0]->cpu.seg[SEG_CS].selector, vm->vcpu[0]->cpu.rip, p->cut);
    if (length > 0 && write(STDERR_FILENO, text, (size_t)length) < 0)
        _exit(1);
    raise(number);
}

void verify_crash_watch(const struct verify_pair *pair)
{
    static const int numbers[] = {SIGILL, SIGSEGV, SIGBUS, SIGABRT};
    struct sigaction action = {.sa_handler = on_crash};
    watched = pair;
    sigemptyset(&action.sa_mask);
    for (size_t n = 0; n < ARRAY_LEN(numbers); n++)
        sigaction(numbers[n], &action, NULL);
}
