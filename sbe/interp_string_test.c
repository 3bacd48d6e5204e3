/* String instructions: overlap, pages, restart, counts, budgets. */
#include "sbe/test_code.h"

static void string_registers(u64 source, u64 destination, u64 count)
{
    set(RSI, source);
    set(RDI, destination);
    set(RCX, count);
}

static void moves_overlap(void **state)
{
    (void)state;
    enter(CODE_64);
    memcpy(ram(DATA), "abc", 3);
    string_registers(DATA, DATA + 3, 30);
    u64 before = v->cpu.icount;
    OK(0xf3, 0xa4);
    assert_memory_equal(ram(DATA + 27), "abcabc", 6);
    assert_int_equal(*ram(DATA + 33), 0);
    assert_reg(RSI, DATA + 30);
    assert_reg(RDI, DATA + 33);
    assert_reg(RCX, 0);
    assert_int_equal(v->cpu.icount - before, 30);
    before = v->cpu.icount;
    OK(0xf3, 0xa4); /* nothing left: one instruction all the same */
    assert_int_equal(v->cpu.icount - before, 1);
    v->cpu.rflags |= FLAG_DF;
    memcpy(ram(DATA), "0123456789", 10);
    string_registers(DATA + 8, DATA + 9, 9);
    OK(0xf3, 0xa4);
    assert_memory_equal(ram(DATA), "0012345678", 10);
    assert_reg(RSI, DATA - 1);
}

/* Unaligned and across pages: every byte, whatever mixture of runs and single elements did it. */
static void moves_cross_pages(void **state)
{
    (void)state;
    enter(CODE_64);
    for (unsigned n = 0; n < 0x3000; n++)
        *ram(DATA + n) = (u8)(n * 7 + n / 256);
    string_registers(DATA + 0xffd, DATA + 0x6ffa, 0x1000 / 4);
    OK(0xf3, 0xa5);
    assert_memory_equal(ram(DATA + 0x6ffa), ram(DATA + 0xffd), 0x1000);
    assert_int_equal(*ram(DATA + 0x6ffa + 0x1000), 0);
    set(RAX, 0x1122334455667788);
    string_registers(0, DATA + 0x5001, 0x300);
    OK(0xf3, 0x48, 0xab); /* rep stosq */
    assert_int_equal(load64(DATA + 0x5001 + 0x2ff * 8), 0x1122334455667788);
    assert_int_equal(*ram(DATA + 0x5001 + 0x300 * 8), 0);
    assert_reg(RDI, DATA + 0x5001 + 0x1800);
}

/* The same copy cut into pieces by the budget ends the same, and stops exactly where it must. */
static void budget_cuts_anywhere(void **state)
{
    (void)state;
    enter(CODE_64);
    for (unsigned n = 0; n < 0x2000; n++)
        *ram(DATA + n) = (u8)(n ^ n >> 8);
    load((const u8[]){0xf3, 0xa4}, 2);
    string_registers(DATA, DATA + 0x4000, 0x2000);
    u64 before = v->cpu.icount, left = 0x2000;
    for (u64 piece = 1; left > piece; left -= piece, piece = piece * 3 % 1001) {
        v->stop_at = v->cpu.icount + piece;
        assert_int_equal(step(), EXEC_REPEAT);
        assert_int_equal(v->cpu.icount, v->stop_at);
        assert_int_equal(v->cpu.rip, CODE);
        assert_reg(RCX, left - piece);
    }
    v->stop_at = UINT64_MAX;
    assert_int_equal(step(), EXEC_NEXT);
    assert_int_equal(v->cpu.icount - before, 0x2000);
    assert_memory_equal(ram(DATA), ram(DATA + 0x4000), 0x2000);
    string_registers(DATA, DATA, 5);
    v->cpu.rip = CODE;
    v->stop_at = 0; /* kicked: one iteration at least, and no more */
    assert_int_equal(step(), EXEC_REPEAT);
    assert_reg(RCX, 4);
    v->stop_at = UINT64_MAX;
    v->stepping = true;
    assert_int_equal(step(), EXEC_REPEAT);
    assert_reg(RCX, 3);
    v->stepping = false;
}

