#include "sim/trace.h"

#include "mmu/access.h"
#include "sim/options.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define BIT(kind) (1u << (kind))
#define EVERYTHING ((BIT(TRACE_KINDS) - 1) & ~(BIT(TRACE_FRAME_WRITE) | BIT(TRACE_FRAME_MARK)))
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
    {"memory", TRACE_MEMORY},
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
             near ? "did you mean " : "choose among exceptions, interrupts, io, mmio, memory, insn, all", near ? near : "");
    return false;
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
        trace_put_exception(to, &trace->recent[n % TRACE_RECENT].event, trace->recent[n % TRACE_RECENT].cs,
                      trace->recent[n % TRACE_RECENT].rip);
    }
}

/* The instruction has begun: it comes before what it does. */
static void tell_pending(struct trace *trace, const struct vm *vm)
{
    if (trace->pending)
        trace_put_insn(trace, vm, trace->pending_icount, &trace->next);
    trace->pending = false;
}

static void on_event(void *context, struct vm *vm, const struct trace_event *e)
{
    struct trace *trace = context;
    const struct cpu *c = &vm->vcpu[0]->cpu;
    if (e->kind == TRACE_EXCEPTION)
        remember(trace, c, e);
    if (e->kind == TRACE_INTERRUPT)
        trace->pending = false; /* its handler comes first */
    tell_pending(trace, vm);
    if (trace->shown >> e->kind & 1)
        trace_put_event(trace, vm, e);
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
    if (trace->path || !trace->to)
        trace->to = trace->path ? fopen(trace->path, "we") : stderr;
    if (!trace->to) {
        snprintf(message, TRACE_MESSAGE_MAX, "--trace: %.200s: %s; choose a place where you may write", trace->path,
                 strerror(errno));
        return false;
    }
    trace_connect(trace, vm, true);
    return true;
}

void trace_connect(struct trace *trace, struct vm *vm, bool on)
{
    vm->tracer = on ? &trace->tracer : NULL;
    if (vm->stops == &trace->stops)
        vm->stops = NULL;
    for (unsigned n = 0; n < vm->vcpu_count; n++)
        tlb_forget(vm->vcpu[n]);
}

void trace_before_step(struct trace *trace, struct vm *vm)
{
    struct vcpu *v = vm->vcpu[0];
    if (!vm->stops) {
        trace->stops = (struct stops){.passed = UINT64_MAX, .delivered = UINT64_MAX, .at_delivery = true};
        vm->stops = &trace->stops;
    }
    trace->pending = v->cpu.activity == ACTIVITY_RUNNING;
    trace->pending_icount = v->cpu.icount;
    if (trace->pending)
        dump_fetch(v, v->cpu.rip, &trace->next);
}

void trace_after_step(struct trace *trace, struct vm *vm)
{
    if (vm->vcpu[0]->cpu.icount != trace->pending_icount)
        tell_pending(trace, vm);
    trace->pending = false;
    if (vm->stops == &trace->stops)
        vm->stops->hit = false;
}

bool trace_finish(struct trace *trace)
{
    if (!trace->to)
        return true;
    bool ok = !fflush(trace->to) && !ferror(trace->to);
    return (!trace->path || !fclose(trace->to)) && ok;
}
