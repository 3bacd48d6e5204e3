/* What the machine's ACPI tables say, as far as it is used here: how to switch off and reset, a timer of known
 * frequency, where the local APIC is. Read once, while the loader's tables can still be reached; anything that is
 * missing, damaged or not below 4 GiB is as if it were not there. */
#ifndef REPRISE_METAL_FIRMWARE_H
#define REPRISE_METAL_FIRMWARE_H

#include "metal/boot_info.h"

/* Before paging_init(). */
void firmware_init(const struct boot_info *boot);

/* The power management timer (3.579545 MHz, at least 24 bits): its I/O port, 0 if there is none. */
u16 firmware_pm_timer(void);

/* Enters S5; returns if the tables do not say how, or it did not help. */
void firmware_power_off(void);
/* Writes the reset register; returns if there is none, or it did not help. */
void firmware_reset(void);

#endif
