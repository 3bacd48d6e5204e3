/* Virtual time: conversions that neither overflow nor lose a tick. */
#include "core/clock.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const u64 rates[] = {1, 32768, 1193182, 3579545, 14318180, 100000000, 1000000000, 2400000000};

static void time_is_instructions_and_skips(void **state)
{
    (void)state;
    struct clock c = {.skipped_ns = 1000};
    assert_int_equal(clock_now(&c, 0), 1000);
    assert_int_equal(clock_now(&c, 234), 1234);
}

static void scaling(void **state)
{
    (void)state;
    assert_int_equal(clock_scale(7, 5, 0, 3), 11);
    assert_int_equal(clock_scale(7, 5, 2, 3), 12);
    assert_int_equal(clock_scale(UINT64_MAX, UINT64_MAX, 0, UINT64_MAX), UINT64_MAX);
    assert_int_equal(clock_scale(UINT64_MAX, 3, 0, 4), UINT64_MAX / 4 * 3 + 2);
    assert_int_equal(clock_scale(1ull << 63, 2, 0, 1), UINT64_MAX); /* 2^64 does not fit */
    assert_int_equal(clock_scale(1ull << 63, 2, 0, 2), 1ull << 63);
    assert_int_equal(clock_scale(UINT64_MAX, 2, 0, 2), UINT64_MAX);
    assert_int_equal(clock_scale(UINT64_MAX, 2, 3, 2), UINT64_MAX); /* beyond by the rounding */
    assert_int_equal(clock_scale(0, UINT64_MAX, 0, 1), 0);
}

/* The first ns of tick n is the first: one ns before it, the counter still shows less. */
static void ticks_begin_where_they_begin(void **state)
{
    (void)state;
    for (size_t r = 0; r < ARRAY_LEN(rates); r++) {
        u64 hz = rates[r];
        for (u64 tick = 1; tick < 1ull << 40; tick += tick / 3 + 1) {
            u64 at = clock_tick_time(tick, hz);
            if (at == CLOCK_NEVER) {
                assert_true(tick / hz >= UINT64_MAX / NS_PER_SECOND); /* 584 years */
                break;
            }
            assert_true(clock_ticks(at, hz) >= tick);
            assert_true(clock_ticks(at - 1, hz) < tick);
            if (hz <= NS_PER_SECOND)
                assert_int_equal(clock_ticks(at, hz), tick);
        }
    }
}

static void exact_values(void **state)
{
    (void)state;
    assert_int_equal(clock_ticks(NS_PER_SECOND, 1193182), 1193182);
    assert_int_equal(clock_ticks(NS_PER_SECOND - 1, 1193182), 1193181);
    assert_int_equal(clock_tick_time(1, 1193182), 839); /* 838.095 ns, rounded up */
    assert_int_equal(clock_tick_time(0, 1193182), 0);
    assert_int_equal(clock_tick_time(1193182, 1193182), NS_PER_SECOND);
    assert_int_equal(clock_ticks(100ull * 365 * 86400 * NS_PER_SECOND, 14318180), 100ull * 365 * 86400 * 14318180);
    assert_int_equal(clock_tick_time(UINT64_MAX, 1), CLOCK_NEVER);
    assert_int_equal(clock_tick_time(1ull << 60, 32768), CLOCK_NEVER);
}

/* At any rate: the icount at which a time comes is the first one, and a change of rate moves no time. */
static void rates_keep_time(void **state)
{
    struct clock c = {.skipped_ns = 5000};
    u64 icount = 1000;
    (void)state;
    for (u64 rate = 1; rate < 20 * CLOCK_RATE_ONE; rate += rate / 2 + 1) {
        u64 now = clock_now(&c, icount);
        clock_set_rate(&c, icount, rate);
        assert_int_equal(clock_now(&c, icount), now);
        for (u64 wait = 0; wait < 1ull << 40; wait += wait / 3 + 1) {
            u64 at = clock_icount(&c, now + wait);
            assert_true(clock_now(&c, at) >= now + wait);
            assert_true(at == icount || clock_now(&c, at - 1) < now + wait);
        }
        assert_int_equal(clock_icount(&c, CLOCK_NEVER), UINT64_MAX);
        icount += 12345;
        c.skipped_ns += 77;
    }
    c = (struct clock){.skipped_ns = 5000};
    assert_int_equal(clock_icount(&c, 5300), 300);
    assert_int_equal(clock_icount(&c, CLOCK_NEVER), UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_is_instructions_and_skips),
        cmocka_unit_test(scaling),
        cmocka_unit_test(ticks_begin_where_they_begin),
        cmocka_unit_test(exact_values),
        cmocka_unit_test(rates_keep_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
