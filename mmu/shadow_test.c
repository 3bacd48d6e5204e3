/* The shadow MMU, one promise at a time. Histories at random: shadow_history_test.c. */
#include "mmu/shadow_state.h"

#include "core/test_machine.h"
#include "devices/chipset.h"

/* Guest tables, one page each. */
enum { TOP = 0x10000, TOP_2 = 0x11000, POINTERS = 0x12000, DIRECTORY = 0x13000, TABLE = 0x14000, TABLE_2 = 0x15000,
       PAGE_A = 0x20000, PAGE_B = 0x21000, FULL = 7 };
#define HPET 0xfed00000ull

static struct machine *m;
static struct vcpu *v;
static struct shadow *s;
static unsigned drops, dropped_pages, space_drops, drops_of_all;
static struct shadow_drop last_drop;

static void drop(void *self, const struct shadow_drop *what)
{
    (void)self;
    drops++;
    dropped_pages += (unsigned)what->pages;
    last_drop = *what;
}
static void drop_space(void *self, unsigned space) { (void)self, (void)space, space_drops++; }
static void drop_all(void *self) { (void)self, drops_of_all++; }

static const struct shadow_listener listener = {NULL, drop, drop_space, drop_all};

static int create_with(u64 ram, u32 pages)
{
    m = machine_with_ram(ram);
    v = &m->v;
    m->vm.config.model = cpu_model_find("max");
    mode_protected(m);
    drops = dropped_pages = space_drops = drops_of_all = 0;
    assert_int_equal(shadow_create(&m->vm, &(struct shadow_config){pages, 4}, &listener), STATUS_OK);
    s = m->vm.shadow;
    return 0;
}

static int create(void **state) { return (void)state, create_with(MACHINE_RAM, 64); }

static int destroy(void **state)
{
    (void)state;
    shadow_destroy(&m->vm);
    machine_free(m);
    return 0;
}

static void load_cr3(u64 cr3)
{
    v->cpu.cr3 = cr3;
    shadow_select(v);
}

/* 4-level paging; pages 0x30... of the first table map PAGE_A... */
static void paged64(void)
{
    struct cpu *c = &v->cpu;
    put(m, TOP, POINTERS | FULL, 8);
    put(m, TOP_2, POINTERS | FULL, 8);
    put(m, POINTERS, DIRECTORY | FULL, 8);
    put(m, DIRECTORY, TABLE | FULL, 8);
    for (unsigned n = 0; n < 16; n++)
        put(m, TABLE + 8 * (0x30 + n), (PAGE_A + n * PAGE_SIZE) | FULL, 8);
    c->cr0 |= CR0_PG | CR0_WP;
    c->cr4 |= CR4_PAE;
    c->efer |= EFER_LME | EFER_LMA;
    load_cr3(TOP);
}

static void paged32(void)
{
    v->cpu.cr0 |= CR0_PG;
    v->cpu.cr4 = CR4_PSE;
    v->cpu.efer = 0;
    load_cr3(TOP);
}

static struct shadow_translation touch(u64 linear, enum access access)
{
    struct shadow_translation t = shadow_translate(v, linear, access, TLB_SUPERVISOR);
    assert_true(t.ok);
    return t;
}

static void write64(u64 at, u64 value) { phys_write(&m->vm, gpa(at), &value, 8); }
static u32 frame_flags(u64 at) { return physmem_frame(&m->vm.memory, gpa(at))->flags; }

/* ---- Sharing ------------------------------------------------------------------------------------ */

static void an_old_address_space_is_found_again(void **state)
{
    (void)state;
    paged64();
    unsigned first = s->current[0];
    touch(0x30000, ACCESS_READ);
    u64 misses = s->stats.misses;
    u32 in_use = s->pool.in_use;
    load_cr3(TOP_2);
    assert_int_not_equal(s->current[0], first);
    touch(0x30000, ACCESS_READ);
    assert_int_equal(s->stats.misses, misses + 1);
    assert_int_equal(s->pool.in_use, in_use + 1); /* a root: everything below is shared */
    load_cr3(TOP);
    assert_int_equal(s->current[0], first);
    assert_true(touch(0x30000, ACCESS_READ).direct);
    assert_int_equal(s->stats.misses, misses + 1);
    assert_int_equal(drops + space_drops + drops_of_all, 0);
}

