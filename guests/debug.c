/* Single-step traps and hardware breakpoints (SDM vol. 3, chapter 17), in 32-bit and 64-bit mode. */
#include "guests/lib/guest.h"

#define S R("sp")
PROBE(steps, "", "nop; mov $1,%eax; push " R("ax") "; pop " R("cx") "; jmp 1f; nop; 1: nop")
PROBE(popf_step, "pushf; orl $0x100,(" S ")", "popf; nop; nop")
PROBE(pushf_step, "nop", "pushf; pop " R("ax"))
PROBE(rep_step, "", "rep stosb")
PROBE(stack_step, "mov %ss,%eax", "mov %eax,%ss; nop; nop")
PROBE(int_step, "", "int $0x82; nop; nop")
PROBE(fault_step, "", "ud2")
PROBE(icebp, "", ".byte 0xf1")
PROBE(loop_twice, "mov $2,%ecx", "1: dec %ecx; jnz 1b")
PROBE(write_cell, "", "movl $0x1234,(" R("bx") ")")
PROBE(read_cell, "", "mov (" R("bx") "),%eax")
PROBE(write_byte_cell, "", "movb $1,(" R("bx") ")")
PROBE(add_cell, "", "addl $1,(" R("bx") ")")
PROBE(push_cell, "mov " S "," R("cx") "; lea " "64(" R("bx") ")," S, "push " R("ax") "; mov " R("cx") "," S)
PROBE(in_port, "mov $0x80,%edx", "in %dx,%al")
PROBE(out_port, "mov $0x80,%edx", "out %al,%dx")
PROBE(in_other, "mov $0x84,%edx", "in %dx,%al")
PROBE(move_dr, "mov $0x2400,%eax; mov " R("ax") ",%dr7", "mov %dr0," R("ax"))
PROBE(read_dr4, "", ".byte 0x0f,0x21,0xe0")
PROBE(read_dr5, "", ".byte 0x0f,0x21,0xe8")
PROBE(load_stack_cell, "", "movw (" R("bx") "),%ss; nop; nop")
PROBE(user_dr, "", "mov %dr6," R("ax"))

enum { EXECUTE = 0, WRITE = 1, PORT = 2, ACCESS = 3, LEN1 = 0, LEN2 = 4, LEN4 = 12 };
static u8 cells[256] __attribute__((aligned(64)));
static u8 sink[16];

static void set_breakpoint(unsigned n, word address, unsigned kind)
{
    switch (n) {
    case 0: write_dr0(address); break;
    case 1: write_dr1(address); break;
    case 2: write_dr2(address); break;
    default: write_dr3(address); break;
    }
    write_dr7(0x400 | 2ul << 2 * n | (word)kind << (16 + 4 * n));
}

static bool go_on(const struct trap *t, struct frame *f)
{
    if (trap_count > 12 || (t->vector != VEC_DB && t->vector != 0x82))
        return false;
    frame_set_flags(f, t->flags | FL_RF);
    return true;
}

static const struct trap *run_through(const char *code, word flags)
{
    trap_hook = go_on;
    in.flags = flags;
    const struct trap *t = run(code, 0);
    trap_hook = NULL;
    return t;
}

static void stepping(void)
{
    run_through(steps, FL_TF);
    /* nop, mov, push, pop, jmp, nop; then the INT, which saves TF but does not step. */
    static const u8 offsets[] = {1, 6, 7, 8, 11, 12};
    promise("a trap after each instruction", 7, trap_count);
    bool exact = true;
    for (unsigned i = 0; i < 6; i++)
        exact &= trap_log[i].vector == VEC_DB && trap_log[i].ip == (word)steps_at + offsets[i];
    promise("with the next instruction as saved IP", true, exact);
    promise("saved TF is set", FL_TF, trap_log[0].flags & FL_TF);
    promise("the handler runs with TF clear", 0, trap_log[0].handler_flags & FL_TF);
    const struct trap *t = run(popf_step, 0);
    trap_is("POPF that sets TF steps after the next instruction", t, VEC_DB, 0, popf_step_at + 2);
    t = run_through(pushf_step, FL_TF);
    promise("PUSHF shows TF", FL_TF, t->r.ax & FL_TF);
    in.r.di = (word)sink;
    in.r.cx = 3;
    run_through(rep_step, FL_TF);
    promise("REP: the first iteration traps at the instruction", (word)rep_step_at, trap_log[0].ip);
    promise("REP: with its count", 2, trap_log[0].r.cx);
    promise("REP: the last iteration traps after it", (word)rep_step_next, trap_log[2].ip);
    in.flags = FL_TF;
    in.r.ax = SEL_KDATA;
    t = run(stack_step_at, 0);
    trap_is("MOV SS holds the trap off for one instruction", t, VEC_DB, 0, stack_step_at + 3);
    run_through(int_step, FL_TF);
    promise("INT n itself does not step", 0x82, trap_log[0].vector);
    promise("it saves TF", FL_TF, trap_log[0].flags & FL_TF);
    promise("stepping goes on after its IRET", (word)int_step_at + 3, trap_log[1].ip);
    in.flags = FL_TF;
    t = run(fault_step, 0);
    trap_is("an instruction that faults does not step", t, VEC_UD, 0, fault_step_at);
    promise("and the fault saves TF", FL_TF, t->flags & FL_TF);
    TRAPS("INT1 raises #DB", icebp, 3, VEC_DB, 0);
}

