/* The benchmark kernels on the processor itself, by 64-bit code: `bench-native64 BLOB ITERATIONS [KERNEL...]`.
 *
 * It takes the 64-bit blob and the x32 one, whose pointers have 32 bits: the stack has to stand below 4 GiB, and that
 * of a thread may stand where its maker likes. */
#include "guests/bench/host.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>

enum { STACK = 1 << 20 };

struct arguments { int count, code; char **texts; };

static uint32_t call(uint32_t kernel, uint32_t iterations)
{
    return ((blob_call)(uintptr_t)BLOB_BASE)(kernel, iterations);
}

static void *run(void *opaque)
{
    struct arguments *a = opaque;
    a->code = bench_main(a->count, a->texts, call);
    return NULL;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.count = argc, .code = 1, .texts = argv};
    void *stack = mmap((void *)(uintptr_t)(BLOB_BASE - STACK), STACK, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    pthread_attr_t attributes;
    pthread_t thread;
    if (argc > 1)
        blob_load(argv[1]);
    if (stack == MAP_FAILED || pthread_attr_init(&attributes) || pthread_attr_setstack(&attributes, stack, STACK) ||
        pthread_create(&thread, &attributes, run, &arguments) || pthread_join(thread, NULL))
        perror(argv[0]);
    return arguments.code;
}
