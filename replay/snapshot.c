#include "replay/snapshot.h"

#include "devices/chipset.h"
#include "mmu/access.h"
#include "sbe/fpu.h"

void machine_state_save(struct vm *vm, struct machine_state *to)
{
    memset(to, 0, sizeof *to);
    for (unsigned n = 0; n < vm->vcpu_count; n++) {
        fpu_park(vm->vcpu[n]);
        to->cpu[n] = vm->vcpu[n]->cpu;
    }
    to->chipset = vm->chipset;
    to->clock = vm->clock;
    to->chaos = vm->chaos;
    to->request = vm->request;
    to->exit_value = vm->exit_value;
}

/* Beyond these times sums could overflow. */
#define TIME_MAX (1ull << 61)
/* MXCSR's reserved bits fault when the unit takes them (SDM vol. 1, 10.2.3). */
#define MXCSR_BITS 0xffbfu
#define XCR0_BITS 7u

enum { FX_MXCSR = 24 };

static bool cpu_valid(const struct cpu *c)
{
    u32 mxcsr;
    memcpy(&mxcsr, c->fpu.fxsave + FX_MXCSR, sizeof mxcsr);
    bool flags = !(c->aflags & ~FLAGS_ARITH) && !(c->rflags & FLAGS_ARITH) && (c->rflags & FLAG_FIXED);
    bool units = !(mxcsr & ~MXCSR_BITS) && (c->xcr0 & 1) && !(c->xcr0 & ~XCR0_BITS);
    return flags && units && c->cpl <= 3 && c->activity <= ACTIVITY_SHUTDOWN && c->icount <= TIME_MAX;
}

bool machine_state_valid(const struct machine_state *state)
{
    for (unsigned n = 0; n < VCPU_MAX; n++)
        if (!cpu_valid(&state->cpu[n]))
            return false;
    return chipset_plausible(&state->chipset) && state->clock.skipped_ns <= TIME_MAX &&
           chaos_valid(&state->chaos, &state->clock, state->cpu[0].icount) &&
           (unsigned)state->request <= REQUEST_DEBUG_EXIT;
}

void machine_state_load(struct vm *vm, const struct machine_state *from)
{
    vm->chipset = from->chipset;
    vm->clock = from->clock;
    vm->chaos = from->chaos;
    vm->request = from->request;
    vm->exit_value = from->exit_value;
    for (unsigned n = 0; n < vm->vcpu_count; n++) {
        struct vcpu *v = vm->vcpu[n];
        fpu_park(v); /* the registers in the processor belong to the state that goes */
        v->cpu = from->cpu[n];
        tlb_flush(v);
        vcpu_update_mode(v);
    }
}
