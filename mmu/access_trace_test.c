/* What tracers see of memory accesses: all of them, or all writes to one frame. */
#include "mmu/access.h"

#include "core/test_machine.h"

enum { DIRECTORY = 0x10000, TABLE = 0x11000, PAGE_A = 0x20000, PAGE_B = 0x24000, FULL = 7, ACCESSED = 0x20 };

static struct machine *m;
static struct vcpu *v;

static struct {
    enum trace_kind kind;
    u64 linear, physical;
    unsigned size;
    u8 first; /* byte */
} seen[16];
static unsigned seen_count;

static void note(void *context, struct vm *vm, const struct trace_event *e)
{
    (void)context, (void)vm;
    assert_in_range(seen_count, 0, ARRAY_LEN(seen) - 1);
    seen[seen_count].kind = e->kind;
    seen[seen_count].linear = e->address;
    seen[seen_count].physical = e->physical;
    seen[seen_count].first = *e->bytes;
    seen[seen_count++].size = e->size;
}

static void assert_next(unsigned at, enum trace_kind kind, u64 linear, u64 physical, unsigned size, u8 first)
{
    assert_in_range(at, 0, seen_count - 1);
    assert_int_equal(seen[at].kind, kind);
    assert_int_equal(seen[at].linear, linear);
    assert_int_equal(seen[at].physical, physical);
    assert_int_equal(seen[at].size, size);
    assert_int_equal(seen[at].first, first);
}

static void map(u32 page, u32 entry) { put(m, TABLE + 4 * page, entry, 4); }

/* 32-bit paging: two neighbours whose frames are none, and one of them once more. */
static int create(void **state)
{
    (void)state;
    m = machine_new();
    v = &m->v;
    mode_protected(m);
    memset(m->vm.memory.ram + DIRECTORY, 0, 2 * PAGE_SIZE);
    put(m, DIRECTORY, TABLE | FULL, 4);
    map(0x30, PAGE_A | FULL);
    map(0x31, PAGE_B | FULL);
    map(0x40, PAGE_B | FULL);
    v->cpu.cr0 = CR0_PE | CR0_PG | CR0_WP;
    v->cpu.cr3 = DIRECTORY;
    tlb_flush(v);
    vcpu_update_mode(v);
    seen_count = 0;
    return 0;
}

static int destroy(void **state)
{
    (void)state;
    machine_free(m);
    return 0;
}

static void every_access_is_seen(void **state)
{
    static const struct tracer tracer = {.mask = TRACE_MEMORY, .event = note};
    u32 value;
    struct mem_rmw rmw;
    (void)state;
    assert_true(mem_write32(v, 0x30000, 1)); /* fills the TLB, which is then forgotten */
    m->vm.tracer = &tracer;
    tlb_forget(v);
    for (unsigned n = 0; n < 3; n++)
        assert_true(mem_write32(v, 0x30ffe, 0x44332211));
    assert_int_equal(seen_count, 6);
    assert_next(4, TRACE_WRITE, 0x30ffe, PAGE_A + 0xffe, 2, 0x11);
    assert_next(5, TRACE_WRITE, 0x31000, PAGE_B, 2, 0x33);
    seen_count = 0;
    assert_true(mem_read32(v, 0x30ffe, &value));
    assert_int_equal(value, 0x44332211);
    assert_next(0, TRACE_READ, 0x30ffe, PAGE_A + 0xffe, 2, 0x11);
    assert_next(1, TRACE_READ, 0x31000, PAGE_B, 2, 0x33);
    seen_count = 0;
    assert_true(mem_rmw_begin(v, 0x40000, 1, &rmw));
    assert_next(0, TRACE_READ, 0x40000, PAGE_B, 1, 0x33);
    *rmw.host = 0x77;
    mem_rmw_end(v, &rmw);
    assert_next(1, TRACE_WRITE, 0x40000, PAGE_B, 1, 0x77);
    assert_int_equal(get(m, PAGE_B, 1), 0x77);
    /* What faults is none. */
    seen_count = 0;
    assert_false(mem_read32(v, 0x50000, &value));
    assert_int_equal(seen_count, 0);
    m->vm.tracer = NULL;
}

static void every_write_to_a_frame_is_seen(void **state)
{
    static const struct tracer tracer = {.mask = 1u << TRACE_FRAME_WRITE | 1u << TRACE_FRAME_MARK, .event = note};
    const u8 bytes[2] = {0xaa, 0xbb};
    (void)state;
    assert_true(mem_write8(v, 0x31000, 5)); /* a direct write entry, which must go */
    m->vm.tracer = &tracer;
    phys_watch_writes(&m->vm, gpa(PAGE_B + 0x10), true);
    for (unsigned n = 0; n < 2; n++)
        assert_true(mem_write8(v, 0x31000, 6));
    assert_true(mem_write8(v, 0x40fff, 7)); /* by another address */
    assert_true(mem_write8(v, 0x30000, 8)); /* another frame */
    phys_write(&m->vm, gpa(PAGE_B + 4), bytes, 2);
    assert_int_equal(seen_count, 4);
    assert_next(1, TRACE_FRAME_WRITE, 0, PAGE_B, 1, 6);
    assert_next(2, TRACE_FRAME_WRITE, 0, PAGE_B + 0xfff, 1, 7);
    assert_next(3, TRACE_FRAME_WRITE, 0, PAGE_B + 4, 2, 0xaa);
    phys_watch_writes(&m->vm, gpa(PAGE_B), false);
    assert_true(mem_write8(v, 0x31000, 9));
    assert_int_equal(seen_count, 4);
    /* The walk's own writes. */
    seen_count = 0;
    phys_watch_writes(&m->vm, gpa(TABLE), true);
    map(0x32, PAGE_A | FULL);
    u8 value;
    assert_true(mem_read8(v, 0x32000, &value));
    assert_int_equal(seen_count, 1);
    assert_next(0, TRACE_FRAME_MARK, 0, TABLE + 4 * 0x32, 1, FULL | ACCESSED);
    m->vm.tracer = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_access_is_seen, create, destroy),
        cmocka_unit_test_setup_teardown(every_write_to_a_frame_is_seen, create, destroy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
