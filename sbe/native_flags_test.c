/* sbe/native_flags.h against the SDM's definitions of the defined flags, computed here in plain arithmetic. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/types.h"
#include "sbe/native_flags.h"

static const u64 corners[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
                              0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff, 0x123456789abcdef0};

static u32 parity(u64 result) { return __builtin_popcountll(result & 0xff) % 2 ? 0 : FLAG_PF; }

/* SF, ZF and PF of a result of `bits` bits. */
static u32 result_flags(u64 result, unsigned bits)
{
    u64 mask = bits == 64 ? UINT64_MAX : ((u64)1 << bits) - 1;
    return parity(result) | ((result & mask) == 0 ? FLAG_ZF : 0) | (result >> (bits - 1) & 1 ? FLAG_SF : 0);
}

/* All flags of a + b + carry, by the sign and carry rules of SDM vol. 1, 3.4.3.1. */
static u32 add_flags(u64 a, u64 b, unsigned carry, unsigned bits)
{
    u128 mask = ((u128)1 << bits) - 1;
    u128 sum = (u128)(a & mask) + (b & mask) + carry;
    u64 result = (u64)(sum & mask);
    u32 flags = result_flags(result, bits);
    flags |= sum >> bits ? FLAG_CF : 0;
    flags |= (a & 15) + (b & 15) + carry > 15 ? FLAG_AF : 0;
    bool sa = a >> (bits - 1) & 1, sb = b >> (bits - 1) & 1, sr = result >> (bits - 1) & 1;
    return flags | (sa == sb && sa != sr ? FLAG_OF : 0);
}

static u32 sub_flags(u64 a, u64 b, unsigned borrow, unsigned bits)
{
    u128 mask = ((u128)1 << bits) - 1;
    u64 result = (u64)((a - b - borrow) & mask);
    u32 flags = result_flags(result, bits);
    flags |= (u128)(a & mask) < (u128)(b & mask) + borrow ? FLAG_CF : 0;
    flags |= (a & 15) < (b & 15) + borrow ? FLAG_AF : 0;
    bool sa = a >> (bits - 1) & 1, sb = b >> (bits - 1) & 1, sr = result >> (bits - 1) & 1;
    return flags | (sa != sb && sa != sr ? FLAG_OF : 0);
}

static void pack_is_lossless(void **state)
{
    (void)state;
    for (u32 flags = 0; flags <= FLAGS_ARITH; flags++)
        if (!(flags & ~FLAGS_ARITH))
            assert_int_equal(native_flags_unpack(native_flags_pack(flags)), flags);
}

