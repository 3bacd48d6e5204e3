/* The 8254 against its data sheet; and its closed formulas against a counter that steps tick by tick. */
#include "devices/fake_board.h"
#include "devices/pit.h"

static struct pit pit;
static struct fake_board board;
static u64 tick;

static int setup(void **state)
{
    (void)state;
    memset(&board, 0, sizeof(board));
    pit_reset(&pit);
    tick = 1000;
    return 0;
}

static struct device_env env(void) { return fake_env(&board, clock_tick_time(tick, PIT_HZ)); }

static void out(unsigned offset, u8 value)
{
    struct device_env e = env();
    pit_write(&pit, offset, value, &e);
}

static u8 in(unsigned offset)
{
    struct device_env e = env();
    return pit_read(&pit, offset, &e);
}

static void gate2(bool high)
{
    struct device_env e = env();
    pit_speaker_write(&pit, high, &e);
}

static bool out2(void)
{
    struct device_env e = env();
    return pit_speaker_read(&pit, &e) >> 5 & 1;
}

static void program(unsigned channel, unsigned mode, u16 count)
{
    out(3, (u8)(channel << 6 | 0x30 | mode << 1));
    out(channel, (u8)count);
    out(channel, (u8)(count >> 8));
}

static unsigned latched(unsigned channel)
{
    out(3, (u8)(channel << 6));
    unsigned low = in(channel);
    return low | (unsigned)in(channel) << 8;
}

/* Ticks the way the chipset does. */
static void advance(u64 ticks)
{
    u64 end = tick + ticks;
    while (pit_deadline(&pit) <= clock_tick_time(end, PIT_HZ)) {
        struct device_env e = fake_env(&board, pit_deadline(&pit));
        tick = clock_ticks(e.now, PIT_HZ);
        pit_tick(&pit, &e);
        assert_true(pit_deadline(&pit) > e.now);
    }
    tick = end;
}

static void mode_0_rises_once_after_n_plus_1(void **state)
{
    (void)state;
    program(0, 0, 100);
    assert_false(board.line[0]);
    advance(100);
    assert_false(board.line[0]);
    advance(1);
    assert_true(board.line[0]);
    advance(200000);
    assert_int_equal(board.rises[0], 1);
    assert_int_equal(latched(0), (u16)(100 - 200100)); /* goes on from 0xffff */
}

static void mode_2_rises_once_a_period(void **state)
{
    (void)state;
    program(0, 2, 1193);
    board.rises[0] = 0;
    advance(1193 * 50 + 1);
    assert_int_equal(board.rises[0], 50);
    assert_true(board.line[0]);
    advance(1192);
    assert_false(board.line[0]); /* low for the last tick */
    advance(1);
    assert_true(board.line[0]);
}

static void mode_3_is_high_for_the_larger_half(void **state)
{
    (void)state;
    program(0, 3, 5);
    advance(1);
    static const bool expected[] = {1, 1, 1, 0, 0, 1, 1, 1, 0, 0};
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(board.line[0], expected[i]);
        advance(1);
    }
}

static void mode_4_strobes_once(void **state)
{
    (void)state;
    program(0, 4, 10);
    advance(10);
    assert_true(board.line[0]);
    advance(1);
    assert_false(board.line[0]);
    advance(1);
    assert_true(board.line[0]);
    advance(300000);
    assert_int_equal(board.rises[0], 2);
}

static void new_count_waits_for_the_period_in_mode_2(void **state)
{
    (void)state;
    program(0, 2, 100);
    advance(51);
    out(0, 30), out(0, 0);
    assert_int_equal(latched(0), 50);
    advance(50);
    assert_int_equal(latched(0), 30);
    board.rises[0] = 0;
    advance(300);
    assert_int_equal(board.rises[0], 10);
}

static void new_count_waits_for_the_half_cycle_in_mode_3(void **state)
{
    (void)state;
    program(0, 3, 100);
    advance(11);
    out(0, 20), out(0, 0);
    advance(40); /* the high half of 100 ends, the low half of 20 begins */
    assert_false(board.line[0]);
    advance(9);
    assert_false(board.line[0]);
    advance(1);
    assert_true(board.line[0]);
    advance(10);
    assert_false(board.line[0]);
}

/* The low half it cuts short would have begun before tick 0. */
static void long_count_right_after_power_up_in_mode_3(void **state)
{
    (void)state;
    tick = 0;
    program(0, 3, 4);
    advance(4);
    assert_false(board.line[0]);
    out(0, 0x40);
    out(0, 0x9c); /* 40000 */
    advance(1);
    assert_true(board.line[0]); /* 2 low ticks of the old count are over, 20000 high ones begin */
    advance(19999);
    assert_true(board.line[0]);
    advance(1);
    assert_false(board.line[0]);
    assert_int_equal(board.rises[0], 2);
}

