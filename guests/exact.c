/* Interrupts at exact instructions, by the self-test device (devices/selftest.h), whose delays count instructions.
 * It is Reprise's alone: other machines skip. A delay of n that OUT starts ends when OUT and n - 1 more have
 * retired. */
#include "guests/lib/pic.h"

const char *const suite_name = "exact";

enum {
    DEVICE = 0x540, IDENTITY = 0x54535052, LINE = DEVICE + 0x10, ACT = DEVICE + 0x14, LATER = DEVICE + 0x18,
    DELAY = DEVICE + 0x1c, RAISE = 1, LOWER = 2, IRQ = 5, VECTOR = VEC_IRQ + IRQ,
};

/* DX is the delay's port, EAX the delay. OUT and NOP have one byte each. */
PROBE(sled, "mov $0x55c,%edx", "out %eax,%dx; .fill 64,1,0x90")
PROBE(move_stack, "mov $0x55c,%edx; mov %ss,%ecx", "out %eax,%dx; nop; mov %ecx,%ss; nop; nop; nop")
PROBE(pop_stack, "mov $0x55c,%edx; push %ss", "out %eax,%dx; nop; pop %ss; nop; nop; nop")
PROBE(sti_again, "mov $0x55c,%edx", "out %eax,%dx; nop; sti; nop; nop")
PROBE(sti_first, "mov $0x55c,%edx; cli", "out %eax,%dx; nop; sti; nop; nop")
PROBE(cli, "mov $0x55c,%edx", "out %eax,%dx; nop; cli; nop; nop")
PROBE(fill, "mov $0x55c,%edx", "out %eax,%dx; rep stosb; nop")
PROBE(loop, "mov $0x55c,%edx; mov $100,%ecx", "out %eax,%dx; 1: dec %ecx; jnz 1b")
PROBE(halt, "mov $0x55c,%edx", "out %eax,%dx; hlt; nop")
PROBE(undefined, "mov $0x55c,%edx", "out %eax,%dx; nop; ud2")
PROBE(user_sled, "mov $0x55c,%edx", "out %eax,%dx; .fill 64,1,0x90")

static u8 sink[256];

static const struct trap *delayed(const char *code, unsigned delay, unsigned ring)
{
    pic_unmask(1 << IRQ);
    in.r.ax = delay;
    in.r.di = (word)sink;
    in.r.cx = 100;
    in.flags = FL_IF | (ring ? FL_IOPL3 : 0);
    const struct trap *t = run(code, ring);
    outl(DELAY, 0);
    outl(ACT, LOWER);
    pic_end_all();
    pic_unmask(0);
    return t;
}

/* An interrupt after `delay`, with saved IP `offset` bytes after the OUT. */
static void comes(const char *text, const char *code, const char *at, unsigned delay, unsigned offset)
{
    trap_is(text, delayed(code, delay, 0), VECTOR, 0, at + offset);
}

static void sleds(void)
{
    unsigned exact = 0, user = 0;
    for (unsigned delay = 1; delay <= 60; delay++) {
        const struct trap *t = delayed(sled, delay, 0);
        exact += t->vector == VECTOR && t->ip == (word)sled_at + delay;
        t = delayed(user_sled, delay, 3);
        user += t->vector == VECTOR && t->ip == (word)user_sled_at + delay;
    }
    promise("sixty delays in ring 0, each exact", 60, exact);
    promise("sixty delays in ring 3, each exact", 60, user);
    exact = 0;
    for (unsigned delay = 2; delay <= 100; delay++) {
        const struct trap *t = delayed(loop, delay, 0);
        unsigned retired = delay - 1;
        word ip = (word)loop_at + 1 + retired % 2;
        exact += t->vector == VECTOR && t->r.cx == 100 - (retired + 1) / 2 && t->ip == ip;
    }
    promise("a loop of two instructions, cut anywhere", 99, exact);
}

static void shadows(void)
{
    comes("before MOV SS", move_stack, move_stack_at, 2, 2);
    comes("MOV SS holds it off for one instruction", move_stack, move_stack_at, 3, 5);
    comes("and no more", move_stack, move_stack_at, 5, 6);
    comes("POP SS holds it off for one instruction", pop_stack, pop_stack_at, 3, 4);
    comes("STI with IF set holds nothing off", sti_again, sti_again_at, 3, 3);
    comes("STI with IF clear holds it off for one instruction", sti_first, sti_first_at, 2, 4);
    comes("before CLI", cli, cli_at, 2, 2);
    trap_is("not after CLI", delayed(cli, 3, 0), VEC_DONE, 0, cli_next + 2);
    comes("before an instruction that would fault", undefined, undefined_at, 2, 2);
    trap_is("a fault comes before what is due after it", delayed(undefined, 3, 0), VEC_UD, 0, undefined_at + 2);
}

static void strings(void)
{
    unsigned exact = 0;
    for (unsigned delay = 2; delay <= 100; delay++) {
        const struct trap *t = delayed(fill, delay, 0);
        exact += t->vector == VECTOR && t->ip == (word)fill_at + 1 && t->r.cx == 101 - delay
                 && t->r.di == (word)sink + delay - 1;
    }
    promise("REP STOSB counts iterations, and stops between any two", 99, exact);
    comes("after its last iteration it is past", fill, fill_at, 101, 3);
    comes("HLT ends when the delay does", halt, halt_at, 100000, 2);
}

static void skip_all(void)
{
    static const char *const names[] = {
        "sixty delays in ring 0, each exact", "sixty delays in ring 3, each exact",
        "a loop of two instructions, cut anywhere", "before MOV SS", "MOV SS holds it off for one instruction",
        "and no more", "POP SS holds it off for one instruction", "STI with IF set holds nothing off",
        "STI with IF clear holds it off for one instruction", "before CLI", "not after CLI",
        "before an instruction that would fault", "a fault comes before what is due after it",
        "REP STOSB counts iterations, and stops between any two", "after its last iteration it is past",
        "HLT ends when the delay does",
    };
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        skip(names[i]);
}

int main(void)
{
    if (inl(DEVICE) != IDENTITY) {
        skip_all();
        return 0;
    }
    outl(LINE, IRQ);
    outl(LATER, RAISE);
    sleds();
    shadows();
    strings();
    return 0;
}
