/* The TLB and the tables of translated code over shadow tables: what survives what. */
#include "mmu/access.h"

#include "core/test_machine.h"
#include "mmu/memtable.h"
#include "mmu/shadow.h"

enum { TOP = 0x10000, TOP_2 = 0x11000, POINTERS = 0x12000, DIRECTORY = 0x13000, TABLE = 0x14000, PAGE_A = 0x20000,
       PAGE_B = 0x21000, FULL = 7 };

static struct machine *m;
static struct vcpu *v;

/* 4-level paging: linear 0x30000 is PAGE_A, 0x31000 PAGE_B, under two roots. */
static int create(void **state)
{
    (void)state;
    m = machine_new();
    v = &m->v;
    m->vm.config.model = cpu_model_find("max");
    mode_protected(m);
    for (u64 at = 0; at < MACHINE_RAM; at += PAGE_SIZE) /* no holes here: nothing but this test looks into the tables */
        m->vm.memory.frames[at >> PAGE_SHIFT].flags |= FRAME_GUARDED;
    assert_int_equal(memtable_create(v, true, 3), STATUS_OK);
    assert_int_equal(tlb_use_shadow(&m->vm, &(struct shadow_config){64, 3}), STATUS_OK);
    put(m, TOP, POINTERS | FULL, 8);
    put(m, TOP_2, POINTERS | FULL, 8);
    put(m, POINTERS, DIRECTORY | FULL, 8);
    put(m, DIRECTORY, TABLE | FULL, 8);
    put(m, TABLE + 8 * 0x30, PAGE_A | FULL, 8);
    put(m, TABLE + 8 * 0x31, PAGE_B | FULL, 8);
    v->cpu.cr0 |= CR0_PG;
    v->cpu.cr3 = TOP;
    v->cpu.cr4 |= CR4_PAE;
    v->cpu.efer |= EFER_LME | EFER_LMA;
    enter_segments(m, CODE0_64, DATA0);
    tlb_invalidate(v);
    return 0;
}

static int destroy(void **state)
{
    (void)state;
    shadow_destroy(&m->vm);
    memtable_destroy(v);
    machine_free(m);
    return 0;
}

static u64 slot(u64 linear, enum memtable_kind kind)
{
    return v->memtable->slots[TLB_SUPERVISOR][kind][memtable_page(linear)];
}

static void read_and_write(u64 linear)
{
    u32 value;
    assert_true(mem_read32(v, linear, &value));
    assert_true(mem_write32(v, linear, value));
}

static void load_cr3(u64 cr3)
{
    v->cpu.cr3 = cr3;
    tlb_invalidate(v);
}

static void tables_of_an_address_space_wait_for_it(void **state)
{
    (void)state;
    read_and_write(0x30000);
    u64 addend = slot(0x30000, MEMTABLE_WRITE), fetches = v->tlb.fetches, misses = m->vm.stats.tlb_misses;
    assert_int_equal(addend, (u64)m->vm.memory.ram + PAGE_A - 0x30000);
    load_cr3(TOP_2);
    assert_int_not_equal(v->tlb.fetches, fetches);
    assert_int_equal(slot(0x30000, MEMTABLE_READ), 0);
    read_and_write(0x30000);
    assert_int_equal(m->vm.stats.tlb_misses, misses + 1); /* D is set: the read fills both */
    load_cr3(TOP);
    assert_int_equal(slot(0x30000, MEMTABLE_WRITE), addend);
}

/* Nothing to do for INVLPG, or the same CR3 again: what was cached is what a walk would find. */
static void coherent_translations_need_no_flush(void **state)
{
    (void)state;
    read_and_write(0x30000);
    u64 flushes = m->vm.stats.tlb_flushes, misses = m->vm.stats.tlb_misses;
    tlb_invalidate(v);
    load_cr3(TOP);
    read_and_write(0x30000);
    assert_int_equal(m->vm.stats.tlb_flushes, flushes);
    assert_int_equal(m->vm.stats.tlb_misses, misses);
}

static void a_written_entry_drops_its_page_everywhere(void **state)
{
    (void)state;
    u64 entry = PAGE_B | FULL, misses;
    u32 value;
    put(m, PAGE_B, 0xbbbb, 4);
    read_and_write(0x30000);
    read_and_write(0x31000);
    load_cr3(TOP_2);
    read_and_write(0x30000);
    read_and_write(0x31000);
    v->stop_at = 1000;
    phys_write(&m->vm, gpa(TABLE + 8 * 0x30), &entry, 8);
    assert_int_equal(v->stop_at, 1000); /* nothing to do with what is executing */
    assert_int_equal(slot(0x30000, MEMTABLE_READ) | slot(0x30000, MEMTABLE_WRITE), 0);
    misses = m->vm.stats.tlb_misses;
    read_and_write(0x31000);
    assert_int_equal(m->vm.stats.tlb_misses, misses);
    assert_true(mem_read32(v, 0x30000, &value));
    assert_int_equal(value, 0xbbbb);
    load_cr3(TOP);
    assert_int_equal(slot(0x30000, MEMTABLE_READ) | slot(0x30000, MEMTABLE_WRITE), 0);
    assert_int_not_equal(slot(0x31000, MEMTABLE_WRITE), 0);
}

