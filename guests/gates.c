/* Call, interrupt and trap gates of 32-bit mode: stack switches, parameters, conforming code, 16-bit gates, and the
 * faults on the way (SDM vol. 3, 5.8 and 6.12; vol. 2, CALL, RET and INT). */
#include "guests/lib/guest.h"

const char *const suite_name = "gates";

enum {
    CALL_GATE = 0x40, CONFORMING = 0x48, CALL_GATE_0 = 0x50, CALL_ABSENT = 0x58, CALL_DATA = 0x60, CALL_16 = 0x68,
    CODE_R3 = 0x70, STACK_ABSENT = 0x78, STACK_TINY = 0x80, CALL_CONFORMING = 0x88, CODE_R1 = 0x90, CALL_R1 = 0x98,
    CODE_BASED = 0xa0, STACK_1 = 0xa8,
};

PROBE(call_gate, "push $0x11111111; push $0x22222222", "lcall $0x43,$0")
PROBE(call_gate_0, "", "lcall $0x53,$0")
PROBE(call_absent, "", "lcall $0x5b,$0")
PROBE(call_data, "", "lcall $0x63,$0")
PROBE(call_data_segment, "", "lcall $0x23,$0")
PROBE(call_kernel_code, "", "lcall $0x8,$0x1000")
PROBE(call_null, "", "lcall $0,$0")
PROBE(call_16, "mov %esp,%edi", "lcall $0x6b,$0")
PROBE(jump_gate, "", "ljmp $0x43,$0")
PROBE(call_conforming, "", "lcall $0x4b,$conforming_code")
PROBE(gate_conforming, "", "lcall $0x8b,$0")
PROBE(call_user_code, "", "lcall $0x70,$0x1000")
PROBE(call_ring1, "", "lcall $0x9b,$0")
PROBE(user_interrupt, "", "int $0x90")
PROBE(int_gate_16, "", "int $0x91")
PROBE(ret_inner, "push $0x8; push $0x1000", "lret")
PROBE(ret_null, "push $0; push $0x1000", "lret")
PROBE(ret_bad_stack, "push $0x10; push $0x2000; push $0x1b; push $0x1000", "lret")
PROBE(ret_outer, "push $0x23; push $0x2000; push $0x1b; push $outer_code", "lret")
PROBE(iret_outer_data, "mov $0x10,%eax; mov %eax,%ds; mov $0x23,%eax; mov %eax,%es; push $0x23; push $0x2000; push $2; "
      "push $0x1b; push $outer_code", "iret")
PROBE(iret_inner, "push $2; push $0x8; push $0x1000", "iret")

/* What the gates lead to. gate_entry looks at the frame and returns through the same gate's parameters. */
__asm__(".pushsection .probes,\"ax\"\n"
        "gate_entry: mov %esp,gate_sp; mov %cs,gate_cs; mov %ss,gate_ss; pushf; pop gate_flags\n"
        "  mov 0(%esp),%eax; mov %eax,gate_frame\n  mov 4(%esp),%eax; mov %eax,gate_frame+4\n"
        "  mov 8(%esp),%eax; mov %eax,gate_frame+8\n  mov 12(%esp),%eax; mov %eax,gate_frame+12\n"
        "  mov 16(%esp),%eax; mov %eax,gate_frame+16\n  mov 20(%esp),%eax; mov %eax,gate_frame+20\n  lret $8\n"
        "gate_entry_0: int $0x81\n"
        "conforming_code: mov %cs,%eax; lret\n"
        "outer_code: mov %ds,%eax; mov %es,%edx; int $0x81\n"
        ".popsection");
extern const char gate_entry[], gate_entry_0[], conforming_code[], outer_code[];
word gate_sp, gate_cs, gate_ss, gate_flags, gate_frame[6];

static u64 call_gate_to(unsigned selector, word offset, unsigned attributes, unsigned words)
{
    return (offset & 0xffff) | (u64)selector << 16 | (u64)words << 32 | (u64)attributes << 32
        | (u64)(offset >> 16) << 48;
}

