#include "replay/snapshot.h"

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
    to->request = vm->request;
    to->exit_value = vm->exit_value;
}

void machine_state_load(struct vm *vm, const struct machine_state *from)
{
    vm->chipset = from->chipset;
    vm->clock = from->clock;
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
