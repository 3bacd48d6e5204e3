/* Where the guest's output and the reports go: checked as a whole before the first file is touched. */
#ifndef REPRISE_SIM_OUTPUTS_H
#define REPRISE_SIM_OUTPUTS_H

#include "sim/files.h"
#include "sim/options.h"
#include "sim/trace.h"

/* Opens COM1's and the debug console's outputs, and the trace. False with one line in `message` otherwise; files
 * that were there are then as they were, unless an open failed that the checks had allowed. */
bool outputs_open(const struct run_options *options, struct trace *trace, struct vm *vm,
                  char message[FILE_MESSAGE_MAX]);

#endif
