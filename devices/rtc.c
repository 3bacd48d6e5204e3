#include "devices/rtc.h"

enum reg {
    REG_SECONDS, REG_SECONDS_ALARM, REG_MINUTES, REG_MINUTES_ALARM, REG_HOURS, REG_HOURS_ALARM, REG_WEEKDAY, REG_DAY,
    REG_MONTH, REG_YEAR, REG_A, REG_B, REG_C, REG_D, REG_COUNT,
    REG_CENTURY = 0x32,
};

#define A_UIP 0x80u
#define A_DIVIDER 0x70u
#define A_DIVIDER_RUN 0x20u /* 32,768 Hz time base */
#define A_RATE 0x0fu
#define B_SET 0x80u
#define B_PIE 0x40u
#define B_AIE 0x20u
#define B_UIE 0x10u
#define B_BINARY 0x04u
#define B_24H 0x02u
#define C_IRQF 0x80u
#define C_PF 0x40u
#define C_AF 0x20u
#define C_UF 0x10u
#define D_VALID 0x80u
#define ALARM_ANY 0xc0u /* two top bits set: matches every value */
#define HOUR_PM 0x80u

#define UIP_NS 244000u
#define DAY_SECONDS 86400u
#define BASE_HZ 32768u

struct moment {
    u64 days;   /* since 0000-03-01 */
    u32 second; /* of the day */
};

static u8 encode(const struct rtc *r, unsigned v)
{
    return (u8)(r->cmos[REG_B] & B_BINARY ? v : v / 10 % 10 << 4 | v % 10);
}

static unsigned decode(const struct rtc *r, u8 v)
{
    return r->cmos[REG_B] & B_BINARY ? v : (v >> 4) * 10u + (v & 15u);
}

static unsigned decode_hour(const struct rtc *r, u8 v)
{
    if (r->cmos[REG_B] & B_24H)
        return decode(r, v);
    return decode(r, v & 0x7f) % 12 + (v & HOUR_PM ? 12 : 0);
}

static u8 encode_hour(const struct rtc *r, unsigned hour)
{
    if (r->cmos[REG_B] & B_24H)
        return encode(r, hour);
    return (u8)(encode(r, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0));
}

/* Days since 0000-03-01 in the Gregorian calendar; years begin in March, so that the leap day comes last. */
static u64 days_of(u64 year, unsigned month, unsigned day)
{
    u64 y = year + (month > 2) - 1;
    unsigned m = (month + 9) % 12;
    return y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1;
}

#define DAYS_TO_1970 719468u

static void date_of(u64 days, u64 *year, unsigned *month, unsigned *day)
{
    u64 era = days / 146097, in_era = days % 146097;
    u64 y = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    unsigned in_year = (unsigned)(in_era - (365 * y + y / 4 - y / 100));
    unsigned m = (5 * in_year + 2) / 153;
    *day = in_year - (153 * m + 2) / 5 + 1;
    *month = m < 10 ? m + 3 : m - 9;
    *year = era * 400 + y + (*month <= 2);
}

/* Whatever the guest has written decodes to some moment: no value may harm. */
static struct moment get_moment(const struct rtc *r)
{
    unsigned month = decode(r, r->cmos[REG_MONTH]);
    u64 year = decode(r, r->cmos[REG_CENTURY]) * 100 + decode(r, r->cmos[REG_YEAR]);
    unsigned day = decode(r, r->cmos[REG_DAY]);
    u64 days = days_of(year ? year : 1, month ? (month - 1) % 12 + 1 : 1, day ? day : 1);
    u32 second = decode_hour(r, r->cmos[REG_HOURS]) * 3600 + decode(r, r->cmos[REG_MINUTES]) * 60 +
                 decode(r, r->cmos[REG_SECONDS]);
    return (struct moment){days + second / DAY_SECONDS, second % DAY_SECONDS};
}

static void set_moment(struct rtc *r, struct moment m)
{
    u64 year;
    unsigned month, day;
    date_of(m.days, &year, &month, &day);
    r->cmos[REG_SECONDS] = encode(r, m.second % 60);
    r->cmos[REG_MINUTES] = encode(r, m.second / 60 % 60);
    r->cmos[REG_HOURS] = encode_hour(r, m.second / 3600);
    r->cmos[REG_DAY] = encode(r, day);
    r->cmos[REG_MONTH] = encode(r, month);
    r->cmos[REG_YEAR] = encode(r, (unsigned)(year % 100));
    r->cmos[REG_CENTURY] = encode(r, (unsigned)(year / 100 % 100));
}

