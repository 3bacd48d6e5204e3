#include "devices/acpi.h"

#define PM1_TIMER 0x0001u /* TMR_STS, TMR_EN */
#define PM1_EVENTS 0x8731u /* defined status bits: WAK, RTC, SLPBTN, PWRBTN, GBL, BM, TMR */
#define PM1_ENABLES 0x0721u
#define CONTROL_SCI_EN 0x0001u
#define CONTROL_WRITABLE 0x1c02u /* SLP_TYP, BM_RLD */
#define CONTROL_SLP_EN 0x2000u
#define CONTROL_SLEEP_TYPE(v) ((v) >> 10 & 7)

#define TOGGLE_TICKS (1ull << 31)
#define RESET_HARD 0x02u
#define RESET_CPU 0x04u

static u64 toggles_at(u64 now) { return clock_ticks(now, ACPI_PM_TIMER_HZ) / TOGGLE_TICKS; }

static void sync(struct acpi *a, u64 now)
{
    u64 toggles = toggles_at(now);
    if (toggles != a->toggles)
        a->status |= PM1_TIMER;
    a->toggles = toggles;
}

static void drive_sci(const struct acpi *a, const struct device_env *e)
{
    device_irq(e, ACPI_SCI_LINE, (a->status & a->enable) != 0);
}

void acpi_reset(struct acpi *a, u64 now)
{
    memset(a, 0, sizeof(*a));
    a->control = CONTROL_SCI_EN;
    a->toggles = toggles_at(now);
}

/* The block as 16 bytes, little-endian. */
static u8 read_byte(const struct acpi *a, unsigned offset, u32 timer)
{
    switch (offset) {
    case ACPI_PM1_EVENT: return (u8)a->status;
    case ACPI_PM1_EVENT + 1: return (u8)(a->status >> 8);
    case ACPI_PM1_EVENT + 2: return (u8)a->enable;
    case ACPI_PM1_EVENT + 3: return (u8)(a->enable >> 8);
    case ACPI_PM1_CONTROL: return (u8)a->control;
    case ACPI_PM1_CONTROL + 1: return (u8)(a->control >> 8);
    default:
        if (offset >= ACPI_PM_TIMER && offset < ACPI_PM_TIMER + 4)
            return (u8)(timer >> (offset - ACPI_PM_TIMER) * 8);
        return 0;
    }
}

u32 acpi_read(struct acpi *a, unsigned offset, unsigned size, const struct device_env *e)
{
    sync(a, e->now);
    u32 timer = (u32)clock_ticks(e->now, ACPI_PM_TIMER_HZ), value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (u32)read_byte(a, offset + i, timer) << i * 8;
    return value;
}

static u16 merge(u16 old, u8 byte, unsigned lane)
{
    return (u16)(lane ? (old & 0x00ff) | byte << 8 : (old & 0xff00) | byte);
}

static void write_byte(struct acpi *a, unsigned offset, u8 byte)
{
    unsigned lane = offset & 1;
    switch (offset & ~1u) {
    case ACPI_PM1_EVENT: a->status &= (u16)~((byte << lane * 8) & PM1_EVENTS); break; /* write 1 to clear */
    case ACPI_PM1_EVENT + 2: a->enable = merge(a->enable, byte, lane) & PM1_ENABLES; break;
    case ACPI_PM1_CONTROL: a->control = (merge(a->control, byte, lane) & CONTROL_WRITABLE) | CONTROL_SCI_EN; break;
    default: break; /* the timer is read-only */
    }
}

void acpi_write(struct acpi *a, unsigned offset, u32 value, unsigned size, const struct device_env *e)
{
    sync(a, e->now);
    bool sleep = false;
    for (unsigned i = 0; i < size; i++) {
        u8 byte = (u8)(value >> i * 8);
        write_byte(a, offset + i, byte);
        sleep |= offset + i == ACPI_PM1_CONTROL + 1 && (byte & CONTROL_SLP_EN >> 8);
    }
    drive_sci(a, e);
    if (sleep && CONTROL_SLEEP_TYPE(a->control) == ACPI_SLEEP_TYPE_S5)
        device_request(e, REQUEST_POWER_OFF, 0);
}

u8 acpi_reset_read(const struct acpi *a) { return a->reset_control; }

void acpi_reset_write(struct acpi *a, u8 value, const struct device_env *e)
{
    bool fires = value & ~a->reset_control & RESET_CPU;
    a->reset_control = value & (RESET_HARD | RESET_CPU);
    if (fires)
        device_request(e, REQUEST_RESET, 0);
}

u64 acpi_deadline(const struct acpi *a)
{
    if (!(a->enable & PM1_TIMER) || (a->status & PM1_TIMER))
        return CLOCK_NEVER;
    return clock_tick_time((a->toggles + 1) * TOGGLE_TICKS, ACPI_PM_TIMER_HZ);
}

void acpi_tick(struct acpi *a, const struct device_env *e)
{
    sync(a, e->now);
    drive_sci(a, e);
}
