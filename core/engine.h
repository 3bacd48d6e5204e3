/* An engine executes guest instructions. All engines obey one contract (ARCHITECTURE.md, "exactness"). */
#ifndef REPRISE_CORE_ENGINE_H
#define REPRISE_CORE_ENGINE_H

#include "core/status.h"
#include "core/vcpu.h"
#include "mmu/physmem.h"

struct engine {
    const char *name;
    const char *summary; /* one line for --help */
    enum physmem_layout layout; /* of RAM in the host, as the engine wants it */
    enum status (*create)(struct vcpu *v);
    void (*destroy)(struct vcpu *v);
    /* Executes until v->cpu.icount >= v->stop_at, delivering the guest's own exceptions on the way. vcpu_kick() makes it end
     * at the next boundary, and is called for all that the run loop must look at: halts, shutdown, devices. On return the
     * complete state is in v->cpu, at an instruction boundary; cpu.activity says whether there is more to execute. While
     * v->stepping, stops_before() (core/stops.h) is asked before each instruction, and ends the run if it says so. */
    void (*run)(struct vcpu *v);
};

extern const struct engine engine_interp; /* sbe/interp.h */

#endif
