#include "devices/acpi_tables.h"

#include "core/panic.h"
#include "devices/acpi.h"
#include "devices/hpet.h"
#include "devices/ioapic.h"

/* Where each table lies. */
#define AT_RSDP ACPI_TABLES_BEGIN
#define AT_RSDT (ACPI_TABLES_BEGIN + 0x040)
#define AT_XSDT (ACPI_TABLES_BEGIN + 0x0c0)
#define AT_FADT (ACPI_TABLES_BEGIN + 0x200)
#define AT_MADT (ACPI_TABLES_BEGIN + 0x400)
#define AT_HPET (ACPI_TABLES_BEGIN + 0x500)
#define AT_FACS (ACPI_TABLES_BEGIN + 0x600) /* 64-byte aligned, 5.2.10 */
#define AT_DSDT (ACPI_TABLES_BEGIN + 0x700)

#define LAPIC_BASE 0xfee00000u
#define LENGTH_OFFSET 4u
#define CHECKSUM_OFFSET 9u

/* FADT feature flags, table 5.10 */
#define FADT_WBINVD 0x0001u
#define FADT_PROC_C1 0x0004u
#define FADT_PWR_BUTTON 0x0010u /* no fixed power button */
#define FADT_SLP_BUTTON 0x0020u
#define FADT_FIX_RTC 0x0040u /* RTC wake is not a fixed event */
#define FADT_TMR_VAL_EXT 0x0100u
#define FADT_RESET_REG_SUP 0x0400u
/* IA-PC boot flags, table 5.11: legacy devices, 8042, no VGA, no MSI */
#define FADT_BOOT_FLAGS 0x000fu

#define GAS_MEMORY 0u
#define GAS_IO 1u

#define MADT_LAPIC 0u
#define MADT_IOAPIC 1u
#define MADT_OVERRIDE 2u
#define MADT_LAPIC_NMI 4u
#define INTI_CONFORMS 0x0u
#define INTI_HIGH_LEVEL 0xdu
#define ALL_PROCESSORS 0xffu

static const u8 dsdt[] = {
#include "devices/dsdt.inc"
};

_Static_assert(AT_DSDT + sizeof(dsdt) <= ACPI_TABLES_END, "the tables fit their area");

enum { TABLE_MAX = 0x200 };

/* A table under construction. */
struct table {
    u8 bytes[TABLE_MAX];
    u32 length;
};

static void put(struct table *t, u64 value, unsigned size)
{
    invariant(t->length + size <= TABLE_MAX);
    for (unsigned i = 0; i < size; i++)
        t->bytes[t->length++] = (u8)(value >> i * 8);
}

static void put8(struct table *t, u8 value) { put(t, value, 1); }
static void put16(struct table *t, u16 value) { put(t, value, 2); }
static void put32(struct table *t, u32 value) { put(t, value, 4); }
static void put64(struct table *t, u64 value) { put(t, value, 8); }

static void put_text(struct table *t, const char *text)
{
    for (size_t i = 0; text[i]; i++)
        put8(t, (u8)text[i]);
}

/* Generic address structure, 5.2.3.2; `access` is the access size code. */
static void put_address(struct table *t, u8 space, u8 bits, u8 access, u64 address)
{
    put8(t, space);
    put8(t, bits);
    put8(t, 0);
    put8(t, access);
    put64(t, address);
}

static u8 checksum(const u8 *bytes, u32 length)
{
    u8 sum = 0;
    for (u32 i = 0; i < length; i++)
        sum = (u8)(sum + bytes[i]);
    return (u8)-sum;
}

/* The header of 5.2.6; length and checksum are filled in by finish(). */
static void begin(struct table *t, const char *signature, u8 revision)
{
    memset(t, 0, sizeof(*t));
    put_text(t, signature);
    put32(t, 0);
    put8(t, revision);
    put8(t, 0);
    put_text(t, "RPRISE");
    put_text(t, "RPRISEPC");
    put32(t, 1);
    put_text(t, "RPRS");
    put32(t, 1);
}

