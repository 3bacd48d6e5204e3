/* RDMSR and WRMSR by a policy table. */
#ifndef REPRISE_CORE_MSR_H
#define REPRISE_CORE_MSR_H

#include "core/vcpu.h"

/* False: #GP(0), nothing changed. */
bool msr_read(struct vcpu *v, u32 index, u64 *value);
bool msr_write(struct vcpu *v, u32 index, u64 value);

/* The MTRRs as firmware leaves them: memory write-back, the VGA window and [3 GiB, 4 GiB) uncacheable. For boot protocols
 * that enter the guest after firmware would have run: systems take disabled MTRRs for a reason to do without PAT. */
void mtrr_firmware_defaults(struct cpu *c);

#endif
