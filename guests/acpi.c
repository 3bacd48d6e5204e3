/* Finds the ACPI tables as an operating system does, checks them, watches the PM timer, and leaves by S5 (ACPI
 * 6.4, 4.8, 5.2). The engine's exit code tells whether the last step worked. */
#include "guests/lib/acpi.h"
#include "guests/lib/pic.h"

const char *const suite_name = "acpi";

enum { FADT_SCI_INT = 46, FADT_FLAGS = 112, MADT_LAPIC = 36, MADT_ENTRIES = 44 };

static void tables(void)
{
    const u8 *rsdp = acpi_rsdp();
    promise("the RSDP is found, with a good checksum", true, rsdp != NULL);
    if (!rsdp)
        finish();
    const u8 *rsdt = (const u8 *)(word)acpi_u32(rsdp, 16);
    promise("the RSDT has its signature", 0, memcmp(rsdt, "RSDT", 4));
    promise("and a good checksum", true, acpi_table_valid(rsdt));
    bool valid = true;
    for (u32 at = 36; at + 4 <= acpi_u32(rsdt, 4); at += 4)
        valid &= acpi_table_valid((const u8 *)(word)acpi_u32(rsdt, at));
    promise("so has every table it names", true, valid);
    const u8 *fadt = acpi_table("FACP");
    promise("there is a FADT", true, fadt != NULL);
    if (!fadt)
        finish();
    const u8 *dsdt = (const u8 *)(word)acpi_u32(fadt, FADT_DSDT);
    promise("the FADT names a DSDT", 0, memcmp(dsdt, "DSDT", 4));
    promise("the DSDT has a good checksum", true, acpi_table_valid(dsdt));
    u8 type_a, type_b;
    promise("the DSDT has \\_S5", true, acpi_s5(dsdt, &type_a, &type_b));
    promise("the SCI is interrupt 9", 9, fadt[FADT_SCI_INT]);
}

static void processors(void)
{
    const u8 *madt = acpi_table("APIC");
    promise("there is a MADT", true, madt != NULL);
    if (!madt)
        return;
    promise("the MADT says where the local APIC is", 0xfee00000, acpi_u32(madt, MADT_LAPIC));
    unsigned processors = 0, ioapics = 0;
    for (u32 at = MADT_ENTRIES; at + 2 <= acpi_u32(madt, 4) && madt[at + 1]; at += madt[at + 1]) {
        processors += madt[at] == 0 && (acpi_u32(madt, at + 4) & 1);
        ioapics += madt[at] == 1 && acpi_u32(madt, at + 4) == 0xfec00000;
    }
    promise("one processor is enabled", 1, processors);
    promise("one I/O APIC at fec00000", 1, ioapics);
}

static void timer(void)
{
    const u8 *fadt = acpi_table("FACP");
    u16 port = acpi_u32(fadt, FADT_PM_TMR);
    u32 start = inl(port) & 0xffffff;
    promise("the PM timer counts", true, WAIT_FOR(((inl(port) - start) & 0xffffff) > 100));
    bool forward = true;
    u32 last = inl(port) & 0xffffff;
    for (unsigned i = 0; i < 100; i++) {
        u32 now = inl(port) & 0xffffff;
        forward &= ((now - last) & 0xffffff) < 0x800000;
        last = now;
    }
    promise("never backwards", true, forward);
    promise("SCI_EN can be set", PM1_SCI_EN, (acpi_enable(fadt), inw(acpi_u32(fadt, FADT_PM1A_CNT)) & PM1_SCI_EN));
}

int main(void)
{
    tables();
    processors();
    timer();
    finish_by_power_off();
}
