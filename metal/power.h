/* Switching the machine off, by its ACPI tables. */
#ifndef REPRISE_METAL_POWER_H
#define REPRISE_METAL_POWER_H

/* Enters S5 as the FADT and \_S5 describe; halts for ever where the tables do not say how. */
_Noreturn void power_off(void);

#endif
