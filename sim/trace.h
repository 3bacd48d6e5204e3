/* What happens to the guest, as text or JSON: for --trace and the verb `trace`. The last exceptions are remembered even
 * without it, for crash dumps. */
#ifndef REPRISE_SIM_TRACE_H
#define REPRISE_SIM_TRACE_H

#include "core/vm.h"
#include "sim/dump.h"

#include <stdio.h>

enum { TRACE_RECENT = 6 };

struct trace {
    struct tracer tracer;
    u32 shown; /* 1 << enum trace_kind of each event that is printed */
    u64 exceptions; /* so far; recent[n % TRACE_RECENT] is the n-th */
    struct {
        u64 icount, rip;
        u16 cs;
        struct trace_event event;
    } recent[TRACE_RECENT];
    bool instructions;
    bool json;        /* one object a line */
    const char *path; /* NULL: stderr */
    FILE *to;

    struct stops stops; /* the machine's while it is stepped, if it has no others */
    bool pending;       /* `next` is about to execute and has not been told */
    u64 pending_icount;
    struct dump_insn next;
};

enum { TRACE_MESSAGE_MAX = 400 };

/* Reads the argument of --trace (NULL: none) into categories and path; opens nothing. */
bool trace_parse(const char *argument, struct trace *trace, char *path, size_t path_max,
                 char message[TRACE_MESSAGE_MAX]);
/* Creates the file (NULL in trace.path: `to` if it is set, else stderr) and connects the trace to the machine. */
bool trace_start(struct trace *trace, struct vm *vm, char message[TRACE_MESSAGE_MAX]);
/* The last exceptions, oldest first. */
void trace_show_recent(const struct trace *trace, FILE *to);
/* The machine's tracer from now on, or (`on` false) no more. */
void trace_connect(struct trace *trace, struct vm *vm, bool on);

/* Around each run of at most one instruction, where trace.instructions: the instruction is told before what it does, and
 * an interrupt that comes in its place ends that run before the handler's first instruction (vm.stops, unless a debugger has
 * its own). */
void trace_before_step(struct trace *trace, struct vm *vm);
void trace_after_step(struct trace *trace, struct vm *vm);

/* sim/trace_line.c: one line about an event, or an instruction at an icount. */
void trace_put_event(const struct trace *trace, const struct vm *vm, const struct trace_event *event);
void trace_put_insn(const struct trace *trace, const struct vm *vm, u64 icount, const struct dump_insn *insn);
void trace_put_exception(FILE *to, const struct trace_event *e, u16 cs, u64 rip);

/* False if what was written did not all reach the file. */
bool trace_finish(struct trace *trace);

#endif
