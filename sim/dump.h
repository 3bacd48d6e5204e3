/* What people need to see of a processor. */
#ifndef REPRISE_SIM_DUMP_H
#define REPRISE_SIM_DUMP_H

#include "core/vm.h"

#include <stdio.h>

/* All registers, the code at RIP and the top of the stack. Changes nothing in the guest. */
void dump_vcpu(FILE *to, struct vcpu *v);

/* One instruction at CS:RIP: address, bytes, text. Without a newline. */
void dump_instruction(FILE *to, struct vcpu *v);

/* Copies code bytes from CS:rip on, as far as they lie in RAM; returns how many. */
unsigned dump_code(struct vcpu *v, u64 rip, u8 *to, unsigned bytes);

/* "#PF" and the like; "?" beyond the architecture's own. */
const char *vector_name(unsigned vector);

#endif
