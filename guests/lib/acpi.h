/* Enough of ACPI to find the tables and switch the machine off (ACPI 6.4, chapters 4.8, 5.2 and 20). Tables are byte
 * strings: their fields are not aligned. */
#ifndef GUESTS_LIB_ACPI_H
#define GUESTS_LIB_ACPI_H

#include "guests/lib/guest.h"

enum { FADT_DSDT = 40, FADT_SMI_CMD = 48, FADT_ACPI_ENABLE = 52, FADT_PM1A_CNT = 64, FADT_PM_TMR = 76 };
enum { PM1_SCI_EN = 1, PM1_SLP_TYP = 0x1c00, PM1_SLP_EN = 0x2000 };

static inline u32 acpi_u32(const u8 *table, u32 offset)
{
    u32 value;
    memcpy(&value, table + offset, 4);
    return value;
}

const u8 *acpi_rsdp(void);                     /* NULL: none */
const u8 *acpi_table(const char *signature);   /* the first such table of the RSDT, or NULL */
bool acpi_table_valid(const u8 *table);        /* its checksum */
/* Asks the firmware for ACPI mode, if the machine starts in legacy mode (ACPI 6.4, 4.8.3.1 and 5.2.9). */
void acpi_enable(const u8 *fadt);
/* The values of \_S5: what to write to SLP_TYP of PM1a and PM1b. */
bool acpi_s5(const u8 *dsdt, u8 *type_a, u8 *type_b);

#endif
