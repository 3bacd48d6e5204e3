/* The verb `trace`. */
#include "sim/tool_verbs.h"

#include "sim/complain.h"
#include "sim/engines.h"
#include "sim/exit_code.h"
#include "sim/trace.h"
#include "sim/visit.h"

#include <stdio.h>
#include <string.h>

struct trace_options {
    struct visit_options visit;
    u64 from, to, count;
    const char *only;
};

#define FIELD(name) offsetof(struct trace_options, name)
#define GROUP "Trace"

const struct option trace_options_table[] = {
    {"from", 0, OPTION_COUNT, FIELD(from), "ICOUNT", NULL, GROUP,
     "Begin when the guest has executed this many instructions; without it, at the first one.", NULL},
    {"to", 0, OPTION_COUNT, FIELD(to), "ICOUNT", NULL, GROUP, "End there; without it, at the end of the run.", NULL},
    {"count", 'n', OPTION_COUNT, FIELD(count), "N", NULL, GROUP, "Instead of --to: so many instructions.", NULL},
    {"only", 0, OPTION_TEXT, FIELD(only), "CATEGORY[,...]", "all", GROUP,
     "What is shown: insn (each instruction), memory (accesses to RAM), exceptions, interrupts, io (ports), mmio, all.", NULL},
    VISIT_JSON(struct trace_options, GROUP, "One JSON object a line."),
    VISIT_OUTPUT(struct trace_options, GROUP, "Write to FILE instead of standard output."),
    VISIT_OPTIONS(struct trace_options, GROUP),
};
const unsigned trace_options_count = ARRAY_LEN(trace_options_table);

static const char usage[] =
    "Usage: reprise trace LOG|--last [--from ICOUNT] [--to ICOUNT|-n N] [OPTIONS]\n"
    "Prints what a stretch of a recorded run does: each instruction, then the accesses that it makes, and the exceptions\n"
    "and interrupts that are delivered between them. The first column is the number of instructions executed before.\n"
    "\n"
    "  reprise trace LOG --from 1500000 -n 20           twenty instructions\n"
    "  reprise trace LOG --only exceptions,interrupts   every event of the run, at full speed\n"
    "  reprise trace LOG --from 1500000 -n 1000 --only memory --json | grep 'physical\": \"0x1000\"'\n";

static enum replay_stop step_to(struct trace *t, struct visit *v, u64 to)
{
    struct vm *vm = v->session.vm;
    const struct cpu *c = &vm->vcpu[0]->cpu;
    enum replay_stop stop = REPLAY_REACHED;
    while ((stop == REPLAY_REACHED || stop == REPLAY_DEBUG) && c->icount < to && !ferror(v->to)) {
        trace_before_step(t, vm);
        stop = replay_run(&v->session.replay, c->icount + 1);
        trace_after_step(t, vm);
    }
    return stop;
}

static int show(struct trace *t, struct visit *v, const struct trace_options *o)
{
    u64 to = o->count ? o->from + o->count : o->to ? o->to : UINT64_MAX;
    int code = o->from ? visit_to(v, o->from, "--from") : 0;
    if (code)
        return code;
    v->progress.on = v->progress.on && v->to != stdout;
    trace_connect(t, v->session.vm, true);
    enum replay_stop stop = t->instructions ? step_to(t, v, to) : replay_run(&v->session.replay, to);
    trace_connect(t, v->session.vm, false);
    return visit_judge(v, stop, o->count ? UINT64_MAX : to, "--to");
}

static bool check(const struct trace_options *o, struct trace *t, char *path, size_t room, char *message)
{
    if (o->to && o->count) {
        snprintf(message, MESSAGE_MAX, "--to and --count both say where to end; leave one out");
        return false;
    }
    if (o->to && o->to <= o->from) {
        snprintf(message, MESSAGE_MAX, "--to lies before --from: there is nothing to show; give a larger --to");
        return false;
    }
    if (!trace_parse(o->only, t, path, room, message))
        return false;
    if (t->path)
        snprintf(message, MESSAGE_MAX, "--only takes categories; a file belongs to --output");
    return !t->path;
}

int verb_trace(int argc, char **argv)
{
    static struct visit v;
    static struct trace t;
    static struct trace_options o;
    char message[MESSAGE_MAX], path[200];
    int code;
    const struct option_set set = {
        .verb = "trace", .table = {{trace_options_table, ARRAY_LEN(trace_options_table)}}, .bare = "log"};
    if (!visit_parse(&v, &set, argc, argv, &o.visit, usage, &code))
        return code;
    if (!check(&o, &t, path, sizeof path, message))
        return complain(EXIT_USAGE, message);
    if (visit_begin(&v, &o.visit, "tracing", o.to, &code)) {
        t.json = o.visit.json;
        t.to = v.to;
        code = show(&t, &v, &o);
    }
    return visit_end(&v, &o.visit, code);
}
