#include "replay/input.h"

#include "core/vm.h"
#include "devices/chipset.h"
#include "mmu/access.h"
#include "replay/record.h"

enum { SERIAL_PORTS = 4 };

static bool deliver_serial(struct vm *vm, unsigned unit, u64 value)
{
    if (unit >= SERIAL_PORTS || value > 0xff || chipset_serial_room(vm, unit) == 0)
        return false;
    chipset_serial_input(vm, unit, (u8)value);
    return true;
}

static bool deliver_keyboard(struct vm *vm, unsigned unit, u64 value)
{
    if (unit != 0 || value > 0xff || !chipset_keyboard_room(vm))
        return false;
    chipset_keyboard_input(vm, (u8)value);
    return true;
}

static bool deliver_time(struct vm *vm, unsigned unit, u64 value)
{
    u64 now = vm_now(vm), wake = vm_wake_time(vm);
    if (unit != 0 || wake <= now || value > wake - now || (wake == CLOCK_NEVER && value > CLOCK_JUMP_MAX))
        return false;
    vm_skip_to(vm, now + value);
    return true;
}

struct input_memory input_memory(u64 address, const u8 *from, unsigned bytes)
{
    u64 value = (address & PAGE_MASK) | (u64)bytes << INPUT_MEMORY_COUNT_SHIFT;
    for (unsigned n = 0; n < bytes; n++)
        value |= (u64)from[n] << (INPUT_MEMORY_BYTES_SHIFT + 8 * n);
    return (struct input_memory){.unit = (u32)(address >> PAGE_SHIFT), .value = value};
}

static bool deliver_memory(struct vm *vm, unsigned unit, u64 value)
{
    u8 bytes[INPUT_MEMORY_MAX];
    gpa_t to = gpa((u64)unit << PAGE_SHIFT | (value & PAGE_MASK));
    if (!input_memory_valid(value) || !physmem_pointer(&vm->memory, to))
        return false;
    for (unsigned n = 0; n < INPUT_MEMORY_MAX; n++)
        bytes[n] = (u8)(value >> (INPUT_MEMORY_BYTES_SHIFT + 8 * n));
    phys_write(vm, to, bytes, input_memory_count(value));
    return true;
}

void input_settle(struct vm *vm)
{
    if (chaos_clock_due(&vm->chaos, vm->vcpu[0]->cpu.icount))
        chaos_change_clock(vm);
    if (chipset_deadline(vm) <= vm_now(vm))
        chipset_tick(vm);
}

bool input_deliver(struct vm *vm, enum input_source source, unsigned unit, u64 value)
{
    static bool (*const deliver[INPUT_SOURCES])(struct vm *, unsigned, u64) = {
        [INPUT_SERIAL] = deliver_serial,
        [INPUT_KEYBOARD] = deliver_keyboard,
        [INPUT_TIME] = deliver_time,
        [INPUT_MEMORY] = deliver_memory,
    };
    if ((unsigned)source >= INPUT_SOURCES)
        return false;
    input_settle(vm);
    /* A reset comes before what follows it. */
    struct input_place place = {vm->vcpu[0]->cpu.icount, vm->clock.skipped_ns};
    if (vm->request != REQUEST_NONE || !deliver[source](vm, unit, value))
        return false;
    vcpu_kick(vm->vcpu[0]); /* an interrupt line may have risen, or a timer may be due earlier */
    if (vm->recorder)
        recorder_input(vm->recorder, &place, source, unit, value);
    return true;
}
