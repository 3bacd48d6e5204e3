/* Interrupts by the 8259A pair: when the processor takes them, and which one (SDM vol. 3, 6.3.2, 6.8; data sheets of
 * the 8259A, 8254 and MC146818). */
#include "guests/lib/pic.h"

const char *const suite_name = "pic";

PROBE(sti_nop, "", "sti; nop; nop")
PROBE(sti_cli, "", "sti; cli; nop")
PROBE(sti_halt, "", "sti; hlt; nop")
PROBE(sti_long, "", "sti; movl $1,%eax; nop")
PROBE(popf_nop, "pushf; orl $0x200,(%esp)", "popf; nop")
PROBE(plain, "", "nop; nop")
PROBE(forever, "", "1: jmp 1b")
PROBE(int_with_if_clear, "", "int $0x82")
PROBE(long_fill, "", "rep stosb")

enum { COM1_VECTOR = VEC_IRQ + IRQ_COM1, PIT_VECTOR = VEC_IRQ + IRQ_PIT, RTC_VECTOR = VEC_IRQ + IRQ_RTC };

/* Runs `code` while COM1 asks for an interrupt that the PIC lets through, then puts everything back. */
static const struct trap *run_pending(const char *code, unsigned ring, word flags)
{
    pic_unmask(1 << IRQ_COM1);
    com1_raise();
    in.flags = flags;
    const struct trap *t = run(code, ring);
    com1_quiet();
    pic_end_all();
    pic_unmask(0);
    return t;
}

static void window(void)
{
    trap_is("STI holds interrupts off for one instruction", run_pending(sti_nop, 0, 0), COM1_VECTOR, 0, sti_nop_at + 2);
    trap_is("that instruction completes", run_pending(sti_long, 0, 0), COM1_VECTOR, 0, sti_long_at + 6);
    trap_is("STI and CLI together let nothing through", run_pending(sti_cli, 0, 0), VEC_DONE, 0, sti_cli_next + 2);
    trap_is("POPF that sets IF holds nothing off", run_pending(popf_nop, 0, 0), COM1_VECTOR, 0, popf_nop_at + 1);
    trap_is("IRET that sets IF lets an interrupt in at its target", run_pending(plain, 0, FL_IF), COM1_VECTOR, 0,
            plain);
    trap_is("the same into ring 3", run_pending(plain, 3, FL_IF), COM1_VECTOR, 0, plain);
    trap_is("with IF clear nothing comes", run_pending(plain, 0, 0), VEC_DONE, 0, plain_next + 2);
    trap_is("a pending interrupt ends HLT: saved IP is after it", run_pending(sti_halt, 0, 0), COM1_VECTOR, 0,
            sti_halt_at + 2);
    trap_is("INT n ignores IF", run(int_with_if_clear, 0), 0x82, 0, int_with_if_clear_next);
    const struct trap *t = run_pending(plain, 3, FL_IF);
    promise("saved RF of an interrupt is 0", 0, t->flags & FL_RF);
    promise("saved IF is 1", FL_IF, t->flags & FL_IF);
    promise("the gate clears IF", 0, t->handler_flags & FL_IF);
}

static void masking(void)
{
    com1_raise();
    pic_unmask(0);
    promise("a masked request shows in IRR", 1 << IRQ_COM1, pic_read(PIC1, OCW3_IRR) & 1 << IRQ_COM1);
    in.flags = FL_IF;
    trap_is("but does not come", run(plain, 0), VEC_DONE, 0, plain_next + 2);
    pic_unmask(1 << IRQ_COM1);
    promise("the mask reads back", 0xff & ~(1 << IRQ_COM1), inb(PIC1 + 1));
    in.flags = FL_IF;
    trap_is("until it is unmasked", run(plain, 0), COM1_VECTOR, 0, plain);
    promise("then it is in service", 1 << IRQ_COM1, pic_read(PIC1, OCW3_ISR));
    com1_quiet();
    outb(PIC1, OCW2_EOI);
    promise("and EOI ends that", 0, pic_read(PIC1, OCW3_ISR));
    pic_unmask(0);
}

