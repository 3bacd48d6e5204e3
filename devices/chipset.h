/* The PC's board: every device, the wires between them, and the port and MMIO maps. */
#ifndef REPRISE_DEVICES_CHIPSET_H
#define REPRISE_DEVICES_CHIPSET_H

#include "core/types.h"

struct vm;
struct vcpu;
struct chipset; /* defined in devices/chipset_state.h: all device states by value, plain data */

/* Power-up state of all devices, plus what firmware sets up before it starts a system (local APIC in virtual wire mode,
 * PIRQ routes, CMOS memory sizes). Uses vm->vcpu[0], vm->config and vm->memory, which must be in place. */
void chipset_reset(struct vm *vm);
/* The board's part of a processor INIT: the local APIC's registers (SDM vol. 3, 10.4.7.3). */
void chipset_init_cpu(struct vm *vm, struct vcpu *v);

/* Could a guest have brought the board to this state? For state that comes from a file: everything else relies on it. */
bool chipset_plausible(const struct chipset *cs);

/* Port I/O; size 1, 2 or 4. Unassigned ports read as all ones. */
u32 chipset_io_read(struct vm *vm, u16 port, unsigned size);
void chipset_io_write(struct vm *vm, u16 port, u32 value, unsigned size);

/* MMIO; size 1, 2, 4 or 8 within one aligned 8-byte word or split by the caller. Unassigned reads as all ones. */
u64 chipset_mmio_read(struct vm *vm, gpa_t address, unsigned size);
void chipset_mmio_write(struct vm *vm, gpa_t address, u64 value, unsigned size);

/* Virtual time of the next device event, or CLOCK_NEVER. */
u64 chipset_deadline(struct vm *vm);
/* Lets every device whose deadline has come act; `now` is vm_now(). */
void chipset_tick(struct vm *vm);

/* Is an interrupt waiting for this processor that its TPR (local APIC) lets through? Ignores RFLAGS.IF. */
bool chipset_interrupt_pending(struct vm *vm, const struct vcpu *v);
/* Keeps vcpu.interrupt_if what that says; the board does so itself: for states that came from elsewhere. */
void chipset_note_interrupt(struct vm *vm);
/* Acknowledges it: the vector. Call only if pending. */
u8 chipset_interrupt_acknowledge(struct vm *vm, struct vcpu *v);

/* Input from outside, through replay/input.h only. */
void chipset_serial_input(struct vm *vm, unsigned port, u8 byte);
/* How many bytes serial port `port` can take now without loss. */
unsigned chipset_serial_room(struct vm *vm, unsigned port);
void chipset_keyboard_input(struct vm *vm, u8 scancode_set1);
/* True if the keyboard can take one more byte without loss. */
bool chipset_keyboard_room(struct vm *vm);

/* The processor asserts FERR# (x87 error with CR0.NE clear): IRQ 13, until the guest writes port 0xF0. */
void chipset_ferr(struct vm *vm);

/* Local APIC registers that are also processor state: CR8 (task priority, bits 7..4) and the APIC base MSR. */
u64 chipset_get_cr8(struct vm *vm, struct vcpu *v);
void chipset_set_cr8(struct vm *vm, struct vcpu *v, u64 cr8);
void chipset_set_apic_base(struct vm *vm, struct vcpu *v, u64 msr);
u64 chipset_get_tsc_deadline(struct vm *vm, struct vcpu *v);
void chipset_set_tsc_deadline(struct vm *vm, struct vcpu *v, u64 tsc);

#endif
