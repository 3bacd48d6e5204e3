/* The interpreter: the executable specification of the processor, one decoded instruction after another. */
#ifndef REPRISE_SBE_INTERP_H
#define REPRISE_SBE_INTERP_H

#include "core/engine.h"
#include "sbe/insn.h"

/* Handler of each row by operand size (index: log2 of bytes); generated from isa.def. */
extern const insn_handler interp_handlers[][4];

/* #UD: the handler of no row at all. */
enum exec op_invalid(struct vcpu *v, const struct insn *i);

/* Executes exactly one instruction, or delivers exactly one fault, with every debug feature honoured. */
void interp_step(struct vcpu *v);

/* Executes one instruction, or delivers one fault, where nothing asks for a step (vcpu.stepping). */
void interp_one(struct vcpu *v);

/* What stands before the next instruction while vcpu.stepping is set: a debugger's stops, a step with every debug feature, or
 * a run as far as the next stop. False, with nothing executed, where a stop ends the run. */
bool interp_attend(struct vcpu *v);

/* RF alone is no reason to step where no breakpoint is armed and nobody debugs: the next instruction, which must come now,
 * clears it, and here that is done. True if it was the only reason, and vcpu.stepping is clear. */
bool interp_pass_rf(struct vcpu *v);

/* Executes a decoded and prepared instruction at CS:RIP, and delivers the fault if it raises one. */
enum exec interp_insn(struct vcpu *v, const struct insn *i);

/* What the decoder leaves open: handler and thunk. */
void interp_prepare(const struct vcpu *v, struct insn *i);

/* Fetches and decodes the instruction at CS:RIP into *insn, handler included. False with the fault recorded. For run
 * loops, tests and tracers; sets A bits as a fetch does. */
bool interp_fetch(struct vcpu *v, struct insn *insn);

#endif
