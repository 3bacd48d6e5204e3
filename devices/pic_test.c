/* The 8259A pair against its data sheet. */
#include "devices/fake_board.h"
#include "devices/pic.h"

static struct pic pic;

static void out(u16 port, u8 value) { pic_write(&pic, port, value); }

static int setup(void **state)
{
    (void)state;
    pic_reset(&pic);
    out(0x20, 0x11), out(0x21, 0x20), out(0x21, 0x04), out(0x21, 0x01);
    out(0xa0, 0x11), out(0xa1, 0x28), out(0xa1, 0x02), out(0xa1, 0x01);
    return 0;
}

static void pulse(unsigned line)
{
    pic_set_line(&pic, line, false);
    pic_set_line(&pic, line, true);
}

static void uninitialised_chip_is_silent(void **state)
{
    (void)state;
    pic_reset(&pic);
    out(0x21, 0);
    pulse(1);
    assert_false(pic_output(&pic));
}

static void lower_input_has_higher_priority(void **state)
{
    (void)state;
    pulse(5), pulse(3);
    assert_int_equal(pic_acknowledge(&pic), 0x23);
    assert_false(pic_output(&pic)); /* 5 waits for the end of 3 */
    pulse(1);
    assert_int_equal(pic_acknowledge(&pic), 0x21);
    out(0x20, 0x20); /* non-specific EOI ends 1, the highest */
    out(0x20, 0x0b);
    assert_int_equal(pic_read(&pic, 0x20), 0x08);
    out(0x20, 0x63);
    assert_int_equal(pic_acknowledge(&pic), 0x25);
}

static void slave_comes_through_input_2(void **state)
{
    (void)state;
    pulse(12), pulse(9);
    assert_int_equal(pic_acknowledge(&pic), 0x29);
    assert_false(pic_output(&pic));
    pulse(3);
    assert_false(pic_output(&pic)); /* below input 2 */
    out(0xa0, 0x20), out(0x20, 0x20);
    assert_int_equal(pic_acknowledge(&pic), 0x2c);
}

static void special_fully_nested_lets_the_slave_nest(void **state)
{
    (void)state;
    out(0x20, 0x11), out(0x21, 0x20), out(0x21, 0x04), out(0x21, 0x11);
    pulse(12);
    assert_int_equal(pic_acknowledge(&pic), 0x2c);
    pulse(9);
    assert_true(pic_output(&pic));
    assert_int_equal(pic_acknowledge(&pic), 0x29);
}

static void withdrawn_request_is_spurious(void **state)
{
    (void)state;
    pulse(4);
    pic_set_line(&pic, 4, false);
    assert_false(pic_output(&pic));
    assert_int_equal(pic_acknowledge(&pic), 0x27);
    out(0x20, 0x0b);
    assert_int_equal(pic_read(&pic, 0x20), 0); /* IS7 stays clear: how software tells */
}

static void edge_asks_once_level_until_dropped(void **state)
{
    (void)state;
    pic_elcr_write(&pic, 0x4d1, 0xff);
    assert_int_equal(pic_elcr_read(&pic, 0x4d1), 0xde);
    pulse(5), pulse(11);
    assert_int_equal(pic_acknowledge(&pic), 0x2b);
    out(0xa0, 0x20), out(0x20, 0x20);
    assert_int_equal(pic_acknowledge(&pic), 0x2b);
    pic_set_line(&pic, 11, false);
    out(0xa0, 0x20), out(0x20, 0x20);
    assert_int_equal(pic_acknowledge(&pic), 0x25);
    out(0x20, 0x20);
    assert_false(pic_output(&pic));
}

static void icw1_forgets_edges_and_masks(void **state)
{
    (void)state;
    out(0x21, 0xff);
    pulse(4);
    out(0x20, 0x11), out(0x21, 0x40), out(0x21, 0x04), out(0x21, 0x01);
    assert_int_equal(pic_read(&pic, 0x21), 0);
    assert_false(pic_output(&pic));
    pulse(4);
    assert_int_equal(pic_acknowledge(&pic), 0x44);
}

static void no_output_during_initialisation(void **state)
{
    (void)state;
    out(0x20, 0x11);
    pulse(1);
    assert_false(pic_output(&pic));
    out(0x21, 0x20), out(0x21, 0x04), out(0x21, 0x01);
    assert_true(pic_output(&pic));
}

static void rotation_moves_the_lowest_priority(void **state)
{
    (void)state;
    pulse(0), pulse(1);
    assert_int_equal(pic_acknowledge(&pic), 0x20);
    out(0x20, 0xa0); /* rotate on non-specific EOI: 0 becomes lowest */
    pulse(0);
    assert_int_equal(pic_acknowledge(&pic), 0x21);
    out(0x20, 0x21);
    out(0x20, 0xc5); /* set priority: 6 highest */
    out(0x20, 0x61);
    pulse(6);
    assert_int_equal(pic_acknowledge(&pic), 0x26);
}

static void automatic_eoi_leaves_nothing_in_service(void **state)
{
    (void)state;
    out(0x20, 0x11), out(0x21, 0x20), out(0x21, 0x04), out(0x21, 0x03);
    pulse(3), pulse(4);
    assert_int_equal(pic_acknowledge(&pic), 0x23);
    assert_int_equal(pic_acknowledge(&pic), 0x24);
}

static void special_mask_mode_lets_lower_priorities_in(void **state)
{
    (void)state;
    pulse(2 + 1), pic_acknowledge(&pic);
    pulse(6);
    assert_false(pic_output(&pic));
    out(0x21, 0x08), out(0x20, 0x68);
    assert_int_equal(pic_acknowledge(&pic), 0x26);
    out(0x20, 0x20); /* passes over the masked 3 */
    out(0x20, 0x0b);
    assert_int_equal(pic_read(&pic, 0x20), 0x08);
}

static void poll_acknowledges(void **state)
{
    (void)state;
    out(0x20, 0x0c);
    assert_int_equal(pic_read(&pic, 0x20), 0x07);
    pulse(6);
    out(0x20, 0x0c);
    assert_int_equal(pic_read(&pic, 0x20), 0x86);
    assert_false(pic_output(&pic));
    assert_int_equal(pic_read(&pic, 0x20), 0); /* IRR again */
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(uninitialised_chip_is_silent),
        TEST(lower_input_has_higher_priority),
        TEST(slave_comes_through_input_2),
        TEST(special_fully_nested_lets_the_slave_nest),
        TEST(withdrawn_request_is_spurious),
        TEST(edge_asks_once_level_until_dropped),
        TEST(icw1_forgets_edges_and_masks),
        TEST(no_output_during_initialisation),
        TEST(rotation_moves_the_lowest_priority),
        TEST(automatic_eoi_leaves_nothing_in_service),
        TEST(special_mask_mode_lets_lower_priorities_in),
        TEST(poll_acknowledges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