static void at_instructions(void)
{
    set_breakpoint(0, (word)loop_twice_at, EXECUTE);
    const struct trap *t = run(loop_twice, 0);
    trap_is("an instruction breakpoint is a fault", t, VEC_DB, 0, loop_twice_at);
    promise("DR6 names breakpoint 0", 1, t->dr6 & 0xe00f);
    promise("before the instruction runs", 2, t->r.cx);
    promise("saved RF is 0 for an instruction breakpoint", 0, t->flags & FL_RF);
    t = run_through(loop_twice, 0);
    promise("RF lets one instruction pass", VEC_DONE, t->vector);
    promise("and the breakpoint comes again", 3, trap_count);
    write_dr7(0x400);
    PASSES("a disabled breakpoint does nothing", loop_twice, 0);
    set_breakpoint(3, (word)loop_twice_at, EXECUTE);
    promise("DR6 names breakpoint 3", 8, run(loop_twice, 3)->dr6 & 8);
    in.flags = FL_RF;
    t = run(loop_twice_at, 0);
    promise("IRET that sets RF passes the breakpoint at its target", VEC_DB, t->vector);
    promise("once", (word)-1, t->r.cx | ~0xfffffffful);
    write_dr7(0x400);
}

static const struct trap *touch(const char *code, word offset)
{
    in.r.bx = (word)cells + offset;
    return run(code, 0);
}

static void at_data(void)
{
    set_breakpoint(1, (word)cells + 16, WRITE | LEN4);
    const struct trap *t = touch(write_cell, 16);
    trap_is("a write breakpoint is a trap", t, VEC_DB, 0, write_cell_next);
    promise("DR6 names breakpoint 1", 2, t->dr6 & 0xe00f);
    promise("after the write", 0x1234, *(u32 *)(cells + 16));
    promise("a read passes a write breakpoint", VEC_DONE, touch(read_cell, 16)->vector);
    promise("a write next to it passes", VEC_DONE, touch(write_cell, 20)->vector);
    promise("a write that overlaps its last byte traps", VEC_DB, touch(write_cell, 19)->vector);
    promise("a write that overlaps its first byte traps", VEC_DB, touch(write_cell, 13)->vector);
    promise("a byte inside it traps", VEC_DB, touch(write_byte_cell, 18)->vector);
    promise("a read-modify-write traps", VEC_DB, touch(add_cell, 16)->vector);
    set_breakpoint(2, (word)cells + 32, ACCESS | LEN1);
    promise("an access breakpoint traps on a read", VEC_DB, touch(read_cell, 32)->vector);
    promise("and on a write", 4, touch(write_cell, 32)->dr6 & 0xe00f);
    promise("its length is one byte", VEC_DONE, touch(read_cell, 33)->vector);
    set_breakpoint(2, (word)cells + 34, ACCESS | LEN2);
    promise("a breakpoint of two bytes", VEC_DB, touch(read_cell, 35)->vector);
    promise("ends after them", VEC_DONE, touch(read_cell, 36)->vector);
    set_breakpoint(0, (word)cells + 64 - sizeof(word), WRITE | LEN4);
    in.r.bx = (word)cells;
    t = run(push_cell, 3);
    trap_is("a push traps", t, VEC_DB, 0, push_cell_at + 1);
    set_breakpoint(0, (word)sink + 1, WRITE | LEN1);
    in.r.di = (word)sink;
    in.r.cx = 4;
    t = run(rep_step, 0);
    trap_is("REP STOSB traps after the iteration that touches", t, VEC_DB, 0, rep_step_at);
    promise("with the count that remains", 2, t->r.cx);
    *(u16 *)(cells + 48) = SEL_KDATA;
    set_breakpoint(0, (word)cells + 48, ACCESS | LEN2);
    t = touch(load_stack_cell, 48);
    promise("MOV SS holds a data breakpoint off for one instruction", (word)load_stack_cell_at + 3, t->ip);
    write_dr7(0x400);
}

/* SDM vol. 3, 17.2.4: only with CR4.DE. */
static void at_ports(void)
{
    write_cr4(read_cr4() | CR4_DE);
    set_breakpoint(0, 0x80, PORT | LEN1);
    TRAPS("a port breakpoint traps after IN", in_port, 0, VEC_DB, 0);
    TRAPS("and after OUT", out_port, 0, VEC_DB, 0);
    PASSES("another port passes", in_other, 0);
    write_dr7(0x400);
    FAULTS("#UD by DR4 with CR4.DE", read_dr4, 0, VEC_UD, 0);
    write_cr4(read_cr4() & ~(word)CR4_DE);
}

static void registers(void)
{
    write_dr6(0xffff0ff0);
    promise("DR4 is DR6 without CR4.DE", 0xffff0ff0, run(read_dr4, 0)->r.ax);
    promise("DR5 is DR7 without CR4.DE", 0x400, run(read_dr5, 0)->r.ax);
    FAULTS("#GP(0) by MOV from DR6 in ring 3", user_dr, 3, VEC_GP, 0);
    const struct trap *t = run(move_dr, 0);
    trap_is("DR7.GD: #DB at an access to a debug register", t, VEC_DB, 0, move_dr_at);
    promise("with DR6.BD", 0x2000, t->dr6 & 0xe00f);
    promise("and GD is clear in the handler", 0x400, read_dr7());
    write_dr6(0);
    promise("fixed bits of DR6", 0xffff0ff0, read_dr6());
}

int main(void)
{
    stepping();
    at_instructions();
    at_data();
    at_ports();
    registers();
    return 0;
}
