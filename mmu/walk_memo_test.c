/* A walk is recalled if it would come out the same, and not otherwise. */
#include "core/test_machine.h"
#include "mmu/walk_memo.h"

enum { LINEAR = 0x200000 + 0x3456, ENTRY = PML4 + 0x2000 + 8, MMIO_PAGE = 0xfee03000 };
#define MAPPING 0xfee00087ull /* 2 MiB, writable, of the user */
#define ACCESSED 0x20ull
#define DIRTY 0x40ull

static int setup(void **state)
{
    struct machine *m = machine_new();
    mode_long(m);
    put(m, ENTRY, MAPPING, 8);
    m->v.tlb.modes = 1;
    *state = m;
    return 0;
}
static int teardown(void **state) { machine_free(*state); return 0; }

static bool recalled(struct machine *m, enum access access, enum tlb_rights rights)
{
    gpa_t page = gpa(0);
    bool found = walk_recall(&m->v, LINEAR, access, rights, &page);
    if (found)
        assert_int_equal(page.raw, MMIO_PAGE);
    return found;
}

static void remember(struct machine *m, enum access access, enum tlb_rights rights)
{
    struct walk_result walk = walk_guest(&m->v, LINEAR, access, rights, true);
    assert_true(walk.ok);
    walk_remember(&m->v, LINEAR, access, rights, walk.page);
}

static void the_same_walk(void **state)
{
    struct machine *m = *state;
    assert_false(recalled(m, ACCESS_READ, TLB_SUPERVISOR));
    remember(m, ACCESS_READ, TLB_SUPERVISOR);
    assert_true(recalled(m, ACCESS_READ, TLB_SUPERVISOR));
    assert_false(recalled(m, ACCESS_WRITE, TLB_SUPERVISOR));
    assert_false(recalled(m, ACCESS_READ, TLB_USER));
    remember(m, ACCESS_WRITE, TLB_SUPERVISOR);
    assert_true(recalled(m, ACCESS_WRITE, TLB_SUPERVISOR));
    assert_false(recalled(m, ACCESS_READ, TLB_SUPERVISOR)); /* D was not set when it was made */
}

/* Every level counts, and A and D, which a walk would set again. */
static void entries_that_change(void **state)
{
    struct machine *m = *state;
    const u64 at[] = {PML4, PML4 + 0x1000, ENTRY};
    for (unsigned n = 0; n < ARRAY_LEN(at); n++) {
        remember(m, ACCESS_WRITE, TLB_USER);
        u64 entry = get(m, at[n], 8);
        assert_true(entry & ACCESSED);
        for (u64 bit = 1; bit; bit <<= 1) {
            put(m, at[n], entry ^ bit, 8);
            assert_false(recalled(m, ACCESS_WRITE, TLB_USER));
        }
        put(m, at[n], entry, 8);
        assert_true(recalled(m, ACCESS_WRITE, TLB_USER));
    }
    assert_true(get(m, ENTRY, 8) & DIRTY);
}

static void registers_that_change(void **state)
{
    struct machine *m = *state;
    remember(m, ACCESS_READ, TLB_SUPERVISOR);
    tlb_invalidate(&m->v);
    assert_false(recalled(m, ACCESS_READ, TLB_SUPERVISOR));
    remember(m, ACCESS_READ, TLB_SUPERVISOR);
    tlb_flush(&m->v);
    assert_false(recalled(m, ACCESS_READ, TLB_SUPERVISOR));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_same_walk, setup, teardown),
        cmocka_unit_test_setup_teardown(entries_that_change, setup, teardown),
        cmocka_unit_test_setup_teardown(registers_that_change, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
