/* The local APIC's interrupts, priorities and timer, NMI, the I/O APIC, and the HPET (SDM vol. 3, chapter 10; 82093AA
 * data sheet; HPET specification 1.0a). */
#include "guests/lib/acpi.h"
#include "guests/lib/apic.h"
#include "guests/lib/pic.h"

const char *const suite_name = "apic";

PROBE(plain, "", "nop; nop")
PROBE(sti_halt, "", "sti; hlt; nop")
PROBE(forever, "", "1: jmp 1b")

enum { LOW = 0x51, HIGH = 0x71, SAME_CLASS = 0x72, HIGHER = 0x91, TIMER = 0x61, PIN = 0x62 };

static void self(unsigned vector) { apic_write(APIC_ICR, ICR_SELF | ICR_ASSERT | vector); }

static const struct trap *open_window(void)
{
    in.flags = FL_IF;
    return run(plain, 0);
}

static void takes(const char *text, unsigned vector) { trap_is(text, open_window(), vector, 0, plain); }
static void takes_none(const char *text) { trap_is(text, open_window(), VEC_DONE, 0, plain_next + 2); }

static void identity(void)
{
    promise("CPUID has the APIC", 1, cpuid(1, 0).edx >> 9 & 1);
    promise("the APIC base MSR: enabled, at fee00000, boot processor", 0xfee00900, rdmsr(0x1b) & 0xfffffd00);
    promise("the version is an integrated APIC's", 0x10, apic_read(APIC_VERSION) & 0xf0);
    apic_write(APIC_SVR, 0xff);
    apic_write(APIC_LVT_TIMER, TIMER);
    promise("software-disabled, LVT entries stay masked", LVT_MASKED, apic_read(APIC_LVT_TIMER) & LVT_MASKED);
    apic_write(APIC_SVR, SVR_ENABLE | 0xff);
    apic_write(APIC_LVT_TIMER, LVT_MASKED | TIMER);
    apic_write(APIC_LVT_LINT0, LVT_MASKED);
    apic_write(APIC_TPR, 0);
}

static void priorities(void)
{
    self(LOW);
    self(HIGH);
    promise("a request shows in IRR", 1, apic_bit(APIC_IRR, LOW));
    takes("the higher vector first", HIGH);
    promise("it has moved from IRR", 0, apic_bit(APIC_IRR, HIGH));
    promise("to ISR", 1, apic_bit(APIC_ISR, HIGH));
    promise("PPR is the class in service", HIGH & 0xf0, apic_read(APIC_PPR));
    takes_none("the lower vector waits");
    self(SAME_CLASS);
    takes_none("a higher vector of the same class waits too");
    self(HIGHER);
    takes("a higher class does not", HIGHER);
    apic_write(APIC_EOI, 0);
    promise("EOI ends the highest in service", 0, apic_bit(APIC_ISR, HIGHER));
    promise("only", 1, apic_bit(APIC_ISR, HIGH));
    apic_write(APIC_EOI, 0);
    takes("then the rest comes in order", SAME_CLASS);
    apic_write(APIC_EOI, 0);
    takes("down to the lowest", LOW);
    apic_write(APIC_EOI, 0);
    takes_none("and no more");
}

static void task_priority(void)
{
    apic_write(APIC_TPR, 0x50);
    self(LOW);
    takes_none("TPR holds its own class back");
    promise("PPR follows TPR", 0x50, apic_read(APIC_PPR));
    apic_write(APIC_TPR, 0x4f);
    takes("a lower TPR lets it through", LOW);
    apic_write(APIC_EOI, 0);
    apic_write(APIC_TPR, 0);
}

static void destinations(void)
{
    apic_write(APIC_DFR, 0xffffffff);
    apic_write(APIC_LDR, 0x02000000);
    apic_write(APIC_ICR_HIGH, 0x02000000);
    apic_write(APIC_ICR, ICR_LOGICAL | ICR_ASSERT | LOW);
    takes("a logical destination that matches", LOW);
    apic_write(APIC_EOI, 0);
    apic_write(APIC_ICR_HIGH, 0x04000000);
    apic_write(APIC_ICR, ICR_LOGICAL | ICR_ASSERT | LOW);
    takes_none("a logical destination that does not");
    apic_write(APIC_ICR_HIGH, apic_read(APIC_ID));
    apic_write(APIC_ICR, ICR_ASSERT | LOW);
    takes("the physical destination", LOW);
    apic_write(APIC_EOI, 0);
}

static volatile unsigned nmis, nested;

