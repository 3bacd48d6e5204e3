/* Exceptions that 32-bit protected mode and 64-bit mode raise alike (SDM vol. 3, chapter 6): the vector, the error
 * code, the saved CS:IP, flags and stack, from ring 0 and from ring 3. */
#include "guests/exceptions.h"

PROBE(divide_by_zero, "mov $1,%eax; xor %edx,%edx; xor %ecx,%ecx", "div %ecx")
PROBE(divide_overflow, "xor %eax,%eax; mov $1,%edx; mov $1,%ecx", "div %ecx")
PROBE(idiv_overflow, "mov $0x80000000,%eax; mov $-1,%edx; mov $-1,%ecx", "idiv %ecx")
PROBE(divide_byte_overflow, "mov $0x1000,%eax; mov $1,%ecx", "div %cl")
PROBE(idiv_byte_edge, "mov $0xff80,%eax; mov $1,%ecx", "idiv %cl")
PROBE(breakpoint, "", "int3")
PROBE(breakpoint_long, "", ".byte 0xcd,3")
PROBE(undefined, "", "ud2")
PROBE(lock_register, "", ".byte 0xf0,0x01,0xc0")
PROBE(lock_mov, "", ".byte 0xf0,0x89,0x00")
PROBE(mov_cs, "", ".byte 0x8e,0xc8")
PROBE(lea_register, "", ".byte 0x8d,0xc0")
PROBE(int_forbidden, "", "int $0x90")
PROBE(int_missing, "", "int $0x91")
PROBE(load_missing, "mov $0x40,%eax", "mov %eax,%fs")
PROBE(load_beyond_gdt, "mov $0x4008,%eax", "mov %eax,%fs")
PROBE(load_ldt_without_ldt, "mov $0x0c,%eax", "mov %eax,%fs")
PROBE(load_code_not_readable, "mov $0x48,%eax", "mov %eax,%fs")
PROBE(load_stack_missing, "mov $0x50,%eax", "mov %eax,%ss")
PROBE(load_stack_readonly, "mov $0x58,%eax", "mov %eax,%ss")
PROBE(load_stack_wrong_ring, "mov $0x23,%eax", "mov %eax,%ss")
PROBE(halt, "", "hlt")
PROBE(clear_interrupts, "", "cli")
PROBE(port_read, "mov $0x80,%edx", "in %dx,%al")
PROBE(load_gdt, "", "lgdt 0x1000")
PROBE(write_reserved_msr, "mov $0x3fffffff,%ecx", "wrmsr")
PROBE(no_fpu, "", "fld1")
PROBE(wait_no_fpu, "", "fwait")
PROBE(x87_divide_by_zero, "fninit; push $0x37b; fldcw (%esp); fld1; fldz; .byte 0xde,0xf9", "fld1")
PROBE(x87_no_wait, "fninit; push $0x37b; fldcw (%esp); fld1; fldz; .byte 0xde,0xf9", "fnstsw %ax")
PROBE(sse_divide_by_zero, "push $0x1d80; ldmxcsr (%esp); xorps %xmm1,%xmm1; pcmpeqd %xmm0,%xmm0; pslld $25,%xmm0; "
      "psrld $2,%xmm0", "divps %xmm1,%xmm0")
PROBE(sse_unaligned, "", "movaps -12(%esp),%xmm0")
PROBE(unaligned_read, "", "mov -7(%esp),%eax")
PROBE(unaligned_word, "", "mov -7(%esp),%ax")
PROBE(single_step, "", "nop")
PROBE(stack_and_flags, "stc; std", "ud2")


static void divides(void)
{
    FAULTS("#DE by zero in ring 0", divide_by_zero, 0, VEC_DE, 0);
    FAULTS("#DE by zero in ring 3", divide_by_zero, 3, VEC_DE, 0);
    FAULTS("#DE when the quotient of DIV does not fit", divide_overflow, 3, VEC_DE, 0);
    FAULTS("#DE when the quotient of IDIV does not fit", idiv_overflow, 3, VEC_DE, 0);
    FAULTS("#DE when the quotient of byte DIV does not fit", divide_byte_overflow, 3, VEC_DE, 0);
    PASSES("no #DE for the least byte quotient", idiv_byte_edge, 3);
    const struct trap *t = run(divide_overflow, 3);
    promise("#DE leaves the dividend alone", 1, t->r.dx);
}

