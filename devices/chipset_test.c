/* The board as the processor sees it: routing of interrupts, splitting of accesses, deadlines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/vm.h"
#include "mmu/access.h"

#define LAPIC 0xfee00000ull
#define MS 1000000ull

static struct vm *vm;
static struct vcpu *cpu;

/* A machine without an engine: the tests move icount themselves. */
static int setup(void **state)
{
    (void)state;
    vm = calloc(1, sizeof(*vm));
    cpu = calloc(1, sizeof(*cpu));
    if (!vm || !cpu || physmem_create(&vm->memory, 1 << 20, PHYSMEM_DENSE) != STATUS_OK)
        return -1;
    vm->vcpu[0] = cpu;
    vm->vcpu_count = 1;
    cpu->vm = vm;
    cpu->cpu.apic_base = LAPIC | 0x900;
    vm->config.debug_exit = true;
    chipset_reset(vm);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    physmem_destroy(&vm->memory);
    free(cpu);
    free(vm);
    return 0;
}

static void out(u16 port, u32 value) { chipset_io_write(vm, port, value, 1); }
static u32 in(u16 port) { return chipset_io_read(vm, port, 1); }
static void out32(u16 port, u32 value) { chipset_io_write(vm, port, value, 4); }
static u32 in32(u16 port) { return chipset_io_read(vm, port, 4); }
static void apic(unsigned reg, u32 value) { chipset_mmio_write(vm, gpa(LAPIC + reg), value, 4); }
static u32 apic_get(unsigned reg) { return (u32)chipset_mmio_read(vm, gpa(LAPIC + reg), 4); }
static bool pending(void) { return chipset_interrupt_pending(vm, cpu); }

static void ioapic(unsigned reg, u32 value)
{
    chipset_mmio_write(vm, gpa(0xfec00000), reg, 4);
    chipset_mmio_write(vm, gpa(0xfec00010), value, 4);
}

static u32 ioapic_get(unsigned reg)
{
    chipset_mmio_write(vm, gpa(0xfec00000), reg, 4);
    return (u32)chipset_mmio_read(vm, gpa(0xfec00010), 4);
}

/* Runs the clock as the run loop does, to `ns`. */
static void run_to(u64 ns)
{
    while (chipset_deadline(vm) <= ns) {
        u64 deadline = chipset_deadline(vm);
        if (deadline > vm_now(vm))
            cpu->cpu.icount = deadline;
        chipset_tick(vm);
        assert_true(chipset_deadline(vm) > vm_now(vm));
    }
    cpu->cpu.icount = ns;
}

static void init_pics(void)
{
    out(0x20, 0x11), out(0x21, 0x30), out(0x21, 0x04), out(0x21, 0x01);
    out(0xa0, 0x11), out(0xa1, 0x38), out(0xa1, 0x02), out(0xa1, 0x01);
    out(0x21, 0x00), out(0xa1, 0x00);
}

static void raise(unsigned line)
{
    out32(SELFTEST_PORT + 0x10, line);
    out32(SELFTEST_PORT + 0x14, 1);
}

static void lower(void) { out32(SELFTEST_PORT + 0x14, 2); }

static void isa_line_reaches_the_processor_by_virtual_wire(void **state)
{
    (void)state;
    init_pics();
    assert_false(pending());
    raise(5);
    assert_true(pending());
    assert_int_equal(cpu->stop_at, 0);
    assert_int_equal(chipset_interrupt_acknowledge(vm, cpu), 0x35);
    assert_false(pending());
}

static void virtual_wire_works_with_the_apic_disabled(void **state)
{
    (void)state;
    init_pics();
    chipset_set_apic_base(vm, cpu, LAPIC | 0x100);
    assert_int_equal(chipset_mmio_read(vm, gpa(LAPIC + 0x30), 4), 0xffffffff);
    raise(12);
    assert_true(pending());
    assert_int_equal(chipset_interrupt_acknowledge(vm, cpu), 0x3c);
}

static void masking_lint0_cuts_the_pics_off(void **state)
{
    (void)state;
    init_pics();
    raise(5);
    apic(0x350, 0x10700);
    assert_false(pending());
    apic(0x350, 0x00700);
    assert_true(pending());
}

