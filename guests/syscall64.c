/* The fast system calls of 64-bit mode, SWAPGS and the FS and GS bases (SDM vol. 2, SYSCALL, SYSRET, SYSENTER, SYSEXIT,
 * SWAPGS; vol. 3, 5.8.7 and 5.8.8). */
#include "guests/lib/guest.h"

const char *const suite_name = "syscall64";

enum {
    STAR = 0xc0000081, LSTAR = 0xc0000082, CSTAR = 0xc0000083, SFMASK = 0xc0000084, EFER = 0xc0000080,
    FS_BASE = 0xc0000100, GS_BASE = 0xc0000101, KERNEL_GS = 0xc0000102, SYSENTER_CS = 0x174, SYSENTER_ESP = 0x175,
    SYSENTER_EIP = 0x176,
};
enum {
    RET_32 = 0x40, RET_STACK = 0x48, RET_64 = 0x50, ENTER_CODE = 0x60, EXIT_32 = 0x70, EXIT_64 = 0x80, FLAT_FS = 0x98,
};

PROBE(system_call, "stc; std", "syscall")
PROBE(system_return, "mov $0x1000,%ecx; mov $2,%r11d", "sysretq")
PROBE(return_high, "mov $0x800000000000,%rcx; mov $2,%r11d", "sysretq")
PROBE(return_32, "mov $compat_landing,%ecx; mov $0x246,%r11d", "sysretl")
PROBE(return_flags, "lea return_flags_next(%rip),%rcx; mov $0xffffffffffffffff,%r11; btr $8,%r11; btr $9,%r11",
      "sysretq")
PROBE(sysenter, "stc", "sysenter")
PROBE(sysexit_user, "", "sysexitq")
PROBE(sysexit_64, "mov $sysexit_64_next,%edx; mov $0x5000,%ecx", "sysexitq")
PROBE(sysexit_32, "mov $compat_landing,%edx; mov $0x5000,%ecx", "sysexitl")
PROBE(sysexit_high, "mov $0x800000000000,%rdx; mov $0x5000,%ecx", "sysexitq")
PROBE(swapgs, "mov %gs:0,%rax", "swapgs; mov %gs:0,%rbx; swapgs; mov %gs:0,%rcx")
PROBE(swapgs_user, "", "swapgs")
PROBE(read_bases, "", "rdfsbase %rax; rdgsbase %rbx")
PROBE(write_base, "", "wrfsbase %rax; rdfsbase %rbx")
PROBE(load_fs, "mov $0x9b,%eax", "mov %eax,%fs; mov %fs:0,%rbx")
PROBE(syscall_compat, "pushq $0x43; pushq $compat_syscall", "lretq")
PROBE(fs_relative, "", "mov %fs:8,%rax")
PROBE(system_80, "", "int $0x80")

__asm__(".pushsection .probes,\"ax\"\n"
        "syscall_entry: mov %rcx,seen_cx; mov %r11,seen_r11; mov %rsp,seen_sp; mov %cs,%eax; mov %rax,seen_cs\n"
        "  mov %ss,%eax; mov %rax,seen_ss; lea own_stack+256,%rsp; pushfq; popq seen_flags; mov seen_sp,%rsp; sysretq\n"
        "sysenter_entry: mov %rsp,seen_sp; mov %cs,%eax; mov %rax,seen_cs; mov %ss,%eax; mov %rax,seen_ss\n"
        "  pushfq; popq seen_flags; int $0x81\n"
        ".code32\ncompat_landing: mov $-1,%eax; inc %eax; int $0x81\n"
        "compat_syscall: syscall; int $0x81\n.code64\n.popsection");
extern const char syscall_entry[], sysenter_entry[], compat_landing[], compat_syscall[];
word seen_cx, seen_r11, seen_sp, seen_cs, seen_ss, seen_flags;
u8 own_stack[256] __attribute__((aligned(16)));
static u64 fs_area[4] = {1, 2, 3, 4}, gs_area[1] = {0xa}, kernel_area[1] = {0xb};