static void gate_triggers_modes_1_and_5(void **state)
{
    (void)state;
    program(2, 1, 10);
    advance(50);
    assert_true(out2());
    gate2(true);
    advance(1);
    assert_false(out2());
    advance(9);
    assert_false(out2());
    advance(1);
    assert_true(out2());
    gate2(false);
    program(2, 5, 10);
    gate2(true);
    advance(11);
    assert_false(out2());
    advance(1);
    assert_true(out2());
}

static void gate_suspends_mode_0_and_restarts_mode_3(void **state)
{
    (void)state;
    gate2(true);
    program(2, 0, 100);
    advance(41);
    gate2(false);
    advance(1000);
    assert_int_equal(latched(2), 60);
    gate2(true);
    advance(60);
    assert_true(out2());
    program(2, 3, 100);
    advance(61);
    assert_false(out2());
    gate2(false);
    assert_true(out2());
    gate2(true);
    advance(1);
    assert_int_equal(latched(2), 100);
}

static void read_back_latches_status_and_count(void **state)
{
    (void)state;
    program(0, 2, 0x1234);
    advance(5);
    out(3, 0xc2); /* both, channel 0 */
    assert_int_equal(in(0), 0x80 | 0x34);
    assert_int_equal(in(0), 0x30);
    assert_int_equal(in(0), 0x12);
    out(3, 0x34);
    out(3, 0xe2); /* status only: no count yet */
    assert_int_equal(in(0) & 0x40, 0x40);
}

static void latch_holds_until_read(void **state)
{
    (void)state;
    program(0, 2, 1000);
    advance(1);
    out(3, 0x00);
    advance(500);
    out(3, 0x00);
    assert_int_equal(in(0), 1000 & 0xff);
    assert_int_equal(in(0), 1000 >> 8);
    assert_int_equal(latched(0), 500);
}

static void bcd_counts_in_decimal(void **state)
{
    (void)state;
    out(3, 0x31); /* mode 0, BCD */
    out(0, 0x00), out(0, 0x10);
    advance(2);
    assert_int_equal(latched(0), 0x0999);
    advance(1000);
    assert_int_equal(latched(0), 0x9999);
}

static void single_byte_access(void **state)
{
    (void)state;
    out(3, 0x14); /* mode 2, low byte only */
    out(0, 50);
    advance(1);
    assert_int_equal(in(0), 50);
    assert_int_equal(in(0), 50);
    out(3, 0x24); /* high byte only */
    out(0, 2);
    advance(1);
    assert_int_equal(in(0), 2);
}

/* One tick at a time, from figures 15 to 20 of the data sheet. */
struct slow_counter {
    unsigned mode, n, count;
    bool out;
};

static void slow_step(struct slow_counter *s, unsigned since_load)
{
    switch (s->mode) {
    case 0: s->out = since_load >= s->n; break;
    case 2:
        s->count = since_load == 0 || s->count == 1 ? s->n : s->count - 1;
        s->out = s->count != 1;
        break;
    case 3:
        if (since_load == 0)
            s->count = 0, s->out = true;
        else if (++s->count == (s->out ? (s->n + 1) / 2 : s->n / 2))
            s->count = 0, s->out = !s->out;
        break;
    default: s->out = since_load != s->n; break;
    }
}

static void formulas_agree_with_stepping(void **state)
{
    static const u8 modes[] = {0, 2, 3, 4};
    for (unsigned m = 0; m < 4; m++)
        for (unsigned n = 2; n < 40; n++) {
            setup(state);
            struct slow_counter slow = {.mode = modes[m], .n = n};
            program(0, modes[m], (u16)n);
            for (unsigned t = 0; t < 200; t++) {
                advance(1);
                slow_step(&slow, t);
                assert_int_equal(board.line[0], slow.out);
                if (modes[m] == 2)
                    assert_int_equal(latched(0), slow.count);
            }
        }
}

static void refresh_bit_toggles(void **state)
{
    (void)state;
    struct device_env e = env();
    u8 first = pit_speaker_read(&pit, &e) & 0x10;
    advance(18);
    e = env();
    assert_int_not_equal(pit_speaker_read(&pit, &e) & 0x10, first);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(mode_0_rises_once_after_n_plus_1),
        TEST(mode_2_rises_once_a_period),
        TEST(mode_3_is_high_for_the_larger_half),
        TEST(mode_4_strobes_once),
        TEST(new_count_waits_for_the_period_in_mode_2),
        TEST(new_count_waits_for_the_half_cycle_in_mode_3),
        TEST(long_count_right_after_power_up_in_mode_3),
        TEST(gate_triggers_modes_1_and_5),
        TEST(gate_suspends_mode_0_and_restarts_mode_3),
        TEST(read_back_latches_status_and_count),
        TEST(latch_holds_until_read),
        TEST(bcd_counts_in_decimal),
        TEST(single_byte_access),
        TEST(formulas_agree_with_stepping),
        TEST(refresh_bit_toggles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
