/* 64-bit mode's share of the miscellany: operand sizes, REX, RIP-relative addresses, CMPXCHG16B, CR8. */
#include "guests/lib/guest.h"
#include "guests/misc.h"

const char *const suite_name = "misc64";

PROBE(zero_extend, "mov $-1,%rax; mov $-1,%rcx", "mov $1,%eax; mov $2,%cx; mov %rax,%rdx")
PROBE(high_bytes, "mov $0x1122,%eax; mov $0x3344,%esp", ".byte 0x88,0xe1; .byte 0x40,0x88,0xe2; mov $probe_stack,%rsp")
PROBE(exchange_nop, "mov $-1,%rax", ".byte 0x90; mov %rax,%rcx; .byte 0x87,0xc0; mov %rax,%rdx")
PROBE(rip_relative, "", "lea 7f(%rip),%rax; jmp 7f; nop; 7: mov $7b,%ecx")
PROBE(rip_immediate, "", "cmpl $0x1234,wide_cell(%rip); sete %al")
PROBE(absolute_64, "", "movabs wide_cell,%rax")
PROBE(exchange_16, "", "lock cmpxchg16b (%rsi)")
PROBE(conditional_move, "mov $-1,%rax; cmp %eax,%eax", "cmovne %ecx,%eax")
PROBE(push_sizes, "mov %rsp,%rcx; push $-1; mov %rsp,%rdx; pushw $-1", "mov %rsp,%rbx; mov %rcx,%rsp")
PROBE(rex_ignored, "mov $-1,%rax", ".byte 0x48,0x66,0xb8,0x34,0x12")
PROBE(sign_double, "mov $0x80000000,%eax", "movslq %eax,%rcx; cltq")
PROBE(multiply_wide, "mov $-1,%rax; mov $-1,%rcx", "mul %rcx")
PROBE(shift_wide, "mov $1,%eax; mov $63,%ecx", "shl %cl,%rax")
PROBE(set_cr8, "mov $5,%eax", "mov %rax,%cr8; mov %cr8,%rcx")
PROBE(rdtscp, "", "rdtscp")
PROBE(segment_ignored, "", "mov %es:wide_cell,%eax")

__asm__(".data\n.balign 16\nwide_cell: .long 0x1234,0x5678\nprobe_words: .skip 64\n"
        ".set probe_stack, probe_words + 64\n.text");
static u64 pair[4] __attribute__((aligned(16)));

static void widths(void)
{
    const struct trap *t = run(zero_extend, 3);
    promise("a 32-bit result clears the upper half", 1, t->r.dx);
    promise("a 16-bit result does not", 0xffffffffffff0002, t->r.cx);
    t = run(high_bytes, 3);
    promise("without REX, byte register 4 is AH", 0x11, t->r.cx & 0xff);
    promise("with REX, it is SPL", 0x44, t->r.dx & 0xff);
    t = run(exchange_nop, 3);
    promise("opcode 90 is NOP", ~0ull, t->r.cx);
    promise("opcode 87 C0 is not", 0xffffffff, t->r.dx);
    in.r.cx = 5;
    promise("CMOV clears the upper half without moving", 0xffffffff, run(conditional_move, 3)->r.ax);
    promise("REX before another prefix is ignored", 0xffffffffffff1234, run(rex_ignored, 3)->r.ax);
    t = run(sign_double, 3);
    promise("MOVSXD", 0xffffffff80000000, t->r.cx);
    promise("CDQE", 0xffffffff80000000, t->r.ax);
    promise("64-bit MUL", 0xfffffffffffffffe, run(multiply_wide, 3)->r.dx);
    promise("64-bit shift counts have six bits", 1ull << 63, run(shift_wide, 3)->r.ax);
    t = run(push_sizes, 3);
    promise("PUSH of an immediate takes 8 bytes", 8, t->r.cx - t->r.dx);
    promise("PUSH with an operand size prefix takes 2", 2, t->r.dx - t->r.bx);
}

static void addresses(void)
{
    const struct trap *t = run(rip_relative, 3);
    promise("RIP-relative LEA", t->r.cx, t->r.ax);
    promise("RIP counts from the end, immediate included", 1, run(rip_immediate, 3)->r.ax & 1);
    promise("MOV with a 64-bit offset", 0x567800001234, run(absolute_64, 3)->r.ax);
    promise("the base of ES counts as 0", 0x1234, run(segment_ignored, 3)->r.ax);
}

static void pairs(void)
{
    pair[0] = 1;
    pair[1] = 2;
    in.r = (struct regs){.ax = 1, .dx = 2, .bx = 3, .cx = 4, .si = (word)pair};
    const struct trap *t = run(exchange_16, 3);
    promise("CMPXCHG16B stores when equal", 3, pair[0]);
    promise("both halves", 4, pair[1]);
    promise("and sets ZF", FL_ZF, t->flags & FL_ZF);
    in.r.si = (word)pair;
    t = run(exchange_16, 3);
    promise("CMPXCHG16B loads when not", 3, t->r.ax);
    promise("both halves, too", 4, t->r.dx);
    in.r.si = (word)pair + 8;
    FAULTS("#GP(0) by CMPXCHG16B at a multiple of 8 only", exchange_16, 3, VEC_GP, 0);
}

int main(void)
{
    misc_common();
    widths();
    addresses();
    pairs();
    promise("CR8 is the task priority", 5, run(set_cr8, 0)->r.cx);
    promise("as TPR shows it", 0x50, *(volatile u32 *)0xfee00080ul);
    FAULTS("#GP(0) by MOV to CR8 in ring 3", set_cr8, 3, VEC_GP, 0);
    wrmsr(0xc0000103, 0x77);
    promise("RDTSCP brings TSC_AUX", 0x77, run(rdtscp, 3)->r.cx);
    return 0;
}
