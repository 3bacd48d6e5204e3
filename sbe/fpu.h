/* x87, MMX and SSE on the real unit: one instruction at a time, memory operand redirected.
 *
 * The guest's FPU registers stay in the processor between such instructions (vcpu.fpu_live); the portable modules are
 * compiled without SSE, so nothing disturbs them. fpu_park() moves them back to cpu.fpu before the host runs code that
 * might. FIP, FDP and their kin are virtual: no host address reaches the guest. */
#ifndef REPRISE_SBE_FPU_H
#define REPRISE_SBE_FPU_H

#include "core/status.h"
#include "core/vcpu.h"

/* Per-vCPU cache of emitted single-instruction thunks. */
enum status fpu_thunks_create(struct vcpu *v);
void fpu_thunks_destroy(struct vcpu *v);

/* The state after FINIT at RESET (SDM vol. 3, table 9-1). */
void fpu_reset(struct cpu *c);

/* Moves live registers to cpu.fpu.fxsave and gives the host its own control words back. Cheap when not live. */
void fpu_park_live(struct vcpu *v);
static inline void fpu_park(struct vcpu *v)
{
    if (v->fpu_live)
        fpu_park_live(v);
}

/* Where the host resumes after an exception of an instruction in host_exec memory, with the vector in EAX and all other
 * registers, RSP included, as they were at that instruction. A code address in sbe/fpu_call.S, not a function. */
extern const u8 fpu_thunk_fault[];

#endif
