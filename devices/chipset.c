/* The board: which wire goes where, who sits at which physical address, whose time has come. */
#include "devices/chipset.h"

#include "core/host.h"
#include "devices/bus_master.h"
#include "devices/chipset_internal.h"
#include "mmu/access.h"

#define APIC_BASE_ENABLE 0x800u
#define APIC_BASE_ADDRESS (((1ull << PHYS_ADDRESS_BITS) - 1) & ~(u64)PAGE_MASK)

/* Beyond this virtual time (146 years) no device acts any more, so that no sum of times can overflow. */
#define TIME_HORIZON (1ull << 62)

#define PIRQ_LINE 16u /* lines 16..19 are PIRQA..PIRQD */

void chipset_settle(struct vm *vm)
{
    struct chipset *cs = &vm->chipset;
    cs->unsettled = 0;
    if (cs->lapic.eoi_pending) {
        cs->lapic.eoi_pending = 0;
        ioapic_eoi(&cs->ioapic, cs->lapic.eoi_vector, &cs->lapic);
    }
    lapic_set_lint0(&cs->lapic, pic_output(&cs->pic));
    if (cs->lapic.signals & LAPIC_SIGNAL_NMI)
        vm->vcpu[0]->cpu.nmi_pending = 1;
    if ((cs->lapic.signals & LAPIC_SIGNAL_INIT) && vm->request == REQUEST_NONE)
        vm->request = REQUEST_INIT;
    cs->lapic.signals = 0;
    chipset_note_interrupt(vm);
}

/* Is the line asserted? Legacy replacement cuts the PIT off line 0 and the RTC off line 8 (HPET 1.0a, 2.3.5). */
static bool line_level(const struct chipset *cs, unsigned line)
{
    u16 drivers = cs->drivers[line];
    if (hpet_legacy_routing(&cs->hpet) && line == PIT_IRQ_LINE)
        drivers &= (u16)~(1u << SOURCE_PIT);
    if (hpet_legacy_routing(&cs->hpet) && line == RTC_IRQ_LINE)
        drivers &= (u16)~(1u << SOURCE_RTC);
    return drivers != 0;
}

/* An 8259A input: its ISA line, or a PIRQ that is routed to it. */
static void drive_pic(struct chipset *cs, unsigned line)
{
    bool level = line_level(cs, line);
    for (unsigned pirq = 0; pirq < PCI_PIRQS; pirq++)
        if (pci_pirq_route(&cs->pci, pirq) == (int)line)
            level |= line_level(cs, PIRQ_LINE + pirq);
    pic_set_line(&cs->pic, line, level);
}

static void drive_line(struct chipset *cs, unsigned line)
{
    bool level = line_level(cs, line);
    if (line < 16)
        drive_pic(cs, line);
    int route = line >= PIRQ_LINE && line < PIRQ_LINE + PCI_PIRQS ? pci_pirq_route(&cs->pci, line - PIRQ_LINE) : -1;
    if (route >= 0)
        drive_pic(cs, (unsigned)route);
    if (line == 2)
        return; /* the cascade; pin 2 carries IRQ 0 */
    ioapic_set_line(&cs->ioapic, line == PIT_IRQ_LINE ? 2 : line, level, &cs->lapic);
}

void chipset_drive_lines(struct chipset *cs)
{
    for (unsigned line = 0; line < IOAPIC_PINS; line++)
        drive_line(cs, line);
}

static void service_irq(void *context, unsigned line, bool level)
{
    struct wires *w = context;
    struct chipset *cs = &w->vm->chipset;
    u16 bit = (u16)(1u << w->source);
    if (line >= IOAPIC_PINS || ((cs->drivers[line] & bit) != 0) == level)
        return;
    cs->drivers[line] ^= bit;
    drive_line(cs, line);
    cs->unsettled = 1;
}

static void service_console(void *context, unsigned channel, u8 byte)
{
    (void)context;
    host_console_write((enum host_channel)channel, byte);
}

/* The first request of an instruction wins. */
static void service_request(void *context, enum device_request request, u32 argument)
{
    struct wires *w = context;
    if (w->vm->request != REQUEST_NONE)
        return;
    w->vm->request = request;
    w->vm->exit_value = argument;
    w->vm->chipset.unsettled = 1;
}