/* The weekday is a counter of its own, which the guest may have set to anything. */
static void advance(struct rtc *r, u64 seconds)
{
    struct moment m = get_moment(r);
    u64 total = m.second + seconds;
    u64 days = total / DAY_SECONDS;
    if (days) {
        u64 weekday = decode(r, r->cmos[REG_WEEKDAY]) + 6 + days;
        r->cmos[REG_WEEKDAY] = encode(r, (unsigned)(weekday % 7) + 1);
    }
    set_moment(r, (struct moment){m.days + days, (u32)(total % DAY_SECONDS)});
}

static bool divider_runs(const struct rtc *r) { return (r->cmos[REG_A] & A_DIVIDER) == A_DIVIDER_RUN; }
static bool updating(const struct rtc *r) { return divider_runs(r) && !(r->cmos[REG_B] & B_SET); }

/* Rate of the periodic interrupt in Hz, 0 if none (data sheet, table 5). */
static u32 periodic_hz(const struct rtc *r)
{
    unsigned rate = r->cmos[REG_A] & A_RATE;
    if (rate == 0 || !divider_runs(r))
        return 0;
    if (rate < 3)
        rate += 7;
    return BASE_HZ >> (rate - 1);
}

static bool alarm_matches(u8 alarm, u8 value) { return (alarm & ALARM_ANY) == ALARM_ANY || alarm == value; }

static bool ever_matches(const struct rtc *r, u8 alarm, unsigned values)
{
    for (unsigned v = 0; v < values; v++)
        if (alarm_matches(alarm, encode(r, v)))
            return true;
    return false;
}

/* Seconds from `second` of the day to the next alarm, at least 1; 0 if no time of the day matches. */
static u32 seconds_to_alarm(const struct rtc *r, u32 second)
{
    u32 t = second + 1, end = t + DAY_SECONDS;
    /* The search steps over hours and minutes that differ; an impossible second would take it through the whole day. */
    if (!ever_matches(r, r->cmos[REG_SECONDS_ALARM], 60) || !ever_matches(r, r->cmos[REG_MINUTES_ALARM], 60))
        return 0;
    while (t < end) {
        if (!alarm_matches(r->cmos[REG_HOURS_ALARM], encode_hour(r, t / 3600 % 24)))
            t = (t / 3600 + 1) * 3600;
        else if (!alarm_matches(r->cmos[REG_MINUTES_ALARM], encode(r, t / 60 % 60)))
            t = (t / 60 + 1) * 60;
        else if (!alarm_matches(r->cmos[REG_SECONDS_ALARM], encode(r, t % 60)))
            t++;
        else
            return t - second;
    }
    return 0;
}

/* Time of the divider chain: one second ahead of `now`, so that no phase makes it negative. */
static u64 chain_ns(const struct rtc *r, u64 now) { return now + NS_PER_SECOND - r->phase; }
static u64 chain_to_now(const struct rtc *r, u64 ns) { return ns + r->phase - NS_PER_SECOND; }
static u64 seconds_at(const struct rtc *r, u64 now) { return chain_ns(r, now) / NS_PER_SECOND; }
static u64 ticks_at(const struct rtc *r, u64 now, u32 hz) { return clock_ticks(chain_ns(r, now), hz); }

static void drive_irq(struct rtc *r, const struct device_env *e)
{
    u8 wanted = r->cmos[REG_B] & r->cmos[REG_C] & (C_PF | C_AF | C_UF);
    r->cmos[REG_C] = (u8)((r->cmos[REG_C] & ~C_IRQF) | (wanted ? C_IRQF : 0));
    device_irq(e, RTC_IRQ_LINE, wanted != 0);
}

/* Brings registers and flags up to `now`. */
static void sync(struct rtc *r, u64 now)
{
    u32 hz = periodic_hz(r);
    u64 ticks = hz ? ticks_at(r, now, hz) : 0;
    if (ticks > r->ticks)
        r->cmos[REG_C] |= C_PF;
    r->ticks = ticks;
    u64 updates = seconds_at(r, now), elapsed = updates - r->updates;
    r->updates = updates;
    if (elapsed == 0 || !updating(r))
        return;
    u32 alarm = seconds_to_alarm(r, get_moment(r).second);
    if (alarm && alarm <= elapsed)
        r->cmos[REG_C] |= C_AF;
    r->cmos[REG_C] |= C_UF;
    advance(r, elapsed);
}

