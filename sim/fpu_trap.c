/* SIGFPE in a thunk is the guest's floating-point exception: execution resumes at fpu_thunk_fault with the vector in
 * EAX, as core/host.h promises. The kernel saved the unit's registers in the signal frame, with the exception flags
 * that the instruction set, and loads them again on return: the guest's state stays live. */
#include "core/x86.h"
#include "sbe/fpu.h"
#include "sim/exec_arena.h"

#include <signal.h>
#include <ucontext.h>

static void on_sigfpe(int signal_number, siginfo_t *info, void *context)
{
    (void)info;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    greg_t vector = registers[REG_TRAPNO];
    bool from_unit = vector == VEC_MF || vector == VEC_XM;
    if (!from_unit || !exec_arena_contains((u64)registers[REG_RIP])) {
        /* A bug of ours: let it happen again, and end the process with a core dump. */
        signal(signal_number, SIG_DFL);
        return;
    }
    registers[REG_RIP] = (greg_t)fpu_thunk_fault;
    registers[REG_RAX] = vector;
}

enum status fpu_trap_install(void)
{
    struct sigaction action = {.sa_sigaction = on_sigfpe, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    return sigaction(SIGFPE, &action, NULL) == 0 ? STATUS_OK : STATUS_UNSUPPORTED;
}
