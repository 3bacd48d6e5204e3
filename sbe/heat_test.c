/* Which code gets windows, and loses them again; and that nobody can tell. */
#include "sbe/heat.h"

#include "mmu/window.h"
#include "replay/hash.h"
#include "sbe/codecache.h"
#include "sbe/machine_for_tests.h"

/* Adds to memory in a loop without end. */
static const u8 code[] = {0x01, 0x05, 0x00, 0xa0, 0x00, 0x00, /* add [MACHINE_DATA], eax */
                          0x40,                               /* inc eax */
                          0x81, 0xc3, 0x34, 0x12, 0x00, 0x00, /* add ebx, 0x1234 */
                          0x72, 0xf1,                         /* jc back */
                          0xeb, 0xef};                        /* jmp back */
static struct vm *vm;
static struct vcpu *v;

static void start(const struct engine *engine)
{
    struct vm_config config = {.ram_bytes = MACHINE_RAM, .model = cpu_model_find("max"), .engine = engine};
    assert_int_equal(vm_create(&vm, &config), STATUS_OK);
    v = machine_enter(vm, PROTECTED, 0);
    machine_poke(vm, MACHINE_CODE, code, sizeof code);
}

static void run(u64 instructions)
{
    assert_int_equal(vm_run(vm, v->cpu.icount + instructions), VM_STOP_ICOUNT);
}

static struct heat_page *page(void) { return &v->sbe->heat->page[MACHINE_CODE >> PAGE_SHIFT]; }

static void warm(void)
{
    start(&engine_sbe_auto);
    for (unsigned n = 0; !page()->windows && n < 2 * HEAT_FIRST; n++)
        run(HEAT_PERIOD);
    assert_true(heat_windows(v->sbe->heat, MACHINE_CODE));
}

static void hot_code_gets_windows(void **state)
{
    (void)state;
    start(&engine_sbe_auto);
    run(HEAT_PERIOD * (HEAT_FIRST / 2));
    assert_false(page()->windows);
    assert_int_equal(v->windows->maps, 0);
    assert_in_range(page()->samples, HEAT_FIRST / 2 - 1, HEAT_FIRST / 2 + 1);
    run(HEAT_PERIOD * HEAT_FIRST);
    assert_true(page()->windows);
    assert_int_equal(v->windows->mapped, 1);
    assert_true(page()->credit > HEAT_FIRST);
    vm_destroy(vm);
}

/* Wherever runs are cut: not at samples, at samples, beside them. */
static void nobody_can_tell(void **state)
{
    (void)state;
    static const u64 slices[] = {HEAT_PERIOD * 3 / 2, HEAT_PERIOD, HEAT_PERIOD - 1, HEAT_PERIOD + 1};
    for (unsigned n = 0; n < ARRAY_LEN(slices); n++) {
        u64 hash[2];
        for (unsigned which = 0; which < 2; which++) {
            start(which ? &engine_sbe_auto : &engine_interp);
            for (unsigned slice = 0; slice < 12; slice++)
                run(slices[n]);
            hash[which] = state_hash(vm);
            vm_destroy(vm);
        }
        assert_int_equal(hash[0], hash[1]);
    }
}

static void faults_without_credit_cool_down(void **state)
{
    (void)state;
    warm();
    unsigned credit = page()->credit, wanted = page()->wanted;
    for (unsigned n = 1; n < credit; n++)
        heat_fault(v, MACHINE_CODE);
    assert_true(page()->windows);
    heat_fault(v, MACHINE_CODE);
    assert_false(page()->windows);
    assert_int_equal(wanted, 0); /* HEAT_FIRST */
    assert_int_equal(page()->wanted, 2 * HEAT_FIRST);
    assert_int_equal(codecache_find(v->sbe, MACHINE_CODE, MACHINE_CODE, 0), 0);
    run(HEAT_PERIOD * HEAT_FIRST);
    assert_false(page()->windows);
    run(HEAT_PERIOD * (HEAT_FIRST + 2));
    assert_true(page()->windows);
    for (unsigned n = 0; n < 20; n++) { /* never so often that it overflows */
        page()->windows = true;
        page()->credit = 1;
        heat_fault(v, MACHINE_CODE);
    }
    assert_int_equal(page()->wanted, HEAT_MOST);
    vm_destroy(vm);
}

static void mappings_that_come_and_go_cool_all_code(void **state)
{
    (void)state;
    warm();
    v->windows->unmaps += HEAT_DEBT / 2;
    heat_sample(v, MACHINE_CODE);
    assert_true(page()->windows);
    v->windows->unmaps += HEAT_DEBT;
    heat_sample(v, MACHINE_CODE);
    assert_false(page()->windows);
    run(1000);
    vm_destroy(vm);
}

static void limits(void **state)
{
    (void)state;
    start(&engine_sbe_auto);
    v->sbe->heat->next = 1000;
    assert_int_equal(heat_limit(v, 10, 500), 500);
    assert_int_equal(heat_limit(v, 10, 5000), 1000);
    assert_int_equal(heat_limit(v, 990, 5000), 990 + BLOCK_INSNS);
    assert_int_equal(heat_limit(v, 990, 1000), 1000);
    vm_destroy(vm);
    start(&engine_sbe_window);
    assert_int_equal(heat_limit(v, 10, 5000), 5000);
    vm_destroy(vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hot_code_gets_windows),
        cmocka_unit_test(nobody_can_tell),
        cmocka_unit_test(faults_without_credit_cool_down),
        cmocka_unit_test(mappings_that_come_and_go_cool_all_code),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
