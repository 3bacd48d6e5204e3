/* What every virtual device is given: the time, its wires, and nothing else.
 *
 * A device is init, reset, read, write, tick and deadline functions over a plain struct without pointers, so that
 * a snapshot is a copy. Devices never see the VM: they call out through the services below, which the chipset
 * implements (and unit tests fake). Time is virtual nanoseconds since power-up (core/clock.h). */
#ifndef REPRISE_DEVICES_DEVICE_H
#define REPRISE_DEVICES_DEVICE_H

#include "core/clock.h"
#include "core/types.h"

enum device_request {
    REQUEST_NONE,
    REQUEST_RESET,      /* 0xCF9, port 0x92, i8042 pulse, ACPI reset register */
    REQUEST_INIT,       /* processor INIT only (port 0x92 fast reset): treated as RESET of the CPU */
    REQUEST_POWER_OFF,  /* ACPI S5 */
    REQUEST_DEBUG_EXIT, /* isa-debug-exit; the value is in the argument */
};

struct device_services {
    /* Drives interrupt line `line` (ISA numbering for 0..15, I/O APIC pins above) to a level. */
    void (*irq)(void *context, unsigned line, bool level);
    /* A byte leaves the machine by a serial port or the debug console: enum host_channel. */
    void (*console)(void *context, unsigned channel, u8 byte);
    /* The machine as a whole is to do something after this instruction. */
    void (*request)(void *context, enum device_request request, u32 argument);
    /* A20 gate, from port 0x92 and the keyboard controller; the model keeps A20 always on, as later PCs may. */
    /* Guest memory of a device that masters the bus. */
    void (*dma_read)(void *context, u64 from, void *to, unsigned size);
    void (*dma_write)(void *context, u64 to, const void *from, unsigned size);
};

struct device_env {
    u64 now; /* virtual nanoseconds at this access */
    const struct device_services *services;
    void *context;
};

static inline void device_irq(const struct device_env *e, unsigned line, bool level)
{
    e->services->irq(e->context, line, level);
}

static inline void device_console(const struct device_env *e, unsigned channel, u8 byte)
{
    e->services->console(e->context, channel, byte);
}

static inline void device_request(const struct device_env *e, enum device_request request, u32 argument)
{
    e->services->request(e->context, request, argument);
}

#endif
