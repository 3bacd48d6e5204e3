/* Real-address mode: addresses, the 16-bit limit, the interrupt vector table and its frames, 32-bit operands,
 * limits that survive from protected mode (SDM vol. 3, 20.1; vol. 1, 3.3). */
#include "guests/lib/guest.h"

const char *const suite_name = "realmode";

extern void enter_real(void);
extern const char real_blob[], real_blob_end[], real_common_offset[], real_state_offset[];

enum { SEG = 0x800, LINEAR = 0x8000, CODE = 0x400, STUBS = 0x1000, DATA = 0xa000, STACK = 0x9000, VEC_END = 0x41 };
enum { CODE_16 = 0x40, DATA_16 = 0x48, DATA_BIG = 0x50 };

/* Code that runs as 0800:0400, its end an INT that returns. */
#define REAL(name, setup, subject) \
    __asm__(".pushsection .rodata\n.code16\n" #name ": " setup "\n" #name "_at: " subject "\n" #name \
            "_next: int $0x41\n" #name "_end:\n.code32\n.popsection"); \
    extern const char name[], name##_at[], name##_next[], name##_end[];

REAL(nothing, "", "nop")
REAL(divide, "", "div %cl")
REAL(breakpoint, "", "int3")
REAL(overflow, "mov $0x7f,%al; add $1,%al", "into")
REAL(bounds, "mov $5,%ax; movl $0x00040001,0", "bound %ax,0")
REAL(undefined, "", "ud2")
REAL(interrupt, "sti; stc", "int $0x42")
REAL(word_at_end, "mov $0xffff,%bx", "mov (%bx),%ax")
REAL(word_at_end_of_stack, "mov $0xffff,%bp", "mov (%bp),%ax")
REAL(long_at_end, "mov $0xfffd,%bx", "mov (%bx),%eax")
REAL(beyond, "mov $0x10000,%ebx", "movb (%ebx),%al")
REAL(wrap, "mov $0xfff0,%bx; mov $0x20,%si; movl $0x11112222,0x20", "mov 0x10(%bx,%si),%eax")
REAL(times_16, "mov $0xa01,%ax; mov %ax,%es; movl $0x33334444,0x34", "mov %es:0x24,%eax")
REAL(above_1m, "mov $0xffff,%ax; mov %ax,%es", "mov %es:0x10,%eax")
REAL(push_wrap, "xor %sp,%sp; mov $0x5678,%ax", "push %ax; mov %sp,%bx; mov $0x100,%sp")
REAL(push_all, "mov %sp,%bx", "pusha; sub %sp,%bx; add $16,%sp")
REAL(push_32, "mov %sp,%bx; mov $0x12345678,%eax", "pushl %eax; sub %sp,%bx; pop %cx; add $2,%sp")
REAL(far_call, "", "lcall $0x840,$7f-far_call; jmp 8f; 7: mov %cs,%ax; lret; 8: nop")
REAL(iret, "pushf; push %cs; push $0x400+7f-iret", "iret; ud2; 7: mov $0x99,%ax")
REAL(pushf_popf, "push $0x7000; popf", "pushf; pop %ax")
REAL(load_pointer, "movl $0x0b120034,8", "les 8,%cx; mov %es,%ax")
REAL(lar, "", "lar %ax,%bx")
REAL(str, "", "str %ax")
REAL(verr, "", "verr %ax")
REAL(lldt, "", "lldt %ax")
REAL(smsw, "", "smsw %ax")
REAL(step, "pushf; pop %ax; or $0x100,%ax; push %ax", "popf; nop; nop")
REAL(big_data, "mov $0x100000,%ebx", "mov %fs:(%ebx),%eax")
REAL(loop_32, "mov $0x10002,%ecx", "1: inc %ax; loop 1b; mov %ecx,%ebx")
REAL(string, "mov $0xfffe,%di; mov $0x10004,%ecx; mov $0x77,%al; movb $0x55,2", "rep stosb; mov %di,%bx; movb 2,%al")
REAL(far_jump_32, "", "ljmpl $0x800,$0x400+7f-far_jump_32; ud2; 7: mov $0x66,%ax")
REAL(jump_beyond, "", ".byte 0x66; .byte 0xe9; .long 0x10000")
REAL(locked_move, "", ".byte 0xf0,0x89,0x07")

struct real_state { u32 ax, bx, cx, dx, sp, handler_flags, vector_address, ip, cs, flags; };
static struct real_state state;

static u8 *low(word address)
{
    __asm__("" : "+r"(address));
    return (u8 *)address;
}

/* A stub of vector n is a CALL of real_common, whose return address tells n; 4 bytes each, from 0800:1000. */
static void build_stubs(void)
{
    for (unsigned vector = 0; vector < 256; vector++) {
        u8 *stub = low(LINEAR + STUBS + 4 * vector);
        u16 distance = (word)real_common_offset - (STUBS + 4 * vector + 3);
        stub[0] = 0xe8;
        memcpy(stub + 1, &distance, 2);
        u16 *entry = (u16 *)low(4 * vector);
        entry[0] = STUBS + 4 * vector;
        entry[1] = SEG;
    }
}

static unsigned run_real(const char *code, const char *end)
{
    memcpy(low(LINEAR), real_blob, real_blob_end - real_blob);
    memcpy(low(LINEAR + CODE), code, end - code);
    enter_real();
    memcpy(&state, low(LINEAR + (word)real_state_offset), sizeof state);
    return (state.vector_address - 3 - STUBS) / 4;
}

/* Expects `vector` with the saved IP `ip` of the code, which stands at CODE. */
static void is(const char *text, unsigned vector, unsigned expected, word ip)
{
    promise(text, (u64)expected << 32 | SEG << 16 | (CODE + ip), (u64)vector << 32 | state.cs << 16 | state.ip);
}

#define RUN(name) run_real(name, name##_end)
#define REAL_FAULTS(text, name, vector) is(text, RUN(name), vector, name##_at - name)
#define REAL_TRAPS(text, name, vector) is(text, RUN(name), vector, name##_next - name)
#define REAL_PASSES(text, name) is(text, RUN(name), VEC_END, name##_end - name)

static void vectors(void)
{
    REAL_PASSES("into real mode and back", nothing);
    promise("an interrupt pushes three words", 0x100 - 6 - 2, state.sp);
    REAL_FAULTS("#DE", divide, VEC_DE);
    promise("#DE pushes three words", 0x100 - 6 - 2, state.sp);
    REAL_TRAPS("INT3", breakpoint, VEC_BP);
    REAL_TRAPS("INTO", overflow, VEC_OF);
    REAL_FAULTS("#BR", bounds, VEC_BR);
    REAL_FAULTS("#UD", undefined, VEC_UD);
    REAL_FAULTS("#UD by LOCK MOV", locked_move, VEC_UD);
    REAL_TRAPS("INT n", interrupt, 0x42);
    promise("INT n saves IF and CF", FL_IF | FL_CF, state.flags & (FL_IF | FL_CF));
    promise("and clears IF", FL_CF, state.handler_flags & (FL_IF | FL_CF | FL_TF));
    REAL_FAULTS("#UD by LAR", lar, VEC_UD);
    REAL_FAULTS("#UD by STR", str, VEC_UD);
    REAL_FAULTS("#UD by VERR", verr, VEC_UD);
    REAL_FAULTS("#UD by LLDT", lldt, VEC_UD);
    is("a single step after POPF and one instruction", RUN(step), VEC_DB, step_at + 2 - step);
}

static void addresses(void)
{
    REAL_FAULTS("#GP by a word at offset ffff", word_at_end, VEC_GP);
    promise("without an error code", 0x100 - 6 - 2, state.sp);
    REAL_FAULTS("#SS by a word at offset ffff of SS", word_at_end_of_stack, VEC_SS);
    REAL_FAULTS("#GP by a doubleword at offset fffd", long_at_end, VEC_GP);
    REAL_FAULTS("#GP by a 32-bit offset beyond ffff", beyond, VEC_GP);
    REAL_FAULTS("#GP by a jump beyond ffff", jump_beyond, VEC_GP);
    REAL_PASSES("16-bit addresses", wrap);
    promise("wrap at 64 KiB", 0x11112222, state.ax);
    RUN(times_16);
    promise("the segment counts 16 times", 0x33334444, state.ax);
    RUN(above_1m);
    promise("ffff:0010 is 1 MiB", *(u32 *)low(0x100000), state.ax);
    RUN(big_data);
    promise("a limit from protected mode survives", *(u32 *)low(0x100000), state.ax);
}

static void instructions(void)
{
    RUN(push_wrap);
    promise("a push at SP 0 wraps", 0xfffe, state.bx);
    promise("to the segment's end", 0x5678, *(u16 *)low(STACK + 0xfffe));
    RUN(push_all);
    promise("PUSHA takes 16 bytes", 16, state.bx);
    RUN(push_32);
    promise("a 32-bit push takes 4 bytes", 4, state.bx);
    promise("low half first", 0x5678, state.cx);
    RUN(far_call);
    promise("a far CALL", 0x840, state.ax & 0xffff);
    RUN(far_jump_32);
    promise("a far JMP with a 32-bit offset", 0x66, state.ax);
    RUN(iret);
    promise("IRET", 0x99, state.ax);
    RUN(pushf_popf);
    promise("POPF sets IOPL and NT", 0x7002, state.ax);
    RUN(load_pointer);
    promise("LES loads a segment without a descriptor", 0xb12, state.ax & 0xffff);
    promise("and the offset", 0x34, state.cx);
    RUN(smsw);
    promise("SMSW shows PE clear", 0, state.ax & 1);
    RUN(loop_32);
    promise("LOOP counts CX", 0x10000, state.bx);
    RUN(string);
    promise("REP STOSB wraps DI", 2, state.bx);
    promise("and stops there", 0x55, state.ax);
    promise("at the segment's end", 0x7777, *(u16 *)low(DATA + 0xfffe));
}

int main(void)
{
    gdt_set(CODE_16, segment(LINEAR, 0xffff, SEG_CODE));
    gdt_set(DATA_16, segment(0, 0xffff, SEG_DATA));
    gdt_set(DATA_BIG, segment(0, 0xfffff, SEG_DATA | SEG_4K));
    build_stubs();
    vectors();
    addresses();
    instructions();
    return 0;
}
