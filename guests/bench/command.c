#include "guests/bench/command.h"

static volatile struct { char marker[16], text[112]; } defaults = {"command line is:", "n=1"};

/* Whether the text at `at` starts with `prefix`. */
static bool starts(const char *at, const char *prefix)
{
    while (*prefix && *at == *prefix)
        at++, prefix++;
    return !*prefix;
}

/* Flag 2 of the information says that the command line's address, at 16, is valid: Multiboot 3.3. */
static const char *command_line(void)
{
    const u32 *info = (const u32 *)(word)boot_info;
    return info[0] & 4 ? (const char *)(word)info[4] : (const char *)defaults.text;
}

u32 command_number(const char *key, u32 otherwise)
{
    for (const char *at = command_line(); *at; at++) {
        if (!starts(at, key))
            continue;
        while (*at != '=')
            at++;
        u32 value = 0;
        while (*++at >= '0' && *at <= '9')
            value = value * 10 + (*at - '0');
        return value;
    }
    return otherwise;
}

static bool named(const char *name)
{
    u32 size = 0;
    while (name[size])
        size++;
    const char *at = command_line();
    for (bool word_start = true; *at; word_start = *at++ == ' ') {
        if (word_start && starts(at, name) && (!at[size] || at[size] == ' '))
            return true;
    }
    return false;
}

bool command_wants(const char *name, const char *const *names, u32 count)
{
    bool any = false;
    for (u32 i = 0; i < count; i++)
        any |= named(names[i]);
    return !any || named(name);
}

static void line(const char *what, const char *name)
{
    print("bench: ");
    print(what);
    print(" ");
    print(name);
}

void bench_at(const char *name)
{
    line("at", name);
    print("\n");
}

void bench_begin(const char *name)
{
    line("begin", name);
    print("\n");
}

void bench_end(const char *name, u32 result, u64 ticks)
{
    line("end", name);
    print(" ");
    print_hex(result);
    print(" ");
    print_hex(ticks);
    print("\n");
}
