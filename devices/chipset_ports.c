/* The port map: who answers at which I/O port. */
#include "core/host.h"
#include "devices/chipset_internal.h"

/* One access to one range of ports. */
struct port_access {
    struct vm *vm;
    struct chipset *cs;
    u16 port;
    unsigned offset; /* from the range's first port */
    unsigned size;   /* 1 unless the range is wide */
    unsigned unit;
    struct device_env env;
};

struct port_range {
    u16 first, last;
    u8 source; /* enum source */
    u8 unit;
    bool wide; /* takes 2- and 4-byte accesses as they are; others see single bytes, as on the ISA bus */
    u32 (*read)(const struct port_access *a);
    void (*write)(const struct port_access *a, u32 value);
};

static u32 read_pic(const struct port_access *a)
{
    a->cs->unsettled |= pic_polled(&a->cs->pic, a->port); /* which acknowledges */
    return pic_read(&a->cs->pic, a->port);
}
static void write_pic(const struct port_access *a, u32 value)
{
    a->cs->unsettled = 1; /* masks, and ends of interrupts */
    pic_write(&a->cs->pic, a->port, (u8)value);
}
static u32 read_elcr(const struct port_access *a) { return pic_elcr_read(&a->cs->pic, a->port); }
static void write_elcr(const struct port_access *a, u32 value)
{
    a->cs->unsettled = 1;
    pic_elcr_write(&a->cs->pic, a->port, (u8)value);
}
static u32 read_pit(const struct port_access *a) { return pit_read(&a->cs->pit, a->offset, &a->env); }
static void write_pit(const struct port_access *a, u32 value) { pit_write(&a->cs->pit, a->offset, (u8)value, &a->env); }
static u32 read_speaker(const struct port_access *a) { return pit_speaker_read(&a->cs->pit, &a->env); }
static void write_speaker(const struct port_access *a, u32 value)
{
    pit_speaker_write(&a->cs->pit, (u8)value, &a->env);
}
static u32 read_rtc(const struct port_access *a) { return rtc_read(&a->cs->rtc, a->offset, &a->env); }
static void write_rtc(const struct port_access *a, u32 value) { rtc_write(&a->cs->rtc, a->offset, (u8)value, &a->env); }
static u32 read_uart(const struct port_access *a) { return uart_read(&a->cs->uart[a->unit], a->offset, &a->env); }
static void write_uart(const struct port_access *a, u32 value)
{
    uart_write(&a->cs->uart[a->unit], a->offset, (u8)value, &a->env);
}
static u32 read_i8042(const struct port_access *a) { return i8042_read(&a->cs->i8042, a->port & 4, &a->env); }
static void write_i8042(const struct port_access *a, u32 value)
{
    i8042_write(&a->cs->i8042, a->port & 4, (u8)value, &a->env);
}
static u32 read_dma(const struct port_access *a) { return dma_read(&a->cs->dma, a->port); }
static void write_dma(const struct port_access *a, u32 value) { dma_write(&a->cs->dma, a->port, (u8)value); }
static u32 read_acpi(const struct port_access *a) { return acpi_read(&a->cs->acpi, a->offset, a->size, &a->env); }
static void write_acpi(const struct port_access *a, u32 value)
{
    acpi_write(&a->cs->acpi, a->offset, value, a->size, &a->env);
}

/* Port 0xCF9 lies inside the PCI address register, which answers 32-bit accesses only. */
static u32 read_pci(const struct port_access *a)
{
    if (a->port == ACPI_RESET_PORT && a->size == 1)
        return acpi_reset_read(&a->cs->acpi);
    return pci_read(&a->cs->pci, a->offset, a->size);
}

static void write_pci(const struct port_access *a, u32 value)
{
    if (a->port == ACPI_RESET_PORT && a->size == 1) {
        acpi_reset_write(&a->cs->acpi, (u8)value, &a->env);
        return;
    }
    pci_write(&a->cs->pci, a->offset, value, a->size);
    chipset_drive_lines(a->cs); /* a PIRQ may have moved */
    a->cs->unsettled = 1;
}

/* System control port A: bit 1 A20, a latch only, for A20 is always on; bit 0 pulses the processor's INIT. */
static u32 read_port92(const struct port_access *a) { return a->cs->port92; }
static void write_port92(const struct port_access *a, u32 value)
{
    a->cs->port92 = value & 2;
    if (value & 1)
        device_request(&a->env, REQUEST_INIT, 0);
}

static u32 read_none(const struct port_access *a)
{
    (void)a;
    return 0xffffffff;
}

static void write_ferr(const struct port_access *a, u32 value)
{
    (void)value;
    device_irq(&a->env, FERR_LINE, false);
}

static u32 read_console(const struct port_access *a)
{
    (void)a;
    return 0xe9;
}
static void write_console(const struct port_access *a, u32 value)
{
    device_console(&a->env, HOST_DEBUG_CONSOLE, (u8)value);
}

static void write_debug_exit(const struct port_access *a, u32 value)
{
    if (a->vm->config.debug_exit)
        device_request(&a->env, REQUEST_DEBUG_EXIT, value);
}

static u32 read_selftest(const struct port_access *a)
{
    if (a->size != 4)
        return 0xffffffff;
    return selftest_read(&a->cs->selftest, a->offset, a->vm->vcpu[0]->cpu.icount, &a->env);
}
static void write_selftest(const struct port_access *a, u32 value)
{
    if (a->size == 4)
        selftest_write(&a->cs->selftest, a->offset, value, &a->env);
}