/* Pages with code: writes are seen in all address spaces, and a change of their mapping ends jumps to them. */
static void code_is_not_written_directly(void **state)
{
    (void)state;
    u64 entry = PAGE_B | FULL;
    read_and_write(0x30000);
    load_cr3(TOP_2);
    read_and_write(0x30000);
    phys_watch_code(&m->vm, gpa(PAGE_A), 16);
    assert_int_equal(slot(0x30000, MEMTABLE_WRITE), 0);
    assert_int_not_equal(slot(0x30000, MEMTABLE_READ), 0);
    load_cr3(TOP);
    assert_int_equal(slot(0x30000, MEMTABLE_WRITE), 0);
    read_and_write(0x30000);
    assert_int_equal(slot(0x30000, MEMTABLE_WRITE), 0);
    assert_int_equal(physmem_frame(&m->vm.memory, gpa(PAGE_A))->code_generation, 1);
    phys_watch_code(&m->vm, gpa(PAGE_A), 16);
    u64 epoch = m->vm.memory.epoch;
    v->stop_at = 1000;
    phys_write(&m->vm, gpa(TABLE + 8 * 0x30), &entry, 8);
    assert_int_not_equal(m->vm.memory.epoch, epoch);
    assert_int_equal(v->stop_at, 0);
}

/* The page that the processor executes from, though no code of it is cached at this moment. */
static void the_executing_page_counts_as_code(void **state)
{
    (void)state;
    u64 entry = PAGE_B | FULL;
    const u8 *host;
    gpa_t page;
    v->cpu.rip = 0x30123;
    assert_true(mem_fetch_page(v, v->cpu.rip, &host, &page));
    u64 fetches = v->tlb.fetches;
    v->stop_at = 1000;
    phys_write(&m->vm, gpa(TABLE + 8 * 0x30), &entry, 8);
    assert_int_not_equal(v->tlb.fetches, fetches);
    assert_int_equal(v->stop_at, 0);
}

/* Breakpoints on data must be met in every address space. */
static void armed_breakpoints_empty_all_tables(void **state)
{
    (void)state;
    read_and_write(0x30000);
    load_cr3(TOP_2);
    read_and_write(0x30000);
    v->cpu.dr[7] |= 1 | 3 << 16;
    tlb_forget(v);
    read_and_write(0x30000);
    assert_int_equal(slot(0x30000, MEMTABLE_READ) | slot(0x30000, MEMTABLE_WRITE), 0);
    load_cr3(TOP);
    assert_int_equal(slot(0x30000, MEMTABLE_READ) | slot(0x30000, MEMTABLE_WRITE), 0);
}

/* An interval of write tracking costs what is written in it: what is read and executed stays known. */
static void tracking_forgets_writes_alone(void **state)
{
    (void)state;
    read_and_write(0x30000);
    u64 read = slot(0x30000, MEMTABLE_READ), fetches = v->tlb.fetches, epoch = m->vm.memory.epoch;
    u64 since = phys_track_writes(&m->vm), misses = m->vm.stats.tlb_misses;
    assert_int_equal(slot(0x30000, MEMTABLE_READ), read);
    assert_int_equal(slot(0x30000, MEMTABLE_WRITE), 0);
    assert_int_equal(v->tlb.fetches, fetches);
    assert_int_equal(m->vm.memory.epoch, epoch);
    u32 value;
    assert_true(mem_read32(v, 0x30000, &value));
    assert_int_equal(m->vm.stats.tlb_misses, misses);
    assert_false(physmem_written_since(&m->vm.memory, PAGE_A >> PAGE_SHIFT, since));
    assert_true(mem_write32(v, 0x30000, value));
    assert_int_equal(m->vm.stats.tlb_misses, misses + 1);
    assert_true(physmem_written_since(&m->vm.memory, PAGE_A >> PAGE_SHIFT, since));
    assert_int_equal(physmem_newest(&m->vm.memory), PAGE_A >> PAGE_SHIFT);
}