static void service_dma_read(void *context, u64 from, void *to, unsigned size)
{
    bus_master_read(((struct wires *)context)->vm, from, to, size);
}

static void service_dma_write(void *context, u64 to, const void *from, unsigned size)
{
    bus_master_write(((struct wires *)context)->vm, to, from, size);
}

static const struct device_services services = {
    .irq = service_irq,
    .console = service_console,
    .request = service_request,
    .dma_read = service_dma_read,
    .dma_write = service_dma_write,
};

struct device_env chipset_env(struct wires *w)
{
    return (struct device_env){.now = vm_now(w->vm), .services = &services, .context = w};
}

static bool is_lapic(const struct vm *vm, gpa_t address)
{
    u64 base = vm->vcpu[0]->cpu.apic_base;
    return (base & APIC_BASE_ENABLE) && (address.raw & ~(u64)PAGE_MASK) == (base & APIC_BASE_ADDRESS);
}

static u64 all_ones(unsigned size) { return size == 8 ? ~0ull : (1ull << size * 8) - 1; }

u64 chipset_mmio_read(struct vm *vm, gpa_t address, unsigned size)
{
    struct chipset *cs = &vm->chipset;
    unsigned offset = address.raw & PAGE_MASK;
    if (is_lapic(vm, address))
        return lapic_read(&cs->lapic, offset, size, vm_now(vm));
    switch (address.raw & ~(u64)PAGE_MASK) {
    case IOAPIC_BASE: return ioapic_read(&cs->ioapic, offset, size);
    case HPET_BASE:
        vm->timers_touched = true;
        return hpet_read(&cs->hpet, offset, size, vm_now(vm));
    default: return all_ones(size);
    }
}

static void write_hpet(struct vm *vm, unsigned offset, u64 value, unsigned size)
{
    struct wires w = {vm, SOURCE_HPET};
    struct device_env env = chipset_env(&w);
    bool legacy = hpet_legacy_routing(&vm->chipset.hpet);
    hpet_write(&vm->chipset.hpet, offset, value, size, &env);
    if (legacy != hpet_legacy_routing(&vm->chipset.hpet))
        chipset_drive_lines(&vm->chipset);
}

void chipset_mmio_write(struct vm *vm, gpa_t address, u64 value, unsigned size)
{
    struct chipset *cs = &vm->chipset;
    unsigned offset = address.raw & PAGE_MASK;
    u64 page = address.raw & ~(u64)PAGE_MASK;
    vm->timers_touched = true;
    if (is_lapic(vm, address))
        lapic_write(&cs->lapic, offset, value, size, vm_now(vm));
    else if (page == IOAPIC_BASE)
        ioapic_write(&cs->ioapic, offset, value, size, &cs->lapic);
    else if (page == HPET_BASE)
        write_hpet(vm, offset, value, size);
    chipset_settle(vm);
}

static u64 guest_tsc(const struct vm *vm) { return vm_tsc(vm) + (u64)vm->vcpu[0]->cpu.tsc_offset; }

/* Devices that act by themselves: deadline and action. A deadline is pure, and stays in the past until the action. */
struct timed_device {
    enum source source;
    u64 (*deadline)(const struct vm *vm, u64 now);
    void (*tick)(struct vm *vm, const struct device_env *e);
};

