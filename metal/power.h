/* The machine's end. */
#ifndef REPRISE_METAL_POWER_H
#define REPRISE_METAL_POWER_H

/* Switches off by ACPI; halts for ever where the tables do not say how. */
_Noreturn void power_off(void);
/* Resets the machine: by ACPI, the keyboard controller, or a triple fault. */
_Noreturn void power_reset(void);

#endif
