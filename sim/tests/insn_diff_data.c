/* Operands: random ones, and those at which instructions change their minds. */
#include "sim/tests/insn_diff.h"

#include "sbe/fpu_thunk.h"

#include <string.h>

u64 random_operand(struct random *r)
{
    static const u64 edges[] = {
        0, 1, 2, 0x0f, 0x10, 0x1f, 0x20, 0x3f, 0x40, 0x7f, 0x80, 0x81, 0xff, 0x100, 0x7fff, 0x8000, 0x8001, 0xffff,
        0x10000,
        0x7fffffff, 0x80000000, 0x80000001, 0xffffffff, 0x100000000, 0x7fffffffffffffff, 0x8000000000000000,
        0x8000000000000001, 0xffffffffffffffff, 0xfffffffffffffffe, 0xffffffffffffff80, 0xffffffffffff8000,
        0xffffffff80000000, 0x9999999999999999, 0x0909090909090909, 0xaaaaaaaaaaaaaaaa, 0x5555555555555555};
    u64 x = random_next(r);
    switch (random_below(r, 8)) {
    case 0: case 1: case 2: return edges[random_below(r, ARRAY_LEN(edges))];
    case 3: return x & 0xff;
    case 4: return 1ull << (x & 63);
    case 5: return (u64)((s64)x >> (x & 63));
    default: return x;
    }
}

static u64 random_double(struct random *r)
{
    static const u64 edges[] = {
        0, 0x3ff0000000000000, 0x3fe0000000000000, 0x4000000000000000, 0x7ff0000000000000, 0x7ff8000000000000,
        0x7ff0000000000001, 0x7ff8000000001234, 0x0000000000000001, 0x000fffffffffffff, 0x0010000000000000,
        0x7fefffffffffffff, 0x41dfffffffc00000, 0x41e0000000000000, 0x43e0000000000000, 0x47efffffe0000000,
        0x36a0000000000000, 0x3ff0000000000001, 0x40c81c8000000000};
    u64 x = random_next(r);
    if (x & 3)
        return (x & 0x800fffffffffffff) | (u64)(1023 - 32 + random_below(r, 64)) << 52;
    return edges[random_below(r, ARRAY_LEN(edges))] | (x & 0x8000000000000000);
}

static u32 random_single(struct random *r)
{
    static const u32 edges[] = {0, 0x3f800000, 0x3f000000, 0x40000000, 0x7f800000, 0x7fc00000, 0x7f800001, 0x7fc01234,
                                1, 0x007fffff, 0x00800000, 0x7f7fffff, 0x4effffff, 0x4f000000, 0x5f000000, 0x3f800001};
    u64 x = random_next(r);
    if (x & 3)
        return ((u32)x & 0x807fffff) | (127 - 24 + random_below(r, 48)) << 23;
    return edges[random_below(r, ARRAY_LEN(edges))] | ((u32)x & 0x80000000);
}

/* 80-bit: 64 bits of significand, then sign and exponent. Pseudo-denormals, unnormals and pseudo-infinities too. */
static void random_extended(struct random *r, u8 *to)
{
    static const u16 exponents[] = {0, 1, 0x3fff, 0x4000, 0x3ffe, 0x7fff, 0x7ffe, 0x401e, 0x403e, 0x400e, 0x4043};
    u64 significand = random_next(r) | 1ull << 63;
    u16 exponent = (u16)(0x3fff - 32 + random_below(r, 64));
    if (one_in(r, 3)) {
        static const u64 edges[] = {1ull << 63, 0, ~0ull, 3ull << 62, 1, 1ull << 62, 0x8000000000000001};
        significand = edges[random_below(r, ARRAY_LEN(edges))];
    }
    if (one_in(r, 3))
        exponent = exponents[random_below(r, ARRAY_LEN(exponents))];
    exponent |= (u16)(random_next(r) & 0x8000);
    memcpy(to, &significand, 8);
    memcpy(to + 8, &exponent, 2);
}

void random_data(struct random *r, u8 *to, unsigned bytes)
{
    u8 chunk[16];
    unsigned kind = random_below(r, 5);
    for (unsigned at = 0; at < bytes; at += 16) {
        for (unsigned n = 0; n < 16; n += 8) {
            u64 word = kind == 0 ? random_double(r)
                     : kind == 1 ? random_single(r) | (u64)random_single(r) << 32
                     : kind == 2 ? random_next(r) : random_operand(r);
            memcpy(chunk + n, &word, 8);
        }
        if (kind == 4)
            random_extended(r, chunk);
        memcpy(to + at, chunk, bytes - at < 16 ? bytes - at : 16);
    }
}

static void random_x87(struct random *r, u8 *image)
{
    u16 fcw = one_in(r, 2) ? FCW_DEFAULT : (u16)(0x7f | (random_next(r) & 0x0f00));
    if (one_in(r, 8))
        fcw = (u16)((fcw & ~0x3f) | (random_next(r) & 0x3f));
    u16 fsw = (u16)(random_next(r) & 0x7f00); /* condition codes and TOP */
    if (one_in(r, 8))
        fsw |= (u16)(random_next(r) & 0x7f);
    fcw |= 0x40; /* reads as one */
    if (fsw & ~fcw & 0x3f)
        fsw |= 0x8080; /* ES, B: SDM vol. 1, 8.1.3 */
    image_set_16(image, FXSAVE_FCW, fcw);
    image_set_16(image, FXSAVE_FSW, fsw);
    image[FXSAVE_FTW] = (u8)(one_in(r, 2) ? 0xff : random_next(r) | random_next(r));
    for (unsigned n = 0; n < 8; n++)
        random_extended(r, image + FXSAVE_ST + 16 * n);
}

void random_unit(struct random *r, const struct isa_row *row, u8 fxsave[FXSAVE_IMAGE])
{
    memset(fxsave, 0, FXSAVE_IMAGE);
    random_x87(r, fxsave);
    if (row->attributes & A_MMX)
        for (unsigned n = 0; n < 8; n++)
            random_data(r, fxsave + FXSAVE_ST + 16 * n, 8);
    u32 mxcsr = MXCSR_DEFAULT;
    if (one_in(r, 3))
        mxcsr |= (u32)random_next(r) & 0xe07f; /* FZ, RC, DAZ, flags */
    if (one_in(r, 8))
        mxcsr &= (u32)random_next(r) | ~0x1f80u;
    image_set_32(fxsave, FXSAVE_MXCSR, mxcsr);
    image_set_32(fxsave, FXSAVE_MXCSR_MASK, MXCSR_MODEL_MASK);
    random_data(r, fxsave + FXSAVE_XMM, 256);
    for (unsigned n = 0; n < 16; n++)
        random_data(r, fxsave + FXSAVE_XMM + 16 * n, 16);
}
