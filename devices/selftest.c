#include "devices/selftest.h"

enum reg {
    REG_ID = 0x00,
    REG_LATCH = 0x04,
    REG_TIME = 0x08,
    REG_TIME_HIGH = 0x0c,
    REG_LINE = 0x10,
    REG_ACT = 0x14,
    REG_DELAYED_ACT = 0x18,
    REG_DELAY = 0x1c,
    REG_DMA_LOW = 0x20,
    REG_DMA_HIGH = 0x24,
    REG_DMA_LENGTH = 0x28,
    REG_DMA_PATTERN = 0x2c,
    REG_ICOUNT = 0x30,
    REG_ICOUNT_HIGH = 0x34,
};

#define ACT_RAISE 1u
#define ACT_LOWER 2u
#define ACT_DMA 4u

void selftest_reset(struct selftest *s)
{
    memset(s, 0, sizeof(*s));
    s->due = CLOCK_NEVER;
    s->line = 5;
}

static void set_level(struct selftest *s, bool level, const struct device_env *e)
{
    s->level = level;
    device_irq(e, s->line, level);
}

static void fill_memory(const struct selftest *s, const struct device_env *e)
{
    u8 chunk[64];
    for (unsigned i = 0; i < sizeof(chunk); i++)
        chunk[i] = (u8)(s->dma_pattern >> (i & 3) * 8);
    for (u32 done = 0; done < s->dma_length; done += sizeof(chunk)) {
        u32 left = s->dma_length - done;
        unsigned size = left < sizeof(chunk) ? left : sizeof(chunk);
        e->services->dma_write(e->context, s->dma_address + done, chunk, size);
    }
}

static void act(struct selftest *s, u32 actions, const struct device_env *e)
{
    if (actions & ACT_DMA)
        fill_memory(s, e);
    if (actions & ACT_LOWER)
        set_level(s, false, e);
    if (actions & ACT_RAISE)
        set_level(s, true, e);
}

static u32 read_low(struct selftest *s, u64 value)
{
    s->high = (u32)(value >> 32);
    return (u32)value;
}

static u32 delay_left(const struct selftest *s, u64 now)
{
    return s->due == CLOCK_NEVER || s->due <= now ? 0 : (u32)(s->due - now);
}

u32 selftest_read(struct selftest *s, unsigned offset, u64 icount, const struct device_env *e)
{
    switch ((enum reg)offset) {
    case REG_ID: return SELFTEST_ID;
    case REG_LATCH: return s->latch;
    case REG_TIME: return read_low(s, e->now);
    case REG_ICOUNT: return read_low(s, icount);
    case REG_TIME_HIGH:
    case REG_ICOUNT_HIGH: return s->high;
    case REG_LINE: return s->line;
    case REG_ACT: return s->level;
    case REG_DELAYED_ACT: return s->actions;
    case REG_DELAY: return delay_left(s, e->now);
    case REG_DMA_LOW: return (u32)s->dma_address;
    case REG_DMA_HIGH: return (u32)(s->dma_address >> 32);
    case REG_DMA_LENGTH: return s->dma_length;
    case REG_DMA_PATTERN: return s->dma_pattern;
    }
    return 0xffffffff;
}

void selftest_write(struct selftest *s, unsigned offset, u32 value, const struct device_env *e)
{
    switch ((enum reg)offset) {
    case REG_LATCH: s->latch = value; break;
    case REG_LINE:
        set_level(s, false, e);
        s->line = (u8)(value % SELFTEST_LINES);
        break;
    case REG_ACT: act(s, value, e); break;
    case REG_DELAYED_ACT: s->actions = value & (ACT_RAISE | ACT_LOWER | ACT_DMA); break;
    case REG_DELAY: s->due = value ? e->now + value : CLOCK_NEVER; break;
    case REG_DMA_LOW: s->dma_address = (s->dma_address & 0xffffffff00000000ull) | value; break;
    case REG_DMA_HIGH: s->dma_address = (u32)s->dma_address | (u64)value << 32; break;
    case REG_DMA_LENGTH: s->dma_length = value > SELFTEST_DMA_MAX ? SELFTEST_DMA_MAX : value; break;
    case REG_DMA_PATTERN: s->dma_pattern = value; break;
    default: break; /* the rest is read-only */
    }
}

void selftest_tick(struct selftest *s, const struct device_env *e)
{
    if (e->now < s->due)
        return;
    s->due = CLOCK_NEVER;
    act(s, s->actions, e);
}
