/* Virtual-8086 mode: entry by IRET, what IOPL guards, 16-bit addressing, a monitor that reflects interrupts, and the
 * virtual-mode extensions (SDM vol. 3, chapter 20). */
#include "guests/lib/guest.h"

const char *const suite_name = "v86";

enum { SEG = 0x800, LINEAR = SEG << 4, STACK_SEG = 0x900, STACK_TOP = 0x100, DATA_SEG = 0xa00 };

#define V86(name, setup, subject) \
    __asm__(".pushsection .rodata\n.code16\n" #name ": " setup "\n" #name "_at: " subject "\n" \
            #name "_next: int $0x81\n" #name "_end:\n.code32\n.popsection"); \
    extern const char name[], name##_at[], name##_next[], name##_end[];

V86(nothing, "", "nop")
V86(cli, "", "cli")
V86(sti, "", "sti")
V86(pushf, "", "pushf")
V86(popf, "push $0x3202", "popf")
V86(pushfl, "", "pushfl; popl %eax")
V86(iret, "pushf; push $0x800; push $6f-iret", "iret; 6: nop")
V86(int_n, "", "int $0x40")
V86(breakpoint, "", "int3")
V86(halt, "", "hlt")
V86(move_cr0, "", "mov %cr0,%eax")
V86(load_gdt, "", "lgdt 0")
V86(store_ldt, "", "sldt %ax")
V86(store_tr, "", "str %ax")
V86(load_rights, "", "lar %ax,%bx")
V86(verify, "", "verr %ax")
V86(arpl, "", "arpl %ax,%bx")
V86(in_port, "mov $0x80,%dx", "in %dx,%al")
V86(divide, "xor %cx,%cx", "div %cx")
V86(undefined, "", "ud2")
V86(read_data, "", "mov (%bx),%ax")
V86(read_data_bp, "", "mov (%bp),%ax")
V86(read_wide, "", "addr32 mov (%ebx),%eax")
V86(read_sum, "", "mov 0x10(%bx,%si),%ax")
V86(push_wrap, "xor %sp,%sp", "push %ax; mov %sp,%bx")
V86(push_odd, "mov $1,%sp", "push %ax")
V86(load_segment, "mov $0xa01,%ax; mov %ax,%fs", "mov %fs:0,%ax; mov %fs,%bx")
V86(far_jump, "", "ljmp $0x801,$6f-far_jump-16; .fill 20,1,0x90; 6: mov %cs,%ax")
V86(far_call, "", "lcall $0x800,$6f-far_call; jmp 7f; 6: mov $0x77,%ax; lret; 7: nop")
V86(smsw, "", "smsw %ax")
V86(reflected, "mov $1,%ax", "int $0x40; add $0x100,%ax")
V86(real_handler, "", "add $0x10,%ax; iret")
V86(vme_flags, "sti", "pushf; pop %ax; cli; pushf; pop %bx")

PROBE(enter_v86, "", "pushl v86_frame+32; pushl v86_frame+28; pushl v86_frame+24; pushl v86_frame+20; "
      "pushl v86_frame+16; pushl v86_frame+12; pushl v86_frame+8; pushl v86_frame+4; pushl v86_frame; iret")
word v86_frame[9];

static u8 *low(word address)
{
    __asm__("" : "+r"(address));
    return (u8 *)address;
}

static const struct trap *run_v86(const char *code, const char *end, word flags)
{
    memcpy(low(LINEAR), code, end - code);
    const word frame[9] = {0, SEG, flags | FL_VM | FL_FIXED, STACK_TOP, STACK_SEG, 0xb01, DATA_SEG, 0xc02, 0xd03};
    memcpy(v86_frame, frame, sizeof frame);
    return run(enter_v86, 0);
}

static void is(const char *text, const struct trap *t, unsigned vector, word error, word ip)
{
    u64 expected = (u64)vector << 48 | (u64)error << 32 | SEG << 16 | ip;
    u64 got = (u64)t->vector << 48 | (u64)(u16)t->error << 32 | (t->cs & 0xffff) << 16 | (t->ip & 0xffff);
    promise(text, expected, t->flags & FL_VM ? got : 0);
}

#define RUN(name, flags) run_v86(name, name##_end, flags)
#define V86_FAULTS(text, name, flags, vector, error) is(text, RUN(name, flags), vector, error, name##_at - name)
#define V86_PASSES(text, name, flags) is(text, RUN(name, flags), VEC_DONE, 0, name##_end - name)

static void entry(void)
{
    const struct trap *t = RUN(nothing, FL_IOPL3);
    is("IRET enters and INT leaves through the IDT", t, VEC_DONE, 0, nothing_end - nothing);
    promise("ES is saved", 0xb01, t->es);
    promise("DS is saved", DATA_SEG, t->ds);
    promise("FS is saved", 0xc02, t->fs);
    promise("GS is saved", 0xd03, t->gs);
    promise("SS is saved", STACK_SEG, t->ss & 0xffff);
    promise("SP is saved", STACK_TOP, t->sp);
    promise("the handler has left v8086 mode", 0, t->handler_flags & FL_VM);
    promise("the handler's stack holds nine doublewords", (word)trap_stack + sizeof trap_stack - 36, t->handler_sp);
    in.r.ax = 0x89abcdef;
    promise("32-bit registers are all there", 0x89abcdef, RUN(nothing, FL_IOPL3)->r.ax);
}

static void privileges(void)
{
    V86_FAULTS("#GP(0) by CLI below IOPL 3", cli, 0, VEC_GP, 0);
    V86_FAULTS("#GP(0) by STI below IOPL 3", sti, 0, VEC_GP, 0);
    V86_FAULTS("#GP(0) by PUSHF below IOPL 3", pushf, 0, VEC_GP, 0);
    V86_FAULTS("#GP(0) by POPF below IOPL 3", popf, 0, VEC_GP, 0);
    V86_FAULTS("#GP(0) by INT n below IOPL 3", int_n, 0, VEC_GP, 0);
    V86_PASSES("CLI with IOPL 3", cli, FL_IOPL3);
    V86_PASSES("IRET with IOPL 3 stays in v8086 mode", iret, FL_IOPL3);
    V86_FAULTS("INT n to a gate of DPL 0: #GP with the IDT bit", int_n, FL_IOPL3, VEC_GP, 0x40 * 8 + 2);
    is("INT3 does not look at IOPL", RUN(breakpoint, 0), VEC_BP, 0, breakpoint_next - breakpoint);
    V86_FAULTS("#GP(0) by HLT", halt, FL_IOPL3, VEC_GP, 0);
    V86_FAULTS("#GP(0) by MOV from CR0", move_cr0, FL_IOPL3, VEC_GP, 0);
    V86_FAULTS("#GP(0) by LGDT", load_gdt, FL_IOPL3, VEC_GP, 0);
    V86_FAULTS("#UD by SLDT", store_ldt, FL_IOPL3, VEC_UD, 0);
    V86_FAULTS("#UD by STR", store_tr, FL_IOPL3, VEC_UD, 0);
    V86_FAULTS("#UD by LAR", load_rights, FL_IOPL3, VEC_UD, 0);
    V86_FAULTS("#UD by VERR", verify, FL_IOPL3, VEC_UD, 0);
    V86_FAULTS("#UD by ARPL", arpl, FL_IOPL3, VEC_UD, 0);
    V86_FAULTS("#DE", divide, FL_IOPL3, VEC_DE, 0);
    V86_FAULTS("#UD by UD2", undefined, FL_IOPL3, VEC_UD, 0);
    V86_FAULTS("#GP(0) by IN without a bitmap whatever IOPL", in_port, FL_IOPL3, VEC_GP, 0);
    const struct trap *t = RUN(smsw, FL_IOPL3);
    promise("SMSW shows PE", 1, t->r.ax & 1);
}

static void flags(void)
{
    const struct trap *t = RUN(pushfl, FL_IOPL3 | FL_IF);
    promise("PUSHFD shows IOPL and IF, not VM and RF", FL_IOPL3 | FL_IF | FL_FIXED, t->r.ax);
    t = RUN(popf, FL_IOPL3);
    promise("POPF with IOPL 3 sets IF", FL_IF, t->flags & FL_IF);
    t = RUN(sti, FL_IOPL3);
    promise("STI with IOPL 3 sets IF", FL_IF, t->flags & FL_IF);
}

static void addressing(void)
{
    *(u32 *)low((DATA_SEG << 4) + 0x234) = 0xbeef1234;
    in.r.bx = 0x234;
    promise("the segment times 16 plus the offset", 0x1234, RUN(read_data, FL_IOPL3)->r.ax & 0xffff);
    in.r.bx = 0xfff0;
    in.r.si = 0x234;
    promise("16-bit addresses wrap", 0x1234, RUN(read_sum, FL_IOPL3)->r.ax & 0xffff);
    in.r.bx = 0xffff;
    V86_FAULTS("#GP(0) by a word at offset ffff", read_data, FL_IOPL3, VEC_GP, 0);
    in.r.bp = 0xffff;
    V86_FAULTS("#SS(0) by a word at offset ffff of SS", read_data_bp, FL_IOPL3, VEC_SS, 0);
    in.r.bx = 0x10000;
    V86_FAULTS("#GP(0) by a 32-bit address beyond ffff", read_wide, FL_IOPL3, VEC_GP, 0);
    in.r.ax = 0x4711;
    const struct trap *t = RUN(push_wrap, FL_IOPL3);
    promise("a push at SP 0 wraps", 0xfffe, t->r.bx & 0xffff);
    promise("and lands at the segment's end", 0x4711, *(u16 *)low((STACK_SEG << 4) + 0xfffe));
    V86_FAULTS("#SS(0) by a push across the segment's end", push_odd, FL_IOPL3, VEC_SS, 0);
    *(u16 *)low(0xa010) = 0x5151;
    t = RUN(load_segment, FL_IOPL3);
    promise("loading a segment register needs no descriptor", 0x5151, t->r.ax & 0xffff);
    promise("a far JMP", 0x801, RUN(far_jump, FL_IOPL3)->r.ax & 0xffff);
    promise("a far CALL and RET", 0x77, RUN(far_call, FL_IOPL3)->r.ax & 0xffff);
}

static void push_word(word *sp, u16 value)
{
    *sp = (*sp - 2) & 0xffff;
    *(u16 *)low((STACK_SEG << 4) + *sp) = value;
}

/* Reflects INT 40h to the real-mode vector, and carries out the IRET of its handler. */
static bool monitor(const struct trap *t, struct frame *f)
{
    if (t->vector != VEC_GP || !(t->flags & FL_VM) || trap_count > 8)
        return false;
    const u8 *code = low(((t->cs & 0xffff) << 4) + t->ip);
    word sp = t->sp;
    if (code[0] == 0xcd && code[1] == 0x40) {
        push_word(&sp, t->flags);
        push_word(&sp, t->cs);
        push_word(&sp, t->ip + 2);
        const u16 *vector = (const u16 *)low(code[1] * 4);
        frame_set_far(f, vector[1], vector[0], sp);
        return true;
    }
    if (code[0] != 0xcf)
        return false;
    const u16 *words = (const u16 *)low((STACK_SEG << 4) + sp);
    frame_set_far(f, words[1], words[0], sp + 6);
    return true;
}

static void install_real_handler(void)
{
    memcpy(low(LINEAR + 0x200), real_handler, real_handler_end - real_handler);
    *(u16 *)low(0x40 * 4) = 0x200;
    *(u16 *)low(0x40 * 4 + 2) = SEG;
}

static void reflection(void)
{
    u32 saved = *(u32 *)low(0x40 * 4);
    install_real_handler();
    trap_hook = monitor;
    const struct trap *t = RUN(reflected, 0);
    trap_hook = NULL;
    promise("a monitor reflects INT n and IRET", 0x111, t->r.ax & 0xffff);
    promise("with three faults: INT, IRET, and the INT that ends the probe", 3, trap_count);
    *(u32 *)low(0x40 * 4) = saved;
}

/* SDM vol. 3, 20.3 and table 20-2: the redirection bitmap is the 32 bytes below the I/O bitmap. */
static void extensions(void)
{
    static const char *const names[] = {
        "VME: INT n with its bit clear goes to the real-mode vector", "VME: below IOPL 3 as well",
        "VME: INT n with its bit set goes to the IDT", "VME: STI below IOPL 3 sets VIF, which PUSHF shows as IF",
        "VME: CLI below IOPL 3 clears VIF", "VME: IF itself stays", "VME: #GP(0) by STI with VIP set"};
    if (!(cpuid(1, 0).edx & 2)) {
        for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
            skip(names[i]);
        return;
    }
    u32 saved = *(u32 *)low(0x40 * 4);
    *(u16 *)(tss + TSS_IOMAP) = 0x68 + 32;
    memset(tss + 0x68, 0, 32);
    tss[0x68 + 0x81 / 8] = 1 << (0x81 % 8);
    tss[0x68 + 32] = 0xff;
    gdt_set(SEL_TSS, segment((word)tss, 0x68 + 32, SEG_TSS32));
    __asm__ volatile("ltr %w0" : : "r"(SEL_TSS));
    write_cr4(read_cr4() | CR4_VME);
    install_real_handler();
    promise(names[0], 0x111, RUN(reflected, FL_IOPL3)->r.ax & 0xffff);
    promise(names[1], 0x111, RUN(reflected, 0)->r.ax & 0xffff);
    tss[0x68 + 0x40 / 8] = 1;
    is(names[2], RUN(int_n, FL_IOPL3), VEC_GP, 0x40 * 8 + 2, int_n_at - int_n);
    const struct trap *t = RUN(vme_flags, 0);
    promise(names[3], FL_IF, t->r.ax & FL_IF);
    promise(names[4], 0, t->r.bx & FL_IF);
    promise(names[5], 0, t->flags & FL_IF);
    is(names[6], RUN(sti, FL_VIP), VEC_GP, 0, sti_at - sti);
    write_cr4(read_cr4() & ~(word)CR4_VME);
    *(u32 *)low(0x40 * 4) = saved;
}

int main(void)
{
    entry();
    privileges();
    flags();
    addressing();
    reflection();
    extensions();
    return 0;
}
