/* ACPI specification 6.4: RSDP 5.2.5, RSDT 5.2.7, XSDT 5.2.8, FADT 5.2.9, \_S5 7.4.2.5, PM1 control 4.8.3.2, reset
 * 4.8.3.6. */
#include "metal/firmware.h"

#include "metal/port.h"

enum {
    BIOS_BEGIN = 0xe0000,
    BIOS_END = 0x100000,
    RSDP_SUM_BYTES = 20,
    RSDP_REVISION = 15,
    RSDP_RSDT = 16,
    RSDP_XSDT = 24,
    TABLE_LENGTH = 4,
    TABLE_HEADER = 36,
    FADT_DSDT = 40,
    FADT_SMI_COMMAND = 48,
    FADT_ACPI_ENABLE = 52,
    FADT_PM1A_CONTROL = 64,
    FADT_PM1B_CONTROL = 68,
    FADT_PM_TIMER = 76,
    FADT_FLAGS = 112,
    FADT_RESET_REGISTER = 116, /* a generic address: space, width, offset, size, address:8 */
    FADT_RESET_VALUE = 128,
    FADT_RESET_END = 129,
    FLAG_RESET_SUPPORTED = 1 << 10,
    GENERIC_ADDRESS = 4,
    SPACE_IO = 1,
    PM1_SCI_EN = 1,
    PM1_SLP_EN = 1 << 13,
    PM1_SLP_TYP_SHIFT = 10,
    AML_BYTE_PREFIX = 0x0a,
    LARGEST_TABLE = 1 << 20,
    PATIENCE = 1000000,
};

static struct {
    int sleep_type; /* of S5; negative: unknown */
    u16 pm1a, pm1b, pm_timer, smi, reset_port;
    u8 acpi_enable, reset_value;
} acpi = {.sleep_type = -1};

static u32 read32(u64 at)
{
    u32 value;
    memcpy(&value, (const void *)at, sizeof value);
    return value;
}
static u64 read64(u64 at) { return read32(at) | (u64)read32(at + 4) << 32; }

static bool is_name(u64 at, const char *name, unsigned length) { return !memcmp((const void *)at, name, length); }

static bool sums_to_zero(u64 at, u32 bytes)
{
    u8 sum = 0;
    for (u32 n = 0; n < bytes; n++)
        sum = (u8)(sum + ((const u8 *)at)[n]);
    return !sum;
}

/* A table that may be believed, of at least `least` bytes; else 0. */
static u64 checked(u64 table, const char *name, u32 least)
{
    if (!table || table > UINT32_MAX - LARGEST_TABLE || !is_name(table, name, 4))
        return 0;
    u32 length = read32(table + TABLE_LENGTH);
    return length >= least && length <= LARGEST_TABLE && sums_to_zero(table, length) ? table : 0;
}

static u64 find_rsdp(const struct boot_info *boot)
{
    if (boot->has_rsdp)
        return (u64)boot->rsdp;
    for (u64 at = BIOS_BEGIN; at < BIOS_END; at += 16)
        if (is_name(at, "RSD PTR ", 8) && sums_to_zero(at, RSDP_SUM_BYTES))
            return at;
    return 0;
}

/* The table of that name that the root lists with pointers of `width` bytes. */
static u64 find_in(u64 root, unsigned width, const char *name, u32 least)
{
    for (u32 at = TABLE_HEADER; root && at + width <= read32(root + TABLE_LENGTH); at += width) {
        u64 table = checked(width == 8 ? read64(root + at) : read32(root + at), name, least);
        if (table)
            return table;
    }
    return 0;
}

static u64 find_table(u64 rsdp, const char *name, u32 least)
{
    bool extended = *(const u8 *)(rsdp + RSDP_REVISION) >= 2;
    u64 xsdt = extended ? checked(read64(rsdp + RSDP_XSDT), "XSDT", TABLE_HEADER) : 0;
    u64 table = find_in(xsdt, 8, name, least);
    return table ? table : find_in(checked(read32(rsdp + RSDP_RSDT), "RSDT", TABLE_HEADER), 4, name, least);
}

/* SLP_TYPa of Name (\_S5, Package () {SLP_TYPa, SLP_TYPb, ...}), read from the raw AML. Negative if not there. */
static int sleep_type_s5(u64 dsdt)
{
    u32 length = dsdt ? read32(dsdt + TABLE_LENGTH) : 0;
    for (u32 at = TABLE_HEADER; at + 16 < length; at++) {
        if (!is_name(dsdt + at, "_S5_\x12", 5))
            continue;
        const u8 *p = (const u8 *)dsdt + at + 5;
        p += (*p >> 6) + 2; /* PkgLength, NumElements */
        return p[0] == AML_BYTE_PREFIX ? p[1] : p[0];
    }
    return -1;
}

static void read_reset(u64 fadt)
{
    u64 address = read64(fadt + FADT_RESET_REGISTER + GENERIC_ADDRESS);
    if (read32(fadt + TABLE_LENGTH) < FADT_RESET_END || !(read32(fadt + FADT_FLAGS) & FLAG_RESET_SUPPORTED))
        return;
    if (*(const u8 *)(fadt + FADT_RESET_REGISTER) != SPACE_IO || address > UINT16_MAX)
        return;
    acpi.reset_port = (u16)address;
    acpi.reset_value = *(const u8 *)(fadt + FADT_RESET_VALUE);
}

void firmware_init(const struct boot_info *boot)
{
    u64 rsdp = find_rsdp(boot);
    u64 fadt = rsdp ? find_table(rsdp, "FACP", FADT_FLAGS + 4) : 0;
    if (!fadt)
        return;
    acpi.smi = (u16)read32(fadt + FADT_SMI_COMMAND);
    acpi.acpi_enable = *(const u8 *)(fadt + FADT_ACPI_ENABLE);
    acpi.pm1a = (u16)read32(fadt + FADT_PM1A_CONTROL);
    acpi.pm1b = (u16)read32(fadt + FADT_PM1B_CONTROL);
    acpi.pm_timer = (u16)read32(fadt + FADT_PM_TIMER);
    acpi.sleep_type = sleep_type_s5(checked(read32(fadt + FADT_DSDT), "DSDT", TABLE_HEADER));
    read_reset(fadt);
}

u16 firmware_pm_timer(void) { return acpi.pm_timer; }

/* Until ACPI is enabled, firmware owns the power management registers. */
static void enable(void)
{
    if ((port_in16(acpi.pm1a) & PM1_SCI_EN) || !acpi.smi || !acpi.acpi_enable)
        return;
    port_out8(acpi.smi, acpi.acpi_enable);
    for (unsigned tries = 0; tries < PATIENCE && !(port_in16(acpi.pm1a) & PM1_SCI_EN); tries++)
        __asm__ volatile("pause");
}

void firmware_power_off(void)
{
    if (acpi.sleep_type < 0 || !acpi.pm1a)
        return;
    enable();
    u16 value = (u16)((unsigned)acpi.sleep_type << PM1_SLP_TYP_SHIFT | PM1_SLP_EN);
    port_out16(acpi.pm1a, value);
    if (acpi.pm1b)
        port_out16(acpi.pm1b, value);
    for (unsigned tries = 0; tries < PATIENCE; tries++)
        __asm__ volatile("pause");
}

void firmware_reset(void)
{
    if (acpi.reset_port)
        port_out8(acpi.reset_port, acpi.reset_value);
}
