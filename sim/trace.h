/* --trace: what happens to the guest, as text. */
#ifndef REPRISE_SIM_TRACE_H
#define REPRISE_SIM_TRACE_H

#include "core/vm.h"

#include <stdio.h>

struct trace {
    struct tracer tracer;
    bool instructions;
    const char *path; /* NULL: stderr */
    FILE *to;
};

enum { TRACE_MESSAGE_MAX = 400 };

/* Reads the argument of --trace into categories and path; opens nothing. */
bool trace_parse(const char *argument, struct trace *trace, char *path, size_t path_max,
                 char message[TRACE_MESSAGE_MAX]);
/* Creates the file and connects the trace to the machine. */
bool trace_start(struct trace *trace, struct vm *vm, char message[TRACE_MESSAGE_MAX]);
/* One line about the instruction that is next. */
void trace_instruction(struct trace *trace, struct vm *vm);
/* False if what was written did not all reach the file. */
bool trace_finish(struct trace *trace);

#endif