static void views_that_do_not_differ_share_tables(void **state)
{
    (void)state;
    paged64();
    touch(0x30000, ACCESS_READ);
    u32 in_use = s->pool.in_use;
    assert_true(shadow_translate(v, 0x30000, ACCESS_READ, TLB_SUPERVISOR_AC).direct); /* no SMAP */
    assert_int_equal(s->pool.in_use, in_use);
    assert_true(shadow_translate(v, 0x30000, ACCESS_READ, TLB_USER).direct);
    assert_int_equal(s->pool.in_use, in_use + 4);
}

static void the_oldest_address_space_goes(void **state)
{
    (void)state;
    paged64();
    touch(0x30000, ACCESS_READ);
    unsigned first = s->current[0];
    for (unsigned n = 0; n < 3; n++)
        load_cr3(TOP + (n + 0x100) * PAGE_SIZE);
    assert_int_equal(space_drops, 1); /* the one without paging, that came first */
    load_cr3(TOP);
    assert_int_equal(s->current[0], first);
    for (unsigned n = 0; n < 4; n++)
        load_cr3(TOP + (n + 0x200) * PAGE_SIZE);
    assert_int_equal(space_drops, 5);
    load_cr3(TOP);
    u64 misses = s->stats.misses;
    touch(0x30000, ACCESS_READ); /* the tables are still there, but for the link to the root */
    assert_int_equal(s->stats.misses, misses + 1);
    assert_true(s->pool.in_use <= 5);
}

/* ---- Writes to tables --------------------------------------------------------------------------- */

static void a_written_entry_is_the_only_one_to_go(void **state)
{
    (void)state;
    paged64();
    for (unsigned n = 0; n < 16; n++)
        touch(0x30000 + n * PAGE_SIZE, ACCESS_READ);
    u64 misses = s->stats.misses;
    write64(TABLE + 8 * 0x33, PAGE_B | FULL);
    assert_int_equal(drops, 1);
    assert_int_equal(dropped_pages, 1);
    assert_int_equal(last_drop.linear, 0x33000);
    assert_int_equal(last_drop.space, s->current[0]);
    assert_int_equal(touch(0x33000, ACCESS_READ).page.raw, PAGE_B);
    for (unsigned n = 0; n < 16; n++)
        touch(0x30000 + n * PAGE_SIZE, ACCESS_READ);
    assert_int_equal(s->stats.misses, misses + 1);
}

static void both_address_spaces_hear_of_it(void **state)
{
    (void)state;
    paged64();
    touch(0x30000, ACCESS_READ);
    load_cr3(TOP_2);
    touch(0x30000, ACCESS_READ);
    write64(TABLE + 8 * 0x30, 0);
    assert_int_equal(dropped_pages, 2);
}

static void a_directory_entry_takes_its_pages_along(void **state)
{
    (void)state;
    paged64();
    touch(0x32000, ACCESS_READ);
    touch(0x38000, ACCESS_READ);
    write64(DIRECTORY, TABLE_2 | FULL);
    assert_int_equal(drops, 1);
    assert_int_equal(last_drop.linear, 0x32000);
    assert_int_equal(last_drop.pages, 7);
    assert_false(shadow_translate(v, 0x32000, ACCESS_READ, TLB_SUPERVISOR).ok);
    write64(DIRECTORY, TABLE | FULL);
    u64 misses = s->stats.misses;
    touch(0x32000, ACCESS_READ);
    touch(0x38000, ACCESS_READ); /* the table had been kept */
    assert_int_equal(s->stats.misses, misses + 1);
}

