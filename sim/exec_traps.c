/* Processor exceptions in code that was made for a guest arrive as signals, and go on where core/host.h promises: at
 * fpu_thunk_fault for a thunk, at the landing of its owner for translated code. Any other is a crash of ours.
 *
 * The kernel saved the FPU's registers in the signal frame, with the exception flags that the instruction set, and loads
 * them again on return: the guest's state stays live. */
#include <ucontext.h>

enum { CONTEXT_RIP = REG_RIP };
#undef REG_RIP /* sbe/insn.h may have one of its own */

#include "core/x86.h"
#include "sbe/fpu.h"
#include "sim/exec_arena.h"

#include <signal.h>

static _Thread_local volatile u64 fault_address;

u64 host_fault_address(void) { return fault_address; }

static void on_exception(int signal_number, siginfo_t *info, void *context)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    greg_t vector = registers[REG_TRAPNO];
    u64 at = (u64)registers[CONTEXT_RIP];
    const struct host_exec *memory = exec_arena_find(at);
    struct host_landing to;
    if (memory && !memory->landing && (vector == VEC_MF || vector == VEC_XM)) {
        registers[CONTEXT_RIP] = (greg_t)fpu_thunk_fault;
        registers[REG_RAX] = vector;
    } else if (memory && memory->landing && memory->landing(memory->context, at - (u64)memory->rx, &to)) {
        fault_address = vector == VEC_PF ? (u64)info->si_addr : UINT64_MAX;
        registers[CONTEXT_RIP] = (greg_t)to.code;
        registers[REG_RCX] = (greg_t)to.rcx;
    } else {
        /* A bug of ours: let it happen again, and end the process with a core dump. */
        signal(signal_number, SIG_DFL);
    }
}

enum status exec_traps_install(void)
{
    static const int signals[] = {SIGFPE, SIGSEGV, SIGBUS};
    struct sigaction action = {.sa_sigaction = on_exception, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    for (unsigned n = 0; n < ARRAY_LEN(signals); n++)
        if (sigaction(signals[n], &action, NULL) != 0)
            return STATUS_UNSUPPORTED;
    return STATUS_OK;
}