static u64 pit_due(const struct vm *vm, u64 now) { return (void)now, pit_deadline(&vm->chipset.pit); }
static void pit_act(struct vm *vm, const struct device_env *e) { pit_tick(&vm->chipset.pit, e); }
static u64 rtc_due(const struct vm *vm, u64 now) { return (void)now, rtc_deadline(&vm->chipset.rtc); }
static void rtc_act(struct vm *vm, const struct device_env *e) { rtc_tick(&vm->chipset.rtc, e); }
static u64 hpet_due(const struct vm *vm, u64 now) { return (void)now, hpet_deadline(&vm->chipset.hpet); }
static void hpet_act(struct vm *vm, const struct device_env *e) { hpet_tick(&vm->chipset.hpet, e); }
static u64 acpi_due(const struct vm *vm, u64 now) { return (void)now, acpi_deadline(&vm->chipset.acpi); }
static void acpi_act(struct vm *vm, const struct device_env *e) { acpi_tick(&vm->chipset.acpi, e); }
static u64 selftest_due(const struct vm *vm, u64 now) { return (void)now, selftest_deadline(&vm->chipset.selftest); }
static void selftest_act(struct vm *vm, const struct device_env *e) { selftest_tick(&vm->chipset.selftest, e); }
static u64 lapic_due(const struct vm *vm, u64 now) { return lapic_deadline(&vm->chipset.lapic, now, guest_tsc(vm)); }
static void lapic_act(struct vm *vm, const struct device_env *e)
{
    lapic_tick(&vm->chipset.lapic, e->now, guest_tsc(vm));
}
static u64 uart0_due(const struct vm *vm, u64 now) { return (void)now, uart_deadline(&vm->chipset.uart[0]); }
static u64 uart1_due(const struct vm *vm, u64 now) { return (void)now, uart_deadline(&vm->chipset.uart[1]); }
static u64 uart2_due(const struct vm *vm, u64 now) { return (void)now, uart_deadline(&vm->chipset.uart[2]); }
static u64 uart3_due(const struct vm *vm, u64 now) { return (void)now, uart_deadline(&vm->chipset.uart[3]); }
static void uart0_act(struct vm *vm, const struct device_env *e) { uart_tick(&vm->chipset.uart[0], e); }
static void uart1_act(struct vm *vm, const struct device_env *e) { uart_tick(&vm->chipset.uart[1], e); }
static void uart2_act(struct vm *vm, const struct device_env *e) { uart_tick(&vm->chipset.uart[2], e); }
static void uart3_act(struct vm *vm, const struct device_env *e) { uart_tick(&vm->chipset.uart[3], e); }

/* The order in which devices act that are due at the same instant. */
static const struct timed_device timed_devices[] = {
    {SOURCE_PIT, pit_due, pit_act},
    {SOURCE_RTC, rtc_due, rtc_act},
    {SOURCE_HPET, hpet_due, hpet_act},
    {SOURCE_NONE, lapic_due, lapic_act},
    {SOURCE_ACPI, acpi_due, acpi_act},
    {SOURCE_UART0 + 0, uart0_due, uart0_act},
    {SOURCE_UART0 + 1, uart1_due, uart1_act},
    {SOURCE_UART0 + 2, uart2_due, uart2_act},
    {SOURCE_UART0 + 3, uart3_due, uart3_act},
    {SOURCE_SELFTEST, selftest_due, selftest_act},
};

u64 chipset_deadline(struct vm *vm)
{
    u64 now = vm_now(vm), first = CLOCK_NEVER;
    for (unsigned i = 0; i < ARRAY_LEN(timed_devices); i++) {
        u64 due = timed_devices[i].deadline(vm, now);
        if (due < first)
            first = due;
    }
    return first < TIME_HORIZON ? first : CLOCK_NEVER;
}

/* A device whose time has not come is not touched: state depends on the guest and the clock, not on how often we
 * look. */
void chipset_tick(struct vm *vm)
{
    u64 now = vm_now(vm);
    for (unsigned i = 0; now < TIME_HORIZON && i < ARRAY_LEN(timed_devices); i++) {
        const struct timed_device *d = &timed_devices[i];
        if (d->deadline(vm, now) > now)
            continue;
        struct wires w = {vm, d->source};
        struct device_env env = chipset_env(&w);
        d->tick(vm, &env);
        vm->chipset.unsettled = 1;
    }
    if (vm->chipset.unsettled)
        chipset_settle(vm);
}

bool chipset_interrupt_pending(struct vm *vm, const struct vcpu *v)
{
    struct chipset *cs = &vm->chipset;
    if (!(v->cpu.apic_base & APIC_BASE_ENABLE))
        return pic_output(&cs->pic);
    return lapic_pending(&cs->lapic) || (lapic_passes_extint(&cs->lapic) && pic_output(&cs->pic));
}

void chipset_note_interrupt(struct vm *vm)
{
    struct vcpu *v = vm->vcpu[0];
    v->interrupt_if = chipset_interrupt_pending(vm, v) ? FLAG_IF : 0;
}

u8 chipset_interrupt_acknowledge(struct vm *vm, struct vcpu *v)
{
    struct chipset *cs = &vm->chipset;
    bool apic = (v->cpu.apic_base & APIC_BASE_ENABLE) && lapic_pending(&cs->lapic);
    u8 vector = apic ? lapic_acknowledge(&cs->lapic) : pic_acknowledge(&cs->pic);
    chipset_settle(vm);
    return vector;
}

