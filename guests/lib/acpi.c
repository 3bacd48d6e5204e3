#include "guests/lib/acpi.h"

static bool sums_to_zero(const u8 *bytes, u32 size)
{
    u8 sum = 0;
    while (size--)
        sum += *bytes++;
    return sum == 0;
}

static const u8 *rsdp_in(const u8 *from, const u8 *to)
{
    for (; from < to; from += 16) {
        if (!memcmp(from, "RSD PTR ", 8) && sums_to_zero(from, 20))
            return from;
    }
    return NULL;
}

const u8 *acpi_rsdp(void)
{
    word ebda_pointer = 0x40e;
    /* The compiler must not see a constant near zero, which it takes for a null pointer with an offset. */
    __asm__("" : "+r"(ebda_pointer));
    const u8 *ebda = (const u8 *)((word) * (const u16 *)ebda_pointer << 4);
    const u8 *found = (word)ebda >= 0x80000 && (word)ebda < 0xa0000 ? rsdp_in(ebda, ebda + 1024) : NULL;
    return found ? found : rsdp_in((const u8 *)0xe0000, (const u8 *)0x100000);
}

const u8 *acpi_table(const char *signature)
{
    const u8 *rsdp = acpi_rsdp();
    if (!rsdp)
        return NULL;
    const u8 *rsdt = (const u8 *)(word)acpi_u32(rsdp, 16);
    if (memcmp(rsdt, "RSDT", 4) || !acpi_table_valid(rsdt))
        return NULL;
    for (u32 at = 36; at + 4 <= acpi_u32(rsdt, 4); at += 4) {
        const u8 *table = (const u8 *)(word)acpi_u32(rsdt, at);
        if (!memcmp(table, signature, 4))
            return table;
    }
    return NULL;
}

bool acpi_table_valid(const u8 *table) { return sums_to_zero(table, acpi_u32(table, 4)); }

/* An integer of AML: ZeroOp, OneOp or BytePrefix (ACPI 6.4, 20.2.3). */
static u8 aml_byte(const u8 **at)
{
    if (**at == 0x0a)
        ++*at;
    return *(*at)++;
}

bool acpi_s5(const u8 *dsdt, u8 *type_a, u8 *type_b)
{
    u32 size = acpi_u32(dsdt, 4);
    for (u32 i = 36; i + 9 <= size; i++) {
        const u8 *at = dsdt + i;
        if (memcmp(at, "_S5_", 4) || at[4] != 0x12)
            continue;
        at += 5;
        at += (*at >> 6) + 1; /* PkgLength: bits 7..6 count the bytes that follow, 20.2.4 */
        at++;                 /* number of elements */
        *type_a = aml_byte(&at);
        *type_b = aml_byte(&at);
        return true;
    }
    return false;
}

void acpi_enable(const u8 *fadt)
{
    u16 control = acpi_u32(fadt, FADT_PM1A_CNT);
    u16 command = acpi_u32(fadt, FADT_SMI_CMD);
    if (!(inw(control) & PM1_SCI_EN) && command)
        outb(command, fadt[FADT_ACPI_ENABLE]);
}

void acpi_power_off(void)
{
    const u8 *fadt = acpi_table("FACP");
    u8 type_a, type_b;
    if (!fadt || !acpi_s5((const u8 *)(word)acpi_u32(fadt, FADT_DSDT), &type_a, &type_b))
        return;
    u16 control = acpi_u32(fadt, FADT_PM1A_CNT);
    acpi_enable(fadt);
    outw(control, (inw(control) & ~PM1_SLP_TYP) | type_a << 10);
    outw(control, (inw(control) & ~PM1_SLP_TYP) | type_a << 10 | PM1_SLP_EN);
}
