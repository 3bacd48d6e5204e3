/* Exceptions of 32-bit protected mode: the shared ones, and INTO, BOUND, limits, invalid task state segments. */
#include "guests/exceptions.h"

const char *const suite_name = "exceptions32";

PROBE(overflow, "mov $0x7fffffff,%eax; add $1,%eax", "into")
PROBE(no_overflow, "xor %eax,%eax", "into")
PROBE(bound_below, "mov $-1,%eax", "bound %eax,bound_pair")
PROBE(bound_above, "mov $11,%eax", "bound %eax,bound_pair")
PROBE(bound_inside, "mov $10,%eax", "bound %eax,bound_pair")
PROBE(read_beyond_limit, "mov $0x40,%eax; mov %eax,%ds", "mov 0xffd,%eax")
PROBE(read_at_limit, "mov $0x40,%eax; mov %eax,%ds", "mov 0xffc,%eax")
PROBE(read_null, "xor %eax,%eax; mov %eax,%ds", "mov 0x1000,%eax")
PROBE(write_readonly, "mov $0x48,%eax; mov %eax,%ds", "mov %eax,0x10")
PROBE(write_code, "", "mov %eax,%cs:0x1000")
PROBE(stack_beyond_limit, "mov $0x53,%eax; mov %eax,%ss; mov $0x2000,%esp", "push %eax")
PROBE(iret_bad_tss, "pushf; orl $0x4000,(%esp); popf", "iret")
PROBE(jump_absent_tss, "", "ljmp $0x58,$0")
PROBE(jump_small_tss, "", "ljmp $0x68,$0")

__asm__(".data\n.align 4\nbound_pair: .long 0,10\n.text");

static void bounds(void)
{
    TRAPS("INTO with OF in ring 0 is a trap", overflow, 0, VEC_OF, 0);
    TRAPS("INTO with OF in ring 3 is a trap", overflow, 3, VEC_OF, 0);
    PASSES("INTO without OF does nothing", no_overflow, 3);
    FAULTS("#BR below the lower bound, ring 0", bound_below, 0, VEC_BR, 0);
    FAULTS("#BR below the lower bound, ring 3", bound_below, 3, VEC_BR, 0);
    FAULTS("#BR above the upper bound", bound_above, 3, VEC_BR, 0);
    PASSES("BOUND at the upper bound", bound_inside, 3);
}

static void limits(void)
{
    gdt_set(0x40, segment((u32)(word)trap_stack, 0xfff, SEG_DATA | SEG_DPL3 | SEG_32));
    gdt_set(0x48, segment((u32)(word)trap_stack, 0xfff, (SEG_DATA | SEG_DPL3 | SEG_32) & ~2));
    gdt_set(0x50, segment((u32)(word)trap_stack, 0xfff, SEG_DATA | SEG_DPL3 | SEG_32));
    FAULTS("#GP(0) beyond the limit of DS", read_beyond_limit, 3, VEC_GP, 0);
    FAULTS("#SS(0) beyond the limit of SS", stack_beyond_limit, 3, VEC_SS, 0);
    PASSES("the last doubleword within the limit of DS", read_at_limit, 3);
    FAULTS("#GP(0) through a null DS", read_null, 3, VEC_GP, 0);
    FAULTS("#GP(0) by a write to a read-only segment", write_readonly, 3, VEC_GP, 0);
    FAULTS("#GP(0) by a write to a code segment", write_code, 0, VEC_GP, 0);
}

static void task_segments(void)
{
    u32 base = (u32)(word)tss;
    gdt_set(0x58, segment(base, TSS_LIMIT, SEG_TSS32 & ~0x80));
    gdt_set(0x68, segment(base, TSS_LIMIT - 1, SEG_TSS32));
    FAULTS("#NP by JMP to an absent TSS", jump_absent_tss, 0, VEC_NP, 0x58);
    FAULTS("#TS by JMP to a TSS that is too small", jump_small_tss, 0, VEC_TS, 0x68);
    *(u16 *)tss = 0x70;
    gdt_set(0x70, segment(base, TSS_LIMIT, SEG_TSS32));
    FAULTS("#TS by IRET with NT to a TSS that is not busy", iret_bad_tss, 0, VEC_TS, 0x70);
    *(u16 *)tss = 0;
    FAULTS("#TS by IRET with NT and a null back link", iret_bad_tss, 0, VEC_TS, 0);
}

int main(void)
{
    exceptions_common();
    bounds();
    limits();
    task_segments();
    return 0;
}
