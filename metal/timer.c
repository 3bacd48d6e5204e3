/* Local APIC: SDM vol. 3, 11.4 and 11.5.4. 8259: its data sheet; it is masked, and out of the way of exceptions. */
#include "metal/timer.h"

#include "metal/clock.h"
#include "metal/crash.h"
#include "metal/paging.h"
#include "metal/port.h"
#include "metal/processor.h"
#include "metal/serial.h"
#include "metal/traps.h"

enum {
    MSR_APIC_BASE = 0x1b,
    APIC_GLOBAL_ENABLE = 1 << 11,
    APIC_X2 = 1 << 10,
    APIC_BYTES = 0x400,
    APIC_TPR = 0x80,
    APIC_EOI = 0xb0,
    APIC_SPURIOUS = 0xf0,
    APIC_LVT_TIMER = 0x320,
    APIC_LVT_LINT0 = 0x350,
    APIC_INITIAL = 0x380,
    APIC_CURRENT = 0x390,
    APIC_DIVIDE = 0x3e0,
    SPURIOUS_ENABLE = 0x100,
    LVT_MASKED = 1 << 16,
    LVT_PERIODIC = 1 << 17,
    DIVIDE_BY_16 = 3,
    PIC_1 = 0x20,
    PIC_2 = 0xa0,
    PIC_BASE = 0x20,
    PIC_EOI = 0x20,
    PIT_HZ = 1193182,
    PIT_COUNTER_0 = 0x40,
    PIT_MODE = 0x43,
    PIT_MODE_0_PERIODIC = 0x34, /* counter 0, both bytes, mode 2 */
    CALIBRATION_NS = 10000000,
};

static struct {
    volatile u32 *apic; /* NULL: the 8254 ticks */
    volatile u64 ticks;
    u64 alive_until; /* in ticks; 0: nobody watches */
} timer;

static void apic_write(unsigned at, u32 value) { timer.apic[at / 4] = value; }
static u32 apic_read(unsigned at) { return timer.apic[at / 4]; }

static void handle(const struct trap_frame *frame)
{
    timer.ticks++;
    serial_collect();
    if (timer.alive_until && timer.ticks > timer.alive_until)
        crash_stuck(frame);
    if (timer.apic)
        apic_write(APIC_EOI, 0);
    else
        port_out8(PIC_1, PIC_EOI);
}

/* Moves the 8259s' interrupts to vectors from PIC_BASE on, and lets through what is not in `mask`. */
static void pic_init(u8 mask)
{
    static const struct {
        u16 port;
        u8 value;
    } steps[] = {{PIC_1, 0x11}, {PIC_2, 0x11}, {PIC_1 + 1, PIC_BASE}, {PIC_2 + 1, PIC_BASE + 8},
                 {PIC_1 + 1, 4}, {PIC_2 + 1, 2}, {PIC_1 + 1, 1}, {PIC_2 + 1, 1}, {PIC_2 + 1, 0xff}};
    for (unsigned n = 0; n < ARRAY_LEN(steps); n++)
        port_out8(steps[n].port, steps[n].value);
    port_out8(PIC_1 + 1, mask);
}

static bool apic_start(void)
{
    u64 base = processor_has(HAS_APIC) ? read_msr(MSR_APIC_BASE) : 0;
    if (!base || (base & APIC_X2))
        return false;
    write_msr(MSR_APIC_BASE, base | APIC_GLOBAL_ENABLE);
    timer.apic = paging_device(base & PTE_FRAME, APIC_BYTES);
    if (!timer.apic)
        return false;
    apic_write(APIC_SPURIOUS, SPURIOUS_ENABLE | TRAP_SPURIOUS);
    apic_write(APIC_TPR, 0);
    apic_write(APIC_LVT_LINT0, LVT_MASKED);
    apic_write(APIC_LVT_TIMER, LVT_MASKED);
    apic_write(APIC_DIVIDE, DIVIDE_BY_16);
    apic_write(APIC_INITIAL, UINT32_MAX);
    clock_wait_ns(CALIBRATION_NS);
    u64 passed = UINT32_MAX - apic_read(APIC_CURRENT);
    u64 count = passed * (1000000000 / TIMER_HZ) / CALIBRATION_NS;
    if (!count) {
        timer.apic = NULL;
        return false;
    }
    apic_write(APIC_LVT_TIMER, LVT_PERIODIC | TRAP_TIMER);
    apic_write(APIC_INITIAL, (u32)count);
    return true;
}

static void pit_start(void)
{
    u32 count = PIT_HZ / TIMER_HZ;
    port_out8(PIT_MODE, PIT_MODE_0_PERIODIC);
    port_out8(PIT_COUNTER_0, (u8)count);
    port_out8(PIT_COUNTER_0, (u8)(count >> 8));
    pic_init(0xfe);
}

const char *timer_start(void)
{
    traps_on_timer(handle);
    pic_init(0xff);
    bool apic = apic_start();
    if (!apic)
        pit_start();
    interrupts_on();
    return apic ? "local APIC" : "8254";
}

u64 timer_ticks(void) { return timer.ticks; }

void timer_alive(unsigned seconds) { timer.alive_until = timer.ticks + (u64)seconds * TIMER_HZ; }
