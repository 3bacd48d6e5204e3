/* Stands for core/scale.h, which Frama-C cannot read: any result at all, whatever the arguments. core/clock_test.c
 * tests the original. */
#ifndef REPRISE_CORE_SCALE_H
#define REPRISE_CORE_SCALE_H

#include "core/types.h"

/*@ requires divisor: c > 0;
    assigns \result \from a, b, round, c; */
u64 clock_scale(u64 a, u64 b, u64 round, u64 c);

#endif