/* More intervals than a tag has numbers for: none is met again. */
static void every_interval_sees_its_writes(void **state)
{
    (void)state;
    read_and_write(0x30000);
    for (unsigned n = 0; n < 2 * PAGE_SIZE + 3; n++) {
        u64 since = phys_track_writes(&m->vm);
        assert_false(physmem_written_since(&m->vm.memory, PAGE_A >> PAGE_SHIFT, since));
        if (n % PAGE_SIZE && n != 2 * PAGE_SIZE + 2)
            continue;
        assert_true(mem_write32(v, 0x30000, n));
        assert_true(physmem_written_since(&m->vm.memory, PAGE_A >> PAGE_SHIFT, since));
    }
}

/* Memory that changes behind everybody's back: a flush is enough. */
static void a_flush_forgets_the_guests_tables(void **state)
{
    (void)state;
    u32 value;
    read_and_write(0x30000);
    put(m, PAGE_B, 0xbbbb, 4);
    put(m, TABLE + 8 * 0x30, PAGE_B | FULL, 8);
    tlb_flush(v);
    assert_true(mem_read32(v, 0x30000, &value));
    assert_int_equal(value, 0xbbbb);
}

/* A page that only the TLB remembers would never come back to the tables. */
static void a_full_log_empties_the_tlb_as_well(void **state)
{
    (void)state;
    struct memtable *t = v->memtable;
    read_and_write(0x30000);
    assert_int_not_equal(slot(0x30000, MEMTABLE_WRITE), 0);
    for (u64 n = 0; !memtable_full(t); n++)
        memtable_fill(t, n << PAGE_SHIFT, TLB_USER, MEMTABLE_READ, (const u8 *)0x1000);
    read_and_write(0x31000);
    assert_true(t->used[MEMTABLE_READ] <= 2 && t->used[MEMTABLE_WRITE] <= 2);
    assert_int_not_equal(slot(0x31000, MEMTABLE_WRITE), 0);
    assert_int_equal(slot(0x30000, MEMTABLE_READ) | slot(0x30000, MEMTABLE_WRITE), 0);
    read_and_write(0x30000);
    assert_int_not_equal(slot(0x30000, MEMTABLE_READ), 0);
    assert_int_not_equal(slot(0x30000, MEMTABLE_WRITE), 0);
}

static void a_full_log_empties_the_tables(void **state)
{
    (void)state;
    struct memtable *t = v->memtable;
    for (u64 n = 0; n < MEMTABLE_LOG; n++)
        memtable_fill(t, n << PAGE_SHIFT, TLB_USER, MEMTABLE_READ, (const u8 *)0x1000);
    assert_int_equal(t->used[MEMTABLE_READ], MEMTABLE_LOG);
    assert_true(memtable_full(t));
    assert_int_not_equal(t->slots[TLB_USER][MEMTABLE_READ][7], 0);
    memtable_fill(t, 0x123456789000, TLB_USER, MEMTABLE_WRITE, (const u8 *)0x1000);
    assert_int_not_equal(t->slots[TLB_USER][MEMTABLE_READ][7], 0);
    memtable_fill(t, 0x123456789000, TLB_USER, MEMTABLE_READ, (const u8 *)0x1000);
    assert_int_equal(t->used[MEMTABLE_READ], 1);
    assert_int_equal(t->used[MEMTABLE_WRITE], 0);
    assert_int_equal(t->slots[TLB_USER][MEMTABLE_READ][7], 0);
    memtable_fill(t, 0x123456789000, TLB_USER, MEMTABLE_WRITE, (const u8 *)0x1000);
    memtable_drop(t, TLB_USER, 0x123456788000, 3, true);
    assert_int_equal(t->slots[TLB_USER][MEMTABLE_WRITE][0x123456789], 0);
    memtable_drop(t, TLB_USER, 0xfffffffffffff000, 512, false); /* to the end */
}

#define ON_A_FRESH_MACHINE(test) cmocka_unit_test_setup_teardown(test, create, destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_FRESH_MACHINE(tables_of_an_address_space_wait_for_it),
        ON_A_FRESH_MACHINE(coherent_translations_need_no_flush),
        ON_A_FRESH_MACHINE(a_written_entry_drops_its_page_everywhere),
        ON_A_FRESH_MACHINE(code_is_not_written_directly),
        ON_A_FRESH_MACHINE(the_executing_page_counts_as_code),
        ON_A_FRESH_MACHINE(armed_breakpoints_empty_all_tables),
        ON_A_FRESH_MACHINE(tracking_forgets_writes_alone),
        ON_A_FRESH_MACHINE(every_interval_sees_its_writes),
        ON_A_FRESH_MACHINE(a_flush_forgets_the_guests_tables),
        ON_A_FRESH_MACHINE(a_full_log_empties_the_tables),
        ON_A_FRESH_MACHINE(a_full_log_empties_the_tlb_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