static void descriptors(void)
{
    gdt_set(CALL_GATE, call_gate_to(SEL_KCODE, (word)gate_entry, GATE_CALL | GATE_DPL3, 2));
    gdt_set(CONFORMING, segment(0, 0xfffff, SEG_CODE | 4 | SEG_4K | SEG_32));
    gdt_set(CALL_GATE_0, call_gate_to(SEL_KCODE, (word)gate_entry, GATE_CALL, 0));
    gdt_set(CALL_ABSENT, call_gate_to(SEL_KCODE, (word)gate_entry, (GATE_CALL | GATE_DPL3) & ~0x8000, 0));
    gdt_set(CALL_DATA, call_gate_to(SEL_KDATA, (word)gate_entry, GATE_CALL | GATE_DPL3, 0));
    gdt_set(CALL_16, call_gate_to(CODE_BASED, (word)gate_entry_0 - 0x100000, 0x8400 | GATE_DPL3, 1));
    gdt_set(CODE_R3, segment(0, 0xfffff, SEG_CODE | SEG_DPL3 | SEG_4K | SEG_32));
    gdt_set(STACK_ABSENT, segment(0, 0xfffff, (SEG_DATA | 0x20 | SEG_4K | SEG_32) & ~0x80));
    gdt_set(STACK_TINY, segment((u32)(word)trap_stack, 15, SEG_DATA | 0x20 | SEG_32));
    gdt_set(CALL_CONFORMING, call_gate_to(CONFORMING, (word)conforming_code, GATE_CALL | GATE_DPL3, 0));
    gdt_set(CODE_R1, segment(0, 0xfffff, SEG_CODE | 0x20 | SEG_4K | SEG_32));
    gdt_set(CALL_R1, call_gate_to(CODE_R1, (word)gate_entry_0, GATE_CALL | GATE_DPL3, 0));
    gdt_set(CODE_BASED, segment(0x100000, 0xfffff, SEG_CODE | SEG_4K | SEG_32));
    gdt_set(STACK_1, segment(0, 0xfffff, SEG_DATA | 0x20 | SEG_4K | SEG_32));
}

static void through_call_gate(void)
{
    word top = (word)trap_stack + sizeof trap_stack, stack = top - 512;
    in.r.sp = stack;
    const struct trap *t = run(call_gate, 3);
    trap_is("a call gate to ring 0 and RET back", t, VEC_DONE, 0, call_gate_next + 2);
    promise("RET n drops the parameters of both stacks", stack, t->sp);
    promise("CS of the gate with RPL = CPL", SEL_KCODE, gate_cs & 0xffff);
    promise("SS of the TSS", SEL_KDATA, gate_ss & 0xffff);
    promise("the inner stack holds SS, ESP, parameters, CS, EIP", top - 24, gate_sp);
    promise("return EIP", (word)call_gate_next, gate_frame[0]);
    promise("return CS", SEL_UCODE, gate_frame[1] & 0xffff);
    promise("the last parameter", 0x22222222, gate_frame[2]);
    promise("the first parameter", 0x11111111, gate_frame[3]);
    promise("outer ESP, before the parameters are dropped", stack - 8, gate_frame[4]);
    promise("outer SS", SEL_UDATA, gate_frame[5] & 0xffff);
    in.flags = FL_IF;
    run(call_gate, 3);
    promise("a call gate leaves IF alone", FL_IF, gate_flags & FL_IF);
}

static void call_faults(void)
{
    FAULTS("#GP by a gate of DPL 0 from ring 3", call_gate_0, 3, VEC_GP, CALL_GATE_0);
    FAULTS("#NP by an absent call gate", call_absent, 3, VEC_NP, CALL_ABSENT);
    FAULTS("#GP by a call gate to a data segment", call_data, 3, VEC_GP, SEL_KDATA);
    FAULTS("#GP by a far CALL to a data segment", call_data_segment, 3, VEC_GP, SEL_UDATA & ~3);
    FAULTS("#GP by a far CALL to code of ring 0 from ring 3", call_kernel_code, 3, VEC_GP, SEL_KCODE);
    FAULTS("#GP by a far CALL to code of ring 3 from ring 0", call_user_code, 0, VEC_GP, CODE_R3);
    FAULTS("#GP(0) by a far CALL to a null selector", call_null, 3, VEC_GP, 0);
    FAULTS("#GP by a far JMP through a gate to an inner ring", jump_gate, 3, VEC_GP, SEL_KCODE);
    FAULTS("#GP by RET to an inner ring", ret_inner, 3, VEC_GP, SEL_KCODE);
    FAULTS("#GP(0) by RET to a null selector", ret_null, 3, VEC_GP, 0);
    FAULTS("#GP by RET to ring 3 with a stack of ring 0", ret_bad_stack, 0, VEC_GP, SEL_KDATA);
    FAULTS("#GP by IRET to an inner ring", iret_inner, 3, VEC_GP, SEL_KCODE);
}