/* Counter 0 in mode 0: one rising edge after `count` ticks of 838 ns (8254 data sheet). */
static void pit_once(u16 count)
{
    outb(0x43, 0x30);
    outb(0x40, count & 0xff);
    outb(0x40, count >> 8);
}

static bool pit_pending(void) { return WAIT_FOR(pic_read(PIC1, OCW3_IRR) & 1 << IRQ_PIT); }

static void priorities(void)
{
    pit_once(100);
    com1_raise();
    promise("the PIT asks", true, pit_pending());
    pic_unmask(1 << IRQ_PIT | 1 << IRQ_COM1);
    in.flags = FL_IF;
    trap_is("IRQ 0 before IRQ 4", run(plain, 0), PIT_VECTOR, 0, plain);
    in.flags = FL_IF;
    trap_is("IRQ 4 waits while IRQ 0 is in service", run(plain, 0), VEC_DONE, 0, plain_next + 2);
    outb(PIC1, OCW2_EOI);
    in.flags = FL_IF;
    trap_is("IRQ 4 comes after EOI", run(plain, 0), COM1_VECTOR, 0, plain);
    com1_quiet();
    pit_once(100);
    promise("the PIT asks again", true, pit_pending());
    in.flags = FL_IF;
    trap_is("IRQ 0 comes while IRQ 4 is in service", run(plain, 0), PIT_VECTOR, 0, plain);
    promise("both are in service", 1 << IRQ_PIT | 1 << IRQ_COM1, pic_read(PIC1, OCW3_ISR));
    outb(PIC1, OCW2_SPECIFIC | IRQ_COM1);
    promise("a specific EOI ends the one it names", 1 << IRQ_PIT, pic_read(PIC1, OCW3_ISR));
    outb(PIC1, OCW2_EOI);
    pic_unmask(0);
}

static void rotation(void)
{
    outb(PIC1, 0xc0 | 3); /* IRQ 3 lowest: IRQ 4 highest */
    pit_once(100);
    com1_raise();
    pit_pending();
    pic_unmask(1 << IRQ_PIT | 1 << IRQ_COM1);
    in.flags = FL_IF;
    trap_is("after rotation IRQ 4 comes before IRQ 0", run(plain, 0), COM1_VECTOR, 0, plain);
    com1_quiet();
    outb(PIC1, OCW2_EOI);
    in.flags = FL_IF;
    trap_is("then IRQ 0", run(plain, 0), PIT_VECTOR, 0, plain);
    outb(PIC1, OCW2_EOI);
    outb(PIC1, 0xc0 | 7);
    com1_raise();
    outb(PIC1, 0x0c);
    promise("a poll answers with the request", 0x80 | IRQ_COM1, inb(PIC1));
    promise("and puts it in service", 1 << IRQ_COM1, pic_read(PIC1, OCW3_ISR));
    com1_quiet();
    pic_end_all();
    pic_unmask(0);
}

static volatile u32 ticks;

static bool count_ticks(const struct trap *t, struct frame *f)
{
    (void)f;
    trap_count = 0;
    if (t->vector != PIT_VECTOR)
        return false;
    outb(PIC1, OCW2_EOI);
    return ++ticks < 3;
}

static u16 pit_count(void)
{
    for (unsigned i = 0; i < 20; i++)
        inb(0x61);
    outb(0x43, 0);
    u16 count = inb(0x40);
    return count | inb(0x40) << 8;
}

