/* Multiplication and division through 128 bits. A header of its own, for it is all that the clock needs of assembly: the proofs
 * put a specification in its place (proofs/stubs/). */
#ifndef REPRISE_CORE_SCALE_H
#define REPRISE_CORE_SCALE_H

#include "core/types.h"

/* (a * b + round) / c without overflow on the way; UINT64_MAX where the result does not fit. One MUL and one DIV: the
 * metal build has no library for 128-bit division. */
static inline u64 clock_scale(u64 a, u64 b, u64 round, u64 c)
{
    u128 product = (u128)a * b + round;
    u64 low = (u64)product, high = (u64)(product >> 64);
    if (high >= c)
        return UINT64_MAX;
    __asm__("divq %2" : "+a"(low), "+d"(high) : "r"(c) : "cc");
    return low;
}

#endif