static void software(void)
{
    TRAPS("INT3 in ring 0 is a trap", breakpoint, 0, VEC_BP, 0);
    TRAPS("INT3 in ring 3 is a trap", breakpoint, 3, VEC_BP, 0);
    TRAPS("INT 3 with two bytes is a trap", breakpoint_long, 3, VEC_BP, 0);
    idt_set(VEC_BP, GATE_INTERRUPT, SEL_KCODE, vector_stub(VEC_BP));
    FAULTS("INT3 from ring 3 through a gate of DPL 0: #GP with the IDT bit", breakpoint, 3, VEC_GP, VEC_BP * 8 + 2);
    idt_restore(VEC_BP);
    FAULTS("INT n from ring 3 through a gate of DPL 0: #GP with the IDT bit", int_forbidden, 3, VEC_GP, 0x90 * 8 + 2);
    idt_set(0x91, (GATE_INTERRUPT | GATE_DPL3) & ~0x8000, SEL_KCODE, vector_stub(0x91));
    FAULTS("INT n through an absent gate: #NP with the IDT bit", int_missing, 3, VEC_NP, 0x91 * 8 + 2);
    idt_set(0x91, 0x8200, SEL_KCODE, vector_stub(0x91));
    FAULTS("INT n through a gate of a wrong type: #GP with the IDT bit", int_missing, 0, VEC_GP, 0x91 * 8 + 2);
    idt_set(0x91, GATE_INTERRUPT, SEL_KDATA, vector_stub(0x91));
    FAULTS("INT n to a data segment: #GP with the selector", int_missing, 0, VEC_GP, SEL_KDATA);
    idt_set(0x91, GATE_INTERRUPT, 0, vector_stub(0x91));
    FAULTS("INT n to a null selector: #GP(0)", int_missing, 0, VEC_GP, 0);
    idt_set(0x91, GATE_INTERRUPT, 0x1000, vector_stub(0x91));
    FAULTS("INT n to a selector beyond the GDT: #GP with the selector", int_missing, 0, VEC_GP, 0x1000);
    idt_restore(0x91);
}

static void undefined_opcodes(void)
{
    FAULTS("#UD by UD2 in ring 0", undefined, 0, VEC_UD, 0);
    FAULTS("#UD by UD2 in ring 3", undefined, 3, VEC_UD, 0);
    FAULTS("#UD by LOCK with a register destination", lock_register, 3, VEC_UD, 0);
    FAULTS("#UD by LOCK MOV", lock_mov, 3, VEC_UD, 0);
    FAULTS("#UD by MOV to CS", mov_cs, 3, VEC_UD, 0);
    FAULTS("#UD by LEA with a register source", lea_register, 3, VEC_UD, 0);
}

static void segments(void)
{
    gdt_set(0x40, segment(0, 0xfffff, (SEG_DATA | SEG_DPL3 | SEG_4K | SEG_32) & ~0x80));
    gdt_set(0x48, segment(0, 0xfffff, (SEG_CODE | SEG_DPL3 | SEG_4K | SEG_32) & ~2));
    gdt_set(0x50, segment(0, 0xfffff, (SEG_DATA | SEG_4K | SEG_32) & ~0x80));
    gdt_set(0x58, segment(0, 0xfffff, (SEG_DATA | SEG_4K | SEG_32) & ~2));
    FAULTS("#NP by loading FS with an absent segment", load_missing, 3, VEC_NP, 0x40);
    FAULTS("#GP by loading FS from beyond the GDT", load_beyond_gdt, 3, VEC_GP, 0x4008);
    FAULTS("#GP by loading FS from an LDT that is not there", load_ldt_without_ldt, 3, VEC_GP, 0x0c);
    FAULTS("#GP by loading FS with execute-only code", load_code_not_readable, 3, VEC_GP, 0x48);
    FAULTS("#SS by loading SS with an absent segment", load_stack_missing, 0, VEC_SS, 0x50);
    FAULTS("#GP by loading SS with a read-only segment", load_stack_readonly, 0, VEC_GP, 0x58);
    FAULTS("#GP by loading SS with a segment of ring 3 in ring 0", load_stack_wrong_ring, 0, VEC_GP, 0x20);
}

