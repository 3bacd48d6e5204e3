/* The local APIC of one processor in xAPIC mode: SDM vol. 3, chapter 10 (Advanced Programmable Interrupt Controller).
 *
 * The timer's input clock is 1 GHz of virtual time (one count is `divide` virtual ns). Version 0x14, six LVT entries,
 * no EOI-broadcast suppression, no CMCI. The bus never fails, so delivery status always reads idle. With one processor,
 * "all excluding self" reaches nobody and lowest priority is fixed. */
#ifndef REPRISE_DEVICES_LAPIC_H
#define REPRISE_DEVICES_LAPIC_H

#include "devices/device.h"

enum lapic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PERFORMANCE, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

/* Delivery modes of ICR, LVT and I/O APIC entries, SDM vol. 3, 10.5.1 */
enum apic_mode {
    APIC_FIXED = 0,
    APIC_LOWEST = 1,
    APIC_SMI = 2,
    APIC_NMI = 4,
    APIC_INIT = 5,
    APIC_STARTUP = 6,
    APIC_EXTINT = 7,
};

/* What the processor core is asked to do, collected in lapic.signals. */
#define LAPIC_SIGNAL_NMI 0x1u
#define LAPIC_SIGNAL_INIT 0x2u

struct lapic {
    u64 timer_next;   /* virtual ns at which the count reaches zero; CLOCK_NEVER when stopped */
    u64 tsc_deadline; /* IA32_TSC_DEADLINE; 0 when disarmed */
    u32 id;           /* register layout: bits 31..24 */
    u32 tpr, ldr, dfr, svr;
    u32 isr[8], tmr[8], irr[8];
    u32 esr, esr_pending; /* as the guest reads it; errors since its last write */
    u32 icr_low, icr_high;
    u32 lvt[LVT_COUNT];
    u32 timer_initial, timer_divide; /* divide: register value */
    u8 lint0;         /* level of the pin: INTR of the 8259A pair */
    u8 signals;       /* LAPIC_SIGNAL_*, taken by the chipset */
    u8 eoi_pending;   /* a level-triggered interrupt has ended: eoi_vector is to be broadcast */
    u8 eoi_vector;
};

/* State after power-up, RESET and re-enabling (SDM vol. 3, 10.4.7.1). */
void lapic_reset(struct lapic *a, unsigned apic_id);
/* INIT: as reset, but the APIC ID stays (10.4.7.3). */
void lapic_init(struct lapic *a);
/* What firmware does before it starts an operating system: virtual wire mode through LINT0, NMI at LINT1
 * (MultiProcessor Specification 1.4, 3.6.2.2), software-enabled. */
void lapic_virtual_wire(struct lapic *a);

/* The 4 KiB register page. Registers are 32 bits at multiples of 16. A narrower read returns its part of the register
 * and an 8-byte one zero-extends; a write that is not of 4 or 8 bytes at a register's start is ignored. (10.4.1
 * leaves all of these undefined.) */
u64 lapic_read(struct lapic *a, unsigned offset, unsigned size, u64 now);
void lapic_write(struct lapic *a, unsigned offset, u64 value, unsigned size, u64 now);

/* An interrupt message from the I/O APIC or an IPI: delivered if `destination` (physical or logical) names this APIC.
 * Returns true if it was accepted. */
bool lapic_message(struct lapic *a, u8 destination, bool logical, enum apic_mode mode, u8 vector, bool level);
void lapic_set_lint0(struct lapic *a, bool level);

/* A fixed interrupt above the processor priority is waiting. */
bool lapic_pending(const struct lapic *a);
u8 lapic_acknowledge(struct lapic *a);
/* LINT0 passes INTR of the 8259A through (ExtINT, unmasked). */
bool lapic_passes_extint(const struct lapic *a);

/* CR8: bits 7..4 of TPR. */
static inline u64 lapic_cr8(const struct lapic *a) { return a->tpr >> 4; }
static inline void lapic_set_cr8(struct lapic *a, u64 cr8) { a->tpr = (u32)(cr8 & 15) << 4; }

/* IA32_TSC_DEADLINE (10.5.4.1): reads 0 and ignores writes unless LVT selects that mode. */
u64 lapic_tsc_deadline(const struct lapic *a);
void lapic_set_tsc_deadline(struct lapic *a, u64 deadline);

/* `tsc` is the guest's time stamp counter at `now`; it counts virtual ns. */
u64 lapic_deadline(const struct lapic *a, u64 now, u64 tsc);
void lapic_tick(struct lapic *a, u64 now, u64 tsc);

#endif
