/* Self-modifying code (SDM vol. 3, 8.1.3 and 11.6): a store into code counts for the next instruction at the
 * latest that a branch reaches, and on every processor since the Pentium for the very next one, if the linear
 * address is the same. Through another linear address a serializing instruction makes it count. */
#include "guests/smc.h"

static u8 code[3][PAGE] __attribute__((aligned(PAGE)));

/* mov $n,%eax; ret: the parts that the probes change are the four bytes after the opcode. */
static void put_function(u8 *at, u32 n)
{
    at[0] = 0xb8;
    memcpy(at + 1, &n, 4);
    at[5] = 0xc3;
}

PROBE(next_instruction, "mov $1,%eax; mov $0x42,%cl", "movb %cl,7f+1(%ebx); 7: mov $1,%al")
PROBE(same_block, "mov $0x43,%cl", "movb %cl,7f+1(%ebx); nop; nop; nop; xor %edx,%edx; inc %edx; 7: mov $1,%al")
PROBE(call_function, "", "call *" R("bx"))
PROBE(call_twice, "call *" R("bx") "; mov %eax,%esi", "movb $0x99,1(" R("bx") "); call *" R("bx"))
PROBE(alias_write, "call *" R("bx") "; mov %eax,%edi; movb $0x77,1(" R("si") "); xor %eax,%eax; push " R("bx")
      "; cpuid; pop " R("bx"), "call *" R("bx"))
PROBE(string_write, "push " R("bx") "; call *" R("bx") "; pop " R("bx") "; lea 1(" R("bx") ")," R("di") "; "
      "mov $4,%ecx; mov $0x5a,%al; rep stosb", "call *" R("bx"))
PROBE(string_over_itself, "lea 7f(%ebx)," R("di") "; mov $4,%ecx; mov $0x90,%al; xor %edx,%edx",
      "rep stosb; 7: inc %edx; inc %edx; inc %edx; inc %edx")
PROBE(loop_patch, "xor %edx,%edx; mov $3,%ecx", "1: 7: add $1,%dl; incb 7b+2(%ebx); dec %ecx; jnz 1b")
PROBE(backward, "xor %edx,%edx; jmp 2f; 7: mov $1,%dl; jmp 3f", "2: movb $0x31,7b+1(%ebx); jmp 7b; 3: nop")
PROBE(locked_write, "call *" R("bx") "; mov $0x66,%cl", "lock xchgb %cl,1(" R("bx") "); call *" R("bx"))
PROBE(push_over, "call *" R("bx") "; mov " R("sp") "," R("bp") "; lea " PUSH_AT "(" R("bx") ")," R("sp"),
      "push " R("cx") "; mov " R("bp") "," R("sp") "; call *" R("bx"))

static const struct trap *call(const char *probe, word function, word si)
{
    in.r.bx = function;
    in.r.si = si;
    return run(probe, 0);
}

/* These change the probe itself, so each can run once: EBX is 0, for an absolute address. */
static void in_the_block(void)
{
    promise("a store into the next instruction", 0x42, run(next_instruction, 0)->r.ax & 0xff);
    promise("a store further ahead in the same block", 0x43, run(same_block, 0)->r.ax & 0xff);
    promise("a store behind, then a branch there", 0x31, run(backward, 0)->r.dx);
    promise("a loop that changes its own operand", 1 + 2 + 3, run(loop_patch, 0)->r.dx);
    /* INC has two bytes in 64-bit mode. */
    promise("REP STOSB over what follows it", IS_64 ? 2 : 0, run(string_over_itself, 0)->r.dx);
}

static void in_other_code(void)
{
    put_function(code[0], 0x11);
    page_set(TEST, (word)code[0] | PTE_RW);
    page_set(TEST + PAGE, (word)code[1] | PTE_RW);
    promise("code that was never run", 0x11, call(call_function, TEST, 0)->r.ax);
    put_function(code[0], 0x22);
    promise("changed by the kernel at its other address", 0x22, call(call_function, TEST, 0)->r.ax);
    const struct trap *t = call(call_twice, TEST, 0);
    promise("changed between two calls: before", 0x22, t->r.si);
    promise("changed between two calls: after", 0x99, t->r.ax);
    put_function(code[0], 0x33);
    promise("changed by an exchange", 0x66, call(locked_write, TEST, 0)->r.ax);
    put_function(code[0], 0x34);
    promise("changed by REP STOSB", 0x5a5a5a5a, call(string_write, TEST, 0)->r.ax);
    /* The pushed word replaces the function at its very end: B8 imm32 C3 in 64-bit mode, all but B8 imm8 in 32-bit. */
    put_function(code[0], 0x12345678);
    in.r.cx = IS_64 ? (word)0x9090c30000abcdb8 : (word)0x90c30000;
    t = call(push_over, TEST, 0);
    promise("changed by a push", IS_64 ? 0xabcd : 0x5678, t->r.ax);
}

