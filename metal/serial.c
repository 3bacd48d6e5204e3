#include "metal/serial.h"

#include "metal/port.h"

enum { COM1 = 0x3f8, IER = 1, FCR = 2, LCR = 3, MCR = 4, LSR = 5 };
enum { LSR_THRE = 0x20, LCR_8N1 = 0x03, LCR_DLAB = 0x80, FCR_ENABLE_CLEAR = 0x07, MCR_DTR_RTS = 0x03 };
enum { DIVISOR_115200 = 1, PATIENCE = 100000 };

void serial_init(void)
{
    port_out8(COM1 + IER, 0);
    port_out8(COM1 + LCR, LCR_DLAB);
    port_out8(COM1 + 0, DIVISOR_115200);
    port_out8(COM1 + 1, 0);
    port_out8(COM1 + LCR, LCR_8N1);
    port_out8(COM1 + FCR, FCR_ENABLE_CLEAR);
    port_out8(COM1 + MCR, MCR_DTR_RTS);
}

void serial_put(u8 byte)
{
    /* An absent port reads as all ones, a broken one may never be ready: neither may hang the machine. */
    for (unsigned tries = 0; tries < PATIENCE && !(port_in8(COM1 + LSR) & LSR_THRE); tries++)
        __asm__ volatile("pause");
    port_out8(COM1, byte);
}

void serial_print(const char *text)
{
    for (; *text; text++) {
        if (*text == '\n')
            serial_put('\r');
        serial_put((u8)*text);
    }
}

static void print_digits(u64 value, unsigned base)
{
    char digits[24];
    unsigned n = 0;
    do {
        digits[n++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    while (n)
        serial_put((u8)digits[--n]);
}

void serial_print_hex(u64 value)
{
    serial_print("0x");
    print_digits(value, 16);
}

void serial_print_decimal(u64 value) { print_digits(value, 10); }
