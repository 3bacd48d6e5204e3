/* Kernels of SSE2: scalar and packed. Every operation is one that IEEE 754 defines to the last bit. */
#include "guests/bench/blob.h"

#include <emmintrin.h>

static u32 fold(double value)
{
    u64 bits;
    __builtin_memcpy(&bits, &value, 8);
    return (u32)bits ^ (u32)(bits >> 32);
}

void prepare_sse1(void) {}

/* The orbit of a point that never settles. */
u32 run_sse1(u32 iterations)
{
    double x = 0.5, y = 0.25, sum = 0;
    for (u32 i = 0; i < iterations * 60000; i++) {
        double next = 1.0 - 1.4 * x * x + y;
        y = 0.3 * x;
        x = next;
        sum += x / (1.5 + y);
    }
    return fold(sum) ^ fold(x);
}

enum { VECTORS = 256 };
static __m128i integers[VECTORS];
static __m128 floats[VECTORS];

void prepare_sse4(void)
{
    u32 random = 17;
    for (u32 i = 0; i < VECTORS; i++) {
        u32 a = next_random(&random), b = next_random(&random);
        integers[i] = _mm_set_epi32((int)a, (int)b, (int)(a ^ b), (int)(a + b));
        floats[i] = _mm_set_ps((float)(a & 255), (float)(b & 255), (float)(a >> 24), 1.0f);
    }
}

u32 run_sse4(u32 iterations)
{
    __m128i sum = _mm_setzero_si128();
    __m128 product = _mm_set1_ps(1.0f);
    const __m128 half = _mm_set1_ps(0.5f), scale = _mm_set1_ps(0.00390625f);
    for (u32 i = 0; i < iterations * 256; i++) {
        for (u32 k = 0; k < VECTORS; k++) {
            __m128i v = _mm_xor_si128(integers[k], sum);
            sum = _mm_add_epi32(_mm_shuffle_epi32(v, 0x39), _mm_srli_epi32(v, 3));
            sum = _mm_unpacklo_epi16(sum, _mm_cmpgt_epi16(v, sum));
            product = _mm_add_ps(_mm_mul_ps(_mm_mul_ps(floats[k], scale), product), half);
            product = _mm_min_ps(product, floats[k]);
        }
    }
    sum = _mm_add_epi32(sum, _mm_castps_si128(product));
    sum = _mm_xor_si128(sum, _mm_shuffle_epi32(sum, 0x4e));
    return (u32)_mm_cvtsi128_si32(sum) ^ (u32)_mm_cvtsi128_si32(_mm_shuffle_epi32(sum, 1));
}
