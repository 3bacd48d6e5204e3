#include "metal/monitor.h"

#include "metal/clock.h"
#include "metal/console.h"
#include "metal/frames.h"
#include "metal/power.h"
#include "metal/print.h"

enum { LINE_BYTES = 80, BACKSPACE = 8, DELETE = 127 };

static struct {
    struct guest *guests;
    unsigned count;
    char line[LINE_BYTES];
    unsigned used;
} monitor;

static const char prompt[] = "reprise> ";

static void list_one(struct guest *g)
{
    print_decimal((u64)(g - monitor.guests) + 1);
    print_all("  ", g->name, ": ");
    if (g->state == GUEST_OFF)
        print_all("off (", g->ending, ")");
    else
        print(g->paused ? "paused" : g->state == GUEST_READY ? "running" : "waiting");
    print("\n");
}

static void stats(struct guest *g)
{
    list_one(g);
    if (!g->vm)
        return;
    const struct vm_stats *s = &g->vm->stats;
    const struct {
        const char *what;
        u64 value;
    } rows[] = {
        {"instructions", g->vm->vcpu[0]->cpu.icount},
        {"virtual ms", vm_now(g->vm) / 1000000},
        {"processor ms", g->used_ns / 1000000},
        {"slices", g->turns},
        {"interrupts", s->interrupts},
        {"halts", s->halts},
        {"port accesses", s->io_reads + s->io_writes},
        {"device memory accesses", s->mmio_reads + s->mmio_writes},
        {"translated blocks", s->translations},
        {"log bytes", g->log.writer ? g->log.writer->bytes : 0},
    };
    for (unsigned n = 0; n < ARRAY_LEN(rows); n++) {
        print("   ");
        print_decimal(rows[n].value);
        print_all(" ", rows[n].what, "\n");
    }
}

static void start(struct guest *g)
{
    if (g->state != GUEST_OFF)
        print("it runs already\n");
    else
        guest_start(g);
}

static void stop(struct guest *g)
{
    if (g->state == GUEST_OFF)
        print("it does not run\n");
    else
        guest_stop(g, LOG_END_HOST, "stopped");
}

static void pause(struct guest *g) { g->paused = !g->paused; }

static void log(struct guest *g)
{
    console_show_history(g);
    print("\n");
}

static void list(void)
{
    for (unsigned n = 0; n < monitor.count; n++)
        list_one(&monitor.guests[n]);
    print_decimal(frames_left() >> (20 - PAGE_SHIFT));
    print(" of ");
    print_decimal(frames_total() >> (20 - PAGE_SHIFT));
    print(" MiB free, up for ");
    print_decimal(clock_ns() / NS_PER_SECOND);
    print(" s\n");
}

/* Their logs are complete then. */
static void stop_all(void)
{
    for (unsigned n = 0; n < monitor.count; n++)
        if (monitor.guests[n].state != GUEST_OFF)
            guest_stop(&monitor.guests[n], LOG_END_HOST, "stopped");
}

void monitor_power_off(void)
{
    stop_all();
    power_off();
}

static void reset_machine(void)
{
    stop_all();
    power_reset();
}

static void help(void);

static const struct command {
    const char *name;
    void (*all)(void);             /* without a guest's number */
    void (*one)(struct guest *g);  /* with */
    const char *help;
} commands[] = {
    {"list", list, NULL, "the guests, and what each does"},
    {"start", NULL, start, "N: switch guest N on"},
    {"stop", NULL, stop, "N: switch it off; its log is complete"},
    {"pause", NULL, pause, "N: hold it, or let it go on"},
    {"stats", NULL, stats, "N: what it has done"},
    {"log", NULL, log, "N: its last output"},
    {"attach", NULL, console_attach, "N: its console"},
    {"off", monitor_power_off, NULL, "switch the machine off"},
    {"reset", reset_machine, NULL, "reset the machine"},
    {"help", help, NULL, "this"},
};

static void help(void)
{
    for (unsigned n = 0; n < ARRAY_LEN(commands); n++)
        print_all("   ", commands[n].name, "  ", commands[n].help, "\n");
}

/* ---- The command line --------------------------------------------------------------------------- */

/* The guest that the number in `text` names; NULL with a message, if there is none. */
static struct guest *guest_of(const char *text)
{
    unsigned n = 0;
    for (; *text >= '0' && *text <= '9' && n <= GUESTS_MAX; text++)
        n = 10 * n + (unsigned)(*text - '0');
    if (!*text && n >= 1 && n <= monitor.count)
        return &monitor.guests[n - 1];
    print("which guest? write its number, as `list` shows them\n");
    return NULL;
}

static void execute(void)
{
    char *argument = monitor.line;
    while (*argument && *argument != ' ')
        argument++;
    if (*argument)
        *argument++ = 0;
    for (unsigned n = 0; n < ARRAY_LEN(commands); n++) {
        if (!text_equal(commands[n].name, monitor.line))
            continue;
        struct guest *g = commands[n].one ? guest_of(argument) : NULL;
        if (g)
            commands[n].one(g);
        else if (commands[n].all)
            commands[n].all();
        return;
    }
    if (monitor.line[0])
        print("there is no such command; `help` lists them\n");
}

void monitor_init(struct guest *guests, unsigned count)
{
    monitor.guests = guests;
    monitor.count = count;
}

void monitor_open(void)
{
    monitor.used = 0;
    print("\n[the monitor; `help` lists its commands, Ctrl-A 1 goes back]\n");
    print(prompt);
}

void monitor_type(u8 byte)
{
    if (byte == '\r' || byte == '\n') {
        print("\n");
        monitor.line[monitor.used] = 0;
        monitor.used = 0;
        execute();
        if (console_holds())
            print(prompt);
    } else if ((byte == BACKSPACE || byte == DELETE) && monitor.used) {
        monitor.used--;
        print("\b \b");
    } else if (byte >= ' ' && byte < DELETE && monitor.used < LINE_BYTES - 1) {
        monitor.line[monitor.used++] = (char)byte;
        print_bytes(&byte, 1);
    }
}
