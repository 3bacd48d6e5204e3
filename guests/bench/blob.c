#include "guests/bench/blob.h"

#define BENCH_ROW(name, summary) {prepare_##name, run_##name},
static const struct { void (*prepare)(void); u32 (*run)(u32 iterations); } kernels[] = {BENCH_KERNELS(BENCH_ROW)};

/* The linker script puts it first. */
__attribute__((section(".entry"))) u32 entry(u32 kernel, u32 iterations)
{
    if (kernel >= BENCH_COUNT)
        return 0;
    if (iterations)
        return kernels[kernel].run(iterations);
    kernels[kernel].prepare();
    return 0;
}
