/* Exceptions of 64-bit mode: the shared ones, and opcodes that went away, canonical addresses, the stack's
 * alignment. */
#include "guests/exceptions.h"

const char *const suite_name = "exceptions64";

PROBE(divide_quad, "mov $1,%edx; xor %eax,%eax; mov $1,%ecx", "div %rcx")
PROBE(into_gone, "", ".byte 0xce")
PROBE(push_es_gone, "", ".byte 0x06")
PROBE(pusha_gone, "", ".byte 0x60")
PROBE(daa_gone, "", ".byte 0x27")
PROBE(lds_gone, "", ".byte 0x9a,0,0,0,0,8,0")
PROBE(read_noncanonical, "mov $0x800000000000,%rax", "mov (%rax),%eax")
PROBE(read_stack_noncanonical, "mov $0x800000000000,%rbp", "mov (%rbp),%eax")
PROBE(read_crossing, "mov $0x7ffffffffffd,%rax", "mov (%rax),%eax")
PROBE(push_noncanonical, "mov $0x800000000008,%rsp", "push %rax")
PROBE(jump_noncanonical, "mov $0x800000000000,%rax", "jmp *%rax")
PROBE(return_noncanonical, "mov $0x800000000000,%rax; push %rax", "ret")
PROBE(iret_noncanonical, "mov $0x800000000000,%rax; mov %rsp,%rcx; push $0x10; push %rcx; push $2; push $8; push %rax",
      "iretq")
PROBE(iret_null_stack, "push $0; push $0x1000; push $2; push $0x1b; push $0", "iretq")
PROBE(odd_stack, "add $3,%rsp", "ud2")
PROBE(wide_state, "mov $0x123456789abcdef0,%rax; mov %rax,%r15; mov %rax,%r8", "ud2")

static void opcodes(void)
{
    FAULTS("#UD by INTO", into_gone, 3, VEC_UD, 0);
    FAULTS("#UD by PUSH ES", push_es_gone, 3, VEC_UD, 0);
    FAULTS("#UD by PUSHA", pusha_gone, 3, VEC_UD, 0);
    FAULTS("#UD by DAA", daa_gone, 3, VEC_UD, 0);
    FAULTS("#UD by a direct far CALL", lds_gone, 3, VEC_UD, 0);
    FAULTS("#DE by a 64-bit DIV", divide_quad, 3, VEC_DE, 0);
}

/* SDM vol. 1, 3.3.7.1 and vol. 3, 6.15: #GP, or #SS where the stack segment is meant. */
static void canonical(void)
{
    FAULTS("#GP(0) by a read from a non-canonical address", read_noncanonical, 3, VEC_GP, 0);
    FAULTS("#SS(0) by a read through RBP from a non-canonical address", read_stack_noncanonical, 3, VEC_SS, 0);
    FAULTS("#GP(0) by a read that runs into the hole", read_crossing, 3, VEC_GP, 0);
    FAULTS("#SS(0) by a push to a non-canonical address", push_noncanonical, 3, VEC_SS, 0);
    FAULTS("#GP(0) at a near JMP to a non-canonical address", jump_noncanonical, 3, VEC_GP, 0);
    FAULTS("#GP(0) at a RET to a non-canonical address", return_noncanonical, 3, VEC_GP, 0);
    FAULTS("#GP(0) at an IRET to a non-canonical address", iret_noncanonical, 0, VEC_GP, 0);
    FAULTS("#GP(0) by IRET to ring 3 with a null SS", iret_null_stack, 0, VEC_GP, 0);
}

/* SDM vol. 3, 6.14.2: RSP is aligned to 16 bytes before the frame is pushed, and SS:RSP is always pushed. */
static void frame(void)
{
    in.r.sp = ((word)trap_stack + 2048) & ~15ul;
    word start = in.r.sp;
    const struct trap *t = run(odd_stack, 0);
    promise("the saved RSP is the odd one", start + 3, t->sp);
    promise("the frame starts at a multiple of 16", start - 40, t->handler_sp);
    promise("SS is saved without a change of ring", SEL_KDATA, t->ss);
    t = run(wide_state, 3);
    promise("RAX arrives with 64 bits", 0x123456789abcdef0, t->r.ax);
    promise("R8 arrives with 64 bits", 0x123456789abcdef0, t->r.r8);
    promise("R15 arrives with 64 bits", 0x123456789abcdef0, t->r.r15);
}

int main(void)
{
    exceptions_common();
    opcodes();
    canonical();
    frame();
    return 0;
}
