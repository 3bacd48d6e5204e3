#include "guests/lib/guest.h"

enum { COM1 = 0x3f8, LSR = COM1 + 5, LSR_EMPTY = 0x20, LSR_IDLE = 0x40, DEBUG_CONSOLE = 0xe9 };
enum { DEBUG_EXIT = 0xf4, BOCHS_SHUTDOWN = 0x8900 };

static u32 kept, broken, skipped;
static bool serial_ready;
bool debug_console = true;

/* 115200 baud, 8N1, no FIFO, no interrupts (16550A data sheet, 8). */
static void serial_init(void)
{
    outb(COM1 + 1, 0);
    outb(COM1 + 3, 0x80);
    outb(COM1, 1);
    outb(COM1 + 1, 0);
    outb(COM1 + 3, 3);
    outb(COM1 + 2, 0);
    serial_ready = true;
}

static void put_now(char c)
{
    if (!serial_ready)
        serial_init();
    while (!(inb(LSR) & LSR_EMPTY))
        ;
    outb(COM1, c);
    if (debug_console)
        outb(DEBUG_CONSOLE, c);
}

static char held[4096];
static u32 held_size;
static bool holding;

static void put(char c)
{
    if (holding && held_size < sizeof held)
        held[held_size++] = c;
    else
        put_now(c);
}

void report_hold(void) { holding = true; }

void report_release(void)
{
    for (u32 i = 0; i < held_size; i++)
        put_now(held[i]);
    held_size = 0;
    holding = false;
}

void print(const char *text)
{
    while (*text)
        put(*text++);
}

static char *format_hex(char *to, u64 value)
{
    unsigned digits = 1;
    while (digits < 16 && value >> (4 * digits))
        digits++;
    *to++ = '0';
    *to++ = 'x';
    while (digits--)
        *to++ = "0123456789abcdef"[value >> (4 * digits) & 15];
    *to = 0;
    return to;
}

void print_hex(u64 value)
{
    char text[20];
    format_hex(text, value);
    print(text);
}

void print_decimal(u32 value)
{
    if (value >= 10)
        print_decimal(value / 10);
    put('0' + value % 10);
}

static void print_verdict(const char *verdict, const char *promise)
{
    print(verdict);
    print(" ");
    print(suite_name);
    print(": ");
    print(promise);
}

void promise_text(const char *text, bool is_kept, const char *expected, const char *got)
{
    print_verdict(is_kept ? "ok" : "BROKEN", text);
    if (is_kept) {
        kept++;
    } else {
        broken++;
        print(": expected ");
        print(expected);
        print(" got ");
        print(got);
    }
    print("\n");
}

void promise(const char *text, u64 expected, u64 got)
{
    char expected_text[20], got_text[20];
    format_hex(expected_text, expected);
    format_hex(got_text, got);
    promise_text(text, expected == got, expected_text, got_text);
}

void skip(const char *text)
{
    skipped++;
    print_verdict("skip", text);
    print("\n");
}

static char *append(char *to, const char *text)
{
    while (*text)
        *to++ = *text++;
    *to = 0;
    return to;
}

static void format_trap(char *to, u64 vector, u64 error, u64 cs, u64 ip)
{
    to = append(to, "vector ");
    to = format_hex(to, vector);
    to = append(to, " error ");
    to = format_hex(to, error);
    to = append(to, " at ");
    to = format_hex(to, cs);
    to = append(to, ":");
    format_hex(to, ip);
}

static word probe_cs;

void report_probe_cs(word cs) { probe_cs = cs; }

void trap_is(const char *text, const struct trap *t, unsigned vector, word error, const void *ip)
{
    char expected[100], got[100];
    format_trap(expected, vector, error, probe_cs, (word)ip);
    format_trap(got, t->vector, t->error, t->cs, t->ip);
    bool same = t->vector == vector && t->error == error && t->cs == probe_cs && t->ip == (word)ip;
    promise_text(text, same, expected, got);
}

static void print_end(void)
{
    report_release();
    print("end ");
    print(suite_name);
    print(": ");
    print_decimal(kept);
    print(" kept, ");
    print_decimal(broken);
    print(" broken");
    if (skipped) {
        print(", ");
        print_decimal(skipped);
        print(" skipped");
    }
    print("\n");
    while (!(inb(LSR) & LSR_IDLE))
        ;
}

static void __attribute__((noreturn)) stop(void)
{
    for (;;)
        __asm__ volatile("cli; hlt");
}

void finish_by_power_off(void)
{
    print_end();
    if (broken)
        outb(DEBUG_EXIT, 1);
    /* The power may take a while to go, as in QEMU, where another thread switches it off. A machine that stays on halts
     * here for good, which no engine reports as success. */
    acpi_power_off();
    stop();
}

void finish(void)
{
    print_end();
    outb(DEBUG_EXIT, broken != 0);
    for (const char *p = "Shutdown"; *p; p++)
        outb(BOCHS_SHUTDOWN, *p);
    acpi_power_off();
    stop();
}

void *memset(void *to, int value, word size)
{
    void *start = to;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
    return start;
}

void *memcpy(void *to, const void *from, word size)
{
    void *start = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
    return start;
}

int memcmp(const void *a, const void *b, word size)
{
    const u8 *p = a, *q = b;
    for (; size; size--, p++, q++) {
        if (*p != *q)
            return *p - *q;
    }
    return 0;
}
