/* The guest for machines without a network: greets, shows the memory map, and offers a small shell on COM1. Sleeps in
 * HLT between key strokes, so that an idle machine is idle. */
#include "guests/lib/acpi.h"

const char *const suite_name = "hello";

enum { COM1 = 0x3f8, COM1_VECTOR = 0x24, LINE_MAX = 80 };

static char input[LINE_MAX + 1];
static unsigned input_size;
static volatile bool line_ready;

static void put(char c)
{
    char text[2] = {c, 0};
    print(text);
}

static void take(char c)
{
    if (c == '\r' || c == '\n') {
        print("\n");
        input[input_size] = 0;
        line_ready = true;
    } else if ((c == 8 || c == 127) && input_size) {
        input_size--;
        print("\b \b");
    } else if (c >= ' ' && c < 127 && input_size < LINE_MAX) {
        input[input_size++] = c;
        put(c);
    }
}

static bool on_interrupt(const struct trap *t, struct frame *f)
{
    (void)f;
    trap_count = 0;
    if (t->vector != COM1_VECTOR)
        return false;
    while (!line_ready && (inb(COM1 + 5) & 1))
        take(inb(COM1));
    outb(0x20, 0x20);
    return true;
}

static bool same(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

static void print_range(u64 base, u64 size, u32 type)
{
    print("  ");
    print_hex(base);
    print(" - ");
    print_hex(base + size - 1);
    print(type == 1 ? "  usable\n" : "  reserved\n");
}

/* Multiboot 3.3: flag 6 says that mmap_length and mmap_addr, at 44 and 48, are valid. */
static void memory_map(void)
{
    const u32 *info = (const u32 *)(word)boot_info;
    if (!(info[0] & 0x40)) {
        print("No memory map.\n");
        return;
    }
    print("Memory map:\n");
    u64 usable = 0;
    for (u32 at = info[12]; at < info[12] + info[11]; at += *(const u32 *)(word)at + 4) {
        const u32 *entry = (const u32 *)(word)at;
        u64 base = entry[1] | (u64)entry[2] << 32, size = entry[3] | (u64)entry[4] << 32;
        print_range(base, size, entry[5]);
        usable += entry[5] == 1 ? size : 0;
    }
    print_decimal(usable >> 10);
    print(" KiB usable\n");
}

static void print_packed(const u32 *words, unsigned count)
{
    for (unsigned i = 0; i < 4 * count; i++) {
        char c = words[i / 4] >> (8 * (i % 4));
        if (c)
            put(c);
    }
}

static void processor(void)
{
    struct cpuid r = cpuid(0, 0);
    u32 vendor[3] = {r.ebx, r.edx, r.ecx};
    print_packed(vendor, 3);
    print(" ");
    if (cpuid(0x80000000, 0).eax >= 0x80000004) {
        for (u32 leaf = 0x80000002; leaf <= 0x80000004; leaf++) {
            r = cpuid(leaf, 0);
            print_packed(&r.eax, 4);
        }
    }
    r = cpuid(1, 0);
    print("\nsignature ");
    print_hex(r.eax);
    print(" features ");
    print_hex((u64)r.ecx << 32 | r.edx);
    print("\n");
}

static u8 cmos(u8 index)
{
    outb(0x70, index);
    return inb(0x71);
}

/* MC146818 data sheet: registers are stable while UIP is clear; BCD by the BIOS's choice. */
static void time_of_day(void)
{
    static const struct { u8 index; char after; } fields[] = {
        {9, '-'}, {8, '-'}, {7, ' '}, {4, ':'}, {2, ':'}, {0, '\n'},
    };
    while (cmos(10) & 0x80)
        ;
    bool binary = cmos(11) & 4;
    for (unsigned i = 0; i < sizeof fields / sizeof *fields; i++) {
        u8 value = cmos(fields[i].index);
        if (!binary)
            value = (value >> 4) * 10 + (value & 15);
        put('0' + value / 10 % 10);
        put('0' + value % 10);
        put(fields[i].after);
    }
}

static void halt(void)
{
    print("Halted.\n");
    for (;;)
        __asm__ volatile("cli; hlt");
}

static void power_off(void)
{
    print("Good-bye.\n");
    acpi_power_off();
    print("This machine has no ACPI power-off.\n");
}

static void help(void);

static const struct { const char *name, *summary; void (*action)(void); } commands[] = {
    {"help", "this list", help},
    {"mem", "the memory map", memory_map},
    {"cpuid", "the processor", processor},
    {"time", "date and time of the real-time clock", time_of_day},
    {"halt", "stop the processor", halt},
    {"poweroff", "switch the machine off", power_off},
};

static void help(void)
{
    for (unsigned i = 0; i < sizeof commands / sizeof *commands; i++) {
        print("  ");
        print(commands[i].name);
        print(" - ");
        print(commands[i].summary);
        print("\n");
    }
    print("  echo TEXT - the text\n");
}

static void execute(void)
{
    if (!memcmp(input, "echo ", 5)) {
        print(input + 5);
        print("\n");
        return;
    }
    for (unsigned i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (same(input, commands[i].name)) {
            commands[i].action();
            return;
        }
    }
    if (*input)
        print("No such command; try help.\n");
}

int main(void)
{
    debug_console = false;
    print("Hello from a guest of Reprise.\n");
    memory_map();
    print("Type help for a list of commands.\n");
    trap_hook = on_interrupt;
    outb(COM1 + 4, 8);
    outb(COM1 + 1, 1);
    outb(0x21, 0xef);
    for (;;) {
        print("> ");
        input_size = 0;
        line_ready = false;
        while (inb(COM1 + 5) & 1 && !line_ready)
            take(inb(COM1));
        __asm__ volatile("cli");
        while (!line_ready) {
            /* STI takes effect after HLT has begun: no key stroke is lost between the test and the sleep. */
            __asm__ volatile("sti; hlt; cli");
        }
        execute();
    }
}
