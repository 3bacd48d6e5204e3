/* The processor underneath as the reference, in a process of its own that may do nothing but compute.
 *
 * IRET enters the instruction with the complete state of the case, in 64-bit code, in Linux' 32-bit code segment or in
 * a 16-bit one of the LDT. UD2 stands behind the instruction: its signal shows the state there. A branch is entered
 * with TF set instead, and traps at its target. Signals carry vector, error code and CR2. */
#include <ucontext.h>

enum { CONTEXT_RIP = REG_RIP };
#undef REG_RIP /* sbe/insn.h has one of its own */

#include "sim/tests/insn_diff.h"

#include "sbe/fpu_thunk.h"

#include <asm/ldt.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SELECTOR_CODE64 = 0x33, SELECTOR_CODE32 = 0x23, SELECTOR_DATA = 0x2b }; /* Linux */
enum { SELECTOR_CODE16 = 0x07, SELECTOR_DATA16 = 0x0f };                      /* the LDT below */
enum { SIGNAL_STACK = 1 << 16 };

/* Read by the assembly below. */
struct entry {
    u64 gpr[GPR_COUNT];
    u64 rip, cs, rflags, rsp, ss; /* as IRETQ wants them */
    _Alignas(16) u8 fxsave[FXSAVE_IMAGE];
};
_Static_assert(offsetof(struct entry, rip) == 128 && offsetof(struct entry, fxsave) == 176, "host_enter");
struct entry host_entry;
u64 host_home; /* RSP while a case runs */
/* Where IRETQ's frame lies. IRETQ to a 16-bit stack segment loads SP only: bits 31..16 of ESP come out as they are in
 * this address (SDM vol. 2, "IRET"), which therefore has none. */
u64 host_frame = 0x100008000;

/* Leaves through IRETQ; comes back at host_landing, which the signal handler arranges. */
void host_enter(void);
extern const u8 host_landing[];
__asm__(".text\n"
        "host_enter:\n\t"
        "push %rbx\n\tpush %rbp\n\tpush %r12\n\tpush %r13\n\tpush %r14\n\tpush %r15\n\t"
        "mov %rsp, host_home(%rip)\n\t"
        "fxrstor64 host_entry+176(%rip)\n\t"
        "mov host_frame(%rip), %rsp\n\t"
        "pushq host_entry+160(%rip)\n\tpushq host_entry+152(%rip)\n\tpushq host_entry+144(%rip)\n\t"
        "pushq host_entry+136(%rip)\n\tpushq host_entry+128(%rip)\n\t"
        "mov host_entry+0(%rip), %rax\n\tmov host_entry+8(%rip), %rcx\n\tmov host_entry+16(%rip), %rdx\n\t"
        "mov host_entry+24(%rip), %rbx\n\tmov host_entry+40(%rip), %rbp\n\tmov host_entry+48(%rip), %rsi\n\t"
        "mov host_entry+56(%rip), %rdi\n\tmov host_entry+64(%rip), %r8\n\tmov host_entry+72(%rip), %r9\n\t"
        "mov host_entry+80(%rip), %r10\n\tmov host_entry+88(%rip), %r11\n\tmov host_entry+96(%rip), %r12\n\t"
        "mov host_entry+104(%rip), %r13\n\tmov host_entry+112(%rip), %r14\n\tmov host_entry+120(%rip), %r15\n\t"
        "iretq\n"
        "host_landing:\n\t"
        "pop %r15\n\tpop %r14\n\tpop %r13\n\tpop %r12\n\tpop %rbp\n\tpop %rbx\n\t"
        "ret\n");

static u8 *code, *const window = (u8 *)WINDOW_BASE;
static const struct diff_case *current;
static struct outcome *result;

static void collect(const greg_t *g, const u8 *fxsave)
{
    static const u8 order[GPR_COUNT] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                        REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    for (unsigned n = 0; n < GPR_COUNT; n++)
        result->out.gpr[n] = (u64)g[order[n]];
    result->out.rip = (u64)g[CONTEXT_RIP];
    result->out.rflags = (u64)g[REG_EFL];
    memcpy(result->out.fxsave, fxsave, FXSAVE_RESERVED);
    greg_t vector = g[REG_TRAPNO];
    result->vector = (s16)vector;
    result->has_error = vector == VEC_GP || vector == VEC_SS || vector == VEC_PF || vector == VEC_AC;
    result->error = (u32)g[REG_ERR];
    result->has_cr2 = vector == VEC_PF;
    result->cr2 = (u64)g[REG_CR2];
    u64 behind = current->in.rip + current->length;
    if (current->branches ? vector == VEC_DB : vector == VEC_UD && result->out.rip == behind)
        result->vector = OUTCOME_NONE;
}

/* Flags that the case left behind and that a signal handler inherits: NT, AC, ID. */
static inline void clean_flags(void)
{
    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~(u64)(FLAG_NT | FLAG_AC | FLAG_ID));
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    clean_flags();
    ucontext_t *u = context;
    greg_t *g = u->uc_mcontext.gregs;
    u8 *fxsave = (u8 *)u->uc_mcontext.fpregs;
    (void)info;
    if (!current) { /* not a case: a bug of ours */
        signal(number, SIG_DFL);
        return;
    }
    collect(g, fxsave);
    current = NULL;
    g[CONTEXT_RIP] = (greg_t)host_landing;
    g[REG_RSP] = (greg_t)host_home;
    g[REG_EFL] = FLAG_FIXED | FLAG_IF;
    g[REG_CSGSFS] = (greg_t)(SELECTOR_CODE64 | (u64)SELECTOR_DATA << 48);
    image_set_16(fxsave, FXSAVE_FCW, FCW_DEFAULT);
    image_set_16(fxsave, FXSAVE_FSW, 0);
    image_set_32(fxsave, FXSAVE_MXCSR, MXCSR_DEFAULT);
    fxsave[FXSAVE_FTW] = 0;
}

