#include "sim/trace.h"

#include "sim/dump.h"
#include "sim/options.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define BIT(kind) (1u << (kind))
#define EVERYTHING (BIT(TRACE_KINDS) - 1)
#define INSTRUCTIONS BIT(TRACE_KINDS) /* not an event of the core: the run loop steps */

struct category {
    const char *name;
    u32 mask;
};

static const struct category categories[] = {
    {"exceptions", BIT(TRACE_EXCEPTION)},
    {"interrupts", BIT(TRACE_INTERRUPT)},
    {"io", BIT(TRACE_IO_READ) | BIT(TRACE_IO_WRITE)},
    {"mmio", BIT(TRACE_MMIO_READ) | BIT(TRACE_MMIO_WRITE)},
    {"insn", INSTRUCTIONS},
    {"all", EVERYTHING | INSTRUCTIONS},
};

static const char *candidate(unsigned n, const void *context)
{
    (void)context;
    return n < ARRAY_LEN(categories) ? categories[n].name : NULL;
}

static u32 category_mask(const char *name)
{
    for (size_t n = 0; n < ARRAY_LEN(categories); n++)
        if (!strcmp(categories[n].name, name))
            return categories[n].mask;
    return 0;
}

static bool unknown_category(const char *name, char *message)
{
    const char *near = nearest(name, candidate, NULL);
    snprintf(message, TRACE_MESSAGE_MAX, "--trace: there is no category \"%.60s\"; %s%s", name,
             near ? "did you mean " : "choose among exceptions, interrupts, io, mmio, insn, all", near ? near : "");
    return false;
}

static void put_exception(FILE *to, const struct trace_event *e, u16 cs, u64 rip)
{
    fprintf(to, "exception %02x %s error %" PRIx64 " cr2 %" PRIx64 " at %04x:%" PRIx64 "\n", e->vector,
            vector_name(e->vector), e->value, e->address, cs, rip);
}

static void remember(struct trace *trace, const struct cpu *c, const struct trace_event *e)
{
    unsigned slot = trace->exceptions++ % TRACE_RECENT;
    trace->recent[slot].icount = c->icount;
    trace->recent[slot].rip = c->rip;
    trace->recent[slot].cs = c->seg[SEG_CS].selector;
    trace->recent[slot].event = *e;
}

void trace_show_recent(const struct trace *trace, FILE *to)
{
    u64 n = trace->exceptions > TRACE_RECENT ? trace->exceptions - TRACE_RECENT : 0;
    for (; n < trace->exceptions; n++) {
        fprintf(to, "%12" PRIu64 " ", trace->recent[n % TRACE_RECENT].icount);
        put_exception(to, &trace->recent[n % TRACE_RECENT].event, trace->recent[n % TRACE_RECENT].cs,
                      trace->recent[n % TRACE_RECENT].rip);
    }
}

static void on_event(void *context, struct vm *vm, const struct trace_event *e)
{
    struct trace *trace = context;
    const struct cpu *c = &vm->vcpu[0]->cpu;
    if (e->kind == TRACE_EXCEPTION)
        remember(trace, c, e);
    if (!(trace->shown >> e->kind & 1))
        return;
    fprintf(trace->to, "%12" PRIu64 " ", c->icount);
    switch (e->kind) {
    case TRACE_EXCEPTION: put_exception(trace->to, e, c->seg[SEG_CS].selector, c->rip); return;
    case TRACE_INTERRUPT:
        fprintf(trace->to, "interrupt %02x at %04x:%" PRIx64 "\n", e->vector, c->seg[SEG_CS].selector, c->rip);
        return;
    case TRACE_IO_READ:
    case TRACE_IO_WRITE:
        fprintf(trace->to, "io %s %04" PRIx64 " %0*" PRIx64 "\n", e->kind == TRACE_IO_READ ? "read " : "write",
                e->address, 2 * e->size, e->value);
        return;
    case TRACE_MMIO_READ:
    case TRACE_MMIO_WRITE:
        fprintf(trace->to, "mmio %s %" PRIx64 " %0*" PRIx64 "\n", e->kind == TRACE_MMIO_READ ? "read " : "write",
                e->address, 2 * e->size, e->value);
        return;
    case TRACE_KINDS:
        return;
    }
}

bool trace_parse(const char *argument, struct trace *trace, char *path, size_t path_max,
                 char message[TRACE_MESSAGE_MAX])
{
    u32 mask = 0;
    *trace = (struct trace){.tracer = {.mask = BIT(TRACE_EXCEPTION), .context = trace, .event = on_event}};
    if (!argument)
        return true;
    for (const char *at = argument; *at;) {
        char name[64];
        size_t length = strcspn(at, ",");
        snprintf(name, sizeof name, "%.*s", (int)length, at);
        bool last = !at[length];
        u32 bits = category_mask(name);
        if (!bits && last && mask && strpbrk(at, "./") && snprintf(path, path_max, "%s", at) < (int)path_max)
            trace->path = path;
        else if (!bits)
            return unknown_category(name, message);
        mask |= bits;
        at += length + !last;
    }
    if (!mask)
        return unknown_category("", message);
    trace->shown = mask & EVERYTHING;
    trace->tracer.mask |= trace->shown;
    trace->instructions = mask & INSTRUCTIONS;
    return true;
}

bool trace_start(struct trace *trace, struct vm *vm, char message[TRACE_MESSAGE_MAX])
{
    trace->to = trace->path ? fopen(trace->path, "we") : stderr;
    if (!trace->to) {
        snprintf(message, TRACE_MESSAGE_MAX, "--trace: %.200s: %s; choose a place where you may write", trace->path,
                 strerror(errno));
        return false;
    }
    vm->tracer = &trace->tracer;
    return true;
}

void trace_instruction(struct trace *trace, struct vm *vm)
{
    fprintf(trace->to, "%12" PRIu64 " ", vm->vcpu[0]->cpu.icount);
    dump_instruction(trace->to, vm->vcpu[0]);
    fputc('\n', trace->to);
}

bool trace_finish(struct trace *trace)
{
    if (!trace->to)
        return true;
    bool ok = !fflush(trace->to) && !ferror(trace->to);
    return (!trace->path || !fclose(trace->to)) && ok;
}
