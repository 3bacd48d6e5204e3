/* The comparison sees what the state hash sees, and says where. */
#include "sim/state_diff.h"

#include "core/cpuid.h"
#include "replay/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct vm *machine(void)
{
    const struct vm_config config = {
        .ram_bytes = 4 << 20, .model = cpu_model_find(CPU_MODEL_DEFAULT), .engine = &engine_interp};
    struct vm *vm;
    assert_int_equal(vm_create(&vm, &config), STATUS_OK);
    return vm;
}

/* Every byte that the hash covers is covered here, and nothing else is. */
static void check_bytes(struct vm *a, struct vm *b, u8 *from, size_t bytes)
{
    struct state_difference list[4];
    u64 hash = state_hash(b);
    for (size_t n = 0; n < bytes; n++) {
        from[n] ^= 0x40;
        bool same = state_hash(b) == hash;
        assert_int_equal(state_same(a, b), same);
        assert_int_equal(state_differences(a, b, list, 4), !same);
        from[n] ^= 0x40;
    }
    assert_true(state_same(a, b));
}

static void every_register(void **state)
{
    (void)state;
    struct vm *a = machine(), *b = machine();
    check_bytes(a, b, (u8 *)&b->vcpu[0]->cpu, sizeof b->vcpu[0]->cpu);
    vm_destroy(a);
    vm_destroy(b);
}

static void every_device(void **state)
{
    (void)state;
    struct vm *a = machine(), *b = machine();
    check_bytes(a, b, (u8 *)&b->chipset, sizeof b->chipset);
    check_bytes(a, b, (u8 *)&b->clock, sizeof b->clock);
    check_bytes(a, b, (u8 *)&b->chaos, sizeof b->chaos);
    a->clock.rate = b->clock.rate = CLOCK_RATE_ONE;
    check_bytes(a, b, (u8 *)&b->clock, sizeof b->clock);
    vm_destroy(a);
    vm_destroy(b);
}

static void names_and_values(void **state)
{
    (void)state;
    struct vm *a = machine(), *b = machine();
    struct state_difference list[2];
    u8 value[STATE_VALUE_MAX];
    b->vcpu[0]->cpu.gpr[RSI] = 0x1234;
    b->vcpu[0]->cpu.seg[SEG_GS].limit = 7;
    b->vcpu[0]->cpu.fpu.fxsave[160 + 3 * 16 + 1] = 0x99;
    assert_int_equal(state_differences(a, b, list, 2), 3);
    assert_string_equal(list[0].name, "rsi");
    assert_int_equal(list[0].b[1], 0x12);
    assert_string_equal(list[1].name, "gs.limit");
    assert_true(state_value(&b->vcpu[0]->cpu, "xmm3", value));
    assert_int_equal(value[1], 0x99);
    assert_false(state_value(&b->vcpu[0]->cpu, "xmm16", value));
    vm_destroy(a);
    vm_destroy(b);
}

static void first_byte_of_memory(void **state)
{
    (void)state;
    struct vm *a = machine(), *b = machine();
    static const u64 places[] = {0, 1, 0x9ffff, 0xc0000, 0x1fffff, 0x200000, 0x3fffff};
    assert_true(memory_first_difference(a, b, 0) == UINT64_MAX);
    for (size_t n = ARRAY_LEN(places); n--;) {
        *physmem_pointer(&b->memory, gpa(places[n])) = 1;
        assert_true(memory_first_difference(a, b, 0) == places[n]);
    }
    for (size_t n = 0; n + 1 < ARRAY_LEN(places); n++)
        assert_true(memory_first_difference(a, b, places[n] + 1) == places[n + 1]);
    vm_destroy(a);
    vm_destroy(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_register),
        cmocka_unit_test(every_device),
        cmocka_unit_test(names_and_values),
        cmocka_unit_test(first_byte_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
