/* ACPI fixed hardware: PM1a event and control block, PM timer, and the 0xCF9 reset register.
 *
 * ACPI specification 6.4, 4.8. The machine is always in ACPI mode (SCI_EN reads 1; there is no SMI). The PM timer has
 * 32 bits at 3.579545 MHz. No power or sleep button, no wake sources: the matching event bits are never set. S5 is
 * SLP_TYP 5 with SLP_EN; other sleep types do nothing, as no other state is offered. 0xCF9 is the
 * Reset Control register (RC) of the Intel 82371SB. */
#ifndef REPRISE_DEVICES_ACPI_H
#define REPRISE_DEVICES_ACPI_H

#include "devices/device.h"

#define ACPI_PM_TIMER_HZ 3579545ull

enum {
    ACPI_PM_BASE = 0x600,     /* I/O ports */
    ACPI_PM1_EVENT = 0x0,     /* status, enable: 16 bits each */
    ACPI_PM1_CONTROL = 0x4,   /* 16 bits */
    ACPI_PM_TIMER = 0x8,      /* 32 bits */
    ACPI_PM_PORTS = 0x10,
    ACPI_SCI_LINE = 9,
    ACPI_SLEEP_TYPE_S5 = 5,
    ACPI_RESET_PORT = 0xcf9,
    ACPI_RESET_VALUE = 0x06,
};

struct acpi {
    u64 toggles; /* changes of the timer's bit 31 seen */
    u16 status, enable, control;
    u8 reset_control; /* 0xCF9 */
};

void acpi_reset(struct acpi *a, u64 now);

/* Offsets from ACPI_PM_BASE; any size, byte lanes of the registers above. */
u32 acpi_read(struct acpi *a, unsigned offset, unsigned size, const struct device_env *e);
void acpi_write(struct acpi *a, unsigned offset, u32 value, unsigned size, const struct device_env *e);

u8 acpi_reset_read(const struct acpi *a);
/* Bit 1: hard reset; the rising edge of bit 2 resets. */
void acpi_reset_write(struct acpi *a, u8 value, const struct device_env *e);

u64 acpi_deadline(const struct acpi *a);
void acpi_tick(struct acpi *a, const struct device_env *e);

#endif
