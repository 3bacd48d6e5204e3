/* RDMSR and WRMSR by a policy table. */
#ifndef REPRISE_CORE_MSR_H
#define REPRISE_CORE_MSR_H

#include "core/vcpu.h"

/* False: #GP(0), nothing changed. */
bool msr_read(struct vcpu *v, u32 index, u64 *value);
bool msr_write(struct vcpu *v, u32 index, u64 value);

#endif
