#include "devices/pit.h"

#define TICK_NEVER UINT64_MAX

static u32 modulus(const struct pit_channel *c) { return c->bcd ? 10000 : 65536; }
static bool periodic(const struct pit_channel *c) { return c->mode == 2 || c->mode == 3; }
static bool gate_triggered(const struct pit_channel *c) { return c->mode == 1 || c->mode == 5; }
/* Ticks for which mode 3 holds its output high in each cycle of n. */
static u32 high_half(u32 n) { return (n + 1) / 2; }

/* Ticks since the cycle began, negative before. The cycle may have begun before power-up, as it were: when a half-cycle
 * of mode 3 is cut short by a longer count. */
static s64 since_start(const struct pit_channel *c, u64 tick) { return (s64)(tick - c->start); }

static u64 elapsed_at(const struct pit_channel *c, u64 tick)
{
    if (!c->counting)
        return c->elapsed;
    return since_start(c, tick) > 0 ? tick - c->start : 0;
}

/* Loads a waiting count whose cycle has come. Mode 3 takes it at the end of a half cycle: the new one is entered at the
 * same half. */
static void sync_channel(struct pit_channel *c, u64 tick)
{
    if (tick < c->reload_at)
        return;
    u64 into = c->reload_at - c->start;
    bool low_half = c->mode == 3 && into % c->initial != 0;
    c->initial = c->reload;
    c->start = c->reload_at - (low_half ? high_half(c->initial) : 0);
    c->reload_at = CLOCK_NEVER;
}

static bool output_at(const struct pit_channel *c, u64 tick)
{
    u64 e = elapsed_at(c, tick);
    u32 n = c->initial;
    bool started = c->counting || c->elapsed != 0;
    switch (c->mode) {
    case 0: return started && e >= n;
    case 1: return !started || e >= n;
    case 2: return !started || e % n != n - 1;
    case 3: return !started || e % n < high_half(n);
    default: return !started || e != n;
    }
}

/* The first tick after `tick` at which the output differs, TICK_NEVER if none; `c` is synced to `tick`. */
static u64 next_change(const struct pit_channel *c, u64 tick)
{
    if (!c->counting)
        return TICK_NEVER;
    u64 n = c->initial;
    u64 from = since_start(c, tick) > 0 ? tick : c->start;
    u64 e = from - c->start;
    u64 in_cycle = e % n;
    switch (c->mode) {
    case 0:
    case 1: return e < n ? c->start + n : TICK_NEVER;
    case 2: return from + (in_cycle < n - 1 ? n - 1 - in_cycle : 1);
    case 3: return from + (in_cycle < high_half(c->initial) ? high_half(c->initial) : n) - in_cycle;
    default: return e < n ? c->start + n : e == n ? from + 1 : TICK_NEVER;
    }
}

static u16 to_bcd(u32 v) { return (u16)(v / 1000 % 10 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10); }
static u32 from_bcd(u16 v) { return (v >> 12) * 1000u + (v >> 8 & 15) * 100u + (v >> 4 & 15) * 10u + (v & 15); }

/* The counting element as the guest reads it. */
static u16 count_at(const struct pit_channel *c, u64 tick)
{
    u64 e = elapsed_at(c, tick);
    u32 n = c->initial, value;
    if (c->mode == 2) {
        value = n - (u32)(e % n);
    } else if (c->mode == 3) {
        u32 in_cycle = (u32)(e % n);
        u32 in_half = in_cycle < high_half(n) ? in_cycle : in_cycle - high_half(n);
        value = (n & ~1u) - 2 * in_half;
    } else {
        u64 m = modulus(c);
        value = (u32)((n + m - e % m) % m);
    }
    value %= modulus(c);
    return c->bcd ? to_bcd(value) : (u16)value;
}

static void drive_irq(struct pit *p, u64 tick, const struct device_env *e)
{
    p->irq_change = next_change(&p->channel[0], tick);
    device_irq(e, PIT_IRQ_LINE, output_at(&p->channel[0], tick));
}

void pit_reset(struct pit *p)
{
    memset(p, 0, sizeof(*p));
    for (unsigned i = 0; i < PIT_CHANNELS; i++) {
        struct pit_channel *c = &p->channel[i];
        c->mode = 3;
        c->access = 3;
        c->initial = c->reload = 65536;
        c->reload_at = CLOCK_NEVER;
        c->gate = i != 2;
    }
    p->irq_change = TICK_NEVER;
}

static void start_counting(struct pit_channel *c, u64 tick)
{
    c->initial = c->reload;
    c->start = tick + 1;
    c->elapsed = 0;
    c->counting = 1;
    c->reload_at = CLOCK_NEVER;
}

/* A complete count has been written. */
static void load_count(struct pit_channel *c, u16 raw, u64 tick)
{
    u32 count = c->bcd ? from_bcd(raw) % 10000 : raw;
    if (count == 0)
        count = modulus(c);
    if (count == 1 && periodic(c))
        count = 2;
    bool running = c->loaded && c->counting;
    c->reload = count;
    c->loaded = 1;
    if (gate_triggered(c))
        return; /* waits for the gate's edge */
    if (periodic(c) && running) {
        u64 change = next_change(c, tick);
        bool falls = c->mode == 2 && output_at(c, tick);
        c->reload_at = falls ? change + 1 : change; /* mode 2: the cycle ends after the low tick */
        return;
    }
    start_counting(c, tick);
    if (!c->gate)
        c->counting = 0;
}

