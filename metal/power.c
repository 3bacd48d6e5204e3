/* ACPI specification 6.4: RSDP 5.2.5, RSDT 5.2.7, FADT 5.2.9, \_S5 7.4.2.5, PM1 control 4.8.3.2. */
#include "metal/power.h"

#include "core/types.h"
#include "metal/port.h"

enum {
    BIOS_BEGIN = 0xe0000,
    BIOS_END = 0x100000,
    RSDP_RSDT = 16,
    TABLE_LENGTH = 4,
    TABLE_HEADER = 36,
    FADT_DSDT = 40,
    FADT_PM1A_CONTROL = 64,
    FADT_PM1B_CONTROL = 68,
    PM1_SLP_EN = 1 << 13,
    PM1_SLP_TYP_SHIFT = 10,
    AML_BYTE_PREFIX = 0x0a,
    LARGEST_TABLE = 1 << 20,
};

static u32 read32(u64 at) { return *(const volatile u32 *)at; }

static bool is_name(u64 at, const char *name, unsigned length) { return !memcmp((const void *)at, name, length); }

static u64 find_rsdp(void)
{
    for (u64 at = BIOS_BEGIN; at < BIOS_END; at += 16)
        if (is_name(at, "RSD PTR ", 8))
            return at;
    return 0;
}

static u64 find_fadt(u64 rsdt)
{
    u32 length = read32(rsdt + TABLE_LENGTH);
    if (!is_name(rsdt, "RSDT", 4) || length > LARGEST_TABLE)
        return 0;
    for (u32 at = TABLE_HEADER; at + 4 <= length; at += 4)
        if (is_name(read32(rsdt + at), "FACP", 4))
            return read32(rsdt + at);
    return 0;
}

/* SLP_TYPa of Name (\_S5, Package () {SLP_TYPa, SLP_TYPb, ...}), read from the raw AML. Negative if not there. */
static int sleep_type_s5(u64 dsdt)
{
    u32 length = read32(dsdt + TABLE_LENGTH);
    for (u32 at = TABLE_HEADER; length <= LARGEST_TABLE && at + 16 < length; at++) {
        if (!is_name(dsdt + at, "_S5_\x12", 5))
            continue;
        const u8 *p = (const u8 *)dsdt + at + 5;
        p += (*p >> 6) + 2; /* PkgLength, NumElements */
        return p[0] == AML_BYTE_PREFIX ? p[1] : p[0];
    }
    return -1;
}

void power_off(void)
{
    u64 rsdp = find_rsdp();
    u64 fadt = rsdp ? find_fadt(read32(rsdp + RSDP_RSDT)) : 0;
    int type = fadt ? sleep_type_s5(read32(fadt + FADT_DSDT)) : -1;
    if (type >= 0) {
        u16 value = (u16)((unsigned)type << PM1_SLP_TYP_SHIFT | PM1_SLP_EN);
        port_out16((u16)read32(fadt + FADT_PM1A_CONTROL), value);
        if (read32(fadt + FADT_PM1B_CONTROL))
            port_out16((u16)read32(fadt + FADT_PM1B_CONTROL), value);
    }
    for (;;)
        __asm__ volatile("cli; hlt");
}
