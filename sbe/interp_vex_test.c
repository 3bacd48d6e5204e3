/* The BMI handlers against their definitions in SDM vol. 2, spelled out bit by bit. */
#include "sbe/decode.h"
#include "sbe/handlers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ROUNDS = 2000 };

struct expected {
    u64 result, second; /* second: MULX's low half */
    u32 flags, defined; /* flags that the instruction defines, and their values */
};

static u32 result_flags(u64 result, unsigned bits)
{
    return (result ? 0 : FLAG_ZF) | (result >> (bits - 1) & 1 ? FLAG_SF : 0);
}

static const u32 no_af_pf = FLAGS_ARITH & ~(FLAG_AF | FLAG_PF);

/* `a` is the VEX.vvvv register, `b` the r/m operand. */
static struct expected andn(u64 a, u64 b, unsigned bits)
{
    return (struct expected){.result = ~a & b, .flags = result_flags(~a & b, bits), .defined = no_af_pf};
}

static struct expected bextr(u64 a, u64 b, unsigned bits)
{
    struct expected e = {.defined = FLAG_ZF | FLAG_CF | FLAG_OF};
    unsigned start = a & 0xff, length = a >> 8 & 0xff;
    for (unsigned bit = 0; bit < length && bit < bits && start + bit < bits; bit++)
        e.result |= (b >> (start + bit) & 1) << bit;
    e.flags = e.result ? 0 : FLAG_ZF;
    return e;
}

static struct expected bzhi(u64 a, u64 b, unsigned bits)
{
    struct expected e = {.defined = no_af_pf};
    for (unsigned bit = 0; bit < bits && bit < (a & 0xff); bit++)
        e.result |= b & 1ull << bit;
    e.flags = result_flags(e.result, bits) | ((a & 0xff) >= bits ? FLAG_CF : 0);
    return e;
}

static struct expected blsr(u64 a, u64 b, unsigned bits)
{
    (void)a;
    struct expected e = {.result = b, .defined = no_af_pf};
    for (unsigned bit = 0; bit < bits && e.result == b; bit++)
        e.result = b & ~(1ull << bit);
    e.flags = result_flags(e.result, bits) | (b ? 0 : FLAG_CF);
    return e;
}

static struct expected blsmsk(u64 a, u64 b, unsigned bits)
{
    (void)a;
    struct expected e = {.defined = no_af_pf};
    bool above = false;
    for (unsigned bit = 0; bit < bits && !above; bit++) {
        e.result |= 1ull << bit;
        above = b >> bit & 1;
    }
    e.flags = result_flags(e.result, bits) | (b ? 0 : FLAG_CF);
    return e;
}

static struct expected blsi(u64 a, u64 b, unsigned bits)
{
    (void)a;
    struct expected e = {.defined = no_af_pf};
    for (unsigned bit = 0; bit < bits && !e.result; bit++)
        e.result = b & 1ull << bit;
    e.flags = result_flags(e.result, bits) | (b ? FLAG_CF : 0);
    return e;
}

static struct expected pdep(u64 a, u64 b, unsigned bits)
{
    struct expected e = {0};
    for (unsigned bit = 0, from = 0; bit < bits; bit++)
        if (b >> bit & 1)
            e.result |= (a >> from++ & 1) << bit;
    return e;
}

static struct expected pext(u64 a, u64 b, unsigned bits)
{
    struct expected e = {0};
    for (unsigned bit = 0, to = 0; bit < bits; bit++)
        if (b >> bit & 1)
            e.result |= (a >> bit & 1) << to++;
    return e;
}

static struct expected sarx(u64 a, u64 b, unsigned bits)
{
    struct expected e = {0};
    for (unsigned bit = 0, count = a & (bits - 1); bit < bits; bit++)
        e.result |= (b >> (bit + count < bits ? bit + count : bits - 1) & 1) << bit;
    return e;
}

static struct expected shlx(u64 a, u64 b, unsigned bits)
{
    struct expected e = {0};
    for (unsigned bit = a & (bits - 1), from = 0; bit < bits; bit++, from++)
        e.result |= (b >> from & 1) << bit;
    return e;
}

static struct expected shrx(u64 a, u64 b, unsigned bits)
{
    struct expected e = {0};
    for (unsigned bit = 0, from = a & (bits - 1); from < bits; bit++, from++)
        e.result |= (b >> from & 1) << bit;
    return e;
}

/* RORX by 13, the immediate in the table below. */
static struct expected rorx(u64 a, u64 b, unsigned bits)
{
    (void)a;
    struct expected e = {0};
    for (unsigned bit = 0; bit < bits; bit++)
        e.result |= (b >> ((bit + 13) % bits) & 1) << bit;
    return e;
}

enum { FACTOR = 0x12345 };

