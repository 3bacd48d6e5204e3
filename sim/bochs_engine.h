/* Engine `bochs`: Bochs' processor on our memory, board and clock, as a reference for `reprise verify`.
 *
 * The processor is in a plug-in (sim/bochs/bochs_cpu.h), loaded when the engine is first asked for. The state is in
 * v->cpu after each run, as with every engine; Bochs keeps a copy, which is used again if nobody has changed anything. What
 * CPUID, MSRs and the time stamp counter say is our processor model's affair: the interpreter executes those. */
#ifndef REPRISE_SIM_BOCHS_ENGINE_H
#define REPRISE_SIM_BOCHS_ENGINE_H

#include "core/engine.h"

extern const struct engine engine_bochs;

/* Loads the plug-in, once. NULL, or in one line why the engine cannot be used. */
const char *bochs_engine_missing(void);

#endif
