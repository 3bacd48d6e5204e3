/* The keyboard controller and its keyboard. */
#include "devices/fake_board.h"
#include "devices/i8042.h"

static struct i8042 c;
static struct fake_board board;

static struct device_env env(void) { return fake_env(&board, 0); }

static void out(unsigned offset, u8 value)
{
    struct device_env e = env();
    i8042_write(&c, offset, value, &e);
}
static u8 in(unsigned offset)
{
    struct device_env e = env();
    return i8042_read(&c, offset, &e);
}
static void key(u8 code)
{
    struct device_env e = env();
    i8042_key(&c, code, &e);
}
static bool full(void) { return in(4) & 1; }

static void command(u8 value) { out(4, value); }
static void data(u8 value) { out(0, value); }

#define EXPECT(...)                                                   \
    do {                                                              \
        static const u8 expected[] = {__VA_ARGS__};                   \
        for (unsigned i = 0; i < sizeof(expected); i++) {             \
            assert_true(full());                                      \
            assert_int_equal(in(0), expected[i]);                     \
        }                                                             \
        assert_false(full());                                         \
    } while (0)

static int setup(void **state)
{
    (void)state;
    memset(&board, 0, sizeof(board));
    i8042_reset(&c);
    return 0;
}

static void self_tests_pass(void **state)
{
    (void)state;
    command(0xaa);
    EXPECT(0x55);
    command(0xab);
    EXPECT(0x00);
    command(0xa9); /* no auxiliary device */
    EXPECT(0x02);
}

static void command_byte_reads_back(void **state)
{
    (void)state;
    command(0x20);
    EXPECT(0x65);
    command(0x60), data(0x70);
    assert_int_equal(in(4) & 0x04, 0); /* the system flag is its bit 2 */
    command(0x20);
    EXPECT(0x70);
}

static void keys_come_translated_to_set_1(void **state)
{
    (void)state;
    for (unsigned code = 1; code < 0x80; code++) {
        key((u8)code);
        assert_int_equal(in(0), code);
        key((u8)(code | 0x80));
        assert_int_equal(in(0), code | 0x80);
        assert_false(full());
    }
    key(0xe0), key(0x48), key(0xe0), key(0xc8);
    EXPECT(0xe0, 0x48, 0xe0, 0xc8);
}

static void keys_come_in_set_2_without_translation(void **state)
{
    (void)state;
    command(0x60), data(0x05);
    key(0x1e), key(0x9e);
    EXPECT(0x1c, 0xf0, 0x1c);
    data(0xf0), data(0x01); /* set 1 at the source */
    EXPECT(0xfa, 0xfa);
    key(0x1e), key(0x9e);
    EXPECT(0x1e, 0x9e);
    data(0xf0), data(0x00);
    EXPECT(0xfa, 0xfa, 0x01);
}

static void each_byte_is_an_edge(void **state)
{
    (void)state;
    key(0x1e), key(0x1f), key(0x20);
    assert_int_equal(board.rises[1], 1);
    in(0);
    assert_int_equal(board.rises[1], 2);
    in(0), in(0);
    assert_int_equal(board.rises[1], 3);
    assert_false(board.line[1]);
}

static void no_interrupt_unless_enabled(void **state)
{
    (void)state;
    command(0x60), data(0x44);
    key(0x1e);
    assert_true(full());
    assert_false(board.line[1]);
}

static void disabled_interface_holds_keys_back(void **state)
{
    (void)state;
    command(0xad);
    key(0x1e);
    assert_false(full());
    command(0x20);
    EXPECT(0x75); /* the controller still answers */
    command(0xae);
    EXPECT(0x1e);
}

static void keyboard_answers_commands(void **state)
{
    (void)state;
    command(0x60), data(0x05); /* as the keyboard sends it */
    data(0xff);
    EXPECT(0xfa, 0xaa);
    data(0xf2);
    EXPECT(0xfa, 0xab, 0x83);
    data(0xed), data(0x07);
    EXPECT(0xfa, 0xfa);
    data(0xf3), data(0x20);
    EXPECT(0xfa, 0xfa);
    data(0xee);
    EXPECT(0xee);
    data(0xfe);
    EXPECT(0xee);
    data(0xf1); /* unknown: resend */
    EXPECT(0xfe);
    data(0xf5);
    EXPECT(0xfa);
    key(0x1e);
    assert_false(full());
    data(0xf4);
    EXPECT(0xfa);
    key(0x1e);
    EXPECT(0x1c);
}

static void full_queue_says_so_and_drops(void **state)
{
    (void)state;
    unsigned keys = 0;
    while (i8042_room(&c) && keys < 1000)
        key(0x1e), keys++;
    assert_in_range(keys, 16, 64);
    key(0x1f);
    for (unsigned i = 0; i < keys; i++)
        assert_int_equal(in(0), 0x1e);
    assert_false(full());
}

static void output_port_and_pulse_reset(void **state)
{
    (void)state;
    command(0xd0);
    EXPECT(0x03);
    command(0xd1), data(0x01); /* A20 off: a latch */
    command(0xd0);
    EXPECT(0x01);
    assert_int_equal(board.request, REQUEST_NONE);
    command(0xff); /* pulses nothing */
    assert_int_equal(board.request, REQUEST_NONE);
    command(0xfe);
    assert_int_equal(board.request, REQUEST_RESET);
    board.request = REQUEST_NONE;
    command(0xd1), data(0x02);
    assert_int_equal(board.request, REQUEST_RESET);
}

static void written_buffer_reads_back(void **state)
{
    (void)state;
    command(0xd2), data(0x5a);
    EXPECT(0x5a);
    assert_int_equal(in(4) & 0x20, 0); /* nothing ever claims to come from an auxiliary device */
    command(0xd4), data(0xf2);
    assert_false(full());
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(self_tests_pass),
        TEST(command_byte_reads_back),
        TEST(keys_come_translated_to_set_1),
        TEST(keys_come_in_set_2_without_translation),
        TEST(each_byte_is_an_edge),
        TEST(no_interrupt_unless_enabled),
        TEST(disabled_interface_holds_keys_back),
        TEST(keyboard_answers_commands),
        TEST(full_queue_says_so_and_drops),
        TEST(output_port_and_pulse_reset),
        TEST(written_buffer_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
