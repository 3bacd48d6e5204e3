/* The 64-bit half of the events: trap frames, and SYSCALL (SDM vol. 3, 5.8.8). */
#include "guests/bench/events.h"

enum { STAR = 0xc0000081, LSTAR = 0xc0000082, SFMASK = 0xc0000084, EFER = 0xc0000080, EFER_SCE = 1 };
enum { RETURN_BASE = 0x40 };

const struct page_format *const event_format = &format_4level;
const char *const fast_call_name = "syscall";

PROBE(syscalls, "mov %ecx,%edi", "1: syscall; dec %edi; jnz 1b")

__asm__(".pushsection .probes,\"ax\"\n.global on_call, on_ud2, on_page_fault, on_timer\n"
        "on_call: inc %eax; iretq\n"
        "on_ud2: inc %eax; addq $2,(%rsp); iretq\n"
        "on_page_fault: push %rax; push %rcx; mov %cr2,%rax; mov %eax,%ecx; shr $12,%ecx; and $511,%ecx;"
        "  and $0x1ff000,%eax; add $0x2400007,%eax; mov %rax,table_a(,%rcx,8); pop %rcx; pop %rax; add $8,%rsp; iretq\n"
        "on_timer: push %rax; incl timer_ticks; mov $0xfee000b0,%eax; movl $0,(%rax); pop %rax; iretq\n"
        "on_syscall: inc %eax; sysretq\n.popsection");
extern const char on_syscall[];

/* SYSRET takes its stack's selector 8 above the base, and that of 64-bit code 16 above. */
u32 fast_call(u32 count)
{
    gdt_set(RETURN_BASE + 8, segment(0, 0xfffff, SEG_DATA | SEG_DPL3 | SEG_4K | SEG_32));
    gdt_set(RETURN_BASE + 16, segment(0, 0xfffff, SEG_CODE | SEG_DPL3 | SEG_4K | SEG_64));
    wrmsr(EFER, rdmsr(EFER) | EFER_SCE);
    wrmsr(STAR, (u64)(RETURN_BASE | 3) << 48 | (u64)SEL_KCODE << 32);
    wrmsr(LSTAR, (word)on_syscall);
    wrmsr(SFMASK, FL_DF | FL_IF);
    return run_user(syscalls, count);
}