/* Memory sizes where a BIOS puts them, for guests that look there. */
static void describe_memory(struct rtc *r, u64 below_4g, u64 above_4g)
{
    u64 extended_kib = below_4g > 0x100000 ? (below_4g >> 10) - 1024 : 0;
    u64 capped = extended_kib > 0xffff ? 0xffff : extended_kib;
    u64 above_16m = below_4g > 0x1000000 ? (below_4g - 0x1000000) >> 16 : 0;
    r->cmos[0x14] = 0x02; /* equipment: coprocessor, no floppy, no display adapter */
    r->cmos[0x15] = 640 & 0xff;
    r->cmos[0x16] = 640 >> 8;
    r->cmos[0x17] = r->cmos[0x30] = (u8)capped;
    r->cmos[0x18] = r->cmos[0x31] = (u8)(capped >> 8);
    r->cmos[0x34] = (u8)above_16m;
    r->cmos[0x35] = (u8)(above_16m >> 8);
    r->cmos[0x5b] = (u8)(above_4g >> 16);
    r->cmos[0x5c] = (u8)(above_4g >> 24);
    r->cmos[0x5d] = (u8)(above_4g >> 32);
}

void rtc_reset(struct rtc *r, u64 seconds, u64 now, u64 ram_below_4g, u64 ram_above_4g)
{
    memset(r, 0, sizeof(*r));
    r->phase = now % NS_PER_SECOND;
    r->updates = seconds_at(r, now);
    r->cmos[REG_A] = A_DIVIDER_RUN | 6; /* 1,024 Hz, as a BIOS leaves it */
    r->ticks = ticks_at(r, now, 1024);
    r->cmos[REG_B] = B_24H;
    r->cmos[REG_D] = D_VALID;
    u64 days = seconds / DAY_SECONDS + DAYS_TO_1970;
    set_moment(r, (struct moment){days, (u32)(seconds % DAY_SECONDS)});
    r->cmos[REG_WEEKDAY] = encode(r, (unsigned)((days + 3) % 7) + 1); /* 0000-03-01 was a Wednesday; Sunday is 1 */
    describe_memory(r, ram_below_4g, ram_above_4g);
}

static void write_a(struct rtc *r, u8 value, u64 now)
{
    bool ran = divider_runs(r);
    r->cmos[REG_A] = value & 0x7f;
    if (!ran && divider_runs(r)) /* the first update comes half a second after the chain's release */
        r->phase = (now + NS_PER_SECOND / 2) % NS_PER_SECOND;
    u32 hz = periodic_hz(r);
    r->ticks = hz ? ticks_at(r, now, hz) : 0;
    r->updates = seconds_at(r, now);
}

static void write_data(struct rtc *r, u8 value, u64 now)
{
    unsigned index = r->index & 0x7f;
    switch (index) {
    case REG_A: write_a(r, value, now); break;
    case REG_B: /* SET clears UIE (data sheet, register B) */
        r->cmos[REG_B] = value & B_SET ? value & (u8)~B_UIE : value;
        break;
    case REG_C:
    case REG_D: break; /* read-only */
    default: r->cmos[index] = value; break;
    }
}

void rtc_write(struct rtc *r, unsigned offset, u8 value, const struct device_env *e)
{
    if (offset == 0) {
        r->index = value;
        return;
    }
    sync(r, e->now);
    write_data(r, value, e->now);
    drive_irq(r, e);
}

static bool update_in_progress(const struct rtc *r, u64 now)
{
    return updating(r) && chain_ns(r, now) % NS_PER_SECOND >= NS_PER_SECOND - UIP_NS;
}

u8 rtc_read(struct rtc *r, unsigned offset, const struct device_env *e)
{
    if (offset == 0)
        return 0xff; /* the index register is write-only */
    sync(r, e->now);
    unsigned index = r->index & 0x7f;
    u8 value = r->cmos[index];
    if (index == REG_A && update_in_progress(r, e->now))
        value |= A_UIP;
    if (index == REG_C) {
        drive_irq(r, e); /* IRQF of what has just been synced */
        value = r->cmos[REG_C];
        r->cmos[REG_C] = 0;
    }
    drive_irq(r, e);
    return value;
}

/* An enabled source whose flag is already set changes nothing more. */
u64 rtc_deadline(const struct rtc *r)
{
    u8 wanted = r->cmos[REG_B] & (u8)~r->cmos[REG_C];
    u64 deadline = CLOCK_NEVER;
    u32 hz = periodic_hz(r);
    if ((wanted & C_PF) && hz)
        deadline = chain_to_now(r, clock_tick_time(r->ticks + 1, hz));
    if (!updating(r) || !(wanted & (C_AF | C_UF)))
        return deadline;
    u64 seconds = 1;
    if (!(wanted & C_UF)) {
        seconds = seconds_to_alarm(r, get_moment(r).second);
        if (seconds == 0)
            return deadline;
    }
    u64 update = chain_to_now(r, (r->updates + seconds) * NS_PER_SECOND);
    return update < deadline ? update : deadline;
}

void rtc_tick(struct rtc *r, const struct device_env *e)
{
    sync(r, e->now);
    drive_irq(r, e);
}
