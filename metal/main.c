/* Entry of the bare-metal image. For now it proves that the portable core runs without an operating system: it prints its
 * banner, runs the self-test that the simulator runs too, and powers off. */
#include "core/selftest.h"
#include "core/version.h"
#include "metal/memory.h"
#include "metal/power.h"
#include "metal/serial.h"
#include "metal/traps.h"

/* Multiboot 1 specification 3.3: the fields used here. */
#define MULTIBOOT_LOADED 0x2badb002u
enum { MULTIBOOT_FLAG_MEMORY = 1 };
struct multiboot_info {
    u32 flags, mem_lower, mem_upper; /* KiB below 640 KiB; KiB above 1 MiB */
};

static void print_hash(const char *what, u64 hash)
{
    serial_print(what);
    serial_print_hex(hash);
    serial_print("\n");
}

void metal_main(u32 magic, const struct multiboot_info *info);
void metal_main(u32 magic, const struct multiboot_info *info)
{
    serial_init();
    serial_print("\nReprise " REPRISE_VERSION " on bare metal\n");
    traps_init();
    if (magic != MULTIBOOT_LOADED || !(info->flags & MULTIBOOT_FLAG_MEMORY)) {
        serial_print("reprise: not started by a Multiboot 1 loader that reports memory; boot with GRUB or qemu -kernel\n");
        power_off();
    }
    memory_init((1ull << 20) + ((u64)info->mem_upper << 10));
    serial_print("memory: ");
    serial_print_decimal(memory_free_bytes() >> 20);
    serial_print(" MiB free\n");
    struct selftest_result result = selftest_run();
    serial_print(result.passed ? "self-test: passed\n" : "self-test: FAILED: ");
    if (!result.passed) {
        serial_print(result.failure);
        serial_print("\n");
    }
    print_hash("self-test state hash: ", result.hash);
    power_off();
}
