/* The guest of the benchmarks: runs the kernels that the Multiboot command line names ("fib sort n=50"; none: all of them),
 * and prints two lines a kernel, around its work:
 *
 *     bench: begin fib
 *     bench: end fib <checksum> <ticks of the time stamp counter, which in Reprise are instructions>
 *
 * "touch=M" writes to a byte of every page of M MiB instead, to see what memory costs the host.
 * Where no command line can be given, ci/bench writes the iterations behind the marker in the image. */
#include "guests/bench/kernels.h"
#include "guests/lib/guest.h"

const char *const suite_name = "bench";

enum { BLOB_SIZE_MAX = BLOB_DATA - BLOB_BASE, MIB = 1 << 20, PAGE = 4096 };

static volatile struct { char marker[16]; u32 iterations; } defaults = {"iterations here", 1};

extern const u8 blob_start[], blob_end[];
__asm__(".pushsection .rodata\n.global blob_start, blob_end\nblob_start:\n.incbin \"" BLOB_FILE "\"\nblob_end:\n.popsection");

#define BENCH_NAME(name, summary) #name,
static const char *const names[] = {BENCH_KERNELS(BENCH_NAME)};

static u32 entry(u32 kernel, u32 iterations) { return ((u32 (*)(u32, u32))(word)BLOB_BASE)(kernel, iterations); }

/* SSE on, and both units in their state after FINIT and reset: SDM vol. 1, 8.1.5 and 10.2.3. */
static void units_start(void)
{
    u32 mxcsr = 0x1f80;
    write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT);
    __asm__ volatile("fninit\n\tldmxcsr %0" : : "m"(mxcsr));
}

static void line(const char *what, const char *name)
{
    print("bench: ");
    print(what);
    print(" ");
    print(name);
}

static void measure(u32 kernel, u32 iterations)
{
    entry(kernel, 0);
    line("begin", names[kernel]);
    print("\n");
    u64 start = rdtsc();
    u32 sum = entry(kernel, iterations);
    u64 ticks = rdtsc() - start;
    line("end", names[kernel]);
    print(" ");
    print_hex(sum);
    print(" ");
    print_hex(ticks);
    print("\n");
}

/* Whether the text at `at` starts with `prefix`. */
static bool starts(const char *at, const char *prefix)
{
    while (*prefix && *at == *prefix)
        at++, prefix++;
    return !*prefix;
}

/* The number after "key=" in the command line, or `otherwise`. */
static u32 number(const char *at, const char *key, u32 otherwise)
{
    for (; *at; at++) {
        if (!starts(at, key))
            continue;
        while (*at != '=')
            at++;
        u32 value = 0;
        while (*++at >= '0' && *at <= '9')
            value = value * 10 + (*at - '0');
        return value;
    }
    return otherwise;
}

static bool named(const char *at, const char *name)
{
    u32 size = 0;
    while (name[size])
        size++;
    for (bool word_start = true; *at; word_start = *at++ == ' ') {
        if (word_start && starts(at, name) && (!at[size] || at[size] == ' '))
            return true;
    }
    return false;
}

/* Flag 2 of the information says that the command line's address, at 16, is valid: Multiboot 3.3. */
static const char *command_line(void)
{
    const u32 *info = (const u32 *)(word)boot_info;
    return info[0] & 4 ? (const char *)(word)info[4] : "";
}

static void touch(u32 mebibytes)
{
    for (u32 at = BLOB_END; at < BLOB_END + mebibytes * MIB; at += PAGE)
        *(volatile u8 *)(word)at = 1;
}

int main(void)
{
    const char *text = command_line();
    u32 iterations = number(text, "n=", defaults.iterations);
    bool any = false;
    units_start();
    touch(number(text, "touch=", 0));
    memcpy((void *)(word)BLOB_BASE, blob_start, blob_end - blob_start);
    for (u32 kernel = 0; kernel < BENCH_COUNT; kernel++)
        any |= named(text, names[kernel]);
    for (u32 kernel = 0; iterations && kernel < BENCH_COUNT; kernel++) {
        if (!any || named(text, names[kernel]))
            measure(kernel, iterations);
    }
    return 0;
}
