/* RDMSR, WRMSR and CPUID: any processor state, any processor model, any operands. */
#include "eva/eva.h"

#include "core/msr.c"
#include "core/vm.h"
#include "devices/chipset.h"

static struct vm vm;
static struct vcpu v;

u64 chipset_get_tsc_deadline(struct vm *of, struct vcpu *at)
{
    (void)of;
    (void)at;
    return any_u64();
}

void chipset_set_tsc_deadline(struct vm *of, struct vcpu *at, u64 tsc)
{
    (void)of;
    (void)at;
    (void)tsc;
}

void chipset_set_apic_base(struct vm *of, struct vcpu *at, u64 msr)
{
    (void)of;
    at->cpu.apic_base = msr;
}

void vcpu_update_mode(struct vcpu *at)
{
    //@ check known: at == &v;
    at->mode = (u8)any_below(3);
}

static void any_machine(void)
{
    any_bytes(&v.cpu, sizeof v.cpu);
    any_bytes(&v.fault, sizeof v.fault);
    any_bytes(&vm.clock, sizeof vm.clock);
    any_bytes(&vm.chipset, sizeof vm.chipset);
    v.mode = (u8)any_below(3);
    v.stack64 = any_bool();
    v.stack32 = any_bool();
    v.stack_mask = any_u64();
    v.rip_mask = any_u64();
    v.fault.has_error = any_bool();
    v.fault.vector = (u8)any_below(32);
    v.index = 0;
    v.vm = &vm;
    v.tlb.current = v.tlb.entries[0];
    vm.vcpu[0] = &v;
    vm.vcpu_count = 1;
    vm.config.model = any_bool() ? &cpu_models[0] : &cpu_models[any_below(cpu_model_count)];
}

/* Each row with each index that find_row() finds it for; that it finds no other, proofs/scan/msr.c shows by trying all
 * indices. */
static void registers(void)
{
    u64 out;
    for (unsigned n = 0; n < ARRAY_LEN(msr_rows); n++) {
        const struct msr_row *row = &msr_rows[n];
        u32 index = Frama_C_unsigned_int_interval(row->first, row->last);
        //@ check in_cpu: row->field % 8 == 0 && row->field + 8 * (row->last - row->first) + 8 <= sizeof(struct cpu);
        if (row->read)
            row->read(&v, row, index, &out);
        if (row->write)
            row->write(&v, row, index, any_u64());
    }
    cpuid_leaf(vm.config.model, &v.cpu, any_u32(), any_u32(), any_u32());
    cpu_model_cr4_mask(vm.config.model);
    cpu_model_efer_mask(vm.config.model);
    cpu_model_xcr0_mask(vm.config.model);
    mtrr_firmware_defaults(&v.cpu);
}

void main(void)
{
    any_machine();
    registers();
    REACHED(registers);
}
