/* What two machines have executed since they were last the same, and whether that explains how they differ now. */
#ifndef REPRISE_SIM_KNOWN_STRETCH_H
#define REPRISE_SIM_KNOWN_STRETCH_H

#include "sim/known_differences.h"

/* Before both execute: the state of either. `count` and `rows` are the caller's, if it executes more than one instruction. */
void known_stretch_begin(struct known_stretch *s, const struct vcpu *v);
/* After it: with the machine that began. */
void known_stretch_end(struct known_stretch *s, const struct vm *ours);

/* The processors differ, or may: if that is explained, `theirs` goes on with the state of `ours`, and `counts` go up. With
 * s->count 0, one instruction was executed. */
bool known_stretch_explain(struct known_stretch *s, struct vm *ours, struct vm *theirs, u64 counts[KNOWN_ROWS_MAX]);

/* Fills in s->rows from CS:`rip` to the end of the block, or `max`, and how many there are. One that does not decode ends it,
 * with row ISA_INVALID. */
void known_stretch_decode(struct known_stretch *s, struct vcpu *v, u64 rip, unsigned max);

#endif