static void pit(void)
{
    pic_unmask(1 << IRQ_PIT);
    pit_once(500);
    in.flags = FL_IF;
    trap_is("a PIT interrupt ends an endless loop", run(forever, 3), PIT_VECTOR, 0, forever);
    outb(PIC1, OCW2_EOI);
    pit_once(500);
    trap_is("a PIT interrupt ends HLT", run(sti_halt, 0), PIT_VECTOR, 0, sti_halt_at + 2);
    outb(PIC1, OCW2_EOI);
    promise("mode 0 asks once", 0, pic_read(PIC1, OCW3_IRR) & 1);
    ticks = 0;
    trap_hook = count_ticks;
    outb(0x43, 0x34); /* mode 2 */
    outb(0x40, 0xe8);
    outb(0x40, 3);
    in.flags = FL_IF;
    run(forever, 3);
    promise("mode 2 asks again and again", 3, ticks);
    trap_hook = NULL;
    pit_once(0xffff);
    pic_unmask(0);
    pic_end_all();
    outb(0x43, 0xe2); /* read back the status of counter 0 */
    promise("the status of counter 0: mode 0, two bytes, output low", 0x30, inb(0x40) & 0xbf);
    /* The counter comes round every 55 ms: one of a few pairs of readings lies within. */
    bool down = false;
    for (unsigned i = 0; i < 10 && !down; i++) {
        u16 first = pit_count();
        down = pit_count() < first;
    }
    promise("the counter counts down", true, down);
}

/* Counter 2: gate and output are bits 0 and 5 of port 0x61. */
static void pit_gate(void)
{
    outb(0x61, (inb(0x61) & ~3) | 1);
    outb(0x43, 0xb0);
    outb(0x42, 100);
    outb(0x42, 0);
    promise("the output of counter 2 goes high", true, WAIT_FOR(inb(0x61) & 0x20));
    outb(0x61, inb(0x61) & ~3);
    outb(0x43, 0xb0);
    outb(0x42, 100);
    outb(0x42, 0);
    for (unsigned i = 0; i < 5000; i++)
        inb(0x61);
    promise("not while its gate is closed", 0, inb(0x61) & 0x20);
    outb(0x61, inb(0x61) | 1);
    promise("but after the gate opens", true, WAIT_FOR(inb(0x61) & 0x20));
    outb(0x61, inb(0x61) & ~3);
}

/* An interrupt between two iterations: saved IP at the instruction, the registers tell how far it came. */
static void interrupted_string(void)
{
    static u8 sink[1 << 20];
    pic_unmask(1 << IRQ_PIT);
    pit_once(2000);
    in.flags = FL_IF;
    in.r.di = (word)sink;
    in.r.cx = sizeof sink;
    const struct trap *t = NULL;
    for (unsigned i = 0; i < 100 && !(t && t->vector == PIT_VECTOR); i++)
        t = run(long_fill, 0), in.flags = FL_IF, in.r.di = (word)sink, in.r.cx = sizeof sink;
    trap_is("an interrupt stops REP STOSB between iterations", t, PIT_VECTOR, 0, long_fill_at);
    promise("its registers agree", (word)sink + sizeof sink, t->r.di + t->r.cx);
    pic_end_all();
    pic_unmask(0);
    memset(&in, 0, sizeof in);
}

static u8 cmos(u8 index)
{
    outb(0x70, index);
    return inb(0x71);
}

static void cmos_set(u8 index, u8 value)
{
    outb(0x70, index);
    outb(0x71, value);
}

/* MC146818: periodic interrupt, 1024 Hz; register C must be read before the next. */
static void rtc(void)
{
    cmos_set(10, (cmos(10) & 0xf0) | 6);
    cmos(12);
    pic_unmask(1 << IRQ_RTC | 1 << 2);
    cmos_set(11, (cmos(11) & ~0x30) | 0x40);
    trap_is("a periodic RTC interrupt ends HLT", run(sti_halt, 0), RTC_VECTOR, 0, sti_halt_at + 2);
    promise("it is in service on the slave", 1, pic_read(PIC2, OCW3_ISR));
    promise("and on the master's cascade line", 4, pic_read(PIC1, OCW3_ISR));
    outb(PIC2, OCW2_EOI);
    outb(PIC1, OCW2_EOI);
    promise("register C names the source", 0xc0, cmos(12) & 0xc0);
    trap_is("the next one comes after register C is read", run(sti_halt, 0), RTC_VECTOR, 0, sti_halt_at + 2);
    cmos_set(11, cmos(11) & ~0x40);
    cmos(12);
    pic_end_all();
    pic_unmask(0);
}

int main(void)
{
    window();
    masking();
    priorities();
    rotation();
    pit();
    pit_gate();
    interrupted_string();
    rtc();
    return 0;
}