static void descriptors(void)
{
    unsigned flat = SEG_4K;
    gdt_set(RET_32, segment(0, 0xfffff, SEG_CODE | SEG_DPL3 | SEG_32 | flat));
    gdt_set(RET_STACK, segment(0, 0xfffff, SEG_DATA | SEG_DPL3 | SEG_32 | flat));
    gdt_set(RET_64, segment(0, 0xfffff, SEG_CODE | SEG_DPL3 | SEG_64 | flat));
    gdt_set(ENTER_CODE, segment(0, 0xfffff, SEG_CODE | SEG_64 | flat));
    gdt_set(ENTER_CODE + 8, segment(0, 0xfffff, SEG_DATA | SEG_32 | flat));
    gdt_set(EXIT_32, segment(0, 0xfffff, SEG_CODE | SEG_DPL3 | SEG_32 | flat));
    gdt_set(EXIT_32 + 8, segment(0, 0xfffff, SEG_DATA | SEG_DPL3 | SEG_32 | flat));
    gdt_set(EXIT_64, segment(0, 0xfffff, SEG_CODE | SEG_DPL3 | SEG_64 | flat));
    gdt_set(EXIT_64 + 8, segment(0, 0xfffff, SEG_DATA | SEG_DPL3 | SEG_32 | flat));
    gdt_set(FLAT_FS, segment((u32)(word)fs_area, 0xfffff, SEG_DATA | SEG_DPL3 | SEG_32 | flat));
    wrmsr(STAR, (u64)(RET_32 | 3) << 48 | (u64)SEL_KCODE << 32);
    wrmsr(LSTAR, (word)syscall_entry);
    wrmsr(SFMASK, FL_DF | FL_IF);
    wrmsr(SYSENTER_CS, ENTER_CODE);
    wrmsr(SYSENTER_ESP, (word)own_stack + 128);
    wrmsr(SYSENTER_EIP, (word)sysenter_entry);
}

static void system_calls(void)
{
    wrmsr(EFER, rdmsr(EFER) & ~1ull);
    FAULTS("#UD by SYSCALL without EFER.SCE", system_call, 3, VEC_UD, 0);
    FAULTS("#UD by SYSRET without EFER.SCE", system_return, 0, VEC_UD, 0);
    wrmsr(EFER, rdmsr(EFER) | 1);
    word stack = (word)trap_stack + 2048;
    in.r.sp = stack;
    in.flags = FL_IF;
    const struct trap *t = run(system_call, 3);
    promise("RCX is the return address", (word)system_call_next, seen_cx);
    promise("R11 is RFLAGS", FL_FIXED | FL_CF | FL_DF | FL_IF,
            seen_r11 & ~(word)(FL_ZF | FL_PF | FL_AF | FL_SF | FL_OF));
    promise("CS comes from STAR", SEL_KCODE, seen_cs);
    promise("SS is the next selector", SEL_KDATA, seen_ss);
    promise("RSP stays", stack, seen_sp);
    promise("SFMASK clears IF and DF, and nothing else", FL_CF, seen_flags & (FL_CF | FL_IF | FL_DF));
    promise("SYSRET: RIP", (word)system_call_next + 2, t->ip);
    promise("SYSRET: CS is STAR + 16", RET_64 | 3, t->cs);
    promise("SYSRET: SS is STAR + 8", RET_STACK | 3, t->ss & 0xffff);
    promise("SYSRET: flags are back", FL_CF | FL_DF | FL_IF, t->flags & (FL_CF | FL_IF | FL_DF));
    FAULTS("#GP(0) by SYSRET in ring 3", system_return, 3, VEC_GP, 0);
    FAULTS("#GP(0) by SYSRET to a non-canonical address, in ring 0", return_high, 0, VEC_GP, 0);
    t = run(return_32, 0);
    promise("SYSRET to compatibility mode: CS is STAR", RET_32 | 3, t->cs);
    promise("which decodes 32-bit code", 0, t->r.ax);
    t = run(return_flags, 0);
    promise("SYSRET clears RF, VM and reserved flags", FL_AC | FL_ID | FL_NT | FL_IOPL3 | FL_DF,
            t->flags & ~(word)(FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF | FL_FIXED | FL_VIF | FL_VIP));
    t = run(syscall_compat, 3);
    promise("#UD by SYSCALL in compatibility mode", VEC_UD, t->vector);
}

