/* Windows: they show what the tables allow, and nothing else. The kernel is asked whether an address may be accessed. */
#include "mmu/window.h"

#include "core/test_machine.h"

#include <unistd.h>

enum { SPACES = 2, LINEAR = 0x30000, OTHER = 0x75000 };

static struct machine *m;
static struct vcpu *v;
static struct physmem dense;
static int channel[2];

static int create(void **state)
{
    (void)state;
    m = machine_new();
    v = &m->v;
    dense = m->vm.memory;
    assert_int_equal(physmem_create(&m->vm.memory, MACHINE_RAM, PHYSMEM_SHARED), STATUS_OK);
    assert_int_equal(memtable_create(v, false, SPACES), STATUS_OK);
    assert_int_equal(windows_create(v), STATUS_OK);
    return pipe(channel);
}

static int destroy(void **state)
{
    (void)state;
    windows_destroy(v);
    memtable_destroy(v);
    physmem_destroy(&m->vm.memory);
    m->vm.memory = dense;
    machine_free(m);
    close(channel[0]);
    close(channel[1]);
    return 0;
}

static u8 *at(u64 linear) { return (u8 *)window_base(v, v->memtable, TLB_USER) + linear; }

static bool readable(u64 linear)
{
    u8 byte;
    return write(channel[1], at(linear), 1) == 1 && read(channel[0], &byte, 1) == 1;
}

/* Leaves a 7 there. */
static bool writable(u64 linear)
{
    u8 byte = 7;
    assert_int_equal(write(channel[1], &byte, 1), 1);
    return read(channel[0], at(linear), 1) == 1 || read(channel[0], &byte, 1) != 1;
}

static void allow(u64 linear, u64 offset, bool write)
{
    memtable_fill(v->memtable, linear, TLB_USER, MEMTABLE_READ, physmem_host(&m->vm.memory, offset));
    if (write)
        memtable_fill(v->memtable, linear, TLB_USER, MEMTABLE_WRITE, physmem_host(&m->vm.memory, offset));
}

static bool map(u64 linear) { return window_map(v, v->memtable, linear, TLB_USER); }

static void a_page_shows_ram(void **state)
{
    (void)state;
    *physmem_host(&m->vm.memory, 0x5123) = 99;
    assert_false(readable(LINEAR));
    assert_false(map(LINEAR)); /* the tables know nothing */
    allow(LINEAR, 0x5000, true);
    assert_false(readable(LINEAR)); /* nobody has asked yet */
    assert_true(map(LINEAR + 0x123));
    assert_int_equal(*at(LINEAR + 0x123), 99);
    assert_true(writable(LINEAR + 0xfff));
    assert_int_equal(*physmem_host(&m->vm.memory, 0x5fff), 7);
    assert_false(readable(LINEAR + PAGE_SIZE));
    assert_false(map(LINEAR)); /* nothing to add */
}

static void rights_follow_the_tables(void **state)
{
    (void)state;
    allow(LINEAR, 0x5000, false);
    assert_true(map(LINEAR));
    assert_true(readable(LINEAR));
    assert_false(writable(LINEAR));
    allow(LINEAR, 0x5000, true);
    assert_true(map(LINEAR));
    assert_true(writable(LINEAR));
    memtable_drop(v->memtable, TLB_USER, LINEAR, 1, true);
    assert_true(readable(LINEAR));
    assert_false(writable(LINEAR));
    allow(LINEAR, 0x5000, true);
    assert_int_equal(window_map(v, v->memtable, LINEAR, TLB_USER), WINDOW_AGAIN);
    assert_true(writable(LINEAR));
    memtable_drop(v->memtable, TLB_USER, LINEAR - PAGE_SIZE, 3, false);
    assert_false(readable(LINEAR));
    assert_int_equal(v->windows->mapped, 0);
}

static void what_is_dropped_elsewhere_stays(void **state)
{
    (void)state;
    allow(LINEAR, 0x5000, true);
    allow(OTHER, 0x6000, true);
    assert_true(map(LINEAR) && map(OTHER));
    memtable_drop(v->memtable, TLB_SUPERVISOR, LINEAR, 1, false);
    memtable_drop(&v->memtables[1], TLB_USER, LINEAR, 1, false);
    memtable_drop(v->memtable, TLB_USER, LINEAR, 1, false);
    assert_false(readable(LINEAR));
    assert_true(writable(OTHER));
    memtable_flush(&v->memtables[1]);
    assert_true(readable(OTHER));
    memtable_flush(v->memtable);
    assert_false(readable(OTHER));
}