/* A message between APICs takes time: the SDM does not say how much. */
static void settle(void)
{
    for (unsigned i = 0; i < 50; i++)
        inb(0x61);
}

static bool on_nmi(const struct trap *t, struct frame *f)
{
    (void)f;
    if (t->vector != VEC_NMI)
        return false;
    if (++nmis == 1) {
        apic_write(APIC_ICR, ICR_NMI | ICR_ASSERT);
        settle();
        nested = nmis;
    }
    return true;
}

/* SDM vol. 3, 6.7.1: the next NMI waits for IRET. */
static void nmi(void)
{
    apic_write(APIC_ICR_HIGH, apic_read(APIC_ID));
    trap_hook = on_nmi;
    nmis = 0;
    apic_write(APIC_ICR, ICR_NMI | ICR_ASSERT);
    settle();
    promise("NMI comes with IF clear, and the next one after IRET", 2, nmis);
    promise("not before", 1, nested);
    trap_hook = NULL;
}

static volatile u32 ticks;

static bool count_ticks(const struct trap *t, struct frame *f)
{
    (void)f;
    trap_count = 0;
    if (t->vector != TIMER)
        return false;
    apic_write(APIC_EOI, 0);
    return ++ticks < 3;
}

static void timer(void)
{
    apic_write(APIC_DIVIDE, 0xb);
    apic_write(APIC_LVT_TIMER, TIMER);
    apic_write(APIC_INITIAL, 2000);
    trap_is("the one-shot timer ends HLT", run(sti_halt, 0), TIMER, 0, sti_halt_at + 2);
    promise("it has stopped at 0", 0, apic_read(APIC_CURRENT));
    apic_write(APIC_EOI, 0);
    takes_none("and asks once");
    apic_write(APIC_LVT_TIMER, LVT_MASKED | TIMER);
    apic_write(APIC_INITIAL, 2000);
    promise("masked, it still counts", true, WAIT_FOR(apic_read(APIC_CURRENT) == 0));
    promise("but does not ask", 0, apic_bit(APIC_IRR, TIMER));
    apic_write(APIC_LVT_TIMER, LVT_PERIODIC | TIMER);
    apic_write(APIC_INITIAL, 20000);
    ticks = 0;
    trap_hook = count_ticks;
    in.flags = FL_IF;
    run(forever, 3);
    trap_hook = NULL;
    promise("the periodic timer asks again and again", 3, ticks);
    apic_write(APIC_LVT_TIMER, LVT_MASKED | TIMER);
    apic_write(APIC_INITIAL, 0xffffffff);
    u32 first = apic_read(APIC_CURRENT);
    for (unsigned i = 0; i < 100; i++)
        inb(0x61);
    promise("the count goes down", true, apic_read(APIC_CURRENT) < first);
    apic_write(APIC_INITIAL, 0);
    promise("an initial count of 0 stops it", 0, apic_read(APIC_CURRENT));
    if (apic_bit(APIC_IRR, TIMER)) {
        open_window();
        apic_write(APIC_EOI, 0);
    }
}

/* SDM vol. 3, 10.5.4.1 */
static void deadline(void)
{
    static const char *const names[] = {"the TSC deadline ends HLT", "then the deadline MSR is 0",
                                        "a deadline in the past asks at once", "writing 0 disarms it"};
    if (!(cpuid(1, 0).ecx & 1 << 24)) {
        for (unsigned i = 0; i < 4; i++)
            skip(names[i]);
        return;
    }
    apic_write(APIC_LVT_TIMER, LVT_DEADLINE | TIMER);
    wrmsr(0x6e0, rdtsc() + 100000);
    trap_is(names[0], run(sti_halt, 0), TIMER, 0, sti_halt_at + 2);
    promise(names[1], 0, rdmsr(0x6e0));
    apic_write(APIC_EOI, 0);
    wrmsr(0x6e0, 1);
    takes(names[2], TIMER);
    apic_write(APIC_EOI, 0);
    wrmsr(0x6e0, rdtsc() + 200000);
    wrmsr(0x6e0, 0);
    promise(names[3], 0, rdmsr(0x6e0));
    apic_write(APIC_LVT_TIMER, LVT_MASKED);
}

static void redirect(unsigned pin, u32 low)
{
    ioapic_write(IOAPIC_REDIRECTION + 2 * pin + 1, apic_read(APIC_ID));
    ioapic_write(IOAPIC_REDIRECTION + 2 * pin, low);
}

