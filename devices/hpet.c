#include "devices/hpet.h"

/* Register offsets, IA-PC HPET 1.0a, table 2 */
#define REG_CAPABILITIES 0x000u
#define REG_CONFIG 0x010u
#define REG_STATUS 0x020u
#define REG_COUNTER 0x0f0u
#define REG_TIMER 0x100u
#define TIMER_STRIDE 0x20u
#define TIMER_CONFIG 0x00u
#define TIMER_COMPARATOR 0x08u

#define CONFIG_ENABLE 0x1u
#define CONFIG_LEGACY 0x2u

#define TN_LEVEL 0x0002ull
#define TN_INTERRUPT 0x0004ull
#define TN_PERIODIC 0x0008ull
#define TN_PERIODIC_CAPABLE 0x0010ull
#define TN_64BIT_CAPABLE 0x0020ull
#define TN_VALUE_SET 0x0040ull
#define TN_32BIT 0x0100ull
#define TN_ROUTE_SHIFT 9
#define FIRST_ROUTE 16u
#define LAST_ROUTE 23u
#define TN_ROUTES (0xffull << FIRST_ROUTE) /* the same as a set */
#define TN_WRITABLE (TN_LEVEL | TN_INTERRUPT | TN_PERIODIC | TN_32BIT | 31ull << TN_ROUTE_SHIFT)

static bool running(const struct hpet *h) { return h->config & CONFIG_ENABLE; }

static u64 counter_at(const struct hpet *h, u64 now)
{
    return running(h) ? h->counter + (now - h->started) / HPET_TICK_NS : h->counter;
}

static u64 width_mask(const struct hpet_timer *t) { return t->config & TN_32BIT ? 0xffffffffull : ~0ull; }

/* The interrupt line, or -1 if it is routed nowhere. */
static int line_of(const struct hpet *h, unsigned n)
{
    if ((h->config & CONFIG_LEGACY) && n < 2)
        return n == 0 ? 0 : 8;
    unsigned route = h->timer[n].config >> TN_ROUTE_SHIFT & 31;
    return route >= FIRST_ROUTE && route <= LAST_ROUTE ? (int)route : -1;
}

/* Computes when the comparator next equals the counter. One that equals it now has matched only if `match_now`. */
static void arm(struct hpet *h, struct hpet_timer *t, u64 now, bool match_now)
{
    t->fire_at = CLOCK_NEVER;
    if (!running(h))
        return;
    u64 wait = (t->comparator - counter_at(h, now)) & width_mask(t);
    if (wait == 0 && !match_now) {
        if (width_mask(t) == ~0ull)
            return; /* the wrap of 64 bits lies beyond the end of time */
        wait = 1ull << 32;
    }
    u64 tick_begin = now - (now - h->started) % HPET_TICK_NS;
    if (wait < (CLOCK_NEVER - now) / HPET_TICK_NS)
        t->fire_at = wait ? tick_begin + wait * HPET_TICK_NS : now;
}

static void release_line(struct hpet_timer *t, const struct device_env *e)
{
    if (t->line_high)
        device_irq(e, t->line, false);
    t->line_high = 0;
}

static void hold_line(struct hpet_timer *t, int line, const struct device_env *e)
{
    release_line(t, e); /* an edge needs a low before it */
    if (line < 0)
        return;
    t->line = (u8)line;
    t->line_high = 1;
    device_irq(e, t->line, true);
}

/* Level-triggered: the line follows the status bit. Edge-triggered: only a match raises it. */
static void update_line(struct hpet *h, unsigned n, const struct device_env *e)
{
    struct hpet_timer *t = &h->timer[n];
    bool level = t->config & TN_LEVEL;
    if (!(t->config & TN_INTERRUPT) || (level && !(h->status >> n & 1)) || (t->line_high && line_of(h, n) != t->line))
        release_line(t, e);
    if (level && (t->config & TN_INTERRUPT) && (h->status >> n & 1) && !t->line_high)
        hold_line(t, line_of(h, n), e);
}

static void match(struct hpet *h, unsigned n, const struct device_env *e)
{
    struct hpet_timer *t = &h->timer[n];
    if (t->config & TN_LEVEL) {
        h->status |= 1ull << n; /* set even when the interrupt is not enabled, 2.3.6 */
        update_line(h, n, e);
    } else if (t->config & TN_INTERRUPT) {
        hold_line(t, line_of(h, n), e);
    }
    u64 mask = width_mask(t), late = (counter_at(h, e->now) - t->comparator) & mask;
    if ((t->config & TN_PERIODIC) && t->period)
        t->comparator = (t->comparator + (late / t->period + 1) * t->period) & mask;
    arm(h, t, e->now, false);
}

void hpet_reset(struct hpet *h)
{
    memset(h, 0, sizeof(*h));
    for (unsigned n = 0; n < HPET_TIMERS; n++) {
        h->timer[n].comparator = ~0ull;
        h->timer[n].fire_at = CLOCK_NEVER;
        h->timer[n].config = TN_ROUTES << 32 | TN_64BIT_CAPABLE | (n == 0 ? TN_PERIODIC_CAPABLE : 0);
    }
}

bool hpet_legacy_routing(const struct hpet *h) { return (h->config & CONFIG_LEGACY) != 0; }