#define CHECK_SUMS(bits, type, suffix, cast)                                                     \
    static void sums_##bits(type a, type b)                                                      \
    {                                                                                            \
        for (u32 old = 0; old < 2; old++) {                                                      \
            u32 f = old;                                                                         \
            assert_int_equal(native_adc_##bits(a, b, &f), (type)(a + b + old));                  \
            assert_int_equal(f, add_flags(a, b, old, bits));                                     \
            f = old;                                                                             \
            assert_int_equal(native_sbb_##bits(a, b, &f), (type)(a - b - old));                  \
            assert_int_equal(f, sub_flags(a, b, old, bits));                                     \
            f = old;                                                                             \
            assert_int_equal(native_inc_##bits(a, &f), (type)(a + 1));                           \
            assert_int_equal(f, (add_flags(a, 1, 0, bits) & ~FLAG_CF) | old);                    \
            f = old;                                                                             \
            assert_int_equal(native_dec_##bits(a, &f), (type)(a - 1));                           \
            assert_int_equal(f, (sub_flags(a, 1, 0, bits) & ~FLAG_CF) | old);                    \
        }                                                                                        \
        u32 f = FLAGS_ARITH;                                                                     \
        assert_int_equal(native_add_##bits(a, b, &f), (type)(a + b));                            \
        assert_int_equal(f, add_flags(a, b, 0, bits));                                           \
        assert_int_equal(native_sub_##bits(a, b, &f), (type)(a - b));                            \
        assert_int_equal(f, sub_flags(a, b, 0, bits));                                           \
        f = 0;                                                                                   \
        native_cmp_##bits(a, b, &f);                                                             \
        assert_int_equal(f, sub_flags(a, b, 0, bits));                                           \
        assert_int_equal(native_neg_##bits(a, &f), (type)(0 - a));                               \
        assert_int_equal(f, sub_flags(0, a, 0, bits));                                           \
    }                                                                                            \
    static void logic_##bits(type a, type b)                                                     \
    {                                                                                            \
        u32 f = 0;                                                                               \
        assert_int_equal(native_and_##bits(a, b, &f), (type)(a & b));                            \
        assert_int_equal(f & ~FLAG_AF, result_flags((type)(a & b), bits));                       \
        assert_int_equal(native_or_##bits(a, b, &f), (type)(a | b));                             \
        assert_int_equal(f & ~FLAG_AF, result_flags((type)(a | b), bits));                       \
        assert_int_equal(native_xor_##bits(a, b, &f), (type)(a ^ b));                            \
        assert_int_equal(f & ~FLAG_AF, result_flags((type)(a ^ b), bits));                       \
        native_test_##bits(a, b, &f);                                                            \
        assert_int_equal(f & ~FLAG_AF, result_flags((type)(a & b), bits));                       \
    }
NATIVE_SIZES(CHECK_SUMS)

static void bytes_exhaustively(void **state)
{
    (void)state;
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            sums_8((u8)a, (u8)b);
            logic_8((u8)a, (u8)b);
        }
    }
}

static void wide_corners(void **state)
{
    (void)state;
    for (unsigned n = 0; n < ARRAY_LEN(corners) * ARRAY_LEN(corners); n++) {
        u64 a = corners[n / ARRAY_LEN(corners)], b = corners[n % ARRAY_LEN(corners)];
        sums_16((u16)a, (u16)b);
        sums_32((u32)a, (u32)b);
        sums_64(a, b);
        logic_16((u16)a, (u16)b);
        logic_32((u32)a, (u32)b);
        logic_64(a, b);
    }
}

/* AND, OR, XOR and TEST leave AF undefined. The header does not load it first, which is right only on processors where
 * it does not survive. */
static void logic_forgets_af(void **state)
{
    (void)state;
    for (unsigned n = 0; n < ARRAY_LEN(corners); n++) {
        u32 a = (u32)corners[n], set, clear;
        __asm__("movl %[a], %%ecx\n\tmovb $0x10, %%ah\n\tsahf\n\tandl $255, %%ecx\n\tlahf\n\tmovzbl %%ah, %[out]"
                : [out] "=r"(set) : [a] "r"(a) : "eax", "ecx", "cc");
        __asm__("movl %[a], %%ecx\n\tmovb $0x00, %%ah\n\tsahf\n\tandl $255, %%ecx\n\tlahf\n\tmovzbl %%ah, %[out]"
                : [out] "=r"(clear) : [a] "r"(a) : "eax", "ecx", "cc");
        assert_int_equal(set & FLAG_AF, clear & FLAG_AF);
    }
}

/* Rotation by one bit at a time, as the SDM's pseudo code has it. */
static u8 rotate_left(u8 a, unsigned count, bool through, u32 *flags)
{
    for (; count; count--) {
        bool out = a & 0x80;
        a = (u8)(a << 1 | (through ? (*flags & FLAG_CF) : out));
        *flags = (*flags & ~FLAG_CF) | (out ? FLAG_CF : 0);
    }
    return a;
}

static void rotates_of_bytes(void **state)
{
    (void)state;
    const u32 rest = FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF;
    for (unsigned n = 0; n < 256 * 64; n++) {
        u8 a = (u8)n, count = (u8)(n >> 8);
        for (u32 old = 0; old <= FLAGS_ARITH; old += FLAGS_ARITH) {
            u32 expected = old, f = old;
            u8 result = rotate_left(a, count & 31, false, &expected);
            assert_int_equal(native_rol_8(a, count, &f), result);
            assert_int_equal(f & FLAG_CF, expected & FLAG_CF);
            assert_int_equal(f & rest, old & rest);
            expected = f = old;
            result = rotate_left(a, (count & 31) % 9, true, &expected);
            assert_int_equal(native_rcl_8(a, count, &f), result);
            assert_int_equal(f & FLAG_CF, expected & FLAG_CF);
            assert_int_equal(f & rest, old & rest);
        }
    }
}

static void shifts_of_words(void **state)
{
    (void)state;
    for (unsigned n = 0; n < ARRAY_LEN(corners) * 32; n++) {
        u32 a = (u32)corners[n / 32];
        u8 count = n % 32;
        u32 f = FLAGS_ARITH, left = native_shl_32(a, count, &f);
        assert_int_equal(left, (u32)((u64)a << count));
        if (count == 0) {
            assert_int_equal(f, FLAGS_ARITH);
            continue;
        }
        assert_int_equal(f & (FLAG_SF | FLAG_ZF | FLAG_PF), result_flags(left, 32));
        assert_int_equal(f & FLAG_CF, a >> (32 - count) & 1);
        u32 right = native_shr_32(a, count, &f);
        assert_int_equal(right, a >> count);
        assert_int_equal(f & FLAG_CF, a >> (count - 1) & 1);
        assert_int_equal(native_sar_32(a, count, &f), (u32)((s32)a >> count));
        assert_int_equal(native_shld_32(a, 0xf00dcafe, count, &f), (u32)((u64)a << count | 0xf00dcafe >> (32 - count)));
        assert_int_equal(native_shrd_32(a, 0xf00dcafe, count, &f),
                         (u32)(a >> count | (u64)0xf00dcafe << (32 - count)));
    }
}

/* OF of the forms by 1 is defined (SDM vol. 2, "SAL/SAR/SHL/SHR"). */
static void shifts_by_one(void **state)
{
    (void)state;
    for (unsigned a = 0; a < 256; a++) {
        u32 f = FLAGS_ARITH;
        u8 left = native_shl_one_8((u8)a, &f);
        assert_int_equal(left, (u8)(a << 1));
        assert_int_equal(!!(f & FLAG_OF), (left >> 7) ^ (f & FLAG_CF));
        f = FLAGS_ARITH;
        assert_int_equal(native_shr_one_8((u8)a, &f), a >> 1);
        assert_int_equal(!!(f & FLAG_OF), a >> 7);
        assert_int_equal(native_sar_one_8((u8)a, &f), (u8)((s8)a >> 1));
        assert_int_equal(f & FLAG_OF, 0);
    }
}

static void products_and_quotients(void **state)
{
    (void)state;
    for (unsigned n = 0; n < ARRAY_LEN(corners) * ARRAY_LEN(corners); n++) {
        u64 a = corners[n / ARRAY_LEN(corners)], b = corners[n % ARRAY_LEN(corners)], low = a, high = 0;
        u32 f = 0;
        native_mul_64(&low, &high, b, &f);
        u128 product = (u128)a * b;
        assert_int_equal(low, (u64)product);
        assert_int_equal(high, (u64)(product >> 64));
        assert_int_equal(!!(f & FLAG_CF), high != 0);
        assert_int_equal(!!(f & FLAG_OF), high != 0);
        low = a;
        native_imul_64(&low, &high, b, &f);
        s128 signed_product = (s128)(s64)a * (s64)b;
        assert_int_equal(low, (u64)signed_product);
        assert_int_equal(high, (u64)(signed_product >> 64));
        assert_int_equal(!!(f & FLAG_CF), signed_product != (s64)low);
        assert_int_equal(native_imul2_32((u32)a, (u32)b, &f), (u32)(a * b));
        assert_int_equal(native_mul_8((u8)a, (u8)b, &f), (u8)a * (u8)b);
        if (b == 0)
            continue;
        low = a;
        high = 0;
        native_div_64(&low, &high, b, &f);
        assert_int_equal(low, a / b);
        assert_int_equal(high, a % b);
        if ((u8)b > (u8)(a >> 8))
            assert_int_equal(native_div_8((u16)a, (u8)b, &f), (u16)a / (u8)b | (u16)a % (u8)b << 8);
    }
}

static void scans_and_bits(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 64; n++) {
        u64 source = (u64)1 << n | (u64)1 << 63;
        u32 f = 0;
        assert_int_equal(native_bsf_64(0, source, &f), n);
        assert_int_equal(f & FLAG_ZF, 0);
        assert_int_equal(native_bsr_64(0, ((u64)2 << n) - 1, &f), n);
        assert_int_equal(native_popcnt_64(0, ((u64)1 << n) - 1, &f), n);
        assert_int_equal(f, n ? 0 : FLAG_ZF);
        f = FLAG_ZF;
        assert_int_equal(native_btc_64(source, n, &f), source ^ (u64)1 << n);
        assert_int_equal(f & (FLAG_CF | FLAG_ZF), FLAG_CF | FLAG_ZF);
    }
    u32 f = 0;
    native_bsf_32(5, 0, &f);
    assert_int_equal(f & FLAG_ZF, FLAG_ZF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pack_is_lossless),       cmocka_unit_test(bytes_exhaustively),
        cmocka_unit_test(wide_corners),           cmocka_unit_test(logic_forgets_af),
        cmocka_unit_test(rotates_of_bytes),       cmocka_unit_test(shifts_of_words),
        cmocka_unit_test(shifts_by_one),          cmocka_unit_test(products_and_quotients),
        cmocka_unit_test(scans_and_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
