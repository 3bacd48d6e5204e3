/* The 16550A against its data sheet. */
#include "devices/fake_board.h"
#include "devices/uart.h"

enum { RBR = 0, THR = 0, IER = 1, IIR = 2, FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };

static struct uart uart;
static struct fake_board board;
static u64 now;

static void out(unsigned offset, u8 value)
{
    struct device_env e = fake_env(&board, now);
    uart_write(&uart, offset, value, &e);
}

static u8 in(unsigned offset)
{
    struct device_env e = fake_env(&board, now);
    return uart_read(&uart, offset, &e);
}

static void receive(const char *text)
{
    struct device_env e = fake_env(&board, now);
    while (*text)
        uart_receive(&uart, (u8)*text++, &e);
}

static bool irq(void) { return board.line[4]; }

static int setup(void **state)
{
    (void)state;
    memset(&board, 0, sizeof(board));
    now = 1000;
    uart_reset(&uart, 0, 4);
    out(MCR, 0x0b);
    return 0;
}

static void bytes_leave_at_once(void **state)
{
    (void)state;
    out(THR, 'h'), out(THR, 'i');
    assert_string_equal(board.console, "hi");
    assert_int_equal(in(LSR), 0x60);
}

static void divisor_hides_behind_dlab(void **state)
{
    (void)state;
    out(LCR, 0x83);
    out(0, 0x34), out(1, 0x12);
    assert_int_equal(in(0), 0x34);
    assert_int_equal(in(1), 0x12);
    out(LCR, 0x03);
    assert_int_equal(in(IER), 0);
    assert_int_equal(board.console_length, 0);
}

static void thre_interrupt_rearms(void **state)
{
    (void)state;
    out(IER, 2);
    assert_true(irq()); /* enabling it with an empty transmitter raises it */
    assert_int_equal(in(IIR), 0x02);
    assert_false(irq()); /* reading IIR answers it */
    assert_int_equal(in(IIR), 0x01);
    out(THR, 'x');
    assert_true(irq());
    out(IER, 0);
    assert_false(irq());
    assert_int_equal(in(IIR), 0x01);
    out(IER, 2);
    assert_int_equal(in(IIR), 0x02);
}

static void reading_iir_keeps_thre_behind_a_higher_source(void **state)
{
    (void)state;
    out(IER, 3);
    receive("a");
    assert_int_equal(in(IIR), 0x04);
    assert_int_equal(in(RBR), 'a');
    assert_int_equal(in(IIR), 0x02);
    assert_int_equal(in(IIR), 0x01);
}

static void priorities_in_order(void **state)
{
    (void)state;
    out(IER, 0x0f);
    receive("ab"); /* overrun without FIFO */
    out(MCR, 0x10);
    out(MCR, 0x0b); /* modem inputs move */
    assert_int_equal(in(IIR), 0x06);
    assert_int_equal(in(LSR), 0x63);
    assert_int_equal(in(IIR), 0x04);
    assert_int_equal(in(RBR), 'b'); /* the newer one stays */
    assert_int_equal(in(IIR), 0x02);
    assert_int_equal(in(IIR), 0x00);
    assert_int_not_equal(in(MSR) & 0x0f, 0);
    assert_int_equal(in(IIR), 0x01);
    assert_false(irq());
}

static void fifo_interrupts_at_its_trigger(void **state)
{
    (void)state;
    out(FCR, 0x81); /* 8 bytes */
    out(IER, 1);
    receive("1234567");
    assert_false(irq());
    assert_int_equal(in(IIR), 0xc1);
    receive("8");
    assert_true(irq());
    assert_int_equal(in(IIR), 0xc4);
    assert_int_equal(in(RBR), '1');
    assert_false(irq());
}

