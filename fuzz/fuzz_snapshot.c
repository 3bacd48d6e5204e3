/* The state of a machine from a file: any bytes. Input: a byte of choices, then pairs of a 16-bit offset into the
 * state and a byte that is put there. Choices: bit 0 the translator. What machine_state_valid() lets pass must run.
 * Whole files are tested byte by byte in sim/snapshot_file_test.c: their checksum would stop every input here. */
#include "fuzz/fuzz.h"
#include "mmu/access.h"
#include "replay/hash.h"
#include "replay/snapshot.h"

#include <string.h>

enum { RAM = 1 << 20, CODE = 0x1000, INSNS = 300, PATCH = 3 };

static struct vm *machine(bool sbe)
{
    static struct vm *machines[2];
    if (!machines[sbe]) {
        const struct vm_config config = {.ram_bytes = RAM, .model = cpu_model_find("max"),
                                         .engine = sbe ? &engine_sbe : &engine_interp};
        FUZZ_CHECK(vm_create(&machines[sbe], &config) == STATUS_OK);
    }
    return machines[sbe];
}

/* A loop with a load, a store, ports, SSE, x87 and a repeated move. */
static void fill(struct vm *vm)
{
    static const u8 code[] = {0xff, 0xc0, 0xa3, 0x00, 0x20, 0x00, 0x00, 0xe4, 0x40, 0xe6, 0x43, 0x0f, 0x57, 0xc1,
                              0xd9, 0xe8, 0xb1, 3,    0xf3, 0xa4, 0xfb, 0xeb, 0xe9};
    vm_reset(vm);
    physmem_zero(&vm->memory, gpa(0), PHYS_VGA_BEGIN);
    physmem_load(&vm->memory, gpa(CODE), code, sizeof code);
    struct cpu *c = &vm->vcpu[0]->cpu;
    for (unsigned n = 0; n < SEG_COUNT; n++)
        c->seg[n] = (struct segment){.limit = 0xffffffff,
            .attributes = SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED | SEG_G | SEG_DB};
    c->seg[SEG_CS].attributes |= SEG_CODE;
    c->cr0 |= CR0_PE;
    c->cr4 |= CR4_OSFXSR;
    c->rip = CODE;
    c->gpr[RSP] = 0x8000;
    tlb_flush(vm->vcpu[0]);
    vcpu_update_mode(vm->vcpu[0]);
}

int fuzz_one(const uint8_t *data, size_t size)
{
    static struct machine_state state;
    if (!size)
        return 0;
    struct vm *vm = machine(data[0] & 1);
    fill(vm);
    machine_state_save(vm, &state);
    FUZZ_CHECK(machine_state_valid(&state));
    for (size_t n = 1; n + PATCH <= size; n += PATCH)
        ((u8 *)&state)[(data[n] | data[n + 1] << 8) % sizeof state] = data[n + 2];
    if (!machine_state_valid(&state))
        return 0;
    machine_state_load(vm, &state);
    u64 until = vm->vcpu[0]->cpu.icount + INSNS;
    for (unsigned n = 0; n < 8; n++) {
        enum vm_stop stop = vm_run(vm, until);
        FUZZ_CHECK(vm->vcpu[0]->cpu.icount <= until);
        if (stop != VM_STOP_WAIT_INPUT || vm_wake_time(vm) == CLOCK_NEVER)
            break;
        vm_skip_to(vm, vm_wake_time(vm));
    }
    (void)state_hash_whole(vm);
    return 0;
}