static struct expected mulx(u64 a, u64 b, unsigned bits)
{
    (void)a;
    u128 product = (u128)FACTOR * b;
    u64 low = bits == 64 ? (u64)product : (u32)product;
    return (struct expected){.result = (u64)(product >> bits), .second = low};
}

/* Registers: destination R8 = ModRM.reg, vvvv RBX, r/m RCX; blsr, blsmsk and blsi have RBX as destination. The codes
 * have VEX.W = 0; bit 7 of the third byte sets it. */
static const struct {
    insn_handler handler;
    struct expected (*reference)(u64 a, u64 b, unsigned bits);
    u8 destination;
    u8 code[6];
} cases[] = {
    {op_andn, andn, R8, {0xc4, 0x62, 0x60, 0xf2, 0xc1}},   {op_bextr, bextr, R8, {0xc4, 0x62, 0x60, 0xf7, 0xc1}},
    {op_bzhi, bzhi, R8, {0xc4, 0x62, 0x60, 0xf5, 0xc1}},   {op_blsr, blsr, RBX, {0xc4, 0xe2, 0x60, 0xf3, 0xc9}},
    {op_blsmsk, blsmsk, RBX, {0xc4, 0xe2, 0x60, 0xf3, 0xd1}}, {op_blsi, blsi, RBX, {0xc4, 0xe2, 0x60, 0xf3, 0xd9}},
    {op_pdep, pdep, R8, {0xc4, 0x62, 0x63, 0xf5, 0xc1}},   {op_pext, pext, R8, {0xc4, 0x62, 0x62, 0xf5, 0xc1}},
    {op_sarx, sarx, R8, {0xc4, 0x62, 0x62, 0xf7, 0xc1}},   {op_shlx, shlx, R8, {0xc4, 0x62, 0x61, 0xf7, 0xc1}},
    {op_shrx, shrx, R8, {0xc4, 0x62, 0x63, 0xf7, 0xc1}},   {op_rorx, rorx, R8, {0xc4, 0x63, 0x7b, 0xf0, 0xc1, 13}},
    {op_mulx, mulx, R8, {0xc4, 0x62, 0x63, 0xf6, 0xc1}},
};

static u64 next_operand(u64 *seed)
{
    static const u64 edges[] = {0, 1, ~0ull, 1ull << 31, 1ull << 63, 0x2040, 0x0108, 0xff, 64, 32};
    *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
    u64 random = *seed ^ *seed >> 31;
    return random % 4 ? random : edges[(*seed >> 40) % ARRAY_LEN(edges)];
}

static void run_one(struct vcpu *v, unsigned number, bool wide, u64 a, u64 b)
{
    u8 code[6];
    struct insn i;
    __builtin_memcpy(code, cases[number].code, sizeof(code));
    code[2] |= wide ? 0x80 : 0;
    assert_int_equal(decode(code, sizeof(code), CODE_64, &i), DECODE_OK);
    assert_int_equal(i.opsize, wide ? 8 : 4);
    v->cpu.gpr[RBX] = a;
    v->cpu.gpr[RCX] = b;
    v->cpu.gpr[RDX] = FACTOR;
    v->cpu.gpr[R8] = ~0ull;
    v->cpu.aflags = FLAGS_ARITH;
    assert_int_equal(cases[number].handler(v, &i), EXEC_NEXT);
    struct expected e = cases[number].reference(wide ? a : (u32)a, wide ? b : (u32)b, wide ? 64 : 32);
    if (v->cpu.gpr[cases[number].destination] != e.result)
        fail_msg("%s %d-bit of %llx, %llx: %llx, expected %llx", isa_rows[i.row].mnemonic, wide ? 64 : 32,
                 (unsigned long long)a, (unsigned long long)b,
                 (unsigned long long)v->cpu.gpr[cases[number].destination], (unsigned long long)e.result);
    if (cases[number].reference == mulx)
        assert_int_equal(v->cpu.gpr[RBX], e.second);
    if (e.defined)
        assert_int_equal(v->cpu.aflags & e.defined, e.flags);
    else
        assert_int_equal(v->cpu.aflags, FLAGS_ARITH); /* untouched */
    assert_int_equal(v->cpu.aflags & ~FLAGS_ARITH, 0);
    assert_int_equal(isa_rows[i.row].flags_written & ~isa_rows[i.row].flags_undefined, e.defined);
}

static void results_and_flags(void **state)
{
    (void)state;
    if (!__builtin_cpu_supports("bmi") || !__builtin_cpu_supports("bmi2"))
        skip();
    struct vcpu *v = calloc(1, sizeof(*v));
    assert_non_null(v);
    v->mode = CODE_64;
    u64 seed = 7;
    for (unsigned n = 0; n < ROUNDS * ARRAY_LEN(cases); n++) {
        u64 a = next_operand(&seed), b = next_operand(&seed);
        run_one(v, n % ARRAY_LEN(cases), n / ARRAY_LEN(cases) % 2, a, b);
    }
    free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(results_and_flags)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