static void store(struct physmem *memory, u64 at, const void *bytes, u32 length)
{
    bool stored = physmem_load(memory, gpa(at), bytes, length);
    invariant(stored); /* every machine has RAM there */
}

static void finish(struct table *t, struct physmem *memory, u64 at)
{
    for (unsigned i = 0; i < 4; i++)
        t->bytes[LENGTH_OFFSET + i] = (u8)(t->length >> i * 8);
    t->bytes[CHECKSUM_OFFSET] = checksum(t->bytes, t->length);
    store(memory, at, t->bytes, t->length);
}

/* 5.2.5.3 */
static void write_rsdp(struct physmem *memory)
{
    enum { CHECKSUM = 8, EXTENDED_CHECKSUM = 32, LENGTH_V1 = 20 };
    struct table t = {.length = 0};
    put_text(&t, "RSD PTR ");
    put8(&t, 0);
    put_text(&t, "RPRISE");
    put8(&t, 2);
    put32(&t, AT_RSDT);
    put32(&t, 36);
    put64(&t, AT_XSDT);
    put32(&t, 0);
    t.bytes[CHECKSUM] = checksum(t.bytes, LENGTH_V1);
    t.bytes[EXTENDED_CHECKSUM] = checksum(t.bytes, t.length);
    store(memory, AT_RSDP, t.bytes, t.length);
}

/* 5.2.7 and 5.2.8: the same list with 32- and 64-bit entries */
static void write_root(struct physmem *memory, const char *signature, unsigned entry_bytes, u64 at)
{
    static const u64 listed[] = {AT_FADT, AT_MADT, AT_HPET};
    struct table t;
    begin(&t, signature, 1);
    for (unsigned i = 0; i < ARRAY_LEN(listed); i++)
        put(&t, listed[i], entry_bytes);
    finish(&t, memory, at);
}

/* The 64-bit half of the FADT, from offset 116. */
static void put_fadt_extended(struct table *t)
{
    put_address(t, GAS_IO, 8, 1, ACPI_RESET_PORT);
    put8(t, ACPI_RESET_VALUE);
    put16(t, 0); /* ARM boot flags */
    put8(t, 0);  /* minor version */
    put64(t, AT_FACS);
    put64(t, AT_DSDT);
    put_address(t, GAS_IO, 32, 2, ACPI_PM_BASE + ACPI_PM1_EVENT);
    put_address(t, 0, 0, 0, 0); /* PM1b event */
    put_address(t, GAS_IO, 16, 2, ACPI_PM_BASE + ACPI_PM1_CONTROL);
    put_address(t, 0, 0, 0, 0); /* PM1b control */
    put_address(t, 0, 0, 0, 0); /* PM2 control */
    put_address(t, GAS_IO, 32, 3, ACPI_PM_BASE + ACPI_PM_TIMER);
    put_address(t, 0, 0, 0, 0); /* GPE0 */
    put_address(t, 0, 0, 0, 0); /* GPE1 */
}

/* 5.2.9, revision 4. No SMI command port: the machine is always in ACPI mode. */
static void write_fadt(struct physmem *memory)
{
    struct table t;
    begin(&t, "FACP", 4);
    put32(&t, AT_FACS);
    put32(&t, AT_DSDT);
    put8(&t, 0);
    put8(&t, 1); /* preferred profile: desktop */
    put16(&t, ACPI_SCI_LINE);
    put64(&t, 0); /* SMI_CMD, ACPI_ENABLE, ACPI_DISABLE, S4BIOS_REQ, PSTATE_CNT */
    put32(&t, ACPI_PM_BASE + ACPI_PM1_EVENT);
    put32(&t, 0);
    put32(&t, ACPI_PM_BASE + ACPI_PM1_CONTROL);
    put32(&t, 0);
    put32(&t, 0);
    put32(&t, ACPI_PM_BASE + ACPI_PM_TIMER);
    put64(&t, 0); /* GPE0, GPE1 */
    put8(&t, 4);  /* PM1_EVT_LEN */
    put8(&t, 2);  /* PM1_CNT_LEN */
    put8(&t, 0);
    put8(&t, 4); /* PM_TMR_LEN */
    put32(&t, 0); /* GPE lengths, base of GPE1, CST_CNT */
    put16(&t, 0xffff); /* no C2 */
    put16(&t, 0xffff); /* no C3 */
    put32(&t, 0);      /* FLUSH_SIZE, FLUSH_STRIDE: WBINVD works */
    put16(&t, 0);      /* DUTY_OFFSET, DUTY_WIDTH */
    put16(&t, 0);      /* DAY_ALRM, MON_ALRM: not supported */
    put8(&t, 0x32);    /* CENTURY: RTC byte */
    put16(&t, FADT_BOOT_FLAGS);
    put8(&t, 0);
    put32(&t, FADT_WBINVD | FADT_PROC_C1 | FADT_PWR_BUTTON | FADT_SLP_BUTTON | FADT_FIX_RTC | FADT_TMR_VAL_EXT |
                  FADT_RESET_REG_SUP);
    put_fadt_extended(&t);
    finish(&t, memory, AT_FADT);
}

