/* Gates of 64-bit mode: interrupt stack table, call gates, what replaced the stack segment (SDM vol. 3, 5.8.3.1 and
 * 6.14). */
#include "guests/lib/guest.h"

const char *const suite_name = "gates64";

enum { CALL_GATE = 0x40, CODE_BOTH_SIZES = 0x50, CODE_COMPAT = 0x58, CALL_COMPAT = 0x60, CALL_HIGH_TYPE = 0x70 };

PROBE(interrupt_ist, "", "int $0x90")
PROBE(undefined, "", "ud2")
PROBE(call_gate, "", "lcall *gate_pointer")
PROBE(call_compat, "", "lcall *compat_pointer")
PROBE(call_bad_type, "", "lcall *type_pointer")
PROBE(jump_both, "", "ljmp *both_pointer")
PROBE(interrupt_compat, "", "int $0x91")
PROBE(ret_null_stack, "push $0; push $0x1000; push $0x1b; push $0x1000", "lretq")
PROBE(to_compat, "push $0x5b; pushq $compat_code", "lretq")

__asm__(".pushsection .probes,\"ax\"\n"
        "gate_entry: mov %rsp,gate_sp; mov %ss,%eax; mov %eax,gate_ss; mov (%rsp),%rax; mov %rax,gate_frame\n"
        "  mov 24(%rsp),%rax; mov %rax,gate_frame+8; lretq\n"
        ".code32\ncompat_code: mov $-1,%eax; inc %eax; mov %esp,%ecx; int $0x81\n.code64\n.popsection\n"
        ".data\ngate_pointer: .long 0; .word 0x43\ncompat_pointer: .long 0; .word 0x63\n"
        "both_pointer: .long 0x1000; .word 0x53\ntype_pointer: .long 0; .word 0x73\n.text");
extern const char gate_entry[], compat_code[];
word gate_sp, gate_ss, gate_frame[2];
static u8 ist_stack[1024] __attribute__((aligned(16)));

static void set_call_gate(unsigned at, unsigned selector, const void *offset)
{
    u64 address = (word)offset;
    gdt_set(at, (address & 0xffff) | (u64)selector << 16 | (u64)(GATE_CALL | GATE_DPL3) << 32
                    | (address >> 16 & 0xffff) << 48);
    gdt_set(at + 8, address >> 32);
}

/* SDM vol. 3, 6.14.5 */
static void stack_table(void)
{
    *(u64 *)(tss + 36) = (word)ist_stack + sizeof ist_stack - 3;
    idt_set(VEC_UD, GATE_INTERRUPT | 1, SEL_KCODE, vector_stub(VEC_UD));
    word base = (word)ist_stack + sizeof ist_stack - 16;
    promise("IST 1 gives the stack, aligned down, from ring 0", base - 40, run(undefined, 0)->handler_sp);
    promise("and from ring 3", base - 40, run(undefined, 3)->handler_sp);
    idt_restore(VEC_UD);
    const struct trap *t = run(undefined, 0);
    promise("without IST ring 0 stays on its stack", (t->sp & ~15ul) - 40, t->handler_sp);
    *(u64 *)(tss + 44) = 0x900000000000;
    idt_set(0x90, GATE_INTERRUPT | GATE_DPL3 | 2, SEL_KCODE, vector_stub(0x90));
    FAULTS("#SS(0) by a non-canonical IST stack", interrupt_ist, 3, VEC_SS, 0);
    idt_restore(0x90);
}

static void call_gates(void)
{
    word top = (word)trap_stack + sizeof trap_stack;
    set_call_gate(CALL_GATE, SEL_KCODE, gate_entry);
    const struct trap *t = run(call_gate, 3);
    trap_is("a call gate to ring 0 and RET back", t, VEC_DONE, 0, call_gate_next + 2);
    promise("it pushes four quadwords", top - 32, gate_sp);
    promise("its new SS is null with RPL = CPL", 0, gate_ss);
    promise("return RIP", (word)call_gate_next, gate_frame[0]);
    promise("outer SS", SEL_UDATA, gate_frame[1] & 0xffff);
    set_call_gate(CALL_COMPAT, CODE_COMPAT, gate_entry);
    FAULTS("#GP by a call gate to compatibility code", call_compat, 3, VEC_GP, CODE_COMPAT);
    set_call_gate(CALL_HIGH_TYPE, SEL_KCODE, gate_entry);
    gdt[CALL_HIGH_TYPE / 8 + 1] |= 0x1f00ull << 32;
    FAULTS("#GP by a call gate whose upper half has a type", call_bad_type, 3, VEC_GP, CALL_HIGH_TYPE);
}

static void code_segments(void)
{
    gdt_set(CODE_BOTH_SIZES, segment(0, 0xfffff, SEG_CODE | SEG_DPL3 | SEG_4K | SEG_64 | SEG_32));
    gdt_set(CODE_COMPAT, segment(0, 0xfffff, SEG_CODE | SEG_DPL3 | SEG_4K | SEG_32));
    FAULTS("#GP by a code segment with both L and D", jump_both, 3, VEC_GP, CODE_BOTH_SIZES);
    idt_set(0x91, GATE_INTERRUPT | GATE_DPL3, CODE_COMPAT, gate_entry);
    FAULTS("#GP by an interrupt gate to compatibility code", interrupt_compat, 3, VEC_GP, CODE_COMPAT);
    idt_restore(0x91);
    FAULTS("#GP(0) by RET to ring 3 with a null SS", ret_null_stack, 0, VEC_GP, 0);
    in.r.sp = 0;
    const struct trap *t = run(to_compat, 3);
    promise("RET to compatibility mode", CODE_COMPAT | 3, t->cs);
    promise("which decodes 32-bit code", 0, t->r.ax);
}

int main(void)
{
    code_segments();
    call_gates();
    stack_table();
    return 0;
}
