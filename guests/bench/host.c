#include "guests/bench/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BENCH_NAME(name, summary) #name,
static const char *const names[] = {BENCH_KERNELS(BENCH_NAME)};

size_t blob_load(const char *path)
{
    void *wanted = (void *)(uintptr_t)BLOB_BASE;
    void *memory = mmap(wanted, BLOB_END - BLOB_BASE, PROT_READ | PROT_WRITE | PROT_EXEC,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (memory != wanted) {
        fprintf(stderr, "the host has no room at %#x\n", BLOB_BASE);
        exit(1);
    }
    FILE *file = fopen(path, "rb");
    size_t size = file ? fread(memory, 1, BLOB_DATA - BLOB_BASE, file) : 0;
    if (!size) {
        fprintf(stderr, "%s: cannot be read\n", path);
        exit(1);
    }
    fclose(file);
    return size;
}

static int wanted(int argc, char **argv, const char *name)
{
    for (int i = 3; i < argc; i++)
        if (!strcmp(argv[i], name))
            return 1;
    return argc <= 3;
}

int bench_main(int argc, char **argv, blob_call call)
{
    uint32_t iterations = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
    if (!iterations) {
        fprintf(stderr, "usage: %s BLOB ITERATIONS [KERNEL...]\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (uint32_t kernel = 0; kernel < BENCH_COUNT; kernel++) {
        if (!wanted(argc, argv, names[kernel]))
            continue;
        call(kernel, 0);
        printf("bench: begin %s\n", names[kernel]);
        uint32_t sum = call(kernel, iterations);
        printf("bench: end %s %#x 0x0\n", names[kernel], sum);
    }
    return fflush(stdout) ? 1 : 0;
}
