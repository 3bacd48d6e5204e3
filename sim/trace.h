/* --trace: what happens to the guest, as text. The last exceptions are remembered even without it, for crash dumps. */
#ifndef REPRISE_SIM_TRACE_H
#define REPRISE_SIM_TRACE_H

#include "core/vm.h"

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
    const char *path; /* NULL: stderr */
    FILE *to;
};

enum { TRACE_MESSAGE_MAX = 400 };

/* Reads the argument of --trace (NULL: none) into categories and path; opens nothing. */
bool trace_parse(const char *argument, struct trace *trace, char *path, size_t path_max,
                 char message[TRACE_MESSAGE_MAX]);
/* Creates the file and connects the trace to the machine. */
bool trace_start(struct trace *trace, struct vm *vm, char message[TRACE_MESSAGE_MAX]);
/* The last exceptions, oldest first. */
void trace_show_recent(const struct trace *trace, FILE *to);
/* One line about the instruction that is next. */
void trace_instruction(struct trace *trace, struct vm *vm);
/* False if what was written did not all reach the file. */
bool trace_finish(struct trace *trace);

#endif
