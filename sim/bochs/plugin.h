/* Between the C++ files of the plug-in. */
#ifndef REPRISE_SIM_BOCHS_PLUGIN_H
#define REPRISE_SIM_BOCHS_PLUGIN_H

#define NEED_CPU_REG_SHORTCUTS 1
#include "bochs.h"
#include "cpu/cpu.h"
#define LOG_THIS genlog->

#include "sim/bochs/bochs_cpu.h"

extern bochs_host plugin_host; /* whom to ask: of the machine that is attached */

/* surroundings.cc: makes what Bochs' constructors and parameters want. */
void surroundings_begin();
/* True once after the guest's third fault in a row. */
bool surroundings_take_reset();

/* memory.cc: true once after something that makes translations void. */
bool memory_take_flush();
void memory_want_flush();
/* If `page`, from which the instruction at `address` is to be decoded, stands for one outside RAM: puts there what a device
 * gives for the instruction now, and answers true. */
bool memory_fetch_outside(const Bit8u *page, bx_phy_address address);

/* state.cc */
void state_load(const bochs_state *s);
void state_store(bochs_state *s);

/* model.cc */
void model_begin(const bochs_model *m);

#endif