/* ---- The process ---------------------------------------------------------------------------------- */

static bool set_ldt(unsigned entry, u32 base, unsigned contents)
{
    struct user_desc d = {.entry_number = entry, .base_addr = base, .limit = 0xffff, .contents = contents};
    return syscall(SYS_modify_ldt, 0x11, &d, sizeof(d)) == 0;
}

static bool map_memory(void)
{
    int file = memfd_create("insn_diff", 0);
    if (file < 0 || ftruncate(file, CODE_BYTES) < 0)
        return false;
    void *low = mmap((void *)CODE_BASE, CODE_BYTES, PROT_READ | PROT_EXEC,
                     MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, file, 0); /* present, for error codes */
    code = mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    void *data = mmap(window, WINDOW_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    u8 *frame = (u8 *)(host_frame - PAGE_SIZE);
    void *stack = mmap(frame, PAGE_SIZE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (low != (void *)CODE_BASE || code == MAP_FAILED || data != window || stack != frame)
        return false;
    memcpy(window, window_pattern, WINDOW_BYTES);
    return true;
}

static bool catch_signals(void)
{
    static u8 stack[SIGNAL_STACK];
    static const int signals[] = {SIGILL, SIGSEGV, SIGBUS, SIGFPE, SIGTRAP};
    stack_t alternative = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    if (sigaltstack(&alternative, NULL) < 0)
        return false;
    for (unsigned n = 0; n < ARRAY_LEN(signals); n++)
        if (sigaction(signals[n], &action, NULL) < 0)
            return false;
    return true;
}

/* A case that makes a system call after all ends the process, which the parent reports. */
static bool lock_down(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 5),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 4, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_read, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = ARRAY_LEN(filter), .filter = filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static bool has_ldt(void)
{
    struct user_desc d[2];
    return syscall(SYS_modify_ldt, 0, d, sizeof(d)) >= 0;
}

static bool host_open(void)
{
    if (has_ldt() && !(set_ldt(0, CODE_BASE, 2) && set_ldt(1, WINDOW_BASE, 0)))
        return false;
    return map_memory() && catch_signals() && lock_down();
}

/* Data segments: null in a 64-bit process, but 16-bit and 32-bit code wants them. */
static void load_segments(u16 selector)
{
    static u16 loaded;
    if (loaded == selector)
        return;
    __asm__ volatile("mov %0, %%ds\n\tmov %0, %%es\n\tmov %0, %%gs" : : "r"(selector));
    loaded = selector;
}

static void host_execute(const struct diff_case *c, struct outcome *o)
{
    static const u16 code_selectors[] = {SELECTOR_CODE16, SELECTOR_CODE32, SELECTOR_CODE64};
    static const u8 ud2[] = {0x0f, 0x0b};
    u16 data = c->mode == CODE_16 ? SELECTOR_DATA16 : SELECTOR_DATA;
    u64 at = c->in.rip - (c->mode == CODE_16 ? 0 : CODE_BASE);
    memcpy(code + at, c->bytes, c->length);
    memcpy(code + at + c->length, ud2, sizeof(ud2));
    window_prepare(window, c);
    memcpy(host_entry.gpr, c->in.gpr, sizeof(host_entry.gpr));
    memcpy(host_entry.fxsave, c->in.fxsave, FXSAVE_IMAGE);
    host_entry.rip = c->in.rip;
    host_entry.cs = code_selectors[c->mode];
    host_entry.rflags = c->in.rflags | (c->branches ? FLAG_TF : 0);
    host_entry.rsp = c->in.gpr[RSP];
    host_entry.ss = data;
    result = o;
    load_segments(data);
    *(volatile const struct diff_case **)&current = c;
    host_enter();
    window_collect(window, c, o);
}

/* Executes a NOP in `mode`, in a process that it may kill. */
static bool host_runs(enum code_mode mode)
{
    pid_t child = fork();
    if (child == 0) {
        struct diff_case c = {.mode = (u8)mode, .length = 1, .bytes = {0x90}};
        struct outcome o;
        c.in.rip = mode == CODE_16 ? 0 : CODE_BASE;
        c.in.gpr[RSP] = mode == CODE_16 ? WINDOW_BYTES / 2 : WINDOW_BASE + WINDOW_BYTES / 2;
        c.in.rflags = FLAG_FIXED | FLAG_IF;
        image_set_16(c.in.fxsave, FXSAVE_FCW, FCW_DEFAULT);
        image_set_32(c.in.fxsave, FXSAVE_MXCSR, MXCSR_DEFAULT);
        if (!host_open())
            _exit(1);
        host_execute(&c, &o);
        _exit(o.vector == OUTCOME_NONE ? 0 : 1);
    }
    int status = 1;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* A kernel without IA-32 emulation has no segment for 32-bit code, and not every host that has an LDT runs code of it. */
static const char *host_missing(enum code_mode mode)
{
    return mode == CODE_64 || host_runs(mode) ? NULL : "this kernel runs no such code";
}

const struct backend backend_host = {
    .name = "host", .ref = REF_HOST, .open = host_open, .execute = host_execute, .missing = host_missing};