void chipset_serial_input(struct vm *vm, unsigned port, u8 byte)
{
    if (port >= UART_PORTS)
        return;
    struct wires w = {vm, (enum source)(SOURCE_UART0 + port)};
    struct device_env env = chipset_env(&w);
    uart_receive(&vm->chipset.uart[port], byte, &env);
    chipset_settle(vm);
}

unsigned chipset_serial_room(struct vm *vm, unsigned port)
{
    return port < UART_PORTS ? uart_room(&vm->chipset.uart[port]) : 0;
}

void chipset_keyboard_input(struct vm *vm, u8 scancode_set1)
{
    struct wires w = {vm, SOURCE_KEYBOARD};
    struct device_env env = chipset_env(&w);
    i8042_key(&vm->chipset.i8042, scancode_set1, &env);
    chipset_settle(vm);
}

bool chipset_keyboard_room(struct vm *vm) { return i8042_room(&vm->chipset.i8042); }

void chipset_ferr(struct vm *vm)
{
    struct wires w = {vm, SOURCE_FERR};
    service_irq(&w, FERR_LINE, true);
    chipset_settle(vm);
}

u64 chipset_get_cr8(struct vm *vm, struct vcpu *v)
{
    (void)v;
    return lapic_cr8(&vm->chipset.lapic);
}

void chipset_set_cr8(struct vm *vm, struct vcpu *v, u64 cr8)
{
    lapic_set_cr8(&vm->chipset.lapic, cr8);
    chipset_note_interrupt(vm);
    vcpu_kick(v);
}

/* Clearing the global enable turns the local APIC off and loses its state; INTR and NMI then reach the processor
 * directly (SDM vol. 3, 10.4.3). */
void chipset_set_apic_base(struct vm *vm, struct vcpu *v, u64 msr)
{
    bool was = v->cpu.apic_base & APIC_BASE_ENABLE;
    v->cpu.apic_base = msr;
    if (was != ((msr & APIC_BASE_ENABLE) != 0))
        lapic_reset(&vm->chipset.lapic, v->index);
    chipset_settle(vm);
}

u64 chipset_get_tsc_deadline(struct vm *vm, struct vcpu *v)
{
    (void)v;
    return lapic_tsc_deadline(&vm->chipset.lapic);
}

void chipset_set_tsc_deadline(struct vm *vm, struct vcpu *v, u64 tsc)
{
    lapic_set_tsc_deadline(&vm->chipset.lapic, tsc);
    vcpu_kick(v);
}

void chipset_init_cpu(struct vm *vm, struct vcpu *v)
{
    (void)v;
    lapic_init(&vm->chipset.lapic);
    chipset_settle(vm);
}

/* Interrupt line of each serial port: COM1 and COM3 share IRQ 4, COM2 and COM4 IRQ 3. */
static const u8 uart_lines[UART_PORTS] = {4, 3, 4, 3};

void chipset_reset(struct vm *vm)
{
    struct chipset *cs = &vm->chipset;
    u64 now = vm_now(vm);
    memset(cs, 0, sizeof(*cs));
    pic_reset(&cs->pic);
    pit_reset(&cs->pit);
    rtc_reset(&cs->rtc, vm->config.rtc_start + now / NS_PER_SECOND, now, vm->memory.low,
              vm->memory.size - vm->memory.low);
    for (unsigned i = 0; i < UART_PORTS; i++)
        uart_reset(&cs->uart[i], i, uart_lines[i]);
    lapic_reset(&cs->lapic, vm->vcpu[0]->index);
    lapic_virtual_wire(&cs->lapic);
    ioapic_reset(&cs->ioapic);
    pic_elcr_write(&cs->pic, 0x4d1, 0x0e); /* firmware's: IRQ 9 (SCI), 10 and 11 (PIRQs) are level-triggered */
    hpet_reset(&cs->hpet);
    acpi_reset(&cs->acpi, now);
    pci_reset(&cs->pci);
    i8042_reset(&cs->i8042);
    dma_reset(&cs->dma);
    selftest_reset(&cs->selftest);
    cs->port92 = 2;
    struct wires w = {vm, SOURCE_PIT};
    struct device_env env = chipset_env(&w);
    pit_act(vm, &env); /* its output idles high: no edge when a guest first programs it */
    chipset_settle(vm);
}