static void fast_entries(void)
{
    wrmsr(SYSENTER_CS, 0);
    FAULTS("#GP(0) by SYSENTER without a code segment", sysenter, 3, VEC_GP, 0);
    wrmsr(SYSENTER_CS, ENTER_CODE);
    in.flags = FL_IF | FL_DF;
    const struct trap *t = run(sysenter, 3);
    promise("SYSENTER: CS", ENTER_CODE, seen_cs);
    promise("SYSENTER: SS is the next selector", ENTER_CODE + 8, seen_ss);
    promise("SYSENTER: RSP", (word)own_stack + 128, seen_sp);
    promise("SYSENTER clears IF and keeps the rest", FL_CF | FL_DF, seen_flags & (FL_CF | FL_IF | FL_DF));
    FAULTS("#GP(0) by SYSEXIT in ring 3", sysexit_user, 3, VEC_GP, 0);
    FAULTS("#GP(0) by SYSEXIT to a non-canonical address", sysexit_high, 0, VEC_GP, 0);
    t = run(sysexit_64, 0);
    promise("64-bit SYSEXIT: CS is 32 above", EXIT_64 | 3, t->cs);
    promise("64-bit SYSEXIT: SS is 40 above", (EXIT_64 + 8) | 3, t->ss & 0xffff);
    promise("64-bit SYSEXIT: RIP is RDX", (word)sysexit_64_next + 2, t->ip);
    promise("64-bit SYSEXIT: RSP is RCX", 0x5000, t->sp);
    t = run(sysexit_32, 0);
    promise("32-bit SYSEXIT: CS is 16 above", EXIT_32 | 3, t->cs);
    promise("32-bit SYSEXIT: SS is 24 above", (EXIT_32 + 8) | 3, t->ss & 0xffff);
    promise("32-bit SYSEXIT runs 32-bit code", 0, t->r.ax);
    wrmsr(SYSENTER_CS, 0);
    FAULTS("#GP(0) by SYSEXIT without a code segment", sysexit_64, 0, VEC_GP, 0);
    idt_set(0x80, GATE_TRAP | GATE_DPL3, SEL_KCODE, vector_stub(0x80));
    TRAPS("INT 80h", system_80, 3, 0x80, 0);
    idt_restore(0x80);
}

static void bases(void)
{
    wrmsr(GS_BASE, (word)gs_area);
    wrmsr(KERNEL_GS, (word)kernel_area);
    const struct trap *t = run(swapgs, 0);
    promise("the GS base", 0xa, t->r.ax);
    promise("SWAPGS brings the other one", 0xb, t->r.bx);
    promise("and again the first", 0xa, t->r.cx);
    FAULTS("#GP(0) by SWAPGS in ring 3", swapgs_user, 3, VEC_GP, 0);
    t = run(load_fs, 3);
    promise("loading FS takes the base of its descriptor", 1, t->r.bx);
    promise("which the MSR shows", (word)fs_area, rdmsr(FS_BASE));
    wrmsr(FS_BASE, (word)fs_area + 8);
    t = run(fs_relative, 3);
    promise("an offset to the FS base", 3, t->r.ax);
    if (!(cpuid(7, 0).ebx & 1)) {
        skip("#UD by RDFSBASE without CR4.FSGSBASE");
        skip("RDFSBASE in ring 3");
        skip("WRFSBASE in ring 3");
        skip("#GP(0) by WRFSBASE of a non-canonical address");
        return;
    }
    FAULTS("#UD by RDFSBASE without CR4.FSGSBASE", read_bases, 3, VEC_UD, 0);
    write_cr4(read_cr4() | 0x10000);
    t = run(read_bases, 3);
    promise("RDFSBASE in ring 3", (word)fs_area + 8, t->r.ax);
    in.r.ax = 0x7fffffff1234;
    promise("WRFSBASE in ring 3", 0x7fffffff1234, run(write_base, 3)->r.bx);
    in.r.ax = 0x800000000000;
    FAULTS("#GP(0) by WRFSBASE of a non-canonical address", write_base, 3, VEC_GP, 0);
    wrmsr(FS_BASE, 0);
}

int main(void)
{
    descriptors();
    system_calls();
    fast_entries();
    bases();
    return 0;
}