static void through_an_alias(void)
{
    put_function(code[0], 0x44);
    page_set(TEST + 2 * PAGE, (word)code[0] | PTE_RW);
    const struct trap *t = call(alias_write, TEST, TEST + 2 * PAGE);
    promise("an alias: before", 0x44, t->r.di);
    promise("an alias: after a store and CPUID", 0x77, t->r.ax);
}

/* The code stays, the map changes. */
static void through_the_map(void)
{
    put_function(code[0], 0x55);
    put_function(code[1], 0x56);
    page_set(TEST, (word)code[0] | PTE_RW);
    promise("one frame", 0x55, call(call_function, TEST, 0)->r.ax);
    page_set(TEST, (word)code[1] | PTE_RW);
    promise("another frame at the same address", 0x56, call(call_function, TEST, 0)->r.ax);
    page_set(TEST, (word)code[0] | PTE_RW);
    promise("and the first again", 0x55, call(call_function, TEST, 0)->r.ax);
}

/* A function that straddles two pages, changed on the second. */
static void across_pages(void)
{
    page_set(TEST, (word)code[0] | PTE_RW);
    page_set(TEST + PAGE, (word)code[1] | PTE_RW);
    u8 bytes[6];
    put_function(bytes, 0x1234);
    memcpy(code[0] + PAGE - 2, bytes, 2);
    memcpy(code[1], bytes + 2, 4);
    promise("an instruction across two pages", 0x1234, call(call_function, TEST + PAGE - 2, 0)->r.ax);
    *(volatile u8 *)(TEST + PAGE) = 0x77;
    promise("changed on the second page", 0x7734, call(call_function, TEST + PAGE - 2, 0)->r.ax);
    page_set(TEST + PAGE, (word)code[2] | PTE_RW);
    memcpy(code[2], bytes + 2, 4);
    promise("or mapped elsewhere there", 0x1234, call(call_function, TEST + PAGE - 2, 0)->r.ax);
}

/* Data beside code: thousands of stores next to a function that is called each time. */
static void beside(void)
{
    page_set(TEST, (word)code[0] | PTE_RW);
    put_function(code[0], 0x66);
    u32 right = 0;
    for (unsigned i = 0; i < 200; i++) {
        *(volatile u32 *)(TEST + 16) = i;
        right += call(call_function, TEST, 0)->r.ax == 0x66;
    }
    promise("data beside code", 200, right);
    right = 0;
    for (unsigned i = 0; i < 200; i++) {
        *(volatile u8 *)(TEST + 1) = i;
        right += call(call_function, TEST, 0)->r.ax == i;
    }
    promise("code changed two hundred times", 200, right);
}

/* devices/selftest.h: a bus master that writes when it is told to; Reprise's alone. */
static void by_dma(void)
{
    static const char *const names[] = {"changed by a bus master", "changed again", "on both sides of a page border"};
    enum { BASE = 0x540, ACT = 0x14, DMA = 4, ADDRESS = 0x20, ADDRESS_HIGH = 0x24, LENGTH = 0x28, PATTERN = 0x2c };
    if (inl(BASE) != 0x54535052) {
        for (unsigned i = 0; i < 3; i++)
            skip(names[i]);
        return;
    }
    page_set(TEST, (word)code[0] | PTE_RW);
    page_set(TEST + PAGE, (word)code[1] | PTE_RW);
    put_function(code[0], 0x10);
    call(call_function, TEST, 0);
    outl(BASE + ADDRESS, (word)code[0] + 1);
    outl(BASE + ADDRESS_HIGH, 0);
    outl(BASE + LENGTH, 4);
    for (unsigned i = 0; i < 2; i++) {
        outl(BASE + PATTERN, 0x11223344 << i);
        outl(BASE + ACT, DMA);
        promise(names[i], 0x11223344 << i, call(call_function, TEST, 0)->r.ax);
    }
    put_function(code[0] + PAGE - 3, 0x20);
    call(call_function, TEST + PAGE - 3, 0);
    outl(BASE + ADDRESS, (word)code[0] + PAGE - 2);
    outl(BASE + PATTERN, 0x55667788);
    outl(BASE + ACT, DMA);
    promise(names[2], 0x55667788, call(call_function, TEST + PAGE - 3, 0)->r.ax);
}

void smc_common(void)
{
    in_the_block();
    in_other_code();
    through_an_alias();
    through_the_map();
    across_pages();
    beside();
    by_dma();
}
