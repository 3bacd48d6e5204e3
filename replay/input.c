#include "replay/input.h"

#include "core/vm.h"
#include "devices/chipset.h"

enum { SERIAL_PORTS = 4 };

static bool deliver_serial(struct vm *vm, unsigned unit, u8 byte)
{
    if (unit >= SERIAL_PORTS || chipset_serial_room(vm, unit) == 0)
        return false;
    chipset_serial_input(vm, unit, byte);
    return true;
}

static bool deliver_keyboard(struct vm *vm, unsigned unit, u8 byte)
{
    if (unit != 0 || !chipset_keyboard_room(vm))
        return false;
    chipset_keyboard_input(vm, byte);
    return true;
}

bool input_deliver(struct vm *vm, enum input_source source, unsigned unit, u8 byte)
{
    static bool (*const deliver[INPUT_SOURCES])(struct vm *, unsigned, u8) = {
        [INPUT_SERIAL] = deliver_serial,
        [INPUT_KEYBOARD] = deliver_keyboard,
    };
    if ((unsigned)source >= INPUT_SOURCES || !deliver[source](vm, unit, byte))
        return false;
    vcpu_kick(vm->vcpu[0]); /* an interrupt line may have risen */
    return true;
}
