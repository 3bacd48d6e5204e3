/* The ACPI power management timer (ACPI specification 6.4, 4.8.3.3), or counter 2 of the 8254 (Intel 8254 data
 * sheet), and the MC146818's date. */
#include "metal/clock.h"

#include "metal/firmware.h"
#include "metal/port.h"
#include "metal/processor.h"

enum {
    PM_HZ = 3579545,
    PM_MASK = 0xffffff, /* 24 bits are always there */
    PM_TICKS = PM_HZ / 50,
    PIT_HZ = 1193182,
    PIT_COUNT = PIT_HZ / 50,
    PIT_COUNTER_2 = 0x42,
    PIT_MODE = 0x43,
    PIT_MODE_2_ONE_SHOT = 0xb0, /* counter 2, both bytes, mode 0 */
    PORT_B = 0x61,
    PORT_B_GATE_2 = 0x01,
    PORT_B_SPEAKER = 0x02,
    PORT_B_OUT_2 = 0x20,
    PATIENCE = 20000000,
    CMOS_INDEX = 0x70,
    CMOS_DATA = 0x71,
    CMOS_UPDATING = 0x80,
    CMOS_BINARY = 0x04,
    CMOS_24_HOURS = 0x02,
};
#define NS_PER_SECOND 1000000000ull

static struct {
    u64 base, hz;
    u64 ns_per_tick; /* 32.32 bits */
    const char *source;
} timing = {.hz = NS_PER_SECOND, .ns_per_tick = 1ull << 32, .source = "nothing (assumed)"};

/* TSC ticks a second by the PM timer, 0 if it stands still. */
static u64 measure_pm(u16 port)
{
    u32 begin = port_in32(port) & PM_MASK, passed = 0;
    u64 tsc = read_tsc();
    for (u32 tries = 0; passed < PM_TICKS && tries < PATIENCE; tries++)
        passed = ((port_in32(port) & PM_MASK) - begin) & PM_MASK;
    return passed >= PM_TICKS ? (read_tsc() - tsc) * PM_HZ / passed : 0;
}

static u64 measure_pit(void)
{
    u8 port_b = port_in8(PORT_B);
    port_out8(PORT_B, (u8)((port_b & ~PORT_B_SPEAKER) | PORT_B_GATE_2));
    port_out8(PIT_MODE, PIT_MODE_2_ONE_SHOT);
    port_out8(PIT_COUNTER_2, (u8)PIT_COUNT);
    port_out8(PIT_COUNTER_2, (u8)(PIT_COUNT >> 8));
    u64 tsc = read_tsc();
    u32 tries = 0;
    while (!(port_in8(PORT_B) & PORT_B_OUT_2) && tries < PATIENCE)
        tries++;
    u64 passed = read_tsc() - tsc;
    port_out8(PORT_B, port_b);
    return tries && tries < PATIENCE ? passed * PIT_HZ / PIT_COUNT : 0;
}

bool clock_init(void)
{
    u64 hz = firmware_pm_timer() ? measure_pm(firmware_pm_timer()) : 0;
    const char *source = "the ACPI timer";
    if (!hz) {
        hz = measure_pit();
        source = "the 8254";
    }
    if (hz) {
        timing.hz = hz;
        timing.ns_per_tick = (NS_PER_SECOND << 32) / hz;
        timing.source = source;
    }
    timing.base = read_tsc();
    return hz;
}

u64 clock_tsc_hz(void) { return timing.hz; }
const char *clock_source(void) { return timing.source; }

u64 clock_ns(void) { return (u64)((u128)(read_tsc() - timing.base) * timing.ns_per_tick >> 32); }

void clock_wait_ns(u64 ns)
{
    u64 begin = clock_ns();
    while (clock_ns() - begin < ns)
        __asm__ volatile("pause");
}

static u8 cmos(u8 index)
{
    port_out8(CMOS_INDEX, index);
    return port_in8(CMOS_DATA);
}

static unsigned cmos_number(u8 index, u8 status_b)
{
    u8 value = cmos(index);
    return status_b & CMOS_BINARY ? value : (value >> 4) * 10u + (value & 15);
}

/* Days from 1970 to the first of March of a year, by the Gregorian rule, and from there to a day. */
static u64 days(unsigned year, unsigned month, unsigned day)
{
    if (month < 3) {
        month += 12;
        year--;
    }
    return 365ull * year + year / 4 - year / 100 + year / 400 + (153 * (month - 3) + 2) / 5 + day - 1 - 719468;
}

u64 clock_wall_seconds(void)
{
    enum { SECONDS = 0, MINUTES = 2, HOURS = 4, DAY = 7, MONTH = 8, YEAR = 9, STATUS_A = 10, STATUS_B = 11 };
    for (unsigned tries = 0; tries < 1000000 && (cmos(STATUS_A) & CMOS_UPDATING); tries++)
        __asm__ volatile("pause");
    u8 b = cmos(STATUS_B);
    unsigned month = cmos_number(MONTH, b), day = cmos_number(DAY, b);
    if (!(b & CMOS_24_HOURS) || month < 1 || month > 12 || day < 1 || day > 31)
        return 0;
    u64 hours = days(2000 + cmos_number(YEAR, b), month, day) * 24 + cmos_number(HOURS, b);
    return (hours * 60 + cmos_number(MINUTES, b)) * 60 + cmos_number(SECONDS, b);
}