static u64 read_register(const struct hpet *h, unsigned reg, u64 now)
{
    if (reg >= REG_TIMER && reg < REG_TIMER + HPET_TIMERS * TIMER_STRIDE) {
        const struct hpet_timer *t = &h->timer[(reg - REG_TIMER) / TIMER_STRIDE];
        switch ((reg - REG_TIMER) % TIMER_STRIDE) {
        case TIMER_CONFIG: return t->config;
        case TIMER_COMPARATOR: return t->comparator;
        default: return 0;
        }
    }
    switch (reg) {
    case REG_CAPABILITIES: return HPET_CAPABILITIES;
    case REG_CONFIG: return h->config;
    case REG_STATUS: return h->status;
    case REG_COUNTER: return counter_at(h, now);
    default: return 0;
    }
}

static bool legal_access(unsigned offset, unsigned size)
{
    return (size == 4 || size == 8) && (offset & (size - 1)) == 0;
}

u64 hpet_read(const struct hpet *h, unsigned offset, unsigned size, u64 now)
{
    if (!legal_access(offset, size))
        return 0;
    u64 value = read_register(h, offset & ~7u, now);
    if (size == 8)
        return value;
    return offset & 4 ? value >> 32 : (u32)value;
}

static void rearm_all(struct hpet *h, u64 now)
{
    for (unsigned n = 0; n < HPET_TIMERS; n++)
        arm(h, &h->timer[n], now, true);
}

static void write_config(struct hpet *h, u64 value, const struct device_env *e)
{
    u64 config = value & (CONFIG_ENABLE | CONFIG_LEGACY);
    bool was = running(h);
    u64 counter = counter_at(h, e->now);
    h->config = config;
    if (was != running(h)) {
        h->counter = counter;
        h->started = e->now;
        rearm_all(h, e->now);
    }
    for (unsigned n = 0; n < HPET_TIMERS; n++)
        update_line(h, n, e);
}

static void write_timer_config(struct hpet *h, unsigned n, u64 value, const struct device_env *e)
{
    struct hpet_timer *t = &h->timer[n];
    u64 writable = TN_WRITABLE & ~(n == 0 ? 0 : TN_PERIODIC);
    u64 changed = (t->config ^ value) & (TN_32BIT | TN_PERIODIC);
    t->config = (t->config & ~writable) | (value & writable);
    t->set_value = (value & TN_VALUE_SET) && (t->config & TN_PERIODIC);
    t->comparator &= width_mask(t);
    t->period &= width_mask(t);
    if (changed)
        arm(h, t, e->now, false);
    update_line(h, n, e);
}

/* In periodic mode a write sets the period, and the comparator itself only after Tn_VAL_SET_CNF (2.3.9.2.2). */
static void write_comparator(struct hpet *h, unsigned n, u64 value, u64 written, const struct device_env *e)
{
    struct hpet_timer *t = &h->timer[n];
    u64 mask = width_mask(t) & written;
    bool is_periodic = t->config & TN_PERIODIC;
    if (is_periodic)
        t->period = (t->period & ~written) | (value & mask);
    if (is_periodic && !t->set_value)
        return;
    t->comparator = (t->comparator & ~written) | (value & mask);
    t->comparator &= width_mask(t);
    t->set_value = 0;
    arm(h, t, e->now, true);
}

static void write_timer(struct hpet *h, unsigned reg, u64 value, u64 written, const struct device_env *e)
{
    unsigned n = (reg - REG_TIMER) / TIMER_STRIDE;
    u64 config = (h->timer[n].config & ~written) | (value & written);
    switch ((reg - REG_TIMER) % TIMER_STRIDE) {
    case TIMER_CONFIG: write_timer_config(h, n, config, e); break;
    case TIMER_COMPARATOR: write_comparator(h, n, value, written, e); break;
    default: break;
    }
}

void hpet_write(struct hpet *h, unsigned offset, u64 value, unsigned size, const struct device_env *e)
{
    if (!legal_access(offset, size))
        return;
    u64 written = size == 8 ? ~0ull : offset & 4 ? 0xffffffff00000000ull : 0xffffffffull;
    unsigned reg = offset & ~7u;
    if (size == 4 && (offset & 4))
        value <<= 32;
    value &= written;
    if (reg >= REG_TIMER && reg < REG_TIMER + HPET_TIMERS * TIMER_STRIDE) {
        write_timer(h, reg, value, written, e);
    } else if (reg == REG_CONFIG) {
        write_config(h, (h->config & ~written) | value, e);
    } else if (reg == REG_STATUS) {
        h->status &= ~value; /* write 1 to clear */
        for (unsigned n = 0; n < HPET_TIMERS; n++)
            update_line(h, n, e);
    } else if (reg == REG_COUNTER) {
        h->counter = (counter_at(h, e->now) & ~written) | value;
        h->started = e->now;
        rearm_all(h, e->now);
    }
}

u64 hpet_deadline(const struct hpet *h)
{
    u64 deadline = CLOCK_NEVER;
    for (unsigned n = 0; n < HPET_TIMERS; n++)
        if (h->timer[n].fire_at < deadline)
            deadline = h->timer[n].fire_at;
    return deadline;
}

void hpet_tick(struct hpet *h, const struct device_env *e)
{
    for (unsigned n = 0; n < HPET_TIMERS; n++)
        if (h->timer[n].fire_at <= e->now)
            match(h, n, e);
}
