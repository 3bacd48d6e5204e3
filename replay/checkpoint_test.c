/* Checkpoints: whatever order a run is visited in, it is the same run; memory stays within the budget. */
#include "replay/checkpoint.h"

#include "replay/hash.h"
#include "sbe/test_code.h"

enum { STRIDE = 997, STOPS = 200, LARGE_POOL = 64 << 20 };

static u64 hashes[STOPS];
static u32 random_state;

static u32 random_below(u32 bound)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (u32)((u64)random_state * bound >> 32);
}

/* Stores pseudo-random words at pseudo-random places of [0x100000, 0x180000), and into its own code: the constant of
 * the first instruction. */
static void begin(void)
{
    vm->clock.skipped_ns = 0;
    v->cpu.icount = 0;
    enter(CODE_32);
    for (u64 page = 0; page < physmem_pages(&vm->memory); page++)
        if (physmem_pointer(&vm->memory, gpa(page << PAGE_SHIFT)))
            physmem_zero(&vm->memory, gpa(page << PAGE_SHIFT), PAGE_SIZE); /* the machine was reset: no code is known */
    PUT(CODE, 0x69, 0xc0, 0x0d, 0x66, 0x19, 0x00, /* imul eax, eax, 1664525 */
        0x05, 0x5f, 0xf3, 0x6e, 0x3c,             /* add eax, 1013904223 */
        0x89, 0xc2,                               /* mov edx, eax */
        0xc1, 0xea, 0x0b,                         /* shr edx, 11 */
        0x81, 0xe2, 0xfc, 0xff, 0x07, 0x00,       /* and edx, 0x7fffc */
        0x89, 0x82, 0x00, 0x00, 0x10, 0x00,       /* mov [edx + 0x100000], eax */
        0x80, 0x35, 0x03, 0x10, 0x00, 0x00, 0x10, /* xor byte [CODE + 3], 0x10 */
        0xeb, 0xdb);                              /* jmp CODE */
    tlb_flush(v);
}

static void go(unsigned stop)
{
    assert_int_equal(vm_run(vm, (u64)stop * STRIDE), VM_STOP_ICOUNT);
}

static enum status take(struct checkpoints *c, unsigned stop) { return checkpoints_take(c, &stop, sizeof stop); }

static unsigned restore(struct checkpoints *c, unsigned number)
{
    unsigned stop;
    checkpoints_restore(c, number, &stop, sizeof stop);
    return stop;
}

static void run_straight(void)
{
    begin();
    for (unsigned n = 0; n < STOPS; n++) {
        go(n);
        hashes[n] = state_hash(vm);
    }
}

static struct checkpoints *with_budget(u64 bytes)
{
    struct checkpoints *c = NULL;
    assert_int_equal(checkpoints_create(vm, bytes, &c), STATUS_OK);
    return c;
}

static void taking_them_does_not_show(void **state)
{
    (void)state;
    run_straight();
    begin();
    struct checkpoints *c = with_budget(LARGE_POOL);
    for (unsigned n = 0; n < STOPS; n++) {
        go(n);
        assert_int_equal(take(c, n), STATUS_OK);
        assert_int_equal(state_hash(vm), hashes[n]);
    }
    assert_int_equal(checkpoints_count(c), STOPS);
    checkpoints_destroy(c);
}

/* Visits stops in random order: from the checkpoint before, forwards; takes another one here and there. */
static void visit(struct checkpoints *c, u64 budget)
{
    for (unsigned n = 0; n < 120; n++) {
        unsigned stop = random_below(STOPS);
        int from = checkpoints_find(c, (u64)stop * STRIDE);
        assert_true(from >= 0);
        u64 icount = checkpoints_icount(c, (unsigned)from);
        assert_int_equal(restore(c, (unsigned)from), icount / STRIDE);
        assert_int_equal(v->cpu.icount, icount);
        assert_int_equal(state_hash(vm), hashes[icount / STRIDE]);
        go(stop);
        assert_int_equal(state_hash(vm), hashes[stop]);
        if (random_below(2))
            assert_int_equal(take(c, stop), STATUS_OK);
        assert_true(checkpoints_bytes(c) <= budget);
    }
}

