/* The MC146818 against its data sheet, and its calendar against the C library's. */
#include <time.h>

#include "devices/fake_board.h"
#include "devices/rtc.h"

#define SECOND 1000000000ull
#define MS 1000000ull

static struct rtc rtc;
static struct fake_board board;
static u64 now;

static void out(u8 index, u8 value)
{
    struct device_env e = fake_env(&board, now);
    rtc_write(&rtc, 0, index, &e);
    rtc_write(&rtc, 1, value, &e);
}

static u8 in(u8 index)
{
    struct device_env e = fake_env(&board, now);
    rtc_write(&rtc, 0, index, &e);
    return rtc_read(&rtc, 1, &e);
}

static void run_to(u64 ns)
{
    while (rtc_deadline(&rtc) <= ns) {
        u64 due = rtc_deadline(&rtc);
        struct device_env e = fake_env(&board, due > now ? due : now);
        now = e.now;
        rtc_tick(&rtc, &e);
        assert_true(rtc_deadline(&rtc) > now);
    }
    now = ns;
}

static void start(u64 seconds)
{
    memset(&board, 0, sizeof(board));
    rtc_reset(&rtc, seconds, now, 512ull << 20, 0);
}

static int setup(void **state)
{
    (void)state;
    now = 0;
    start(951782399); /* Mon 2000-02-28 23:59:59 */
    return 0;
}

static unsigned bcd(u8 v) { return (v >> 4) * 10u + (v & 15u); }

static void calendar_agrees_with_the_c_library(void **state)
{
    (void)state;
    u64 seconds = 0;
    for (unsigned i = 0; i < 3000; i++) {
        seconds = (seconds * 6364136223846793005ull + 1442695040888963407ull) % 253402300800ull; /* to year 9999 */
        now = 0;
        start(seconds);
        now = (seconds % 1000000) * SECOND;
        time_t t = (time_t)(seconds + seconds % 1000000);
        struct tm tm;
        if (t >= 253402300800ll || !gmtime_r(&t, &tm))
            continue;
        assert_int_equal(bcd(in(0)), tm.tm_sec);
        assert_int_equal(bcd(in(2)), tm.tm_min);
        assert_int_equal(bcd(in(4)), tm.tm_hour);
        assert_int_equal(bcd(in(6)), tm.tm_wday + 1);
        assert_int_equal(bcd(in(7)), tm.tm_mday);
        assert_int_equal(bcd(in(8)), tm.tm_mon + 1);
        assert_int_equal(bcd(in(9)) + 100 * bcd(in(0x32)), tm.tm_year + 1900);
    }
}

static void leap_day_comes(void **state)
{
    (void)state;
    assert_int_equal(in(0), 0x59);
    now += SECOND;
    assert_int_equal(in(0), 0x00);
    assert_int_equal(in(7), 0x29);
    assert_int_equal(in(8), 0x02);
    assert_int_equal(in(6), 3);
}

static void binary_and_12_hour_formats(void **state)
{
    (void)state;
    out(0x0b, 0x80 | 0x04); /* SET, binary, 12-hour */
    out(4, 0x80 | 11), out(2, 59), out(0, 58);
    out(0x0b, 0x04);
    now += SECOND;
    assert_int_equal(in(0), 59);
    assert_int_equal(in(4), 0x80 | 11); /* 11 pm */
    now += SECOND;
    assert_int_equal(in(4), 12); /* midnight */
    now += 12 * 3600 * SECOND;
    assert_int_equal(in(4), 0x80 | 12);
}

static void set_freezes_the_time(void **state)
{
    (void)state;
    out(0x0b, 0x82);
    now += 10 * SECOND;
    assert_int_equal(in(0), 0x59);
    assert_int_equal(in(0x0a) & 0x80, 0);
    out(0, 0x07);
    out(0x0b, 0x02);
    now += 2 * SECOND;
    assert_int_equal(in(0), 0x09);
}

static void uip_warns_before_the_update(void **state)
{
    (void)state;
    now = SECOND - 244001;
    assert_int_equal(in(0x0a) & 0x80, 0);
    now = SECOND - 244000;
    assert_int_equal(in(0x0a) & 0x80, 0x80);
    now = SECOND - 1;
    assert_int_equal(in(0), 0x59);
    now = SECOND;
    assert_int_equal(in(0x0a) & 0x80, 0);
    assert_int_equal(in(0), 0x00);
}

static void divider_release_starts_half_a_second_before_the_update(void **state)
{
    (void)state;
    now = 3 * SECOND + 100 * MS;
    in(0);
    out(0x0a, 0x76); /* held in reset */
    now += 10 * SECOND;
    assert_int_equal(in(0), 0x02);
    out(0x0a, 0x26);
    now += 499 * MS;
    assert_int_equal(in(0), 0x02);
    now += 1 * MS;
    assert_int_equal(in(0), 0x03);
}

