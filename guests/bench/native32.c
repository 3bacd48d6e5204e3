/* The 32-bit benchmark kernels on the processor itself: `bench-native32 BLOB ITERATIONS [KERNEL...]`.
 *
 * A 64-bit program, for kernels that start no 32-bit ones: it runs the blob by a far jump into a 32-bit code segment,
 * the kernel's own one for 32-bit programs, or one that modify_ldt() makes. Exit code NATIVE32_NONE: the kernel has
 * neither. */
#include "guests/bench/host.h"

#include <asm/ldt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    NATIVE32_NONE = 77,
    USER32_CS = 0x23, /* Linux' arch/x86/include/asm/segment.h */
    LDT_FIRST = 7,    /* entry 0 of the local table, privilege level 3 */
    STACK = 0x10000,
    STACK_TOP = BLOB_BASE - 256, /* where the Unicorn program has it: the same alignment for the kernels */
};

extern uint32_t enter32(uint32_t kernel, uint32_t iterations, uint32_t selector, uint32_t stack, uint32_t entry);
static uint32_t selector;

/* LAR tells whether the processor has a present 32-bit code segment there, and cannot fault: SDM vol. 2, LAR. */
static int is_code32(uint32_t candidate)
{
    uint32_t rights = 0;
    unsigned char valid;
    __asm__ volatile("lar %2,%0\n\tsetz %1" : "+r"(rights), "=q"(valid) : "r"(candidate));
    enum { ACCESSED = 0x100, KIND = 0xfa00, KIND_BITS = 0xfa00, LONG = 1 << 21, BIG = 1 << 22, PAGES = 1 << 23 };
    rights &= ~(uint32_t)ACCESSED;
    return valid && (rights & (KIND_BITS | LONG | BIG | PAGES)) == (KIND | BIG | PAGES);
}

static uint32_t find_selector(void)
{
    if (is_code32(USER32_CS))
        return USER32_CS;
    struct user_desc flat = {.limit = 0xfffff, .seg_32bit = 1, .contents = 2, .limit_in_pages = 1};
    if (!syscall(SYS_modify_ldt, 1, &flat, sizeof flat) && is_code32(LDT_FIRST))
        return LDT_FIRST;
    return 0;
}

static uint32_t call(uint32_t kernel, uint32_t iterations)
{
    return enter32(kernel, iterations, selector, STACK_TOP, BLOB_BASE);
}

int main(int argc, char **argv)
{
    selector = find_selector();
    if (!selector) {
        fprintf(stderr, "%s: not measured: the kernel has no 32-bit code segment, neither %#x nor by modify_ldt\n",
                argv[0], USER32_CS);
        return NATIVE32_NONE;
    }
    void *stack = (void *)(uintptr_t)(BLOB_BASE - STACK);
    if (mmap(stack, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != stack) {
        fprintf(stderr, "%s: no room for a stack at %p\n", argv[0], stack);
        return 1;
    }
    if (argc > 1)
        blob_load(argv[1]);
    return bench_main(argc, argv, call);
}