static void privileges(void)
{
    FAULTS("#GP(0) by HLT in ring 3", halt, 3, VEC_GP, 0);
    FAULTS("#GP(0) by CLI in ring 3 with IOPL 0", clear_interrupts, 3, VEC_GP, 0);
    in.flags = FL_IOPL3;
    PASSES("CLI in ring 3 with IOPL 3", clear_interrupts, 3);
    FAULTS("#GP(0) by IN in ring 3 without an I/O permission bitmap", port_read, 3, VEC_GP, 0);
    in.flags = FL_IOPL3;
    PASSES("IN in ring 3 with IOPL 3", port_read, 3);
    FAULTS("#GP(0) by LGDT in ring 3", load_gdt, 3, VEC_GP, 0);
    FAULTS("#GP(0) by WRMSR to an MSR that does not exist", write_reserved_msr, 0, VEC_GP, 0);
}

/* SDM vol. 3, 2.5 and table 2-2: what EM, TS and MP do. */
static void fpu_absent(void)
{
    word cr0 = read_cr0();
    write_cr0(cr0 | CR0_TS);
    FAULTS("#NM by x87 with CR0.TS in ring 0", no_fpu, 0, VEC_NM, 0);
    FAULTS("#NM by x87 with CR0.TS in ring 3", no_fpu, 3, VEC_NM, 0);
    FAULTS("#NM by FWAIT with CR0.TS and CR0.MP", wait_no_fpu, 3, VEC_NM, 0);
    write_cr0((cr0 | CR0_TS) & ~(word)CR0_MP);
    PASSES("no #NM by FWAIT with CR0.TS but not CR0.MP", wait_no_fpu, 3);
    write_cr0(cr0 | CR0_EM);
    FAULTS("#NM by x87 with CR0.EM", no_fpu, 3, VEC_NM, 0);
    write_cr0(cr0);
}

static void fpu_errors(void)
{
    FAULTS("#MF at the x87 instruction after an unmasked exception, ring 0", x87_divide_by_zero, 0, VEC_MF, 0);
    FAULTS("#MF at the x87 instruction after an unmasked exception, ring 3", x87_divide_by_zero, 3, VEC_MF, 0);
    PASSES("no #MF by FNSTSW", x87_no_wait, 3);
    __asm__ volatile("fninit");
    word cr4 = read_cr4();
    write_cr4(cr4 | CR4_OSFXSR | CR4_OSXMMEXCPT);
    /* SDM vol. 1, 11.5.1: unmasked SIMD exceptions are faults of the instruction itself. */
    FAULTS("#XM by an unmasked SIMD division by zero", sse_divide_by_zero, 3, VEC_XM, 0);
    write_cr4((cr4 | CR4_OSFXSR) & ~(word)CR4_OSXMMEXCPT);
    FAULTS("#UD instead of #XM without CR4.OSXMMEXCPT", sse_divide_by_zero, 3, VEC_UD, 0);
    FAULTS("#GP(0) by an unaligned MOVAPS", sse_unaligned, 3, VEC_GP, 0);
    write_cr4(cr4);
    FAULTS("#UD by SSE without CR4.OSFXSR", sse_unaligned, 3, VEC_UD, 0);
}

