/* The 8254 programmable interval timer and the port 0x61 that gates its channel 2.
 *
 * Intel 8254 data sheet (231164). All six modes, binary and BCD, counter latch and read-back. Counts are a function of
 * the virtual time in periods of 1,193,182 Hz; a count that is written is loaded by the next period. The counts 1 that
 * the data sheet forbids in modes 2 and 3 act as 2. */
#ifndef REPRISE_DEVICES_PIT_H
#define REPRISE_DEVICES_PIT_H

#include "devices/device.h"

#define PIT_HZ 1193182ull

enum { PIT_CHANNELS = 3, PIT_IRQ_LINE = 0 };

struct pit_channel {
    u64 start;     /* the tick at which the count `initial` was loaded, while counting */
    u64 elapsed;   /* ticks counted so far, while a gate holds modes 0 and 4 */
    u64 reload_at; /* modes 2 and 3: the tick at which `reload` replaces `initial`; CLOCK_NEVER if none waits */
    u32 initial;   /* 1..65536, or 1..10000 in BCD */
    u32 reload;    /* count register, same range */
    u16 latch;
    u8 mode;       /* 0..5 */
    u8 bcd;
    u8 access;     /* 1: low byte, 2: high byte, 3: low then high */
    u8 write_high; /* access 3: the next write is the high byte */
    u8 write_low;  /* the low byte waiting for it */
    u8 read_high;  /* access 3: the next read is the high byte */
    u8 latched;    /* bytes of `latch` still to be read: bit 0 low, bit 1 high */
    u8 status_latched, status;
    u8 loaded;     /* a count has been written since the control word */
    u8 counting;   /* start is valid */
    u8 gate;
};

struct pit {
    struct pit_channel channel[PIT_CHANNELS];
    u64 irq_change; /* the tick at which output 0 changes next; UINT64_MAX if never */
    u8 speaker; /* port 0x61 bits 1..0: speaker data, gate of channel 2 */
};

/* No channel counts; the outputs are high, and IRQ 0 with them once pit_tick() has driven it. */
void pit_reset(struct pit *p);

/* Ports 0x40..0x43 as offsets 0..3. A write may move IRQ 0. */
u8 pit_read(struct pit *p, unsigned offset, const struct device_env *e);
void pit_write(struct pit *p, unsigned offset, u8 value, const struct device_env *e);

/* Port 0x61: bits 0 gate 2, 1 speaker data, 4 refresh (toggles every 18 ticks), 5 output 2; the rest reads 0. */
u8 pit_speaker_read(struct pit *p, const struct device_env *e);
void pit_speaker_write(struct pit *p, u8 value, const struct device_env *e);

/* The next change of output 0, which is IRQ 0. */
u64 pit_deadline(const struct pit *p);
void pit_tick(struct pit *p, const struct device_env *e);

static inline bool pit_channel_valid(const struct pit_channel *c)
{
    return c->initial >= 1 && c->initial <= 65536 && c->reload >= 1 && c->reload <= 65536;
}

/* What every state of the timer satisfies, and what a state from a file must satisfy before it is used. */
static inline bool pit_valid(const struct pit *p)
{
    return pit_channel_valid(&p->channel[0]) && pit_channel_valid(&p->channel[1]) && pit_channel_valid(&p->channel[2]);
}

#endif