/* Another page of RAM at the same address: never the old one. */
static void a_page_is_replaced(void **state)
{
    (void)state;
    allow(LINEAR, 0x5000, true);
    assert_true(map(LINEAR));
    memtable_fill(v->memtable, LINEAR, TLB_USER, MEMTABLE_READ, physmem_host(&m->vm.memory, 0x6000));
    assert_false(readable(LINEAR));
    *physmem_host(&m->vm.memory, 0x6000) = 66;
    assert_true(map(LINEAR)); /* the write table still names the old one: not writable */
    assert_int_equal(*at(LINEAR), 66);
    assert_false(writable(LINEAR));
}

static void neighbours_come_along(void **state)
{
    (void)state;
    for (u64 n = 0; n < 2 * WINDOW_AROUND; n++)
        allow(n << PAGE_SHIFT, n << PAGE_SHIFT, n % 2);
    assert_true(map((WINDOW_AROUND + 3) << PAGE_SHIFT));
    assert_int_equal(v->windows->mapped, WINDOW_AROUND);
    assert_false(readable((WINDOW_AROUND - 1) << PAGE_SHIFT));
    assert_true(writable((2 * WINDOW_AROUND - 1) << PAGE_SHIFT));
    assert_false(writable(WINDOW_AROUND << PAGE_SHIFT));
    memtable_drop(v->memtable, TLB_USER, 0, 1 << WINDOW_PAGE_BITS, true);
    assert_false(writable((2 * WINDOW_AROUND - 1) << PAGE_SHIFT));
    assert_true(readable((2 * WINDOW_AROUND - 1) << PAGE_SHIFT));
    assert_int_equal(v->windows->mapped, WINDOW_AROUND);
}

static void ends_of_the_window(void **state)
{
    (void)state;
    const u64 top = WINDOW_BYTES - PAGE_SIZE;
    allow(top, 0x5000, true);
    assert_true(map(WINDOW_BYTES - 1));
    assert_true(writable(WINDOW_BYTES - 1));
    assert_false(readable(WINDOW_BYTES));
    assert_false(map(WINDOW_BYTES));
    assert_false(map(0 - (u64)PAGE_SIZE));
    memtable_drop(v->memtable, TLB_USER, top, 512, false);
    assert_false(readable(top));
    assert_false(window_map(v, v->memtable, top, TLB_USER_ALIGNED));
    assert_true(windows_hold(v, (u64)window_base(v, v->memtable, TLB_USER_ALIGNED)));
    assert_true(windows_hold(v, (u64)at(0) - 1) && windows_hold(v, (u64)at(0) + 9 * WINDOW_BYTES));
    assert_false(windows_hold(v, (u64)v->windows->space + v->windows->space_bytes));
}

/* One page of RAM in very many places. */
static void too_many_pages(void **state)
{
    (void)state;
    u64 pages = WINDOW_PAGES_MAX + WINDOW_AROUND;
    for (u64 n = 0; n < pages; n++) {
        allow(n << PAGE_SHIFT, 0x5000, false);
        map(n << PAGE_SHIFT);
        assert_true(readable(n << PAGE_SHIFT));
    }
    assert_int_equal(v->windows->overflows, 1);
    assert_false(readable(0));
    assert_true(v->windows->mapped <= WINDOW_AROUND);
}

#define ON_A_FRESH_MACHINE(test) cmocka_unit_test_setup_teardown(test, create, destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_FRESH_MACHINE(a_page_shows_ram),      ON_A_FRESH_MACHINE(rights_follow_the_tables),
        ON_A_FRESH_MACHINE(what_is_dropped_elsewhere_stays), ON_A_FRESH_MACHINE(a_page_is_replaced),
        ON_A_FRESH_MACHINE(neighbours_come_along), ON_A_FRESH_MACHINE(ends_of_the_window),
        ON_A_FRESH_MACHINE(too_many_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