static void write_counter(struct pit_channel *c, u8 value, u64 tick)
{
    if (c->access == 1) {
        load_count(c, value, tick);
    } else if (c->access == 2) {
        load_count(c, (u16)(value << 8), tick);
    } else if (!c->write_high) {
        c->write_low = value;
        c->write_high = 1;
        if (c->mode == 0) { /* the first byte stops the count and lowers the output */
            c->counting = 0;
            c->elapsed = 0;
        }
    } else {
        c->write_high = 0;
        load_count(c, (u16)(value << 8 | c->write_low), tick);
    }
}

static void latch_count(struct pit_channel *c, u64 tick)
{
    if (c->latched)
        return; /* the first latch stays until read */
    c->latch = count_at(c, tick);
    c->latched = c->access;
}

static void latch_status(struct pit_channel *c, u64 tick)
{
    if (c->status_latched)
        return;
    bool null_count = !c->loaded || c->reload_at != CLOCK_NEVER || (c->counting && since_start(c, tick) < 0);
    c->status = (u8)(output_at(c, tick) << 7 | null_count << 6 | c->access << 4 | c->mode << 1 | c->bcd);
    c->status_latched = 1;
}

static void read_back(struct pit *p, u8 command, u64 tick)
{
    for (unsigned i = 0; i < PIT_CHANNELS; i++) {
        if (!(command >> (i + 1) & 1))
            continue;
        if (!(command & 0x20))
            latch_count(&p->channel[i], tick);
        if (!(command & 0x10))
            latch_status(&p->channel[i], tick);
    }
}

static void write_control(struct pit *p, u8 value, u64 tick)
{
    unsigned select = value >> 6;
    if (select == 3) {
        read_back(p, value, tick);
        return;
    }
    struct pit_channel *c = &p->channel[select];
    unsigned access = value >> 4 & 3;
    if (access == 0) {
        latch_count(c, tick);
        return;
    }
    unsigned mode = value >> 1 & 7;
    c->mode = (u8)(mode > 5 ? mode - 4 : mode); /* X10 and X11 are modes 2 and 3 */
    c->access = (u8)access;
    c->bcd = value & 1;
    c->write_high = c->read_high = c->latched = c->status_latched = 0;
    c->loaded = c->counting = 0;
    c->elapsed = 0;
    c->reload_at = CLOCK_NEVER;
    c->initial = c->reload = modulus(c);
}

static void sync(struct pit *p, u64 tick)
{
    for (unsigned i = 0; i < PIT_CHANNELS; i++)
        sync_channel(&p->channel[i], tick);
}

void pit_write(struct pit *p, unsigned offset, u8 value, const struct device_env *e)
{
    u64 tick = clock_ticks(e->now, PIT_HZ);
    sync(p, tick);
    if (offset == 3)
        write_control(p, value, tick);
    else
        write_counter(&p->channel[offset], value, tick);
    drive_irq(p, tick, e);
}

u8 pit_read(struct pit *p, unsigned offset, const struct device_env *e)
{
    if (offset == 3)
        return 0xff; /* write-only; the bus floats */
    u64 tick = clock_ticks(e->now, PIT_HZ);
    sync(p, tick);
    struct pit_channel *c = &p->channel[offset];
    if (c->status_latched) {
        c->status_latched = 0;
        return c->status;
    }
    if (c->latched) {
        bool low = c->latched & 1;
        c->latched &= low ? 2 : 0;
        return (u8)(low ? c->latch : c->latch >> 8);
    }
    u16 count = count_at(c, tick);
    bool high = c->access == 2 || (c->access == 3 && c->read_high);
    if (c->access == 3)
        c->read_high ^= 1;
    return (u8)(high ? count >> 8 : count);
}

static void set_gate(struct pit_channel *c, bool gate, u64 tick)
{
    if (c->gate == gate)
        return;
    c->gate = gate;
    if (!c->loaded)
        return;
    if (gate_triggered(c)) {
        if (gate)
            start_counting(c, tick);
    } else if (periodic(c)) {
        /* Low: output high and the count stops; the rising edge loads anew. */
        c->counting = c->elapsed = 0;
        if (gate)
            start_counting(c, tick);
    } else if (gate && !c->counting) {
        c->start = tick - c->elapsed;
        c->counting = 1;
    } else if (!gate && c->counting) {
        c->elapsed = elapsed_at(c, tick);
        c->counting = 0;
    }
}

u8 pit_speaker_read(struct pit *p, const struct device_env *e)
{
    u64 tick = clock_ticks(e->now, PIT_HZ);
    sync(p, tick);
    unsigned refresh = (unsigned)(tick / 18) & 1;
    return (u8)(p->speaker | refresh << 4 | output_at(&p->channel[2], tick) << 5);
}

void pit_speaker_write(struct pit *p, u8 value, const struct device_env *e)
{
    u64 tick = clock_ticks(e->now, PIT_HZ);
    sync(p, tick);
    p->speaker = value & 3;
    set_gate(&p->channel[2], value & 1, tick);
}

u64 pit_deadline(const struct pit *p)
{
    return p->irq_change == TICK_NEVER ? CLOCK_NEVER : clock_tick_time(p->irq_change, PIT_HZ);
}

void pit_tick(struct pit *p, const struct device_env *e)
{
    u64 tick = clock_ticks(e->now, PIT_HZ);
    sync(p, tick);
    drive_irq(p, tick, e);
}
