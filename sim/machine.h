/* The machine of the command line, or of a log. */
#ifndef REPRISE_SIM_MACHINE_H
#define REPRISE_SIM_MACHINE_H

#include "core/vm.h"
#include "sim/options.h"

struct vm_config machine_config(const struct run_options *options);
/* Zero, or the exit code of what went wrong, which the user has been told. */
int machine_create(struct vm **vm, const struct vm_config *config);

#endif