static void faults_between_iterations(void **state)
{
    (void)state;
    enter(CODE_64);
    string_registers(DATA, HOLE - 10, 100);
    u64 before = v->cpu.icount;
    assert_fault(DO(0xf3, 0xa4), VEC_PF);
    assert_int_equal(v->fault.cr2, HOLE);
    assert_reg(RCX, 90);
    assert_reg(RSI, DATA + 10);
    assert_reg(RDI, HOLE);
    assert_int_equal(v->cpu.icount - before, 10);
    string_registers(DATA, HOLE - 2, 2); /* a doubleword that straddles the hole is not written in part */
    *ram(HOLE - 1) = 0x5a;
    assert_fault(DO(0xf3, 0xa5), VEC_PF);
    assert_reg(RCX, 2);
    assert_int_equal(*ram(HOLE - 1), 0x5a);
}

static void compares_and_scans(void **state)
{
    (void)state;
    enter(CODE_32);
    memcpy(ram(DATA), "same text, other end", 20);
    memcpy(ram(DATA + 0x100), "same text, OTHER end", 20);
    string_registers(DATA, DATA + 0x100, 20);
    u64 before = v->cpu.icount;
    OK(0xf3, 0xa6);
    assert_reg(RCX, 20 - 12);
    assert_reg(RSI, DATA + 12);
    assert_flags(FLAG_ZF | FLAG_CF, 0); /* 'o' is above 'O' */
    assert_int_equal(v->cpu.icount - before, 12);
    string_registers(0, DATA, UINT32_MAX);
    OK(0xf2, 0xae); /* repne scasb: strlen */
    assert_reg(RDI, DATA + 21);
    assert_flags(FLAG_ZF, FLAG_ZF);
    v->cpu.aflags = FLAG_CF;
    string_registers(0, DATA, 0);
    OK(0xf3, 0xaf);
    assert_flags(FLAGS_ARITH, FLAG_CF);
    OK(0xa7); /* cmpsd without a prefix ignores ecx */
    assert_reg(RDI, DATA + 4);
}

static void string_addresses(void **state)
{
    (void)state;
    enter(CODE_16);
    *ram(0xffff) = 0x11;
    *ram(0) = 0x22;
    string_registers(0xffff, 0x9000, 0xabcd0002);
    OK(0xf3, 0xa4); /* si wraps at 64 KiB; the upper half of ecx stays */
    assert_int_equal(*ram(0x9000), 0x11);
    assert_int_equal(*ram(0x9001), 0x22);
    assert_reg(RSI, 1);
    assert_reg(RCX, 0xabcd0000);
    v->cpu.seg[SEG_FS].base = 0x4000;
    vcpu_update_mode(v);
    *ram(0x4001) = 0x33;
    set(RSI, 1);
    OK(0x64, 0xac); /* lods fs:[si] */
    assert_reg(RAX, 0x33);
    enter(CODE_64);
    string_registers(0xffffffff00000000 | DATA, 0xffffffff00000000 | (DATA + 8), 0xffffffff00000000);
    OK(0x67, 0xf3, 0xa4); /* no iteration by ecx: nothing is written */
    assert_reg(RCX, 0xffffffff00000000);
    set(RCX, 0xffffffff00000001);
    OK(0x67, 0xf3, 0xa4);
    assert_reg(RCX, 0);
    assert_reg(RSI, DATA + 1);
    assert_reg(RDI, DATA + 9);
}

/* Memory without RAM behind it is reached element by element. */
static void string_to_device(void **state)
{
    (void)state;
    enter(CODE_64);
    string_registers(DEVICE, DATA, 16);
    load((const u8[]){0xf3, 0xa4}, 2);
    u64 before = v->cpu.icount;
    for (unsigned left = 16; left; left--) {
        v->stop_at = UINT64_MAX; /* any access to a device may lower it */
        assert_int_equal(v->cpu.rip, CODE);
        if (step() == EXEC_NEXT)
            break;
    }
    assert_int_equal(v->cpu.icount - before, 16);
    assert_reg(RCX, 0);
    for (unsigned n = 0; n < 16; n++)
        assert_int_equal(*ram(DATA + n), 0xff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves_overlap),
        cmocka_unit_test(moves_cross_pages),
        cmocka_unit_test(budget_cuts_anywhere),
        cmocka_unit_test(faults_between_iterations),
        cmocka_unit_test(compares_and_scans),
        cmocka_unit_test(string_addresses),
        cmocka_unit_test(string_to_device),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