static void character_timeout_finds_the_rest(void **state)
{
    (void)state;
    out(LCR, 0x03);
    out(FCR, 0xc1);
    out(IER, 1);
    receive("x");
    assert_false(irq());
    /* 4 characters of 10 bits at 9,600 baud (divisor 12) */
    assert_int_equal(uart_deadline(&uart), now + 4166666);
    now = uart_deadline(&uart);
    struct device_env e = fake_env(&board, now);
    uart_tick(&uart, &e);
    assert_true(irq());
    assert_int_equal(in(IIR), 0xcc);
    assert_int_equal(in(RBR), 'x');
    assert_false(irq());
    assert_int_equal(uart_deadline(&uart), CLOCK_NEVER);
}

static void full_fifo_keeps_its_bytes_and_reports(void **state)
{
    (void)state;
    out(FCR, 0x01);
    assert_int_equal(uart_room(&uart), 16);
    receive("0123456789abcdef");
    assert_int_equal(uart_room(&uart), 0);
    receive("X");
    assert_int_equal(in(LSR), 0x63);
    assert_int_equal(in(LSR), 0x61);
    for (const char *c = "0123456789abcdef"; *c; c++)
        assert_int_equal(in(RBR), *c);
    assert_int_equal(in(LSR), 0x60);
}

static void clearing_the_fifo_empties_it(void **state)
{
    (void)state;
    out(FCR, 0x01);
    receive("abc");
    out(FCR, 0x02); /* without FCR0 set: disables the FIFO, which empties it too */
    assert_int_equal(in(LSR) & 1, 0);
    out(FCR, 0x01);
    receive("abc");
    out(FCR, 0x03);
    assert_int_equal(in(LSR) & 1, 0);
    assert_int_equal(in(IIR), 0xc1);
}

static void loopback_connects_outputs_to_inputs(void **state)
{
    (void)state;
    out(MCR, 0x1a); /* loop, OUT2, RTS: what drivers probe with */
    assert_int_equal(in(MSR) & 0xf0, 0x90);
    out(LCR, 0x03);
    out(THR, 0xa5);
    assert_int_equal(board.console_length, 0);
    assert_int_equal(in(RBR), 0xa5);
    out(LCR, 0x00); /* five data bits */
    out(THR, 0xff);
    assert_int_equal(in(RBR), 0x1f);
    receive("z");
    assert_int_equal(in(LSR) & 1, 0);
    assert_int_equal(uart_room(&uart), 0);
}

static void break_in_loopback_is_reported_with_its_byte(void **state)
{
    (void)state;
    out(FCR, 0x01);
    out(MCR, 0x10);
    out(THR, 1);
    out(LCR, 0x43);
    assert_int_equal(in(LSR), 0xe1); /* an error waits deeper in the FIFO */
    in(RBR);
    assert_int_equal(in(LSR), 0xf1);
    assert_int_equal(in(LSR), 0x61);
    assert_int_equal(in(RBR), 0);
}

static void out2_gates_the_interrupt(void **state)
{
    (void)state;
    out(IER, 2);
    out(MCR, 0x03);
    assert_false(irq());
    out(MCR, 0x0b);
    assert_true(irq());
    out(MCR, 0x1b);
    assert_false(irq());
}

static void scratch_and_masks(void **state)
{
    (void)state;
    out(SCR, 0x5a);
    assert_int_equal(in(SCR), 0x5a);
    out(IER, 0xff);
    assert_int_equal(in(IER), 0x0f);
    out(MCR, 0xff);
    assert_int_equal(in(MCR), 0x1f);
    out(LSR, 0x00);
    assert_int_equal(in(LSR), 0x60);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bytes_leave_at_once),
        TEST(divisor_hides_behind_dlab),
        TEST(thre_interrupt_rearms),
        TEST(reading_iir_keeps_thre_behind_a_higher_source),
        TEST(priorities_in_order),
        TEST(fifo_interrupts_at_its_trigger),
        TEST(character_timeout_finds_the_rest),
        TEST(full_fifo_keeps_its_bytes_and_reports),
        TEST(clearing_the_fifo_empties_it),
        TEST(loopback_connects_outputs_to_inputs),
        TEST(break_in_loopback_is_reported_with_its_byte),
        TEST(out2_gates_the_interrupt),
        TEST(scratch_and_masks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
