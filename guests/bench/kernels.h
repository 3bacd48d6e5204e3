/* The benchmark kernels: a blob of code that every engine runs at the same address, byte for byte.
 *
 * One blob per width (kernels32.bin, kernels64.bin) is linked at BLOB_BASE. The guest image, the native program and the
 * Unicorn program each copy it there, map everything up to BLOB_END, and call its first byte as
 * `u32 entry(u32 kernel, u32 iterations)`: zero iterations prepare the kernel's data, any other number runs it and
 * returns a checksum. All arithmetic is of fixed width, so that both widths return the same. Nothing relies on memory
 * being zero. One iteration is about a million instructions (movs: four million). */
#ifndef GUESTS_BENCH_KERNELS_H
#define GUESTS_BENCH_KERNELS_H

#define BLOB_BASE 0x02000000u
#define BLOB_DATA 0x02100000u /* what is not loaded: the kernels' data */
#define BLOB_END 0x03800000u

/* name, what it stands for */
#define BENCH_KERNELS(K)                                              \
    K(hash, "multiply, rotate, exclusive or in registers")            \
    K(lz, "LZ match finder with a hash table over 64 KiB")            \
    K(list, "walk of a shuffled linked list")                         \
    K(copy8, "copy loop, a byte at a time")                           \
    K(copy32, "copy loop, a doubleword at a time")                    \
    K(movs, "REP MOVS of 4 KiB blocks")                               \
    K(bytecode, "bytecode interpreter: a switch in a loop")           \
    K(fib, "recursive Fibonacci numbers: calls and returns")          \
    K(sort, "quicksort of 8,192 numbers")                            \
    K(rmw, "read-modify-write at random over 16 MiB")                 \
    K(virtual, "calls through tables of function pointers")           \
    K(sse1, "SSE2, scalar double precision")                          \
    K(sse4, "SSE2, packed integers and floats")                       \
    K(x87, "x87, extended precision")

#define BENCH_ENUM(name, summary) BENCH_##name,
enum bench_kernel { BENCH_KERNELS(BENCH_ENUM) BENCH_COUNT };

#endif
