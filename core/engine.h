/* An engine executes guest instructions. All engines obey one contract (ARCHITECTURE.md, "exactness"). */
#ifndef REPRISE_CORE_ENGINE_H
#define REPRISE_CORE_ENGINE_H

#include "core/status.h"
#include "core/vcpu.h"

enum stop {
    STOP_BUDGET,   /* cpu.icount >= stop_at, or kicked: look at interrupts, timers, requests */
    STOP_HALTED,   /* HLT: nothing to execute until an interrupt */
    STOP_SHUTDOWN, /* triple fault */
};

struct engine {
    const char *name;
    const char *summary; /* one line for --help */
    enum status (*create)(struct vcpu *v);
    void (*destroy)(struct vcpu *v);
    /* Executes until v->cpu.icount >= v->stop_at at the latest, delivering the guest's own exceptions on the way. On
     * return the complete state is in v->cpu, at an instruction boundary. */
    enum stop (*run)(struct vcpu *v);
};

extern const struct engine engine_interp; /* sbe/interp.h */

#endif
