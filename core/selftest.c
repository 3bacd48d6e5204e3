#include "core/selftest.h"

#include "core/vm.h"
#include "replay/hash.h"

extern const u8 selftest_guest[], selftest_guest_end[];

enum { LOAD_ADDRESS = 0x7c00, RAM_BYTES = 1 << 20, PATIENCE = 1000000, EXIT_PASSED = 0x2a };

/* As a BIOS would enter a boot sector: real mode at 0000:7C00, stack below it. */
static void enter_boot_sector(struct vcpu *v)
{
    for (unsigned s = 0; s < SEG_COUNT; s++) {
        v->cpu.seg[s].selector = 0;
        v->cpu.seg[s].base = 0;
    }
    v->cpu.rip = LOAD_ADDRESS;
    v->cpu.gpr[RSP] = LOAD_ADDRESS;
    vcpu_update_mode(v);
}

static const char *judge(const struct vm *vm, enum vm_stop stop)
{
    if (stop == VM_STOP_TRIPLE_FAULT)
        return "the guest met a triple fault";
    if (stop == VM_STOP_ICOUNT)
        return "the guest did not end";
    if (stop != VM_STOP_DEBUG_EXIT)
        return "the guest ended in an unexpected way";
    return vm->exit_value == EXIT_PASSED ? NULL : "the guest computed a wrong result";
}

struct selftest_result selftest_run(void)
{
    struct vm_config config = {
        .ram_bytes = RAM_BYTES,
        .model = cpu_model_find(CPU_MODEL_DEFAULT),
        .engine = &engine_interp,
        .debug_exit = true,
    };
    struct vm *vm;
    if (vm_create(&vm, &config) != STATUS_OK)
        return (struct selftest_result){.failure = "no virtual machine could be made: memory or processor features lack"};
    physmem_load(&vm->memory, gpa(LOAD_ADDRESS), selftest_guest, (u64)(selftest_guest_end - selftest_guest));
    enter_boot_sector(vm->vcpu[0]);
    enum vm_stop stop = vm_run(vm, PATIENCE);
    const char *failure = judge(vm, stop);
    struct selftest_result result = {
        .passed = !failure, .failure = failure, .hash = state_hash(vm), .icount = vm->vcpu[0]->cpu.icount};
    vm_destroy(vm);
    return result;
}
