/* The local APIC and the I/O APIC (SDM vol. 3, chapter 10; 82093AA data sheet), at their usual addresses. */
#ifndef GUESTS_LIB_APIC_H
#define GUESTS_LIB_APIC_H

#include "guests/lib/guest.h"

enum {
    APIC_ID = 0x20, APIC_VERSION = 0x30, APIC_TPR = 0x80, APIC_PPR = 0xa0, APIC_EOI = 0xb0, APIC_LDR = 0xd0,
    APIC_DFR = 0xe0, APIC_SVR = 0xf0, APIC_ISR = 0x100, APIC_TMR = 0x180, APIC_IRR = 0x200, APIC_ESR = 0x280,
    APIC_ICR = 0x300, APIC_ICR_HIGH = 0x310, APIC_LVT_TIMER = 0x320, APIC_LVT_LINT0 = 0x350, APIC_LVT_LINT1 = 0x360,
    APIC_INITIAL = 0x380, APIC_CURRENT = 0x390, APIC_DIVIDE = 0x3e0,
};
enum { LVT_MASKED = 0x10000, LVT_PERIODIC = 0x20000, LVT_DEADLINE = 0x40000, SVR_ENABLE = 0x100 };
enum { ICR_SELF = 0x40000, ICR_ASSERT = 0x4000, ICR_LOGICAL = 0x800, ICR_NMI = 0x400 };
enum { IOAPIC_ID = 0, IOAPIC_VERSION = 1, IOAPIC_REDIRECTION = 0x10 };
enum { IOAPIC_LEVEL = 0x8000, IOAPIC_REMOTE_IRR = 0x4000 };

static inline u32 apic_read(u32 reg) { return *(volatile u32 *)(0xfee00000ul + reg); }
static inline void apic_write(u32 reg, u32 value) { *(volatile u32 *)(0xfee00000ul + reg) = value; }
static inline bool apic_bit(u32 bank, unsigned vector)
{
    return apic_read(bank + vector / 32 * 16) >> vector % 32 & 1;
}
static inline u32 ioapic_read(u8 index)
{
    *(volatile u32 *)0xfec00000ul = index;
    return *(volatile u32 *)0xfec00010ul;
}
static inline void ioapic_write(u8 index, u32 value)
{
    *(volatile u32 *)0xfec00000ul = index;
    *(volatile u32 *)0xfec00010ul = value;
}

#endif
