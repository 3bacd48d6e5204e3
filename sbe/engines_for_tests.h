/* Unit tests that run code on the translator and on the interpreter, and want the same of both. */
#ifndef REPRISE_SBE_ENGINES_FOR_TESTS_H
#define REPRISE_SBE_ENGINES_FOR_TESTS_H

#include "replay/hash.h"
#include "sbe/machine_for_tests.h"

static inline struct vm *create(const struct engine *engine)
{
    struct vm *vm = NULL;
    struct vm_config config = {.ram_bytes = MACHINE_RAM, .model = cpu_model_find("max"), .engine = engine};
    assert_int_equal(vm_create(&vm, &config), STATUS_OK);
    return vm;
}

static inline void prepare(struct vm *vm, enum machine_mode mode, const u8 *code, unsigned bytes)
{
    struct vcpu *v = machine_enter(vm, mode, 0);
    for (unsigned n = 0; n < GPR_COUNT; n++)
        if (n != RSP)
            v->cpu.gpr[n] = 0x1122334455667788ull * (n + 1) >> (mode == LONG ? 0 : 33);
    machine_poke(vm, MACHINE_CODE, code, bytes);
}

static inline void run(struct vm *vm, u64 instructions)
{
    u64 until = vm->vcpu[0]->cpu.icount + instructions;
    assert_int_equal(vm_run(vm, until), VM_STOP_ICOUNT);
}

/* The code, which jumps back to its start, runs for so many instructions on the engines and ends in one state. Returns how many
 * of them the translator has left to the interpreter, in the end. */
static inline u64 both(enum machine_mode mode, const u8 *code, unsigned bytes, u64 instructions)
{
    static const struct engine *const engines[] = {&engine_interp, &engine_sbe, &engine_sbe_window};
    u64 hash[ARRAY_LEN(engines)], translated = 0, interpreted = 0;
    for (unsigned n = 0; n < ARRAY_LEN(engines); n++) {
        struct vm *vm = create(engines[n]);
        prepare(vm, mode, code, bytes);
        run(vm, instructions);
        hash[n] = state_hash(vm);
        translated = vm->stats.translations;
        interpreted = vm->stats.interpreted + vm->stats.callouts;
        vm_destroy(vm);
    }
    assert_int_equal(hash[0], hash[1]);
    assert_int_equal(hash[0], hash[2]);
    assert_true(translated > 0);
    return interpreted;
}

#define BOTH(mode, instructions, ...) \
    both(mode, (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}), instructions)

#endif
