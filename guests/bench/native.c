/* The benchmark kernels on the processor itself: `bench-native32|64 BLOB ITERATIONS [KERNEL...]`. */
#include "guests/bench/host.h"

static uint32_t call(uint32_t kernel, uint32_t iterations)
{
    return ((blob_call)(uintptr_t)BLOB_BASE)(kernel, iterations);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        blob_load(argv[1]);
    return bench_main(argc, argv, call);
}