static void conforming(void)
{
    const struct trap *t = run(call_conforming, 3);
    promise("conforming code runs at the caller's level", CONFORMING | 3, t->r.ax & 0xffff);
    t = run(gate_conforming, 3);
    promise("through a gate as well", CONFORMING | 3, t->r.ax & 0xffff);
    idt_set(0x90, GATE_INTERRUPT | GATE_DPL3, CONFORMING, gate_entry_0);
    t = run(user_interrupt, 3);
    promise("an interrupt gate to conforming code stays in ring 3", CONFORMING | 3, t->cs);
    idt_restore(0x90);
}

/* A stack that the TSS gives for ring 1: #TS with its selector, #SS when absent or full (SDM vol. 2, CALL and INT n).
 * Ring 1, because the handler of the fault needs ring 0's own. */
static void stack_switch(void)
{
    static const struct { u16 selector; u8 vector; u16 error; const char *call, *interrupt; } cases[] = {
        {0, VEC_TS, 0, "#TS(0) by CALL when the TSS gives a null SS", "#TS(0) by INT when the TSS gives a null SS"},
        {SEL_UDATA, VEC_TS, SEL_UDATA & ~3, "#TS by CALL when the TSS gives a stack of ring 3",
         "#TS by INT when the TSS gives a stack of ring 3"},
        {SEL_KCODE | 1, VEC_TS, SEL_KCODE, "#TS by CALL when the TSS gives code as a stack",
         "#TS by INT when the TSS gives code as a stack"},
        {0x1001, VEC_TS, 0x1000, "#TS by CALL when the TSS gives a stack beyond the GDT",
         "#TS by INT when the TSS gives a stack beyond the GDT"},
        {STACK_ABSENT | 1, VEC_SS, STACK_ABSENT, "#SS by CALL when the TSS gives an absent stack",
         "#SS by INT when the TSS gives an absent stack"},
        {STACK_TINY | 1, VEC_SS, STACK_TINY, "#SS by CALL when the new stack has no room",
         "#SS by INT when the new stack has no room"},
    };
    idt_set(0x90, GATE_INTERRUPT | GATE_DPL3, CODE_R1, gate_entry_0);
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        *(u32 *)(tss + 12) = 8;
        *(u16 *)(tss + 16) = cases[i].selector;
        FAULTS(cases[i].call, call_ring1, 3, cases[i].vector, cases[i].error);
        FAULTS(cases[i].interrupt, user_interrupt, 3, cases[i].vector, cases[i].error);
    }
    *(u32 *)(tss + 12) = (word)trap_stack + 2048;
    *(u16 *)(tss + 16) = STACK_1 | 1;
    const struct trap *t = run(call_ring1, 3);
    promise("CALL to ring 1: CS", CODE_R1 | 1, t->cs);
    promise("CALL to ring 1: SS", STACK_1 | 1, t->ss & 0xffff);
    promise("CALL to ring 1: its stack holds four doublewords", (word)trap_stack + 2048 - 16, t->sp);
    idt_restore(0x90);
}

static void small_gates(void)
{
    word top = (word)trap_stack + sizeof trap_stack;
    const struct trap *t = run(call_16, 3);
    promise("a 16-bit call gate pushes words", top - 10 - 12, t->handler_sp);
    promise("a 16-bit call gate pushes the lower half of ESP", (u16)t->r.di, *(u16 *)(top - 4));
    idt_set(0x91, 0x8600 | GATE_DPL3, CODE_BASED, (const void *)((word)gate_entry_0 - 0x100000));
    t = run(int_gate_16, 3);
    promise("a 16-bit interrupt gate pushes words", top - 10 - 12, t->handler_sp);
    promise("and the lower half of EIP", (word)int_gate_16_next & 0xffff, *(u16 *)(top - 10));
    idt_restore(0x91);
}

/* Segments that the outer ring may not use become null (SDM vol. 1, 6.4.6; vol. 2, RET and IRET). */
static void outward(void)
{
    const struct trap *t = run(ret_outer, 0);
    promise("RET to ring 3: CS", SEL_UCODE, t->cs);
    promise("RET to ring 3: ESP", 0x2000, t->sp);
    promise("RET to ring 3: SS", SEL_UDATA, t->ss & 0xffff);
    promise("RET to ring 3 clears DS of ring 0", 0, t->r.ax);
    t = run(iret_outer_data, 0);
    promise("IRET to ring 3 clears DS of ring 0", 0, t->r.ax);
    promise("IRET to ring 3 keeps ES of ring 3", SEL_UDATA, t->r.dx);
}

int main(void)
{
    descriptors();
    through_call_gate();
    call_faults();
    conforming();
    stack_switch();
    small_gates();
    outward();
    return 0;
}
