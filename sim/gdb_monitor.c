#include "sim/gdb_monitor.h"

#include "core/segment.h"
#include "devices/chipset.h"
#include "mmu/walk.h"
#include "replay/hash.h"
#include "sim/disasm.h"
#include "sim/dump.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DISASM_LINES = 10, TLB_LINES_MAX = 200 };

struct command {
    const char *name, *argument, *help;
    void (*run)(struct gdb *g, const char *argument, FILE *to);
};

static struct vcpu *current(const struct gdb *g) { return g->vm->vcpu[g->thread]; }

/* A number in C's notation, or with K, M or G for powers of a thousand, at the start of `text`. */
static bool number(const char *text, u64 *value, const char **rest)
{
    char *end;
    if (!isdigit((unsigned char)*text))
        return false;
    *value = strtoull(text, &end, 0);
    static const char suffixes[] = "KMG";
    const char *suffix = *end ? strchr(suffixes, toupper((unsigned char)*end)) : NULL;
    for (; suffix && suffix >= suffixes; suffix--)
        *value *= 1000;
    *rest = end + (*end && strchr(suffixes, toupper((unsigned char)*end)));
    *rest += strspn(*rest, " ");
    return true;
}

static void show_icount(struct gdb *g, const char *argument, FILE *to)
{
    (void)argument;
    fprintf(to, "icount %" PRIu64 ", virtual time %.9f s\n", current(g)->cpu.icount, (double)vm_now(g->vm) / 1e9);
}

static void show_hash(struct gdb *g, const char *argument, FILE *to)
{
    (void)argument;
    fprintf(to, "state hash %016" PRIx64 " at icount %" PRIu64 "\n", state_hash(g->vm), current(g)->cpu.icount);
}

static void seek(struct gdb *g, const char *argument, FILE *to)
{
    char message[200];
    const char *rest;
    u64 icount;
    bool forward = *argument == '+', back = *argument == '-';
    if (!number(argument + (forward || back), &icount, &rest)) {
        fprintf(to, "seek wants an icount, or +N or -N instructions from here, such as: monitor seek 1500000\n");
        return;
    }
    u64 here = current(g)->cpu.icount;
    icount = forward ? here + icount : !back ? icount : icount < here ? here - icount : 0;
    if (!g->time)
        fprintf(to, "this run is not recorded: it cannot go to another time\n");
    else if (!g->time->seek(g->time->context, icount, message, sizeof message))
        fprintf(to, "%s\n", message);
    else
        fprintf(to, "icount %" PRIu64 "; now tell gdb: maintenance flush register-cache, maintenance flush dcache\n",
                current(g)->cpu.icount);
}

static void show_registers(struct gdb *g, const char *argument, FILE *to)
{
    (void)argument;
    dump_vcpu(to, current(g));
}

static void show_info(struct gdb *g, const char *argument, FILE *to)
{
    if (!strcmp(argument, "registers"))
        show_registers(g, argument, to);
    else
        fprintf(to, "info registers is all there is\n");
}

static void put_pic(FILE *to, const struct pic *p)
{
    for (unsigned n = 0; n < PIC_CHIPS; n++) {
        const struct pic_chip *c = &p->chip[n];
        fprintf(to, "8259A %s: requests %02x, masked %02x, in service %02x, vectors from %02x\n",
                n == PIC_MASTER ? "master" : "slave ", c->irr, c->imr, c->isr, c->vector_base);
    }
}

static void put_vectors(FILE *to, const char *name, const u32 *bits)
{
    fprintf(to, ", %s", name);
    for (unsigned n = 0; n < 256; n++)
        if (bits[n / 32] >> n % 32 & 1)
            fprintf(to, " %02x", n);
}

static void put_lapic(FILE *to, const struct lapic *a)
{
    fprintf(to, "local APIC: id %u, TPR %02x, SVR %03x", a->id >> 24, a->tpr, a->svr);
    put_vectors(to, "requests", a->irr);
    put_vectors(to, "in service", a->isr);
    fprintf(to, "\n  timer LVT %05x, count %u, divide %x, next %" PRId64 " ns\n", a->lvt[LVT_TIMER], a->timer_initial,
            a->timer_divide, a->timer_next == CLOCK_NEVER ? -1 : (s64)a->timer_next);
}

