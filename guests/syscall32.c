/* SYSENTER, SYSEXIT and INT 80h of 32-bit mode (SDM vol. 2; vol. 3, 5.8.7). */
#include "guests/lib/guest.h"

const char *const suite_name = "syscall32";

enum { SYSENTER_CS = 0x174, SYSENTER_ESP = 0x175, SYSENTER_EIP = 0x176, ENTER_CODE = 0x40, EXIT_CODE = 0x50 };

PROBE(sysenter, "stc; std", "sysenter")
PROBE(sysexit, "mov $sysexit_next,%edx; mov $0x5000,%ecx", "sysexit")
PROBE(sysexit_user, "", "sysexit")
PROBE(round_trip, "mov %esp,%ecx; mov $round_trip_next,%edx", "sysenter")
PROBE(system_80, "mov $5,%eax", "int $0x80; add $0x100,%eax")

__asm__(".pushsection .probes,\"ax\"\n"
        "sysenter_entry: mov %esp,seen_sp; mov %cs,seen_cs; mov %ss,seen_ss; pushf; pop seen_flags; sysexit\n"
        "system_80_entry: inc %eax; iret\n.popsection");
extern const char sysenter_entry[], system_80_entry[];
word seen_sp, seen_cs, seen_ss, seen_flags;
static u8 own_stack[128] __attribute__((aligned(16)));

int main(void)
{
    gdt_set(ENTER_CODE, segment(0, 0xfffff, SEG_CODE | SEG_4K | SEG_32));
    gdt_set(ENTER_CODE + 8, segment(0, 0xfffff, SEG_DATA | SEG_4K | SEG_32));
    gdt_set(EXIT_CODE, segment(0, 0xfffff, SEG_CODE | SEG_DPL3 | SEG_4K | SEG_32));
    gdt_set(EXIT_CODE + 8, segment(0, 0xfffff, SEG_DATA | SEG_DPL3 | SEG_4K | SEG_32));
    wrmsr(SYSENTER_CS, 0);
    FAULTS("#GP(0) by SYSENTER without a code segment", sysenter, 3, VEC_GP, 0);
    FAULTS("#GP(0) by SYSEXIT without a code segment", sysexit, 0, VEC_GP, 0);
    wrmsr(SYSENTER_CS, ENTER_CODE);
    wrmsr(SYSENTER_ESP, (word)own_stack + 128);
    wrmsr(SYSENTER_EIP, (word)sysenter_entry);
    promise("the MSRs read back", (word)own_stack + 128, rdmsr(SYSENTER_ESP));
    FAULTS("#GP(0) by SYSEXIT in ring 3", sysexit_user, 3, VEC_GP, 0);
    in.flags = FL_IF;
    const struct trap *t = run(round_trip, 3);
    promise("SYSENTER: CS", ENTER_CODE, seen_cs & 0xffff);
    promise("SYSENTER: SS is the next selector", ENTER_CODE + 8, seen_ss & 0xffff);
    promise("SYSENTER: ESP", (word)own_stack + 128, seen_sp);
    promise("SYSENTER clears IF", 0, seen_flags & FL_IF);
    promise("SYSEXIT: CS is 16 above", EXIT_CODE | 3, t->cs);
    promise("SYSEXIT: SS is 24 above", (EXIT_CODE + 8) | 3, t->ss & 0xffff);
    promise("SYSEXIT: EIP is EDX", (word)round_trip_next + 2, t->ip);
    promise("SYSEXIT: ESP is ECX", t->r.cx, t->sp);
    promise("SYSEXIT leaves IF alone", 0, t->flags & FL_IF);
    t = run(sysexit, 0);
    promise("SYSEXIT works without SYSENTER", 0x5000, t->sp);
    idt_set(0x80, GATE_TRAP | GATE_DPL3, SEL_KCODE, system_80_entry);
    promise("INT 80h and IRET", 0x106, run(system_80, 3)->r.ax);
    idt_restore(0x80);
    return 0;
}
