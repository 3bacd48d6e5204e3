/* The board: the port map, the MMIO map, the wires and the clock. In any state that satisfies chipset_valid(), at any
 * time, any access of any port or address and size, any input and any tick; the state is valid again. dev_dma: bus
 * masters offer bytes that exist (proofs/wp/bus_master.c: and reach RAM only). */
#include "eva/eva.h"

#include "core/host.h"
#include "core/vm.h"
#include "devices/bus_master.h"

static struct vm vm;
static struct vcpu v;
static const struct cpu_model model;
static u8 ram[PAGE_SIZE];
static struct frame frame;

void host_console_write(enum host_channel channel, u8 byte)
{
    (void)byte;
    //@ check console_channel: HOST_COM1 <= channel <= HOST_DEBUG_CONSOLE;
}

void bus_master_read(struct vm *of, u64 address, u8 *to, unsigned size)
{
    (void)of;
    (void)address;
    any_bytes(to, size);
}

void bus_master_write(struct vm *of, u64 address, const u8 *from, unsigned size)
{
    (void)of;
    (void)address;
    //@ check dma_bytes: size == 0 || \valid_read(from + (0 .. size - 1));
}

/* Each port by itself, for precision. */
static void serial_input(void)
{
    switch (any_below(5)) {
    case 0: chipset_serial_input(&vm, 0, any_u8()); break;
    case 1: chipset_serial_input(&vm, 1, any_u8()); break;
    case 2: chipset_serial_input(&vm, 2, any_u8()); break;
    case 3: chipset_serial_input(&vm, 3, any_u8()); break;
    default: chipset_serial_input(&vm, 4 + any_below(1u << 30), any_u8()); break;
    }
}

static void access(void)
{
    switch (any_below(16)) {
    case 0: chipset_io_read(&vm, any_u16(), 1u << any_below(3)); break;
    case 1: chipset_io_write(&vm, any_u16(), any_u32(), 1u << any_below(3)); break;
    case 2: chipset_mmio_read(&vm, gpa(any_u64()), 1u << any_below(4)); break;
    case 3: chipset_mmio_write(&vm, gpa(any_u64()), any_u64(), 1u << any_below(4)); break;
    case 4: chipset_deadline(&vm); break;
    case 5: chipset_tick(&vm); break;
    case 6: chipset_interrupt_pending(&vm, &v); break;
    case 7: chipset_interrupt_acknowledge(&vm, &v); break;
    case 8: serial_input(); break;
    case 9: chipset_serial_room(&vm, any_u32()); break;
    case 10: chipset_keyboard_input(&vm, any_u8()); break;
    case 11: chipset_ferr(&vm); break;
    case 12: chipset_set_cr8(&vm, &v, any_u64()); break;
    case 13: chipset_set_apic_base(&vm, &v, any_u64()); break;
    case 14: chipset_set_tsc_deadline(&vm, &v, any_u64()); break;
    default: chipset_init_cpu(&vm, &v); break;
    }
}

static void any_machine(void)
{
    any_bytes(&vm.chipset, sizeof vm.chipset);
    any_bytes(&vm.clock, sizeof vm.clock);
    any_bytes(&v.cpu, sizeof v.cpu);
    vm.vcpu[0] = &v;
    vm.vcpu_count = 1;
    vm.config.model = &model;
    vm.config.debug_exit = any_bool();
    vm.config.rtc_start = any_u64();
    vm.memory.ram = ram;
    vm.memory.host_shift = PAGE_SHIFT;
    vm.memory.frames = &frame;
    vm.memory.size = vm.memory.low = sizeof ram;
}

void main(void)
{
    any_machine();
    chipset_reset(&vm);
    if (!chipset_valid(&vm.chipset)) {
        //@ check valid_after_reset: \false;
    }
    any_machine();
    if (!chipset_valid(&vm.chipset))
        return;
    access();
    if (!chipset_valid(&vm.chipset)) {
        //@ check still_valid: \false;
    }
    REACHED(any_access);
}
