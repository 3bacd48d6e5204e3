/* Input reaches its device, wakes the run loop, and is refused without any change when there is no room. */
#include "replay/hash.h"
#include "replay/input.h"
#include "sbe/machine_for_tests.h"

static struct vm *vm;

static int create(void **state)
{
    (void)state;
    vm = machine_create("westmere");
    return 0;
}

static int destroy(void **state)
{
    (void)state;
    vm_destroy(vm);
    return 0;
}

static u8 in(u16 port)
{
    struct vcpu *v = vm->vcpu[0];
    return (u8)vm_io_read(v, port, 1);
}

static void serial_bytes_arrive_in_order(void **state)
{
    (void)state;
    struct vcpu *v = machine_enter(vm, REAL, 0);
    vm_io_write(v, 0x3fa, 1, 1); /* FIFO on */
    v->stop_at = UINT64_MAX;
    assert_true(input_deliver(vm, INPUT_SERIAL, 0, 'a'));
    assert_int_equal(v->stop_at, 0);
    assert_true(input_deliver(vm, INPUT_SERIAL, 0, 'b'));
    assert_int_equal(in(0x3fd) & 1, 1);
    assert_int_equal(in(0x3f8), 'a');
    assert_int_equal(in(0x3f8), 'b');
    assert_int_equal(in(0x3fd) & 1, 0);
}

static void a_full_device_refuses_and_keeps_its_state(void **state)
{
    static const struct { enum input_source source; unsigned unit; } devices[] = {
        {INPUT_SERIAL, 0}, {INPUT_SERIAL, 1}, {INPUT_KEYBOARD, 0}};
    (void)state;
    for (unsigned n = 0; n < ARRAY_LEN(devices); n++) {
        machine_enter(vm, REAL, 0);
        unsigned taken = 0;
        while (taken < 4096 && input_deliver(vm, devices[n].source, devices[n].unit, 0x1e))
            taken++;
        assert_in_range(taken, 1, 4095);
        u64 full = state_hash(vm);
        assert_false(input_deliver(vm, devices[n].source, devices[n].unit, 0x1f));
        assert_int_equal(state_hash(vm), full);
    }
}

static void devices_that_do_not_exist_refuse(void **state)
{
    (void)state;
    machine_enter(vm, REAL, 0);
    u64 before = state_hash(vm);
    assert_false(input_deliver(vm, INPUT_SERIAL, 4, 'x'));
    assert_false(input_deliver(vm, INPUT_KEYBOARD, 1, 'x'));
    assert_false(input_deliver(vm, INPUT_SOURCES, 0, 'x'));
    assert_int_equal(state_hash(vm), before);
}

static void memory_takes_bytes_in_ram_within_a_page(void **state)
{
    static const u8 bytes[] = {0x11, 0x22, 0x33, 0x44, 0x55, 0x66};
    (void)state;
    machine_enter(vm, REAL, 0);
    struct input_memory m = input_memory(0x12ffa, bytes, sizeof bytes);
    assert_true(input_memory_valid(m.value));
    assert_true(input_deliver(vm, INPUT_MEMORY, m.unit, m.value));
    assert_int_equal(machine_peek(vm, 0x12ffa, 8), 0x665544332211);
    u64 before = state_hash(vm);
    const struct input_memory bad[] = {
        input_memory(0x12ffb, bytes, sizeof bytes), /* crosses its page */
        input_memory(0x13000, bytes, 0),
        {.unit = 0x13, .value = 7ull << INPUT_MEMORY_COUNT_SHIFT},
        input_memory(PHYS_VGA_BEGIN, bytes, 1), /* not RAM */
        input_memory(MACHINE_RAM, bytes, 1),
    };
    for (unsigned n = 0; n < ARRAY_LEN(bad); n++)
        assert_false(input_deliver(vm, INPUT_MEMORY, bad[n].unit, bad[n].value));
    assert_int_equal(state_hash(vm), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serial_bytes_arrive_in_order),
        cmocka_unit_test(a_full_device_refuses_and_keeps_its_state),
        cmocka_unit_test(memory_takes_bytes_in_ram_within_a_page),
        cmocka_unit_test(devices_that_do_not_exist_refuse),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
