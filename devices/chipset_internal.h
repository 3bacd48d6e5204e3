/* What the files of the chipset share: chipset.c (wires, time, MMIO) and chipset_ports.c (the port map). */
#ifndef REPRISE_DEVICES_CHIPSET_INTERNAL_H
#define REPRISE_DEVICES_CHIPSET_INTERNAL_H

#include "core/vm.h"

#define FERR_LINE 13u

/* Everything that can drive an interrupt line: its bit in chipset.drivers[]. */
enum source {
    SOURCE_PIT,
    SOURCE_RTC,
    SOURCE_HPET,
    SOURCE_UART0,
    SOURCE_KEYBOARD = SOURCE_UART0 + UART_PORTS,
    SOURCE_ACPI,
    SOURCE_FERR,
    SOURCE_SELFTEST,
    SOURCE_NONE,
};

/* The context of device services: whose wires they pull. */
struct wires {
    struct vm *vm;
    enum source source;
};

/* The environment of a device access: the time, and the device's wires. `w` must outlive it. */
struct device_env chipset_env(struct wires *w);

/* Passes on what an access has changed: EOI broadcasts, INTR, NMI, INIT; and makes the run loop look. After every
 * access that may have changed an interrupt or a deadline. */
void chipset_settle(struct vm *vm);

/* Drives every interrupt line anew, after a change of routing rather than of a level. */
void chipset_drive_lines(struct chipset *cs);

#endif