static void many_writes_in_a_row_stop_the_tracing(void **state)
{
    (void)state;
    paged64();
    touch(0x30000, ACCESS_READ);
    assert_true(frame_flags(TABLE) & FRAME_SHADOW);
    for (unsigned n = 0; n < 40; n++)
        write64(TABLE + 8 * (0x100 + n), PAGE_B | FULL);
    assert_false(frame_flags(TABLE) & FRAME_SHADOW);
    assert_true(s->stats.traced_writes < 20);
    assert_int_equal(touch(0x100000, ACCESS_READ).page.raw, PAGE_B);
    assert_true(frame_flags(TABLE) & FRAME_SHADOW);
    for (unsigned n = 0; n < 40; n++) { /* with a use after each, it goes on */
        write64(TABLE + 8 * 0x100, (PAGE_A + (n & 1) * PAGE_SIZE) | FULL);
        assert_int_equal(touch(0x100000, ACCESS_READ).page.raw, PAGE_A + (n & 1) * PAGE_SIZE);
    }
    assert_true(frame_flags(TABLE) & FRAME_SHADOW);
}

static void a_page_that_becomes_a_table_cannot_be_written_directly(void **state)
{
    (void)state;
    paged64();
    put(m, TABLE + 8 * 0x40, TABLE_2 | FULL, 8);
    assert_true(touch(0x40000, ACCESS_WRITE).direct_write);
    put(m, DIRECTORY + 8, TABLE_2 | FULL, 8);
    put(m, TABLE_2, PAGE_B | FULL, 8);
    touch(0x200000, ACCESS_READ);
    assert_true(last_drop.writes_only);
    assert_int_equal(last_drop.linear, 0x40000);
    struct shadow_translation t = touch(0x40000, ACCESS_WRITE);
    assert_false(t.direct);
    assert_int_equal(t.page.raw, TABLE_2);
    u64 misses = s->stats.misses;
    touch(0x40000, ACCESS_WRITE); /* known: no walk */
    assert_int_equal(s->stats.misses, misses);
    for (unsigned n = 0; n < 40; n++)
        write64(TABLE_2 + 8 * n, 0);
    assert_true(touch(0x40000, ACCESS_WRITE).direct_write);
}

/* With 8-byte entries, what 32-bit paging takes for A of an entry may be an address bit. Only RAM above 4 GiB can
 * tell: the half of an entry that holds address bits has P, which is bit 32. */
static void accessed_bits_may_be_address_bits_elsewhere(void **state)
{
    (void)state;
    create_with(160ull << 30, 64);
    paged64();
    const u64 high = 0x100000000ull, entry = TABLE + 8 * 0x30;
    write64(entry, high | PAGE_A | FULL);
    assert_int_equal(touch(0x30000, ACCESS_READ).page.raw, high | PAGE_A);
    put(m, TOP_2, TABLE | FULL, 4);
    paged32();
    load_cr3(TOP_2);
    u64 linear = (0x30 * 2 + 1) * PAGE_SIZE; /* the entry's upper half: present, page 0 */
    assert_int_equal(touch(linear, ACCESS_READ).page.raw, 0);
    assert_int_equal(get(m, entry, 8), high | 0x2000000000 | PAGE_A | FULL | 0x20);
    v->cpu.cr4 |= CR4_PAE;
    v->cpu.efer = EFER_LME | EFER_LMA;
    load_cr3(TOP);
    assert_int_equal(touch(0x30000, ACCESS_READ).page.raw, high | 0x2000000000 | PAGE_A);
    destroy(NULL);
}

/* ---- Hostile tables ----------------------------------------------------------------------------- */

/* Each entry of one table names itself: every slot of every level is used, and one page is reached in 512^3 ways. */
static void a_table_of_itself_does_not_take_forever(void **state)
{
    (void)state;
    for (u64 n = 0; n < 512; n++)
        put(m, TOP + 8 * n, TOP | FULL, 8);
    v->cpu.cr0 |= CR0_PG;
    v->cpu.cr4 |= CR4_PAE;
    v->cpu.efer |= EFER_LME | EFER_LMA;
    load_cr3(TOP);
    for (u64 n = 0; n < 512; n++) {
        u64 linear = n << 39 | n << 30 | n << 21 | n << 12;
        touch((u64)((s64)(linear << 16) >> 16), ACCESS_READ);
    }
    assert_int_equal(s->pool.in_use, 4);
    write64(TOP + 8 * 5, 0);
    assert_int_equal(drops_of_all, 1);
    assert_true(drops < 10000);
    assert_false(shadow_translate(v, 5 << 12, ACCESS_READ, TLB_SUPERVISOR).ok);
    assert_true(touch(6 << 12, ACCESS_READ).direct);
}

