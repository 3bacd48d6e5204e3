#include "metal/power.h"

#include "core/types.h"
#include "metal/firmware.h"
#include "metal/port.h"
#include "metal/print.h"

enum { KEYBOARD_COMMAND = 0x64, KEYBOARD_PULSE_RESET = 0xfe, PATIENCE = 1000000 };

void power_off(void)
{
    firmware_power_off();
    print("It is now safe to switch off the machine.\n");
    for (;;)
        __asm__ volatile("cli; hlt");
}

void power_reset(void)
{
    firmware_reset();
    port_out8(KEYBOARD_COMMAND, KEYBOARD_PULSE_RESET);
    for (unsigned tries = 0; tries < PATIENCE; tries++)
        __asm__ volatile("pause");
    struct __attribute__((packed)) {
        u16 limit;
        u64 base;
    } none = {0, 0};
    __asm__ volatile("lidt %0; int3" : : "m"(none)); /* no handler: the processor shuts down */
    for (;;)
        ;
}