static void put_ioapic(FILE *to, const struct ioapic *io)
{
    fprintf(to, "I/O APIC: lines %06x\n", io->lines);
    for (unsigned n = 0; n < IOAPIC_PINS; n++)
        if (!(io->entry[n] >> 16 & 1))
            fprintf(to, "  pin %2u: vector %02x, entry %016" PRIx64 "\n", n, (u8)io->entry[n], io->entry[n]);
}

static void put_timers(FILE *to, const struct chipset *cs)
{
    for (unsigned n = 0; n < PIT_CHANNELS; n++)
        fprintf(to, "8254 channel %u: mode %u, count %u%s\n", n, cs->pit.channel[n].mode, cs->pit.channel[n].initial,
                cs->pit.channel[n].counting ? "" : ", stands");
    fprintf(to, "HPET: config %" PRIx64 ", counter %" PRIu64 " since %" PRIu64 " ns\n", cs->hpet.config,
            cs->hpet.counter, cs->hpet.started);
    const u8 *cmos = cs->rtc.cmos;
    fprintf(to, "RTC: %02x:%02x:%02x, register B %02x\n", cmos[4], cmos[2], cmos[0], cmos[11]);
}

static void show_devices(struct gdb *g, const char *argument, FILE *to)
{
    const struct chipset *cs = &g->vm->chipset;
    u64 deadline = chipset_deadline(g->vm);
    (void)argument;
    put_pic(to, &cs->pic);
    put_lapic(to, &cs->lapic);
    put_ioapic(to, &cs->ioapic);
    put_timers(to, cs);
    for (unsigned n = 0; n < UART_PORTS; n++) {
        const struct uart *u = &cs->uart[n];
        fprintf(to, "COM%u: divisor %u, IER %02x, LCR %02x, MCR %02x, LSR %02x, %u bytes received\n", n + 1, u->divisor,
                u->ier, u->lcr, u->mcr, u->lsr, u->count);
    }
    fprintf(to, "8042: status %02x, %u key bytes wait\n", cs->i8042.status, cs->i8042.keyboard.count);
    if (deadline == CLOCK_NEVER)
        fprintf(to, "no device event is due\n");
    else
        fprintf(to, "next device event in %" PRIu64 " ns\n", deadline > vm_now(g->vm) ? deadline - vm_now(g->vm) : 0);
}

static void put_translation(FILE *to, struct vcpu *v, u64 linear)
{
    if (!canonical(linear)) {
        fprintf(to, "%016" PRIx64 " is not canonical\n", linear);
        return;
    }
    struct walk_result walk = walk_guest(v, linear, ACCESS_READ, TLB_SUPERVISOR_AC, false);
    struct walk_result user = walk_guest(v, linear, ACCESS_READ, TLB_USER, false);
    struct walk_result write = walk_guest(v, linear, ACCESS_WRITE, user.ok ? TLB_USER : TLB_SUPERVISOR, false);
    if (!walk.ok)
        fprintf(to, "%016" PRIx64 " is not mapped\n", linear);
    else
        fprintf(to, "%016" PRIx64 " -> %010" PRIx64 "  page of 2^%u bytes%s%s%s%s\n", linear,
                walk.page.raw | (linear & PAGE_MASK), walk.page_shift, user.ok ? ", user" : "",
                write.ok ? ", writable" : "", walk.global ? ", global" : "", physmem_pointer(&v->vm->memory, walk.page) ? "" : ", not RAM");
}

static void show_tlb(struct gdb *g, const char *argument, FILE *to)
{
    static const char *const rights[TLB_RIGHTS] = {"supervisor", "user", "supervisor with AC", "user, aligned"};
    struct vcpu *v = current(g);
    const char *rest;
    u64 linear;
    if (number(argument, &linear, &rest)) {
        put_translation(to, v, linear);
        return;
    }
    unsigned lines = 0;
    for (unsigned n = 0; n < TLB_RIGHTS * TLB_ENTRIES && lines < TLB_LINES_MAX; n++) {
        const struct tlb_entry *e = &v->tlb.entries[n / TLB_ENTRIES][n % TLB_ENTRIES];
        bool read = (e->read_tag & PAGE_MASK) == v->tlb.epoch, write = (e->write_tag & PAGE_MASK) == v->tlb.write_epoch;
        bool fetch = (e->fetch_tag & PAGE_MASK) == v->tlb.epoch;
        u64 page = (read ? e->read_tag : e->fetch_tag) & ~(u64)PAGE_MASK;
        gpa_t where;
        if (!(read || fetch) || !mem_translate_debug(v, page, &where))
            continue;
        fprintf(to, "%016" PRIx64 " -> %010" PRIx64 "  %s%s%s, %s\n", page, where.raw, read ? "r" : "-",
                write ? "w" : "-", fetch ? "x" : "-", rights[n / TLB_ENTRIES]);
        lines++;
    }
    fprintf(to, "%u entries%s; `monitor tlb ADDRESS` translates one address\n", lines,
            lines == TLB_LINES_MAX ? " shown" : "");
}