static void periodic_interrupt_keeps_its_rate(void **state)
{
    (void)state;
    out(0x0a, 0x26); /* 1,024 Hz */
    out(0x0b, 0x42);
    unsigned interrupts = 0;
    for (unsigned i = 1; i <= 100000; i++) {
        run_to(i * 10000ull);
        if (board.line[8]) {
            interrupts++;
            assert_int_equal(in(0x0c) & 0xc0, 0xc0);
            assert_false(board.line[8]);
        }
    }
    assert_int_equal(interrupts, 1024);
}

static void rates_1_and_2_are_those_of_8_and_9(void **state)
{
    (void)state;
    out(0x0b, 0x42);
    in(0x0c);
    out(0x0a, 0x21);
    assert_int_equal(rtc_deadline(&rtc), SECOND / 256);
    out(0x0a, 0x22);
    assert_int_equal(rtc_deadline(&rtc), SECOND / 128);
    out(0x0a, 0x20);
    assert_int_equal(rtc_deadline(&rtc), CLOCK_NEVER);
}

static void update_interrupt_once_a_second(void **state)
{
    (void)state;
    out(0x0b, 0x12);
    run_to(SECOND - 1);
    assert_false(board.line[8]);
    run_to(SECOND);
    assert_true(board.line[8]);
    run_to(5 * SECOND);
    assert_int_equal(board.rises[8], 1); /* until register C is read */
    assert_int_equal(in(0x0c) & 0x90, 0x90);
    run_to(6 * SECOND);
    assert_int_equal(board.rises[8], 2);
    out(0x0b, 0x92); /* SET clears UIE */
    assert_int_equal(in(0x0b), 0x82);
}

static void alarm_strikes_at_its_time(void **state)
{
    (void)state;
    out(5, 0x01), out(3, 0x30), out(1, 0xc0); /* 01:30, any second */
    in(0x0c);
    out(0x0b, 0x22);
    assert_int_equal(rtc_deadline(&rtc), (1 + 5400) * SECOND);
    run_to(5400 * SECOND);
    assert_false(board.line[8]);
    run_to(5401 * SECOND);
    assert_true(board.line[8]);
    assert_int_equal(in(0x0c) & 0xa0, 0xa0);
    run_to(5402 * SECOND);
    assert_true(board.line[8]);
    out(5, 0x77); /* no such hour */
    in(0x0c);
    assert_int_equal(rtc_deadline(&rtc), CLOCK_NEVER);
    out(5, 0xff), out(3, 0xff), out(1, 0x60); /* every hour, every minute, no such second */
    assert_int_equal(rtc_deadline(&rtc), CLOCK_NEVER);
    out(3, 0x5a), out(1, 0x59); /* no such minute */
    assert_int_equal(rtc_deadline(&rtc), CLOCK_NEVER);
    out(3, 0x59);
    assert_int_not_equal(rtc_deadline(&rtc), CLOCK_NEVER);
}

static void flags_are_set_without_their_enables(void **state)
{
    (void)state;
    in(0x0c);
    out(5, 0xff), out(3, 0xff), out(1, 0xff);
    now += 2 * SECOND;
    assert_int_equal(in(0x0c), 0x70);
    assert_int_equal(in(0x0c), 0x00);
    assert_int_equal(board.rises[8], 0);
}

static void memory_and_read_only_registers(void **state)
{
    (void)state;
    out(0x40, 0xaa);
    assert_int_equal(in(0x40), 0xaa);
    out(0xc0, 0x55); /* bit 7 masks NMI only */
    assert_int_equal(in(0x40), 0x55);
    out(0x0d, 0), out(0x0c, 0xff);
    assert_int_equal(in(0x0d), 0x80);
    assert_int_equal(in(0x17) | in(0x18) << 8, 0xffff);
    assert_int_equal(in(0x34) | in(0x35) << 8, (512 - 16) * 16);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(calendar_agrees_with_the_c_library),
        TEST(leap_day_comes),
        TEST(binary_and_12_hour_formats),
        TEST(set_freezes_the_time),
        TEST(uip_warns_before_the_update),
        TEST(divider_release_starts_half_a_second_before_the_update),
        TEST(periodic_interrupt_keeps_its_rate),
        TEST(rates_1_and_2_are_those_of_8_and_9),
        TEST(update_interrupt_once_a_second),
        TEST(alarm_strikes_at_its_time),
        TEST(flags_are_set_without_their_enables),
        TEST(memory_and_read_only_registers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
