/* The 32-bit half of the events: trap frames, and SYSENTER (SDM vol. 3, 5.8.7). */
#include "guests/bench/events.h"

enum { SYSENTER_CS = 0x174, SYSENTER_ESP = 0x175, SYSENTER_EIP = 0x176, ENTER_CODE = 0x40, CPUID_SEP = 1 << 11 };

const struct page_format *const event_format = &format_32bit;
const char *const fast_call_name = "sysenter";

PROBE(sysenters, "mov %ecx,%edi", "1: mov %esi,%edx; mov %esp,%ecx; sysenter;"
      ".global sysenters_back; sysenters_back: dec %edi; jnz 1b")
extern const char sysenters_back[];

__asm__(".pushsection .probes,\"ax\"\n.global on_call, on_ud2, on_page_fault, on_timer\n"
        "on_call: inc %eax; iret\n"
        "on_ud2: inc %eax; addl $2,(%esp); iret\n"
        "on_page_fault: push %eax; push %ecx; mov %cr2,%eax; mov %eax,%ecx; shr $12,%ecx; and $1023,%ecx;"
        "  and $0x3ff000,%eax; add $0x2400007,%eax; mov %eax,table_a(,%ecx,4); pop %ecx; pop %eax; add $4,%esp; iret\n"
        "on_timer: push %eax; incl timer_ticks; movl $0,0xfee000b0; pop %eax; iret\n"
        "on_sysenter: inc %eax; sysexit\n.popsection");
extern const char on_sysenter[];
static u8 enter_stack[128] __attribute__((aligned(16)));

u32 fast_call(u32 count)
{
    if (!(cpuid(1, 0).edx & CPUID_SEP))
        return 0;
    gdt_set(ENTER_CODE, segment(0, 0xfffff, SEG_CODE | SEG_4K | SEG_32));
    gdt_set(ENTER_CODE + 8, segment(0, 0xfffff, SEG_DATA | SEG_4K | SEG_32));
    gdt_set(ENTER_CODE + 16, segment(0, 0xfffff, SEG_CODE | SEG_DPL3 | SEG_4K | SEG_32));
    gdt_set(ENTER_CODE + 24, segment(0, 0xfffff, SEG_DATA | SEG_DPL3 | SEG_4K | SEG_32));
    wrmsr(SYSENTER_CS, ENTER_CODE);
    wrmsr(SYSENTER_ESP, (word)enter_stack + sizeof enter_stack);
    wrmsr(SYSENTER_EIP, (word)on_sysenter);
    in.r.si = USER(sysenters_back);
    return run_user(sysenters, count);
}