static void switch_physical(struct gdb *g, const char *argument, FILE *to)
{
    if (!strcmp(argument, "on") || !strcmp(argument, "off"))
        g->physical = !strcmp(argument, "on");
    else if (*argument)
        fprintf(to, "phys wants on or off\n");
    fprintf(to, "memory is read and written by %s address\n", g->physical ? "physical" : "virtual");
}

/* What gdb cannot: it takes all code for 64-bit code. */
static void disassemble(struct gdb *g, const char *argument, FILE *to)
{
    struct vcpu *v = current(g);
    u64 rip = v->cpu.rip, lines = DISASM_LINES;
    const char *rest;
    if (number(argument, &rip, &rest) && *rest && !number(rest, &lines, &rest))
        lines = DISASM_LINES;
    for (u64 n = 0; n < lines && n < 1000; n++) {
        u8 bytes[15];
        char text[DISASM_MAX];
        unsigned have = 0;
        for (; have < sizeof bytes; have++) {
            u64 linear = v->mode == CODE_64 ? rip + have : (u32)(v->cpu.seg[SEG_CS].base + rip + have);
            gpa_t at;
            const u8 *host;
            if (!canonical(linear) || !mem_translate_debug(v, linear, &at))
                break;
            host = physmem_pointer(&v->vm->memory, at);
            if (!host)
                break;
            bytes[have] = *host;
        }
        unsigned length = have ? disasm(bytes, have, (enum code_mode)v->mode, rip, text) : 0;
        fprintf(to, "%04x:%0*" PRIx64 "  %s\n", v->cpu.seg[SEG_CS].selector, v->mode == CODE_64 ? 16 : 8, rip,
                have ? text : "(not in memory)");
        if (!length)
            return;
        rip += length;
    }
}

static void show_help(struct gdb *g, const char *argument, FILE *to);

static const struct command commands[] = {
    {"help", "", "list these commands", show_help},
    {"icount", "", "instructions executed, and virtual time", show_icount},
    {"hash", "", "hash of everything the guest can see", show_hash},
    {"seek", "[+|-]N", "go to an icount (runs that can go back)", seek},
    {"registers", "", "all registers, code and stack, in the processor's present mode", show_registers},
    {"info", "registers", "the same", show_info},
    {"disassemble", "[ADDRESS [COUNT]]", "code at CS:ADDRESS in the processor's present mode", disassemble},
    {"devices", "", "interrupt controllers, timers, serial ports", show_devices},
    {"tlb", "[ADDRESS]", "how an address is translated; or the cached translations", show_tlb},
    {"phys", "[on|off]", "memory by physical address", switch_physical},
};

static void show_help(struct gdb *g, const char *argument, FILE *to)
{
    (void)g;
    (void)argument;
    for (unsigned n = 0; n < ARRAY_LEN(commands); n++) {
        int width = fprintf(to, "%s %s", commands[n].name, commands[n].argument);
        fprintf(to, "%*s %s\n", width < 30 ? 30 - width : 0, "", commands[n].help);
    }
}

/* The first command that begins with the line's first word. */
static const struct command *find(const char *line, size_t length)
{
    for (unsigned n = 0; length && n < ARRAY_LEN(commands); n++)
        if (!strncmp(commands[n].name, line, length))
            return &commands[n];
    return NULL;
}

void gdb_monitor(struct gdb *g, const char *line)
{
    char *text = NULL;
    size_t size = 0;
    line += strspn(line, " ");
    size_t length = strcspn(line, " ");
    const struct command *command = find(line, length);
    FILE *to = open_memstream(&text, &size);
    if (!to) {
        gdb_error(g, "no memory for an answer");
        return;
    }
    if (command)
        command->run(g, line + length + strspn(line + length, " "), to);
    else
        fprintf(to, "there is no command \"%.*s\"; `monitor help` lists them\n", length < 60 ? (int)length : 60, line);
    if (!fclose(to))
        gdb_print(g, text);
    free(text);
}
