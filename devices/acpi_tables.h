/* The ACPI tables that describe the board to an operating system: ACPI specification 6.4, chapter 5. */
#ifndef REPRISE_DEVICES_ACPI_TABLES_H
#define REPRISE_DEVICES_ACPI_TABLES_H

#include "mmu/physmem.h"

/* Everything lies in this range, which a loader reports as reserved; the RSDP stands at its beginning, where a search
 * of the BIOS area (5.2.5.1) finds it. */
#define ACPI_TABLES_BEGIN 0xe0000ull
#define ACPI_TABLES_END 0xf0000ull

/* Writes RSDP, RSDT, XSDT, FADT, FACS, MADT, HPET and DSDT into guest memory and returns the RSDP's address. For
 * loaders, before the guest starts. `memory` holds at least 1 MiB. */
gpa_t acpi_tables_write(struct physmem *memory);

#endif