static void irq0_is_pin_2_of_the_io_apic(void **state)
{
    (void)state;
    ioapic(0x10 + 2 * 2, 0x40); /* edge, physical, fixed, vector 0x40, to APIC 0 */
    ioapic(0x10 + 2 * 2 + 1, 0);
    out(0x43, 0x34), out(0x40, 0xe8), out(0x40, 0x03); /* mode 2, 1000 ticks */
    unsigned interrupts = 0;
    for (u64 us = 1; us <= 10000; us++) {
        run_to(us * 1000);
        if (!pending())
            continue;
        assert_int_equal(chipset_interrupt_acknowledge(vm, cpu), 0x40);
        apic(0xb0, 0);
        assert_false(pending());
        interrupts++;
    }
    assert_int_equal(interrupts, 11); /* 10 ms are 11.93 periods */
}

static void level_pin_waits_for_eoi_and_comes_again(void **state)
{
    (void)state;
    ioapic(0x10 + 2 * 20, 0x8050);
    raise(20);
    assert_int_equal(chipset_interrupt_acknowledge(vm, cpu), 0x50);
    assert_true(ioapic_get(0x10 + 2 * 20) & 0x4000); /* remote IRR */
    assert_false(pending());
    apic(0xb0, 0);
    assert_true(pending()); /* still high */
    chipset_interrupt_acknowledge(vm, cpu);
    lower();
    apic(0xb0, 0);
    assert_false(pending());
    assert_false(ioapic_get(0x10 + 2 * 20) & 0x4000);
}

static void edge_on_a_masked_pin_is_lost(void **state)
{
    (void)state;
    ioapic(0x10 + 2 * 5, 0x10051);
    raise(5);
    ioapic(0x10 + 2 * 5, 0x00051);
    assert_false(pending());
    lower();
    raise(5);
    assert_true(pending());
}

static void pirq_follows_its_route_to_the_8259(void **state)
{
    (void)state;
    init_pics();
    raise(16); /* PIRQA, routed to IRQ 10 */
    assert_int_equal(chipset_interrupt_acknowledge(vm, cpu), 0x3a);
    out(0xa0, 0x20), out(0x20, 0x20);
    assert_true(pending()); /* level-triggered, still high */
    out32(0xcf8, 0x80000860);
    out(0xcfc, 0x80);
    assert_false(pending());
    out(0xcfc, 0x05);
    assert_int_equal(chipset_interrupt_acknowledge(vm, cpu), 0x35);
}

static void shared_lines_are_ored(void **state)
{
    (void)state;
    init_pics();
    out(0x3fc, 0x08), out(0x3ec, 0x08); /* OUT2 of COM1 and COM3 */
    out(0x3f9, 0x02), out(0x3e9, 0x02); /* both want THRE on IRQ 4 */
    assert_int_equal(chipset_interrupt_acknowledge(vm, cpu), 0x34);
    out(0x20, 0x20);
    in(0x3fa);
    assert_true(vm->chipset.pic.chip[0].lines & 0x10);
    in(0x3ea);
    assert_false(vm->chipset.pic.chip[0].lines & 0x10);
}

static void hpet_legacy_routing_replaces_pit_and_rtc(void **state)
{
    (void)state;
    init_pics();
    out(0x43, 0x30); /* PIT mode 0: output low, then high after 10 ticks */
    out(0x40, 10), out(0x40, 0);
    run_to(1 * MS);
    assert_true(vm->chipset.pic.chip[0].lines & 1);
    chipset_mmio_write(vm, gpa(0xfed00010), 2, 4);
    assert_false(vm->chipset.pic.chip[0].lines & 1);
    chipset_mmio_write(vm, gpa(0xfed00108), 100, 8);
    chipset_mmio_write(vm, gpa(0xfed00100), 4, 4);
    chipset_mmio_write(vm, gpa(0xfed00010), 3, 4);
    assert_int_equal(chipset_deadline(vm), 1 * MS + 1000);
    run_to(2 * MS);
    assert_true(vm->chipset.pic.chip[0].lines & 1);
}

static void nmi_to_self_is_left_for_the_processor(void **state)
{
    (void)state;
    apic(0x300, 0x00084400); /* all including self, NMI, assert */
    assert_int_equal(cpu->cpu.nmi_pending, 1);
    assert_false(pending());
}

static void init_to_self_is_a_request(void **state)
{
    (void)state;
    apic(0x310, 0);
    apic(0x300, 0x00004500);
    assert_int_equal(vm->request, REQUEST_INIT);
}

static void wide_accesses_split_into_bytes(void **state)
{
    (void)state;
    chipset_io_write(vm, 0x3f9, 0x0000, 2); /* IER and FCR */
    chipset_io_write(vm, 0x3fe, 0x5a00, 2); /* MSR (ignored) and scratch */
    assert_int_equal(in(0x3ff), 0x5a);
    assert_int_equal(chipset_io_read(vm, 0x3fe, 2) >> 8, 0x5a);
    assert_int_equal(chipset_io_read(vm, 0x3ff, 4), 0xffffff5a);
    assert_int_equal(chipset_io_read(vm, 0xffff, 4) & 0xff, 0xff); /* wraps to port 0 */
    assert_int_equal(in32(0x1234), 0xffffffff);
}

