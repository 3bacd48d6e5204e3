#include "metal/print.h"

#include "metal/screen.h"
#include "metal/serial.h"

void print_bytes(const u8 *from, size_t bytes)
{
    serial_write(SERIAL_COM1, from, bytes);
    for (size_t n = 0; n < bytes; n++)
        screen_put(from[n]);
}

void print_list(const char *const texts[])
{
    for (; *texts; texts++)
        print(*texts);
}

void print(const char *text)
{
    while (*text) {
        size_t n = 0;
        while (text[n] && text[n] != '\n')
            n++;
        print_bytes((const u8 *)text, n);
        text += n;
        if (*text) {
            print_bytes((const u8 *)"\r\n", 2);
            text++;
        }
    }
}

static void print_digits(u64 value, unsigned base, unsigned least)
{
    char digits[24];
    unsigned n = sizeof digits - 1;
    digits[n] = 0;
    do {
        digits[--n] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value || sizeof digits - 1 - n < least);
    print(digits + n);
}

void print_hex(u64 value)
{
    print("0x");
    print_digits(value, 16, 1);
}

void print_hex_16(u64 value) { print_digits(value, 16, 16); }

void print_decimal(u64 value) { print_digits(value, 10, 1); }
