/* The I/O APIC: 24 inputs at 0xFEC00000.
 *
 * Intel 82093AA data sheet (290566). Lines carry assertion, not voltage: the polarity bit is kept and has no effect.
 * An edge on a masked input is lost, as 3.2.4 says. No input is wired to the 8259A's INTR: it reaches the processor
 * by LINT0, so an entry with delivery mode ExtINT delivers nothing. */
#ifndef REPRISE_DEVICES_IOAPIC_H
#define REPRISE_DEVICES_IOAPIC_H

#include "devices/lapic.h"

enum {
    IOAPIC_PINS = 24,
    IOAPIC_ID = 1, /* as firmware programs it: differs from every local APIC's */
};
#define IOAPIC_BASE 0xfec00000ull

struct ioapic {
    u64 entry[IOAPIC_PINS];
    u32 lines; /* present level of each input */
    u32 id;    /* bits 27..24 */
    u8 select; /* IOREGSEL */
};

/* All entries masked; the ID register holds IOAPIC_ID, which firmware writes. */
void ioapic_reset(struct ioapic *io);

/* The register page: IOREGSEL at 0, IOWIN at 0x10. Accesses that do not cover a register's first byte read 0 and write
 * nothing; 2- and 1-byte ones reach its low bytes only when reading. */
u64 ioapic_read(const struct ioapic *io, unsigned offset, unsigned size);
void ioapic_write(struct ioapic *io, unsigned offset, u64 value, unsigned size, struct lapic *to);

void ioapic_set_line(struct ioapic *io, unsigned pin, bool level, struct lapic *to);
/* EOI broadcast of a local APIC. */
void ioapic_eoi(struct ioapic *io, u8 vector, struct lapic *to);

#endif