static void any_order_gives_the_same_run(void **state)
{
    (void)state;
    static const u64 budgets[] = {LARGE_POOL, 1000 << PAGE_SHIFT, 300 << PAGE_SHIFT};
    run_straight();
    for (unsigned n = 0; n < ARRAY_LEN(budgets); n++) {
        begin();
        struct checkpoints *c = with_budget(budgets[n]);
        assert_int_equal(take(c, 0), STATUS_OK);
        visit(c, budgets[n]);
        checkpoints_destroy(c);
    }
}

/* Loaders, devices and page walks write RAM without an instruction's store. */
static void every_kind_of_write_is_seen(void **state)
{
    (void)state;
    begin();
    go(1);
    struct checkpoints *c = with_budget(LARGE_POOL);
    assert_int_equal(take(c, 0), STATUS_OK);
    u64 before = state_hash(vm);
    u8 byte = 0x77;
    phys_write(vm, gpa(0x1f0123), &byte, 1);
    assert_true(physmem_load(&vm->memory, gpa(0x1e0fff), "xy", 2));
    assert_true(physmem_zero(&vm->memory, gpa(CODE), 16));
    phys_write_table(vm, gpa(0x1d0008), 0x55);
    restore(c, 0);
    assert_int_equal(state_hash(vm), before);
    go(STOPS - 1);
    assert_int_equal(state_hash(vm), hashes[STOPS - 1]);
    checkpoints_destroy(c);
}

static void a_full_pool_keeps_coverage(void **state)
{
    (void)state;
    begin();
    struct checkpoints *c = with_budget(2000 << PAGE_SHIFT);
    for (unsigned n = 0; n < STOPS; n++) {
        go(n);
        assert_int_equal(take(c, n), STATUS_OK);
    }
    unsigned count = checkpoints_count(c);
    assert_true(count > 4 && count < STOPS);
    assert_int_equal(checkpoints_icount(c, 0), 0);
    assert_int_equal(checkpoints_icount(c, count - 1), (STOPS - 1) * STRIDE);
    for (unsigned n = 1; n < count; n++)
        assert_true(checkpoints_icount(c, n) - checkpoints_icount(c, n - 1) < STOPS * STRIDE / 2);
    checkpoints_destroy(c);
}

static void too_small_a_pool_says_so(void **state)
{
    (void)state;
    struct checkpoints *c = NULL;
    assert_int_equal(checkpoints_create(vm, 1000, &c), STATUS_BAD_ARGUMENT);
    begin();
    go(STOPS - 1);
    c = with_budget(70 << PAGE_SHIFT);
    assert_int_equal(take(c, 0), STATUS_TOO_BIG);
    assert_int_equal(checkpoints_count(c), 0);
    assert_int_equal(state_hash(vm), hashes[STOPS - 1]);
    checkpoints_destroy(c);
}

static void another_history_replaces_the_old(void **state)
{
    (void)state;
    begin();
    struct checkpoints *c = with_budget(LARGE_POOL);
    for (unsigned n = 0; n < 20; n++) {
        go(n);
        assert_int_equal(take(c, n), STATUS_OK);
    }
    restore(c, 10);
    checkpoints_drop_after(c, 10 * STRIDE);
    assert_int_equal(checkpoints_count(c), 11);
    assert_int_equal(checkpoints_find(c, UINT64_MAX), 10);
    set(RAX, 0x1234);
    go(20);
    u64 other = state_hash(vm);
    assert_int_not_equal(other, hashes[20]);
    assert_int_equal(take(c, 20), STATUS_OK);
    restore(c, 3);
    go(19);
    assert_int_equal(state_hash(vm), hashes[19]);
    restore(c, 11);
    assert_int_equal(state_hash(vm), other);
    checkpoints_drop_after(c, 0);
    assert_int_equal(checkpoints_count(c), 1);
    checkpoints_destroy(c);
}

static const struct engine *const engines[] = {&engine_interp, &engine_interp_shadow, &engine_sbe};

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(taking_them_does_not_show),
        cmocka_unit_test(any_order_gives_the_same_run),
        cmocka_unit_test(every_kind_of_write_is_seen),
        cmocka_unit_test(a_full_pool_keeps_coverage),
        cmocka_unit_test(too_small_a_pool_says_so),
        cmocka_unit_test(another_history_replaces_the_old),
    };
    int failures = 0;
    for (unsigned n = 0; n < ARRAY_LEN(engines); n++) {
        test_engine = engines[n];
        failures += cmocka_run_group_tests_name(test_engine->name, tests, create, destroy);
    }
    return failures;
}