static void ioapic(void)
{
    promise("the I/O APIC has 24 pins", 23, ioapic_read(IOAPIC_VERSION) >> 16 & 0xff);
    redirect(IRQ_COM1, LVT_MASKED | PIN);
    com1_raise();
    takes_none("a masked pin");
    com1_quiet();
    redirect(IRQ_COM1, PIN);
    com1_raise();
    takes("an edge on a pin", PIN);
    promise("TMR says edge", 0, apic_bit(APIC_TMR, PIN));
    apic_write(APIC_EOI, 0);
    takes_none("a line that stays high is no further edge");
    com1_quiet();
    redirect(IRQ_COM1, IOAPIC_LEVEL | PIN);
    com1_raise();
    takes("a level on a pin", PIN);
    promise("TMR says level", 1, apic_bit(APIC_TMR, PIN));
    promise("remote IRR until EOI", IOAPIC_REMOTE_IRR,
            ioapic_read(IOAPIC_REDIRECTION + 2 * IRQ_COM1) & IOAPIC_REMOTE_IRR);
    apic_write(APIC_EOI, 0);
    takes("a line that stays high asks again after EOI", PIN);
    com1_quiet();
    apic_write(APIC_EOI, 0);
    takes_none("a line that went low does not");
    promise("remote IRR is clear", 0, ioapic_read(IOAPIC_REDIRECTION + 2 * IRQ_COM1) & IOAPIC_REMOTE_IRR);
    redirect(IRQ_COM1, LVT_MASKED);
}

/* Virtual wire: LINT0 as ExtINT passes the 8259A's vector (SDM vol. 3, 10.5.1). */
static void virtual_wire(void)
{
    apic_write(APIC_LVT_LINT0, 0x700);
    pic_unmask(1 << IRQ_COM1);
    com1_raise();
    takes("LINT0 as ExtINT passes the PIC's vector", VEC_IRQ + IRQ_COM1);
    promise("which is not in service in the APIC", 0, apic_bit(APIC_ISR, VEC_IRQ + IRQ_COM1));
    com1_quiet();
    pic_end_all();
    apic_write(APIC_LVT_LINT0, LVT_MASKED);
    com1_raise();
    takes_none("a masked LINT0 does not");
    com1_quiet();
    pic_end_all();
    pic_unmask(0);
}

static volatile u32 *hpet_base(void)
{
    const u8 *table = acpi_table("HPET");
    return table ? (volatile u32 *)(word)acpi_u32(table, 44) : NULL;
}

static void hpet(void)
{
    static const char *const names[] = {"the HPET's counter has a period", "it counts while enabled",
                                        "and stands still otherwise", "a one-shot comparator ends HLT",
                                        "its status bit is set, and clears by writing 1"};
    volatile u32 *h = hpet_base();
    if (!h) {
        for (unsigned i = 0; i < 5; i++)
            skip(names[i]);
        return;
    }
    promise(names[0], true, h[1] > 0 && h[1] <= 100000000);
    h[4] &= ~3u;
    h[0xf0 / 4] = 0;
    h[0xf4 / 4] = 0;
    h[4] |= 1;
    promise(names[1], true, WAIT_FOR(h[0xf0 / 4] > 1000));
    h[4] &= ~1u;
    u32 stopped = h[0xf0 / 4];
    for (unsigned i = 0; i < 100; i++)
        inb(0x61);
    promise(names[2], stopped, h[0xf0 / 4]);
    unsigned pin = 23; /* the highest, for the lower ones are ISA's */
    while (!(h[0x104 / 4] >> pin & 1) && pin)
        pin--;
    redirect(pin, IOAPIC_LEVEL | PIN);
    h[0x100 / 4] = pin << 9 | 4 | 2; /* level-triggered, one-shot, enabled */
    h[0x108 / 4] = stopped + 20000;
    h[0x10c / 4] = 0;
    h[4] |= 1;
    trap_is(names[3], run(sti_halt, 0), PIN, 0, sti_halt_at + 2);
    u32 status = h[0x20 / 4] & 1;
    h[0x20 / 4] = 1;
    promise(names[4], 1, status | (h[0x20 / 4] & 1) << 1);
    h[0x100 / 4] = 0;
    apic_write(APIC_EOI, 0);
    redirect(pin, LVT_MASKED);
    h[4] &= ~1u;
}

int main(void)
{
    identity();
    priorities();
    task_priority();
    destinations();
    nmi();
    timer();
    deadline();
    ioapic();
    virtual_wire();
    hpet();
    return 0;
}
