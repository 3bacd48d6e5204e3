/* The 8259A pair, and COM1 as a source of interrupts that answers at once (8259A and 16550A data sheets). The run-time
 * leaves the pair at vectors 0x20 and 0x28 with everything masked. */
#ifndef GUESTS_LIB_PIC_H
#define GUESTS_LIB_PIC_H

#include "guests/lib/guest.h"

enum { PIC1 = 0x20, PIC2 = 0xa0, OCW2_EOI = 0x20, OCW2_SPECIFIC = 0x60, OCW3_IRR = 0x0a, OCW3_ISR = 0x0b };
enum { IRQ_PIT = 0, IRQ_COM1 = 4, IRQ_RTC = 8, VEC_IRQ = 0x20 };

static inline u8 pic_read(u16 chip, u8 ocw3)
{
    outb(chip, ocw3);
    return inb(chip);
}

/* Only the lines in `lines` (bit n: IRQ n) pass. */
static inline void pic_unmask(u16 lines)
{
    outb(PIC1 + 1, ~lines);
    outb(PIC2 + 1, ~lines >> 8);
}

/* Ends whatever is in service. */
static inline void pic_end_all(void)
{
    while (pic_read(PIC2, OCW3_ISR))
        outb(PIC2, OCW2_EOI);
    while (pic_read(PIC1, OCW3_ISR))
        outb(PIC1, OCW2_EOI);
}

/* COM1 asks for an interrupt because its transmitter is empty. It would withdraw that, and ask anew, with every
 * character: reports wait until it is quiet. */
static inline void com1_raise(void)
{
    report_hold();
    while (!(inb(0x3f8 + 5) & 0x40))
        ;
    outb(0x3f8 + 4, 8);
    outb(0x3f8 + 1, 2);
}

/* And no longer: reading IIR takes the request back. */
static inline void com1_quiet(void)
{
    inb(0x3f8 + 2);
    outb(0x3f8 + 1, 0);
    report_release();
}

/* Waits until the condition holds, for a number of port reads that no engine should need; false: it never did. */
#define WAIT_FOR(condition) \
    ({ \
        u32 tries = 2000000; \
        while (!(condition) && --tries) \
            inb(0x61); \
        tries != 0; \
    })

#endif