static void put_override(struct table *t, u8 isa_irq, u32 input, u16 flags)
{
    put8(t, MADT_OVERRIDE);
    put8(t, 10);
    put8(t, 0); /* ISA */
    put8(t, isa_irq);
    put32(t, input);
    put16(t, flags);
}

/* 5.2.12 */
static void write_madt(struct physmem *memory)
{
    struct table t;
    begin(&t, "APIC", 3);
    put32(&t, LAPIC_BASE);
    put32(&t, 1); /* PCAT_COMPAT: there are 8259As */
    put8(&t, MADT_LAPIC);
    put8(&t, 8);
    put8(&t, 0);
    put8(&t, 0);
    put32(&t, 1); /* enabled */
    put8(&t, MADT_IOAPIC);
    put8(&t, 12);
    put8(&t, IOAPIC_ID);
    put8(&t, 0);
    put32(&t, IOAPIC_BASE);
    put32(&t, 0); /* its first global system interrupt */
    put_override(&t, 0, 2, INTI_CONFORMS);
    put_override(&t, ACPI_SCI_LINE, ACPI_SCI_LINE, INTI_HIGH_LEVEL);
    put8(&t, MADT_LAPIC_NMI);
    put8(&t, 6);
    put8(&t, ALL_PROCESSORS);
    put16(&t, INTI_CONFORMS);
    put8(&t, 1); /* LINT1 */
    finish(&t, memory, AT_MADT);
}

/* IA-PC HPET specification 1.0a, 3.2.4 */
static void write_hpet(struct physmem *memory)
{
    struct table t;
    begin(&t, "HPET", 1);
    put32(&t, (u32)HPET_CAPABILITIES);
    put_address(&t, GAS_MEMORY, 64, 0, HPET_BASE);
    put8(&t, 0);    /* number */
    put16(&t, 128); /* shortest period in ticks without losing interrupts */
    put8(&t, 1);    /* the 4 KiB page holds nothing else */
    finish(&t, memory, AT_HPET);
}

/* 5.2.10: no header checksum */
static void write_facs(struct physmem *memory)
{
    struct table t = {.length = 0};
    put_text(&t, "FACS");
    put32(&t, 64);
    put32(&t, 0); /* hardware signature */
    put32(&t, 0); /* waking vector */
    put32(&t, 0); /* global lock */
    put32(&t, 0); /* flags */
    put64(&t, 0); /* 64-bit waking vector */
    put8(&t, 1);  /* version */
    t.length = 64;
    store(memory, AT_FACS, t.bytes, t.length);
}

gpa_t acpi_tables_write(struct physmem *memory)
{
    write_rsdp(memory);
    write_root(memory, "RSDT", 4, AT_RSDT);
    write_root(memory, "XSDT", 8, AT_XSDT);
    write_fadt(memory);
    write_madt(memory);
    write_hpet(memory);
    write_facs(memory);
    store(memory, AT_DSDT, dsdt, sizeof(dsdt));
    return gpa(AT_RSDP);
}
