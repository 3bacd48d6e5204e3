/* ACPI registers: in any state, any of the accesses. */
#include "eva/board.h"

#include "devices/acpi.c"

static struct acpi a;

static void access(void)
{
    struct device_env e = any_env();
    switch (any_below(6)) {
    case 0: acpi_read(&a, any_u32(), any_size(4), &e); break;
    case 1: acpi_write(&a, any_u32(), any_u32(), any_size(4), &e); break;
    case 2: acpi_reset_read(&a); break;
    case 3: acpi_reset_write(&a, any_u8(), &e); break;
    case 4: acpi_deadline(&a); break;
    default: acpi_tick(&a, &e); break;
    }
}

void main(void)
{
    acpi_reset(&a, any_u64());
    REACHED(reset);
    any_bytes(&a, sizeof a);
    access();
    REACHED(any_access);
}
