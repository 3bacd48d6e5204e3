/* The HPET by its specification 1.0a. */
#include "devices/fake_board.h"
#include "devices/hpet.h"

enum {
    CAPABILITIES = 0x000, CONFIG = 0x010, STATUS = 0x020, COUNTER = 0x0f0,
    T0 = 0x100, C0 = 0x108, T1 = 0x120, C1 = 0x128,
};

static struct hpet hpet;
static struct fake_board board;
static u64 now;

static void out_sized(unsigned reg, u64 value, unsigned size)
{
    struct device_env e = fake_env(&board, now);
    hpet_write(&hpet, reg, value, size, &e);
}
static void out(unsigned reg, u64 value) { out_sized(reg, value, 8); }
static u64 in(unsigned reg) { return hpet_read(&hpet, reg, 8, now); }

static int setup(void **state)
{
    (void)state;
    memset(&board, 0, sizeof(board));
    now = 12345;
    hpet_reset(&hpet);
    return 0;
}

static unsigned run_to(u64 ns)
{
    unsigned events = 0;
    while (hpet_deadline(&hpet) <= ns) {
        if (hpet_deadline(&hpet) > now)
            now = hpet_deadline(&hpet);
        struct device_env e = fake_env(&board, now);
        hpet_tick(&hpet, &e);
        assert_true(hpet_deadline(&hpet) > now);
        events++;
    }
    now = ns;
    return events;
}

static void capabilities_tell_the_truth(void **state)
{
    (void)state;
    assert_int_equal(in(CAPABILITIES) >> 32, 10000000);
    assert_int_equal((in(CAPABILITIES) >> 8 & 31) + 1, HPET_TIMERS);
    assert_true(in(T0) & 0x10);
    assert_false(in(T1) & 0x10);
    out(T1, 0x8); /* periodic is not for timer 1 */
    assert_false(in(T1) & 0x8);
}

static void counter_stands_runs_and_stands(void **state)
{
    (void)state;
    out(COUNTER, 0x100000000ull - 5);
    now += 1000;
    assert_int_equal(in(COUNTER), 0xfffffffb);
    out(CONFIG, 1);
    now += 100;
    assert_int_equal(in(COUNTER), 0x100000005ull);
    assert_int_equal(hpet_read(&hpet, COUNTER + 4, 4, now), 1);
    out(CONFIG, 0);
    now += 100;
    assert_int_equal(in(COUNTER), 0x100000005ull);
}

static void one_shot_fires_at_its_comparator(void **state)
{
    (void)state;
    out(T0, 4 | 20 << 9);
    out(CONFIG, 1);
    out(C0, 500);
    assert_int_equal(hpet_deadline(&hpet), now + 5000);
    run_to(now + 4999);
    assert_false(board.line[20]);
    assert_int_equal(run_to(now + 1000000), 1);
    assert_int_equal(board.rises[20], 1);
    out(C0, in(COUNTER) + 10);
    run_to(now + 100);
    assert_int_equal(board.rises[20], 2);
    out(T0, 0);
    assert_false(board.line[20]);
}

static void a_comparator_in_the_past_waits_for_the_wrap(void **state)
{
    (void)state;
    out(CONFIG, 1);
    now += 10000;
    out(T0, 4 | 20 << 9 | 0x100); /* 32-bit */
    out(C0, 999);
    assert_int_equal(hpet_deadline(&hpet), now + 0xffffffffull * 10);
    out(T0, 4 | 20 << 9);
    out(C0, 999);
    assert_int_equal(hpet_deadline(&hpet), CLOCK_NEVER);
}

static void periodic_accumulates(void **state)
{
    (void)state;
    out(CONFIG, 3);
    out(T0, 4 | 8 | 0x40);
    out(C0, 1000); /* the comparator */
    out(C0, 100);  /* the period */
    assert_int_equal(in(C0), 1000);
    run_to(now + 9999);
    assert_int_equal(board.rises[0], 0);
    run_to(now + 1);
    assert_int_equal(board.rises[0], 1);
    run_to(now + 10000);
    assert_int_equal(board.rises[0], 11);
    assert_int_equal(in(C0), 2100);
}

static void periods_missed_are_skipped(void **state)
{
    (void)state;
    out(CONFIG, 3);
    out(T0, 4 | 8 | 0x40);
    out(C0, 100);
    now += 100005; /* nobody ticked */
    struct device_env e = fake_env(&board, now);
    hpet_tick(&hpet, &e);
    assert_int_equal(board.rises[0], 1);
    assert_int_equal(in(C0), 10100);
    assert_int_equal(hpet_deadline(&hpet), 12345 + 101000);
}

static void level_follows_the_status_bit(void **state)
{
    (void)state;
    out(T1, 2 | 4 | 17 << 9);
    out(CONFIG, 1);
    out(C1, 10);
    run_to(now + 200);
    assert_true(board.line[17]);
    assert_int_equal(in(STATUS), 2);
    out(STATUS, 1);
    assert_true(board.line[17]);
    out(STATUS, 2);
    assert_false(board.line[17]);
    assert_int_equal(in(STATUS), 0);
}

static void legacy_routing_takes_lines_0_and_8(void **state)
{
    (void)state;
    out(T0, 4), out(T1, 4);
    out(CONFIG, 3);
    assert_true(hpet_legacy_routing(&hpet));
    out(C0, 10), out(C1, 20);
    run_to(now + 1000);
    assert_int_equal(board.rises[0], 1);
    assert_int_equal(board.rises[8], 1);
}

static void route_outside_the_offered_goes_nowhere(void **state)
{
    (void)state;
    out(T0, 4 | 5 << 9);
    out(CONFIG, 1);
    out(C0, 10);
    run_to(now + 1000);
    for (unsigned i = 0; i < 24; i++)
        assert_int_equal(board.rises[i], 0);
}

static void halves_and_odd_accesses(void **state)
{
    (void)state;
    out_sized(C0 + 4, 0x11, 4);
    out_sized(C0, 0x22, 4);
    assert_int_equal(in(C0), 0x1100000022ull);
    out_sized(C0, 0xff, 1);
    out_sized(C0 + 2, 0xffff, 4);
    assert_int_equal(in(C0), 0x1100000022ull);
    assert_int_equal(hpet_read(&hpet, C0 + 1, 1, now), 0);
    assert_int_equal(hpet_read(&hpet, 0x3f8, 8, now), 0);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(capabilities_tell_the_truth),
        TEST(counter_stands_runs_and_stands),
        TEST(one_shot_fires_at_its_comparator),
        TEST(a_comparator_in_the_past_waits_for_the_wrap),
        TEST(periodic_accumulates),
        TEST(periods_missed_are_skipped),
        TEST(level_follows_the_status_bit),
        TEST(legacy_routing_takes_lines_0_and_8),
        TEST(route_outside_the_offered_goes_nowhere),
        TEST(halves_and_odd_accesses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
