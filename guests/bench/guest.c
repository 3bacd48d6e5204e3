/* The guest of the benchmarks: runs the kernels that the Multiboot command line names ("fib sort n=50"; none: all of
 * them), and prints two lines a kernel, around its work:
 *
 *     bench: begin fib
 *     bench: end fib <checksum> <ticks of the time stamp counter, which in Reprise are instructions>
 *
 * "touch=M" writes to a byte of every page of M MiB before that, to see what memory costs the host. */
#include "guests/bench/command.h"
#include "guests/bench/kernels.h"

const char *const suite_name = "bench";

enum { BLOB_SIZE_MAX = BLOB_DATA - BLOB_BASE, MIB = 1 << 20, PAGE = 4096 };

extern const u8 blob_start[], blob_end[];
__asm__(".pushsection .rodata\n.global blob_start, blob_end\n"
        "blob_start:\n.incbin \"" BLOB_FILE "\"\nblob_end:\n.popsection");

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

static void measure(u32 kernel, u32 iterations)
{
    entry(kernel, 0);
    bench_begin(names[kernel]);
    u64 start = rdtsc();
    u32 sum = entry(kernel, iterations);
    u64 ticks = rdtsc() - start;
    bench_end(names[kernel], sum, ticks);
}

static void touch(u32 mebibytes)
{
    for (u32 at = BLOB_END; at < BLOB_END + mebibytes * MIB; at += PAGE)
        *(volatile u8 *)(word)at = 1;
}

int main(void)
{
    u32 iterations = command_number("n=", 1);
    units_start();
    touch(command_number("touch=", 0));
    memcpy((void *)(word)BLOB_BASE, blob_start, blob_end - blob_start);
    for (u32 kernel = 0; iterations && kernel < BENCH_COUNT; kernel++) {
        if (command_wants(names[kernel], names, BENCH_COUNT))
            measure(kernel, iterations);
    }
    return 0;
}
