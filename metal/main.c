/* Entry of the bare-metal image: takes the machine over. */
#include "core/selftest.h"
#include "core/version.h"
#include "metal/firmware.h"
#include "metal/areas.h"
#include "metal/clock.h"
#include "metal/frames.h"
#include "metal/paging.h"
#include "metal/power.h"
#include "metal/print.h"
#include "metal/serial.h"
#include "metal/timer.h"
#include "metal/traps.h"

static struct boot_info boot;

static void report(const char *timer)
{
    print("memory: ");
    print_decimal(frames_left() >> (20 - PAGE_SHIFT));
    print(" MiB free\nclock: ");
    print_decimal(clock_tsc_hz() / 1000000);
    print(" MHz by ");
    print(clock_source());
    print(", interrupts by the ");
    print(timer);
    print("\n");
    if (boot.trouble) {
        print("reprise: ");
        print(boot.trouble);
        print("\n");
    }
}

/* Without guests: what the simulator runs as `reprise selftest`. */
static void self_test(void)
{
    struct selftest_result result = selftest_run();
    print(result.passed ? "self-test: passed\n" : "self-test: FAILED: ");
    if (!result.passed) {
        print(result.failure);
        print("\n");
    }
    print("self-test state hash: ");
    print_hex(result.hash);
    print("\n");
}

void metal_main(u32 magic, u64 info);
void metal_main(u32 magic, u64 info)
{
    serial_open(SERIAL_COM1);
    print("\nReprise " REPRISE_VERSION " on bare metal\n");
    traps_init();
    if (!boot_info_read(magic, info, &boot)) {
        print("reprise: not started by a Multiboot loader that reports memory; boot with GRUB or qemu -kernel\n");
        power_off();
    }
    firmware_init(&boot);
    frames_init(&boot);
    paging_init(&boot);
    traps_guard_stacks();
    areas_init();
    clock_init();
    report(timer_start());
    self_test();
    power_off();
}
