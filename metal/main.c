/* Entry of the bare-metal image: takes the machine over. */
#include "core/selftest.h"
#include "core/version.h"
#include "metal/firmware.h"
#include "metal/areas.h"
#include "metal/clock.h"
#include "metal/console.h"
#include "metal/frames.h"
#include "metal/paging.h"
#include "metal/power.h"
#include "metal/print.h"
#include "metal/provoke.h"
#include "metal/schedule.h"
#include "metal/screen.h"
#include "metal/serial.h"
#include "metal/timer.h"
#include "metal/traps.h"

static struct boot_info boot;
static struct guest guests[GUESTS_MAX];

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

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && text_equal(text + n - m, end);
}

/* A guest for each module that is a configuration. Those that cannot be started do not keep the others from running. */
static unsigned make_guests(void)
{
    unsigned count = 0;
    for (unsigned n = 0; n < boot.file_count; n++) {
        if (!ends_with(boot.file[n].name, ".vmx"))
            continue;
        if (count == GUESTS_MAX) {
            print("reprise: more than 8 configurations; the last ones are not used\n");
            break;
        }
        if (guest_configure(&guests[count], count + 1, &boot, &boot.file[n]))
            count++;
    }
    return count;
}

static void run_guests(unsigned count)
{
    console_init(guests, count);
    for (unsigned n = 0; n < count; n++)
        guest_start(&guests[n]);
    schedule_run(guests, count);
    print("all guests have ended\n");
}

void metal_main(u32 magic, u64 info);
void metal_main(u32 magic, u64 info)
{
    serial_open(SERIAL_COM1);
    traps_init();
    screen_find();
    if (!boot_info_read(magic, info, &boot)) {
        print("reprise: not started by a Multiboot loader that reports memory; boot with GRUB or qemu -kernel\n");
        power_off();
    }
    firmware_init(&boot);
    frames_init(&boot);
    paging_init(&boot);
    traps_guard_stacks();
    screen_open();
    print("\nReprise " REPRISE_VERSION " on bare metal\n");
    areas_init();
    clock_init();
    report(timer_start());
    provoke(boot.command_line);
    unsigned count = make_guests();
    if (count)
        run_guests(count);
    else if (!boot.file_count)
        self_test();
    else
        print("reprise: none of the modules is a configuration (NAME.vmx) that can be used\n");
    power_off();
}