static void pci_configuration_finds_two_bridges(void **state)
{
    (void)state;
    unsigned found = 0;
    for (u32 device = 0; device < 32; device++) {
        out32(0xcf8, 0x80000000 | device << 11);
        found += in32(0xcfc) != 0xffffffff;
    }
    assert_int_equal(found, 2);
    out32(0xcf8, 0x80000000);
    assert_int_equal(in32(0xcfc), 0x12378086);
    out32(0xcf8, 0x80000808);
    assert_int_equal(chipset_io_read(vm, 0xcfe, 2), 0x0601); /* class of the ISA bridge */
    out32(0xcf8, 0x00000000);
    assert_int_equal(in32(0xcfc), 0xffffffff);
}

static void requests_reach_the_machine(void **state)
{
    (void)state;
    static const struct {
        u16 port;
        u8 first, second;
        enum device_request request;
    } ways[] = {
        {0xcf9, 0x02, 0x06, REQUEST_RESET}, {0x92, 0x02, 0x03, REQUEST_INIT},   {0x64, 0x20, 0xfe, REQUEST_RESET},
        {0x605, 0x10, 0x34, REQUEST_POWER_OFF}, {0xf4, 0x00, 0x00, REQUEST_DEBUG_EXIT},
    };
    for (unsigned i = 0; i < ARRAY_LEN(ways); i++) {
        if (ways[i].first)
            out(ways[i].port, ways[i].first);
        assert_int_equal(vm->request, REQUEST_NONE);
        out(ways[i].port, ways[i].second);
        assert_int_equal(vm->request, ways[i].request);
        vm->request = REQUEST_NONE;
    }
    out32(0xf4, 0x12345678);
    assert_int_equal(vm->exit_value, 0x12345678);
    vm->request = REQUEST_NONE;
    vm->config.debug_exit = false;
    out(0xf4, 1);
    assert_int_equal(vm->request, REQUEST_NONE);
}

static void ferr_raises_irq_13_until_port_f0(void **state)
{
    (void)state;
    init_pics();
    chipset_ferr(vm);
    assert_int_equal(chipset_interrupt_acknowledge(vm, cpu), 0x3d);
    assert_true(vm->chipset.pic.chip[1].lines & 0x20);
    out(0xf0, 0);
    assert_false(vm->chipset.pic.chip[1].lines & 0x20);
}

static void self_test_acts_when_its_delay_ends(void **state)
{
    (void)state;
    init_pics();
    assert_int_equal(in32(SELFTEST_PORT), SELFTEST_ID);
    out32(SELFTEST_PORT + 0x20, 0x1ff0);
    out32(SELFTEST_PORT + 0x28, 100);
    out32(SELFTEST_PORT + 0x2c, 0x04030201);
    out32(SELFTEST_PORT + 0x18, 5); /* DMA and raise */
    out32(SELFTEST_PORT + 0x1c, 1000);
    assert_int_equal(chipset_deadline(vm), vm_now(vm) + 1000);
    run_to(vm_now(vm) + 999);
    assert_false(pending());
    assert_int_equal(in32(SELFTEST_PORT + 0x1c), 1);
    run_to(vm_now(vm) + 1);
    assert_true(pending());
    assert_int_equal(*physmem_pointer(&vm->memory, gpa(0x1ff1)), 2);
    assert_int_equal(*physmem_pointer(&vm->memory, gpa(0x2000 + 83)), 4);
    assert_int_equal(*physmem_pointer(&vm->memory, gpa(0x2000 + 84)), 0);
}

static void apic_page_moves_with_its_base(void **state)
{
    (void)state;
    chipset_set_apic_base(vm, cpu, 0xfe000000 | 0x900);
    assert_int_equal(chipset_mmio_read(vm, gpa(LAPIC + 0x30), 4), 0xffffffff);
    assert_int_equal(chipset_mmio_read(vm, gpa(0xfe000030), 4), 0x00050014);
}

static void cr8_is_the_upper_half_of_tpr(void **state)
{
    (void)state;
    chipset_set_cr8(vm, cpu, 5);
    assert_int_equal(apic_get(0x80), 0x50);
    ioapic(0x10 + 2 * 5, 0x51);
    raise(5);
    assert_false(pending());
    chipset_set_cr8(vm, cpu, 4);
    assert_true(pending());
}

