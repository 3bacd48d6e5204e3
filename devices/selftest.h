/* A device for self-testing guests: interrupts and bus-master writes at chosen moments. Reprise only.
 *
 * Ports 0x540..0x577, 32-bit registers at multiples of 4 (other sizes read all ones and write nothing):
 *   +0x00 r   identification, 0x54535052 ("RPST")
 *   +0x04 rw  latch: holds the last value written, no effect
 *   +0x08 r   virtual time in ns, low half; reading it latches the high half
 *   +0x0c r   latched high half
 *   +0x10 rw  interrupt line 0..23 that the device drives (0..15: ISA, above: I/O APIC inputs); changing it lowers
 *             the old one
 *   +0x14 w   perform actions at once: bit 0 raise the line, bit 1 lower it, bit 2 DMA; in this order: DMA, lower,
 *             raise
 *         r   bit 0: level of the line
 *   +0x18 rw  actions to perform when the delay ends
 *   +0x1c rw  delay in virtual ns from this write, which equals instructions while the processor does not halt; 0
 *             cancels.
 *             Reads as what is left
 *   +0x20 rw  DMA address, low half
 *   +0x24 rw  DMA address, high half
 *   +0x28 rw  DMA length in bytes, at most 65536
 *   +0x2c rw  DMA pattern: 4 bytes, repeated
 *   +0x30 r   instructions retired before this one, low half; reading it latches the high half
 *   +0x34 r   latched high half */
#ifndef REPRISE_DEVICES_SELFTEST_H
#define REPRISE_DEVICES_SELFTEST_H

#include "devices/device.h"

enum { SELFTEST_PORT = 0x540, SELFTEST_PORTS = 0x38 };
#define SELFTEST_ID 0x54535052u

struct selftest {
    u64 due; /* virtual ns; CLOCK_NEVER when idle */
    u64 dma_address;
    u32 latch, high, actions, dma_length, dma_pattern;
    u8 line, level;
};

void selftest_reset(struct selftest *s);
u32 selftest_read(struct selftest *s, unsigned offset, u64 icount, const struct device_env *e);
void selftest_write(struct selftest *s, unsigned offset, u32 value, const struct device_env *e);
static inline u64 selftest_deadline(const struct selftest *s) { return s->due; }
void selftest_tick(struct selftest *s, const struct device_env *e);

enum { SELFTEST_LINES = 24, SELFTEST_DMA_MAX = 65536 };

/* What every state of the device satisfies, and what a state from a file must satisfy before it is used. */
static inline bool selftest_valid(const struct selftest *s)
{
    return s->line < SELFTEST_LINES && s->dma_length <= SELFTEST_DMA_MAX;
}

#endif
