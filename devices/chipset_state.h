/* State of the whole board: every device by value, plain data, no pointers. A snapshot is a copy; every reset clears
 * the padding, so that equal states are equal bytes. */
#ifndef REPRISE_DEVICES_CHIPSET_STATE_H
#define REPRISE_DEVICES_CHIPSET_STATE_H

#include "devices/acpi.h"
#include "devices/chipset.h"
#include "devices/dma.h"
#include "devices/hpet.h"
#include "devices/i8042.h"
#include "devices/ioapic.h"
#include "devices/lapic.h"
#include "devices/pci.h"
#include "devices/pic.h"
#include "devices/pit.h"
#include "devices/rtc.h"
#include "devices/selftest.h"
#include "devices/uart.h"

enum { UART_PORTS = 4 };

struct chipset {
    struct pic pic;
    struct pit pit;
    struct rtc rtc;
    struct uart uart[UART_PORTS];
    struct lapic lapic;
    struct ioapic ioapic;
    struct hpet hpet;
    struct acpi acpi;
    struct pci pci;
    struct i8042 i8042;
    struct dma dma;
    struct selftest selftest;
    u16 drivers[IOAPIC_PINS]; /* per interrupt line: which sources (a bit each) assert it; lines are wired-OR */
    u8 port92;                /* bit 1: A20 */
    u8 unsettled;             /* an interrupt line has moved during this access */
};

/* What every state of the board satisfies, and what a state from a file must satisfy before it is used: with it, no access of a
 * guest does anything undefined. (proofs/eva/chipset.c) */
static inline bool chipset_valid(const struct chipset *cs)
{
    return pit_valid(&cs->pit) && uart_valid(&cs->uart[0]) && uart_valid(&cs->uart[1]) && uart_valid(&cs->uart[2]) &&
           uart_valid(&cs->uart[3]) && hpet_valid(&cs->hpet) && i8042_valid(&cs->i8042) && selftest_valid(&cs->selftest);
}

#endif