/* SDM vol. 3, 6.15, interrupt 17: only in ring 3, with both CR0.AM and EFLAGS.AC. */
static void alignment(void)
{
    word cr0 = read_cr0();
    write_cr0(cr0 | CR0_AM);
    in.flags = FL_AC;
    FAULTS("#AC by an unaligned doubleword in ring 3", unaligned_read, 3, VEC_AC, 0);
    in.flags = FL_AC;
    FAULTS("#AC by an unaligned word in ring 3", unaligned_word, 3, VEC_AC, 0);
    in.flags = FL_AC;
    PASSES("no #AC in ring 0", unaligned_read, 0);
    PASSES("no #AC without EFLAGS.AC", unaligned_read, 3);
    write_cr0(cr0);
    in.flags = FL_AC;
    PASSES("no #AC without CR0.AM", unaligned_read, 3);
}

static void debug_trap(void)
{
    in.flags = FL_TF;
    const struct trap *t = run(single_step, 0);
    trap_is("#DB after one instruction with TF, ring 0", t, VEC_DB, 0, single_step_next);
    promise("DR6.BS after a single step", 0xffff4ff0, t->dr6);
    in.flags = FL_TF;
    trap_is("#DB after one instruction with TF, ring 3", run(single_step, 3), VEC_DB, 0, single_step_next);
}

static void saved_state(void)
{
    in.flags = FL_IF | FL_ID;
    const struct trap *t = run(stack_and_flags, 3);
    word flags = FL_FIXED | FL_CF | FL_DF | FL_IF | FL_ID;
    promise("saved flags hold CF, DF, IF and ID of the faulting code", flags, t->flags & ~(word)FL_RF);
    /* SDM vol. 3, 17.3.1.1: RF is set in the image that a fault pushes. */
    promise("saved RF is 1 for a fault", FL_RF, t->flags & FL_RF);
    promise("an interrupt gate clears IF, TF, NT, RF and keeps the rest", FL_FIXED | FL_CF | FL_DF | FL_ID,
            t->handler_flags & ~(word)(FL_ZF | FL_SF | FL_PF | FL_AF | FL_OF));
    promise("saved SS of ring 3", SEL_UDATA, t->ss & 0xffff);
    word base = (word)trap_stack + sizeof trap_stack;
    promise("the handler's stack is that of the TSS", base - 5 * sizeof(word), t->handler_sp);
    t = run(breakpoint, 3);
    promise("saved RF is 0 for a trap", 0, t->flags & FL_RF);
    in.r.sp = (word)trap_stack + 1024;
    t = run(undefined, 3);
    promise("saved stack pointer of ring 3", (word)trap_stack + 1024, t->sp);
    idt_set(VEC_UD, GATE_TRAP, SEL_KCODE, vector_stub(VEC_UD));
    in.flags = FL_IF;
    t = run(undefined, 0);
    promise("a trap gate keeps IF", FL_IF, t->handler_flags & FL_IF);
    idt_restore(VEC_UD);
}

/* SDM vol. 3, table 6-5: two contributory exceptions make a double fault, its saved IP that of the first. */
static void double_faults(void)
{
    idt_set(VEC_GP, GATE_INTERRUPT & ~0x8000, SEL_KCODE, vector_stub(VEC_GP));
    FAULTS("#DF(0) when the #GP of INT n finds its gate absent", int_forbidden, 3, VEC_DF, 0);
    FAULTS("#DF(0) when the #GP of HLT finds its gate absent", halt, 3, VEC_DF, 0);
    idt_restore(VEC_GP);
    idt_set(VEC_UD, GATE_INTERRUPT & ~0x8000, SEL_KCODE, vector_stub(VEC_UD));
    /* EXT: the second fault is not the program's doing, and the code names the gate (SDM vol. 3, 6.13). */
    FAULTS("#NP with IDT and EXT when #UD finds its gate absent", undefined, 3, VEC_NP, VEC_UD * 8 + 3);
    idt_restore(VEC_UD);
}

void exceptions_common(void)
{
    divides();
    software();
    undefined_opcodes();
    segments();
    privileges();
    fpu_absent();
    fpu_errors();
    alignment();
    debug_trap();
    saved_state();
    double_faults();
}
