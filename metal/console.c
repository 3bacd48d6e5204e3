#include "metal/console.h"

#include "metal/host_metal.h"
#include "metal/monitor.h"
#include "metal/power.h"
#include "metal/print.h"
#include "metal/serial.h"

enum { CTRL_A = 1, PENDING_BYTES = 256 };

static struct {
    struct guest *guests;
    unsigned count;
    struct guest *attached; /* has screen and keyboard, unless the monitor is open */
    struct guest *writing;
    bool escaped; /* the last byte was Ctrl-A */
    bool monitor;
    u8 pending[PENDING_BYTES]; /* for the screen */
    size_t used;
} console;

static const char help[] = "\n"
                           "Ctrl-A h    this help\n"
                           "Ctrl-A m    the monitor: list, start, stop, pause, stats, log, ...\n"
                           "Ctrl-A 1-8  the console of that guest\n"
                           "Ctrl-A n    the console of the next guest\n"
                           "Ctrl-A a    Ctrl-A itself\n"
                           "Ctrl-A x    switch the machine off\n";

void console_flush(void)
{
    print_bytes(console.pending, console.used);
    console.used = 0;
}

static void take_output(enum host_channel channel, u8 byte)
{
    struct guest *g = console.writing;
    if (!g || channel != HOST_COM1)
        return;
    g->history[g->history_written++ % GUEST_HISTORY_BYTES] = byte;
    if (g != console.attached || console.monitor)
        return;
    console.pending[console.used++] = byte;
    if (console.used == PENDING_BYTES)
        console_flush();
}

void console_init(struct guest *guests, unsigned count)
{
    console.guests = guests;
    console.count = count;
    console.attached = guests;
    monitor_init(guests, count);
    host_set_console(take_output);
}

void console_switch_output(struct guest *g)
{
    console_flush();
    console.writing = g;
}

void console_show_history(const struct guest *g)
{
    u64 first = g->history_written > GUEST_HISTORY_BYTES ? g->history_written - GUEST_HISTORY_BYTES : 0;
    for (u64 n = first; n < g->history_written; n++)
        print_bytes(&g->history[n % GUEST_HISTORY_BYTES], 1);
}

void console_attach(struct guest *g)
{
    console.monitor = false;
    console.attached = g;
    print_all("\n[", g->name, "]\n");
    console_show_history(g);
}

static void open_monitor(void)
{
    console.monitor = true;
    monitor_open();
}

static void escape(u8 byte)
{
    unsigned here = (unsigned)(console.attached - console.guests);
    if (byte >= '1' && byte < '1' + console.count)
        console_attach(&console.guests[byte - '1']);
    else if (byte == 'n')
        console_attach(&console.guests[(here + 1) % console.count]);
    else if (byte == 'm')
        open_monitor();
    else if (byte == 'x')
        monitor_power_off();
    else if (byte == 'a' || byte == CTRL_A)
        guest_type(console.attached, CTRL_A);
    else
        print(help);
}

void console_poll(void)
{
    for (int byte; (byte = serial_read()) >= 0;) {
        if (console.escaped) {
            console.escaped = false;
            escape((u8)byte);
        } else if (byte == CTRL_A) {
            console.escaped = true;
        } else if (console.monitor) {
            monitor_type((u8)byte);
        } else {
            guest_type(console.attached, (u8)byte);
        }
    }
}

bool console_holds(void) { return console.monitor; }
