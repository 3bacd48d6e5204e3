/* The kernel of the x87 unit, in extended precision. */
#include "guests/bench/blob.h"

void prepare_x87(void) {}

u32 run_x87(u32 iterations)
{
    long double x = 0.5L, y = 0.25L, sum = 0;
    for (u32 i = 0; i < iterations * 50000; i++) {
        long double next = 1 - 1.4L * x * x + y;
        y = 0.3L * x;
        x = next;
        sum += x / (1.5L + y);
    }
    u64 bits;
    double rounded = (double)(sum + x);
    __builtin_memcpy(&bits, &rounded, 8);
    return (u32)bits ^ (u32)(bits >> 32);
}