static u64 random_state;

static u32 random32(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (u32)(random_state >> 16);
}

static void random_access(void)
{
    static const u16 ports[] = {0x20, 0x21, 0xa0, 0xa1, 0x40, 0x43, 0x61, 0x60, 0x64, 0x70, 0x71, 0x3f8, 0x3f9, 0x3fa,
                                0x3fb, 0x3fc, 0x600, 0x602, 0x4d0, 0x550, 0x554, 0x558, 0x55c, 0xcf8, 0xcfc, 0x2f8,
                                0xf0};
    static const u64 pages[] = {LAPIC, 0xfec00000, 0xfed00000};
    static const u8 sizes[] = {1, 2, 4, 8};
    u32 r = random32(), value = random32() >> (random32() & 31);
    if (r & 1) {
        unsigned size = sizes[r >> 1 & 1 ? 0 : r >> 2 & 1 ? 2 : 1];
        u16 port = (u16)(ports[r >> 8 & 31 ? (r >> 8) % ARRAY_LEN(ports) : 0] + (r >> 20 & 3));
        if (r & 8)
            chipset_io_write(vm, port, value, size);
        else
            chipset_io_read(vm, port, size);
        return;
    }
    unsigned size = r & 16 ? sizes[r >> 5 & 3] : 4;
    u64 offset = (random32() & 0x3ff) & ~(u64)(size - 1);
    if (r & 32)
        offset &= ~0xfull;
    u64 address = pages[(r >> 8) % 3] + offset;
    if (r & 8)
        chipset_mmio_write(vm, gpa(address), (u64)random32() << 32 | value, size);
    else
        chipset_mmio_read(vm, gpa(address), size);
}

/* Whatever the guest writes: no sanitizer complaint, every deadline lies ahead once the board has ticked, and reading
 * deadlines or ticking in between changes nothing. Two boards, one of them looked at all the time, stay equal. */
static void random_programs_keep_time_going(void **state)
{
    (void)state;
    static struct chipset lazy;
    for (u64 seed = 1; seed <= 300; seed++) {
        for (unsigned pass = 0; pass < 2; pass++) {
            cpu->cpu.icount = 0;
            vm->clock.skipped_ns = 0;
            random_state = seed * 0x9e3779b97f4a7c15ull;
            chipset_reset(vm);
            for (unsigned step = 0; step < 300; step++) {
                random_access();
                vm->request = REQUEST_NONE;
                if (pass)
                    chipset_tick(vm);
                u64 next = vm_now(vm) + (random32() >> (random32() & 31));
                for (unsigned events = 0; events < 50 && chipset_deadline(vm) <= next; events++) {
                    u64 due = chipset_deadline(vm);
                    cpu->cpu.icount = due > vm_now(vm) ? due : vm_now(vm);
                    assert_int_equal(chipset_deadline(vm), due); /* still there when its time has come */
                    chipset_tick(vm);
                    assert_true(chipset_deadline(vm) > vm_now(vm));
                    if (pending())
                        chipset_interrupt_acknowledge(vm, cpu);
                }
                next = chipset_deadline(vm) < next ? chipset_deadline(vm) - 1 : next;
                if (next > vm_now(vm))
                    cpu->cpu.icount = next;
            }
            if (pass == 0)
                lazy = vm->chipset;
        }
        assert_memory_equal(&lazy, &vm->chipset, sizeof(lazy));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(isa_line_reaches_the_processor_by_virtual_wire),
        TEST(virtual_wire_works_with_the_apic_disabled),
        TEST(masking_lint0_cuts_the_pics_off),
        TEST(irq0_is_pin_2_of_the_io_apic),
        TEST(level_pin_waits_for_eoi_and_comes_again),
        TEST(edge_on_a_masked_pin_is_lost),
        TEST(pirq_follows_its_route_to_the_8259),
        TEST(shared_lines_are_ored),
        TEST(hpet_legacy_routing_replaces_pit_and_rtc),
        TEST(nmi_to_self_is_left_for_the_processor),
        TEST(init_to_self_is_a_request),
        TEST(wide_accesses_split_into_bytes),
        TEST(pci_configuration_finds_two_bridges),
        TEST(requests_reach_the_machine),
        TEST(ferr_raises_irq_13_until_port_f0),
        TEST(self_test_acts_when_its_delay_ends),
        TEST(apic_page_moves_with_its_base),
        TEST(cr8_is_the_upper_half_of_tpr),
        TEST(random_programs_keep_time_going),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
