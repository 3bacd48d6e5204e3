/* Chaos stays within its bounds, is a function of its seed, and does not depend on how a run is cut. */
#include "core/chaos.h"

#include "core/vm.h"
#include "mmu/physmem.h"
#include "replay/hash.h"
#include "replay/input.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { CODE = 0x1000, RAM = 1 << 20, LENGTH = 100000 };

/* Real mode: programs the PIT, then STI and a loop around HLT and some counting; the handler of IRQ 0 counts and
 * acknowledges. */
static const u8 code[] = {
    0xb0, 0x34, 0xe6, 0x43,             /* MOV AL, 34h; OUT 43h, AL: counter 0, mode 2 */
    0xb0, 0x10, 0xe6, 0x40, 0xb0, 0x00, 0xe6, 0x40, /* 16 ticks, 13.4 us */
    0xb0, 0x11, 0xe6, 0x20, 0xb0, 0x08, 0xe6, 0x21, 0xb0, 0x04, 0xe6, 0x21, 0xb0, 0x01, 0xe6, 0x21, /* 8259: vector 8 */
    0xb0, 0xfe, 0xe6, 0x21,             /* only IRQ 0 */
    0xfb,                               /* STI */
    0xb9, 0x00, 0x08,                   /* MOV CX, 2048 */
    0x40, 0xe2, 0xfd,                   /* INC AX; LOOP */
    0x0f, 0x31, 0x01, 0xc6,             /* RDTSC; ADD SI, AX */
    0xf4, 0xeb, 0xf3,                   /* HLT; JMP to MOV */
};
static const u8 handler[] = {0x50, 0x43, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf}; /* PUSH AX; INC BX; EOI; POP AX; IRET */
enum { HANDLER = 0x2000 };

static struct vm *machine(u64 seed, u32 kinds)
{
    const struct vm_config config = {.ram_bytes = RAM, .model = cpu_model_find(CPU_MODEL_DEFAULT), .engine = &engine_interp,
                                     .chaos = {.seed = seed, .kinds = kinds}};
    struct vm *vm;
    assert_int_equal(vm_create(&vm, &config), STATUS_OK);
    physmem_load(&vm->memory, gpa(CODE), code, sizeof code);
    physmem_load(&vm->memory, gpa(HANDLER), handler, sizeof handler);
    const u16 vector[2] = {HANDLER, 0};
    physmem_load(&vm->memory, gpa(8 * 4), vector, sizeof vector);
    struct cpu *c = &vm->vcpu[0]->cpu;
    c->seg[SEG_CS].base = 0;
    c->seg[SEG_CS].selector = 0;
    c->rip = CODE;
    c->gpr[RSP] = 0x8000;
    vcpu_update_mode(vm->vcpu[0]);
    return vm;
}

/* Runs to `until` in slices, passing idle time. */
static void run(struct vm *vm, u64 until, u64 slice)
{
    const struct cpu *c = &vm->vcpu[0]->cpu;
    while (c->icount < until) {
        u64 end = c->icount + slice < until ? c->icount + slice : until;
        enum vm_stop stop = vm_run(vm, end);
        if (stop == VM_STOP_WAIT_INPUT)
            vm_skip_to(vm, vm_wake_time(vm));
        else
            assert_int_equal(stop, VM_STOP_ICOUNT);
    }
    input_settle(vm);
}

static u64 outcome(u64 seed, u32 kinds, u64 slice)
{
    struct vm *vm = machine(seed, kinds);
    run(vm, LENGTH, slice);
    assert_true(vm->vcpu[0]->cpu.gpr[RBX] > 10); /* interrupts came */
    u64 hash = state_hash(vm);
    vm_destroy(vm);
    return hash;
}

static void a_function_of_seed_and_kinds(void **state)
{
    const u64 plain = outcome(0, 0, LENGTH);
    u64 last = plain;
    (void)state;
    assert_int_equal(outcome(9, CHAOS_TLB, LENGTH), plain);
    for (u64 seed = 0; seed < 6; seed++) {
        u64 hash = outcome(seed, CHAOS_ALL, LENGTH);
        assert_int_not_equal(hash, last);
        last = hash;
        for (u32 kinds = 1; kinds <= CHAOS_ALL; kinds++) {
            hash = outcome(seed, kinds, LENGTH);
            assert_int_equal(outcome(seed, kinds, 1), hash);
            assert_int_equal(outcome(seed, kinds, 97 + seed), hash);
        }
    }
}

static void within_bounds(void **state)
{
    u64 slowest = UINT64_MAX, fastest = 0, longest = 0;
    (void)state;
    for (u64 seed = 0; seed < 20; seed++) {
        struct vm *vm = machine(seed, CHAOS_SEEN);
        u64 before = 0, skipped = 0;
        for (u64 at = 1; at < LENGTH; at++) {
            run(vm, at, 1);
            const struct chaos *c = &vm->chaos;
            u64 now = vm_now(vm), passed = now - before - (vm->clock.skipped_ns - skipped);
            assert_true(passed <= CHAOS_JUMP_MAX + CHAOS_RATE_MAX / CLOCK_RATE_ONE);
            assert_true(vm->clock.rate >= CHAOS_RATE_MIN && vm->clock.rate <= CHAOS_RATE_MAX);
            assert_true(c->piece_end > at && c->piece_end - at <= CHAOS_PIECE_MAX);
            assert_true(c->held_until < at + CHAOS_HOLD_MAX);
            assert_true(chaos_valid(c, &vm->clock, at));
            slowest = vm->clock.rate < slowest ? vm->clock.rate : slowest;
            fastest = vm->clock.rate > fastest ? vm->clock.rate : fastest;
            if (c->held_until > at && c->held_until - at > longest)
                longest = c->held_until - at;
            before = now;
            skipped = vm->clock.skipped_ns;
        }
        vm_destroy(vm);
    }
    assert_true(slowest < CLOCK_RATE_ONE && fastest > 3 * CLOCK_RATE_ONE && longest > CHAOS_HOLD_MAX / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_function_of_seed_and_kinds),
        cmocka_unit_test(within_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
