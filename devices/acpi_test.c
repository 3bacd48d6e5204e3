/* ACPI fixed hardware. */
#include "devices/acpi.h"
#include "devices/fake_board.h"

static struct acpi acpi;
static struct fake_board board;
static u64 now;

static void out(unsigned offset, u32 value, unsigned size)
{
    struct device_env e = fake_env(&board, now);
    acpi_write(&acpi, offset, value, size, &e);
}
static u32 in(unsigned offset, unsigned size)
{
    struct device_env e = fake_env(&board, now);
    return acpi_read(&acpi, offset, size, &e);
}

static int setup(void **state)
{
    (void)state;
    memset(&board, 0, sizeof(board));
    now = 0;
    acpi_reset(&acpi, now);
    return 0;
}

static void timer_counts_at_its_rate(void **state)
{
    (void)state;
    now = 1000000000ull;
    assert_int_equal(in(8, 4), 3579545);
    now = 2000000000ull * 1000;
    assert_int_equal(in(8, 4), (u32)(3579545ull * 2000));
    assert_int_equal(in(9, 1), (u8)((3579545ull * 2000) >> 8));
    u32 before = in(8, 4);
    out(8, 0, 4);
    assert_int_equal(in(8, 4), before);
}

static void timer_overflow_raises_the_sci(void **state)
{
    (void)state;
    out(2, 1, 2);
    u64 due = acpi_deadline(&acpi);
    assert_int_equal(due, (u64)(((unsigned __int128)1000000000 << 31) / 3579545) + 1);
    now = due - 1;
    assert_int_equal(in(0, 2), 0);
    now = due;
    struct device_env e = fake_env(&board, now);
    acpi_tick(&acpi, &e);
    assert_true(board.line[9]);
    assert_int_equal(in(0, 2), 1);
    assert_int_equal(acpi_deadline(&acpi), CLOCK_NEVER);
    out(0, 1, 2); /* write 1 to clear */
    assert_false(board.line[9]);
    assert_in_range(acpi_deadline(&acpi), 2 * due - 2, 2 * due);
}

static void s5_powers_off_and_nothing_else_does(void **state)
{
    (void)state;
    assert_int_equal(in(4, 2), 1); /* SCI_EN */
    out(4, 0, 2);
    assert_int_equal(in(4, 2), 1);
    out(4, 5 << 10, 2);
    assert_int_equal(board.request, REQUEST_NONE);
    out(4, 3 << 10 | 1 << 13, 2);
    assert_int_equal(board.request, REQUEST_NONE);
    out(4, 5 << 10 | 1 << 13, 2);
    assert_int_equal(board.request, REQUEST_POWER_OFF);
    assert_int_equal(in(4, 2), 5 << 10 | 1); /* SLP_EN reads 0 */
}

static void status_and_enable_in_one_dword(void **state)
{
    (void)state;
    out(0, 0xffffffff, 4);
    assert_int_equal(in(0, 4), 0x07210000);
    assert_int_equal(in(3, 1), 0x07);
}

static void reset_register_needs_an_edge(void **state)
{
    (void)state;
    struct device_env e = fake_env(&board, 0);
    acpi_reset_write(&acpi, 0x02, &e);
    assert_int_equal(board.request, REQUEST_NONE);
    assert_int_equal(acpi_reset_read(&acpi), 0x02);
    acpi_reset_write(&acpi, 0x06, &e);
    assert_int_equal(board.request, REQUEST_RESET);
    board.request = REQUEST_NONE;
    acpi_reset_write(&acpi, 0x06, &e);
    assert_int_equal(board.request, REQUEST_NONE);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(timer_counts_at_its_rate),
        TEST(timer_overflow_raises_the_sci),
        TEST(s5_powers_off_and_nothing_else_does),
        TEST(status_and_enable_in_one_dword),
        TEST(reset_register_needs_an_edge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