/* The most used first: the search is linear. Line numbers are those of a PC/AT. */
static const struct port_range port_ranges[] = {
    {0x3f8, 0x3ff, SOURCE_UART0 + 0, 0, false, read_uart, write_uart},
    {ACPI_PM_BASE, ACPI_PM_BASE + ACPI_PM_PORTS - 1, SOURCE_ACPI, 0, true, read_acpi, write_acpi},
    {0x020, 0x021, SOURCE_NONE, 0, false, read_pic, write_pic},
    {0x0a0, 0x0a1, SOURCE_NONE, 0, false, read_pic, write_pic},
    {0x040, 0x043, SOURCE_PIT, 0, false, read_pit, write_pit},
    {0x061, 0x061, SOURCE_PIT, 0, false, read_speaker, write_speaker},
    {0x060, 0x060, SOURCE_KEYBOARD, 0, false, read_i8042, write_i8042},
    {0x064, 0x064, SOURCE_KEYBOARD, 0, false, read_i8042, write_i8042},
    {0x070, 0x071, SOURCE_RTC, 0, false, read_rtc, write_rtc},
    {0x080, 0x08f, SOURCE_NONE, 0, false, read_dma, write_dma},
    {0x0e9, 0x0e9, SOURCE_NONE, 0, false, read_console, write_console},
    {0xcf8, 0xcff, SOURCE_NONE, 0, true, read_pci, write_pci},
    {0x2f8, 0x2ff, SOURCE_UART0 + 1, 1, false, read_uart, write_uart},
    {0x3e8, 0x3ef, SOURCE_UART0 + 2, 2, false, read_uart, write_uart},
    {0x2e8, 0x2ef, SOURCE_UART0 + 3, 3, false, read_uart, write_uart},
    {0x4d0, 0x4d1, SOURCE_NONE, 0, false, read_elcr, write_elcr},
    {0x000, 0x00f, SOURCE_NONE, 0, false, read_dma, write_dma},
    {0x0c0, 0x0df, SOURCE_NONE, 0, false, read_dma, write_dma},
    {0x092, 0x092, SOURCE_NONE, 0, false, read_port92, write_port92},
    {0x0f0, 0x0f0, SOURCE_FERR, 0, false, read_none, write_ferr},
    {0x0f4, 0x0f7, SOURCE_NONE, 0, true, read_none, write_debug_exit},
    {SELFTEST_PORT, SELFTEST_PORT + SELFTEST_PORTS - 1, SOURCE_SELFTEST, 0, true, read_selftest, write_selftest},
};

/* A port and the range that it lies in: the offset stays below the range's length. */
struct place {
    const struct port_range *range; /* NULL: unassigned */
    u16 port;
    unsigned offset;
};

static struct place find_place(u16 port)
{
    for (unsigned i = 0; i < ARRAY_LEN(port_ranges); i++)
        if (port >= port_ranges[i].first && port <= port_ranges[i].last)
            return (struct place){&port_ranges[i], port, port - port_ranges[i].first};
    return (struct place){NULL, port, 0};
}

/* Can the range take the access in one piece? Wide registers are 4 bytes and aligned. */
static bool takes_whole(const struct place *p, unsigned size)
{
    const struct port_range *r = p->range;
    return size == 1 || (r->wide && p->port + size - 1 <= r->last && (p->port & 3) + size <= 4);
}

/* Do devices behind this range act by themselves? */
static bool has_timer(const struct port_range *r)
{
    return r->source != SOURCE_NONE && r->source != SOURCE_KEYBOARD && r->source != SOURCE_FERR;
}

static u32 read_place(struct vm *vm, const struct place *p, unsigned size)
{
    struct wires w = {vm, (enum source)p->range->source};
    struct port_access a = {vm, &vm->chipset, p->port, p->offset, size, p->range->unit, chipset_env(&w)};
    vm->timers_touched |= has_timer(p->range);
    return p->range->read(&a);
}

static void write_place(struct vm *vm, const struct place *p, u32 value, unsigned size)
{
    struct wires w = {vm, (enum source)p->range->source};
    struct port_access a = {vm, &vm->chipset, p->port, p->offset, size, p->range->unit, chipset_env(&w)};
    vm->timers_touched |= has_timer(p->range);
    p->range->write(&a, value);
}

static u32 size_mask(unsigned size) { return size == 4 ? 0xffffffff : (1u << size * 8) - 1; }

static u32 read_byte(struct vm *vm, u16 port)
{
    struct place p = find_place(port);
    return p.range ? read_place(vm, &p, 1) & 0xff : 0xff;
}

static void write_byte(struct vm *vm, u16 port, u8 value)
{
    struct place p = find_place(port);
    if (p.range)
        write_place(vm, &p, value, 1);
}

static u32 read_ports(struct vm *vm, u16 port, unsigned size)
{
    struct place p = find_place(port);
    if (p.range && takes_whole(&p, size))
        return read_place(vm, &p, size);
    u32 value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= read_byte(vm, (u16)(port + i)) << i * 8;
    return value;
}

u32 chipset_io_read(struct vm *vm, u16 port, unsigned size)
{
    u32 value = read_ports(vm, port, size);
    if (vm->chipset.unsettled)
        chipset_settle(vm);
    return value & size_mask(size);
}

static void write_ports(struct vm *vm, u16 port, u32 value, unsigned size)
{
    struct place p = find_place(port);
    if (p.range && takes_whole(&p, size)) {
        write_place(vm, &p, value & size_mask(size), size);
        return;
    }
    for (unsigned i = 0; i < size; i++)
        write_byte(vm, (u16)(port + i), (u8)(value >> i * 8));
}

void chipset_io_write(struct vm *vm, u16 port, u32 value, unsigned size)
{
    write_ports(vm, port, value, size);
    if (vm->chipset.unsettled)
        chipset_settle(vm);
}