/* A table whose entries change by themselves: the comparator of a timer as a page directory entry. */
static void tables_outside_ram_are_walked_each_time(void **state)
{
    (void)state;
    enum { COMPARATOR = 0x128, LINEAR = COMPARATOR / 4 << 22 | 0x30 << 12 };
    paged32();
    hpet_reset(&m->vm.chipset.hpet);
    put(m, TABLE + 4 * 0x30, PAGE_A | FULL, 4);
    put(m, TABLE_2 + 4 * 0x30, PAGE_B | FULL, 4);
    load_cr3(HPET);
    for (unsigned n = 0; n < 4; n++) {
        vm_mmio_write(&m->vm, gpa(HPET + COMPARATOR), (n & 1 ? TABLE_2 : TABLE) | FULL, 8);
        struct shadow_translation t = touch(LINEAR, ACCESS_READ);
        assert_int_equal(t.page.raw, n & 1 ? PAGE_B : PAGE_A);
        assert_false(t.direct);
    }
    assert_int_equal(s->pool.in_use, 0);
}

/* More tables than there is room for: old ones go, and come back. */
static void a_full_pool_evicts(void **state)
{
    (void)state;
    create_with(MACHINE_RAM, 16);
    paged64();
    for (u64 n = 0; n < 64; n++)
        put(m, DIRECTORY + 8 * n, (TABLE + (n & 15) * PAGE_SIZE) | FULL, 8);
    for (u64 n = 0; n < 16; n++)
        put(m, TABLE + n * PAGE_SIZE + 8 * 0x30, PAGE_B | FULL, 8);
    for (u64 round = 0; round < 2; round++)
        for (u64 n = 0; n < 64; n++)
            assert_int_equal(touch(n << 21 | 0x30000, ACCESS_READ).page.raw, PAGE_B);
    assert_int_equal(s->pool.in_use, 16);
    assert_true(s->stats.evictions >= 16);
    destroy(NULL);
}

static void capacities_have_bounds(void **state)
{
    static const struct shadow_config bad[] = {{15, 4}, {16, 0}, {16, 65}, {(1 << 20) + 1, 4}};
    (void)state;
    shadow_destroy(&m->vm);
    for (size_t n = 0; n < ARRAY_LEN(bad); n++)
        assert_int_equal(shadow_create(&m->vm, &bad[n], NULL), STATUS_BAD_ARGUMENT);
    assert_null(m->vm.shadow);
    assert_int_equal(shadow_create(&m->vm, &(struct shadow_config){16, 64}, NULL), STATUS_OK);
    paged64();
    touch(0x30000, ACCESS_WRITE);
    write64(TABLE + 8 * 0x30, 0); /* nobody listens */
    shadow_reset(&m->vm);
}

#define ON_A_FRESH_MACHINE(test) cmocka_unit_test_setup_teardown(test, create, destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_FRESH_MACHINE(an_old_address_space_is_found_again),
        ON_A_FRESH_MACHINE(views_that_do_not_differ_share_tables),
        ON_A_FRESH_MACHINE(the_oldest_address_space_goes),
        ON_A_FRESH_MACHINE(a_written_entry_is_the_only_one_to_go),
        ON_A_FRESH_MACHINE(both_address_spaces_hear_of_it),
        ON_A_FRESH_MACHINE(a_directory_entry_takes_its_pages_along),
        ON_A_FRESH_MACHINE(many_writes_in_a_row_stop_the_tracing),
        ON_A_FRESH_MACHINE(a_page_that_becomes_a_table_cannot_be_written_directly),
        cmocka_unit_test(accessed_bits_may_be_address_bits_elsewhere),
        ON_A_FRESH_MACHINE(a_table_of_itself_does_not_take_forever),
        ON_A_FRESH_MACHINE(tables_outside_ram_are_walked_each_time),
        cmocka_unit_test(a_full_pool_evicts),
        ON_A_FRESH_MACHINE(capacities_have_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
