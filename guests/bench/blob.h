/* What the kernels of the blob share. */
#ifndef GUESTS_BENCH_BLOB_H
#define GUESTS_BENCH_BLOB_H

#include "guests/bench/kernels.h"

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

/* Each kernel: prepare_<name>() and run_<name>(iterations). */
#define BENCH_DECLARE(name, summary) void prepare_##name(void); u32 run_##name(u32 iterations);
BENCH_KERNELS(BENCH_DECLARE)

/* Numbers that look random: a 32-bit xorshift. */
static inline u32 next_random(u32 *state)
{
    u32 x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

static inline u32 mix(u32 sum, u32 value) { return (sum << 5 | sum >> 27) * 0x9e3779b1u + value; }

#endif
