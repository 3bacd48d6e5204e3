/* Translation is coherent (ARCHITECTURE.md): after any history of writes to page tables, by any way, of accesses,
 * flushes and changes of mode, an access gives what a walk of the tables as they are now gives. A second memory,
 * changed by the reference walk and plain copies alone, says what everything must be. */
#include "core/test_machine.h"
#include "mmu/access.h"
#include "mmu/memtable.h"
#include "mmu/shadow.h"
#include "mmu/reference_walk.h"
#include "mmu/walk.h"
#include "mmu/window.h"

enum format { OFF, BITS32, PAE, LEVEL4, FORMATS };

/* Data and tables share a few pages, so that one often is the other. Large pages map them too. */
enum { ARENA = 0x10000, PAGES = 12, ARENA_END = ARENA + PAGES * PAGE_SIZE, FIRST_INDEX = ARENA >> PAGE_SHIFT };
enum { OPERATIONS = 40000, ACCESS_MAX = 64 };

static struct machine *m;
static struct vcpu *v;
static struct cpu_model model;
static struct dice d;
static enum format format;
static u8 mirror[MACHINE_RAM];
static u64 code_lines[PAGES]; /* lines with watched code, as promised */
static u32 generation[PAGES];
static u64 hot[8]; /* pages that accesses have reached */
static unsigned successes, faults, table_hits, window_hits;

static bool in_ram(u64 at) { return at < 0xa0000 || (at >= 0xc0000 && at < MACHINE_RAM); }

/* ---- What must be ------------------------------------------------------------------------------- */

/* A byte of the mirror changes: code in its line dies. */
static void mirror_write(u64 at, const u8 *from, unsigned size)
{
    for (unsigned n = 0; n < size; n++) {
        u64 byte = at + n;
        if (!in_ram(byte))
            continue;
        mirror[byte] = from[n];
        if (byte < ARENA || byte >= ARENA_END)
            continue;
        u64 page = (byte - ARENA) >> PAGE_SHIFT;
        if (code_lines[page] >> ((byte & PAGE_MASK) >> 6) & 1) {
            code_lines[page] = 0;
            generation[page]++;
        }
    }
}

static void mirror_read(u64 at, u8 *to, unsigned size)
{
    for (unsigned n = 0; n < size; n++)
        to[n] = in_ram(at + n) ? mirror[at + n] : 0xff;
}

static struct reference reference_now(void)
{
    const struct cpu *c = &v->cpu;
    struct reference r = {.ram = mirror, .ram_bytes = MACHINE_RAM, .cr0 = c->cr0, .cr3 = c->cr3, .cr4 = c->cr4,
                          .efer = c->efer, .pse36 = true, .page1gb = true, .pat = true};
    memcpy(r.pdpte, c->pdpte, sizeof r.pdpte);
    return r;
}

static enum reference_who who_of(enum tlb_rights rights)
{
    if (rights == TLB_SUPERVISOR_AC)
        return BY_SUPERVISOR_WITH_AC;
    return rights == TLB_SUPERVISOR ? BY_SUPERVISOR : BY_USER;
}

struct expected {
    bool fault;
    u32 error;
    u64 cr2;
    unsigned first; /* bytes in the first page */
    u64 physical[2];
};

/* Translates one page of an access, and sets A and D in the mirror. */
static bool expect_page(struct expected *e, u64 linear, unsigned page, enum access access, enum tlb_rights rights)
{
    struct reference r = reference_now();
    struct reference_result result = reference_walk(&r, linear, (enum reference_access)access, who_of(rights));
    if (result.fault) {
        *e = (struct expected){.fault = true, .error = result.error, .cr2 = linear};
        return false;
    }
    for (unsigned n = 0; n < result.entries; n++) {
        const struct reference_entry *entry = &result.entry[n];
        u8 low = (u8)entry->after;
        if (entry->after != entry->before)
            mirror_write(entry->at, &low, 1);
    }
    e->physical[page] = result.physical;
    return true;
}

static struct expected expect(u64 linear, unsigned size, enum access access, enum tlb_rights rights)
{
    struct expected e = {0};
    unsigned room = PAGE_SIZE - (unsigned)(linear & PAGE_MASK);
    e.first = size < room ? size : room;
    if (!expect_page(&e, linear, 0, access, rights) || e.first == size)
        return e;
    u64 next = linear + e.first;
    expect_page(&e, format == LEVEL4 ? next : (u32)next, 1, access, rights);
    return e;
}

static void assert_outcome(bool ok, const struct expected *e, u64 linear)
{
    if (ok == e->fault)
        fail_msg("%#llx: ok %d, expected fault %d (%#x)", (unsigned long long)linear, ok, e->fault, e->error);
    successes += ok;
    faults += !ok;
    if (ok) {
        hot[below(&d, ARRAY_LEN(hot))] = linear & ~(u64)PAGE_MASK;
        return;
    }
    assert_int_equal(v->fault.vector, VEC_PF);
    assert_int_equal(v->fault.error, e->error);
    assert_int_equal(v->fault.cr2, e->cr2);
}

/* ---- Operations --------------------------------------------------------------------------------- */

/* Indexes that tables are filled at: the arena's own pages, so that large pages hit it, and both ends. */
static u64 random_index(void)
{
    static const u16 ends[] = {0, 1, 0x1ff, 0x3ff};
    if (chance(&d, 75))
        return FIRST_INDEX + below(&d, PAGES);
    return ends[below(&d, ARRAY_LEN(ends))] & (format == BITS32 ? 0x3ff : 0x1ff);
}

static u64 random_top_index(void)
{
    static const u16 some[] = {0, 1, 0x1ff, 0x3ff};
    return some[below(&d, ARRAY_LEN(some))] & (format == BITS32 ? 0x3ff : 0x1ff);
}

static u64 random_offset(void)
{
    static const u16 offsets[] = {0, 1, 7, 8, 0xf80, 0xffb, 0xfff};
    switch (below(&d, 4)) {
    case 0: return random_index() * (format == BITS32 ? 4 : 8);
    case 1: return offsets[below(&d, ARRAY_LEN(offsets))];
    default: return below(&d, PAGE_SIZE);
    }
}

static u64 random_page(void)
{
    u64 low = random_index() << 12;
    if (format == OFF)
        return low;
    if (format == BITS32)
        return (random_top_index() << 22) + low;
    if (format == PAE)
        return (u32)(below(&d, 4) << 30 | random_top_index() << 21) + low;
    u64 linear = random_top_index() << 39 | (random_top_index() & 3) << 30 | random_top_index() << 21 | low;
    return (u64)((s64)(linear << 16) >> 16);
}

static u64 random_linear(void)
{
    u64 page = chance(&d, 70) ? hot[below(&d, ARRAY_LEN(hot))] : random_page();
    u64 offset = random_offset();
    if (format == LEVEL4 && ((page + PAGE_SIZE) >> 47) != (page >> 47)) /* no access may leave canonical addresses */
        offset &= 0xf00;
    return page | offset;
}

static u64 random_entry(void)
{
    u64 entry = ARENA + below(&d, PAGES) * PAGE_SIZE;
    if (chance(&d, 15))
        entry = 0x80; /* a large page at 0, where level and mode allow it */
    if (chance(&d, 3))
        entry = PHYS_VGA_BEGIN;
    entry |= (roll(&d) & 0x60) | (chance(&d, 92) ? 1 : 0) | (chance(&d, 80) ? 2 : 0) | (chance(&d, 75) ? 4 : 0);
    if (format >= PAE && chance(&d, 4))
        entry |= 1ull << 63;
    if (format >= PAE && chance(&d, 1))
        entry |= 1ull << 45;
    return format == BITS32 ? (u32)entry : entry;
}

static void random_bytes(u8 *to, unsigned size)
{
    for (unsigned n = 0; n < size; n++)
        to[n] = (u8)roll(&d);
    u64 entry = random_entry();
    if (chance(&d, 85))
        memcpy(to, &entry, size < 8 ? size : 8);
}

static unsigned random_size(void)
{
    static const u8 sizes[] = {1, 2, 4, 4, 8, 8, 8};
    return sizes[below(&d, ARRAY_LEN(sizes))];
}

static bool read_linear(u64 linear, u8 *to, unsigned size, bool sys)
{
    switch (size) {
    case 1: return sys ? mem_read8_sys(v, linear, to) : mem_read8(v, linear, to);
    case 2: return sys ? mem_read16_sys(v, linear, (u16 *)to) : mem_read16(v, linear, (u16 *)to);
    case 4: return sys ? mem_read32_sys(v, linear, (u32 *)to) : mem_read32(v, linear, (u32 *)to);
    default: return sys ? mem_read64_sys(v, linear, (u64 *)to) : mem_read64(v, linear, (u64 *)to);
    }
}

static bool write_linear(u64 linear, const u8 *from, unsigned size, bool sys)
{
    u64 x = 0;
    memcpy(&x, from, size);
    switch (size) {
    case 1: return sys ? mem_write8_sys(v, linear, (u8)x) : mem_write8(v, linear, (u8)x);
    case 2: return sys ? mem_write16_sys(v, linear, (u16)x) : mem_write16(v, linear, (u16)x);
    case 4: return sys ? mem_write32_sys(v, linear, (u32)x) : mem_write32(v, linear, (u32)x);
    default: return sys ? mem_write64_sys(v, linear, x) : mem_write64(v, linear, x);
    }
}

static enum tlb_rights data_rights(bool sys) { return sys ? TLB_SUPERVISOR : (enum tlb_rights)v->tlb.rights; }

static void do_read(void)
{
    _Alignas(8) u8 got[8], want[8];
    u64 linear = random_linear();
    unsigned size = random_size();
    bool sys = chance(&d, 15);
    struct expected e = expect(linear, size, ACCESS_READ, data_rights(sys));
    bool ok = read_linear(linear, got, size, sys);
    assert_outcome(ok, &e, linear);
    if (!ok)
        return;
    mirror_read(e.physical[0], want, e.first);
    if (e.first < size)
        mirror_read(e.physical[1], want + e.first, size - e.first);
    assert_memory_equal(got, want, size);
}

static void expect_write(const struct expected *e, const u8 *from, unsigned size)
{
    mirror_write(e->physical[0], from, e->first);
    if (e->first < size)
        mirror_write(e->physical[1], from + e->first, size - e->first);
}

static void do_write(void)
{
    u8 data[8];
    u64 linear = random_linear();
    unsigned size = random_size();
    bool sys = chance(&d, 15);
    random_bytes(data, size);
    struct expected e = expect(linear, size, ACCESS_WRITE, data_rights(sys));
    bool ok = write_linear(linear, data, size, sys);
    assert_outcome(ok, &e, linear);
    if (ok)
        expect_write(&e, data, size);
}

static void do_operand(void)
{
    struct mem_rmw rmw;
    u8 data[ACCESS_MAX], want[ACCESS_MAX];
    u64 linear = random_linear();
    unsigned size = 1 + (unsigned)below(&d, ACCESS_MAX);
    bool reads = chance(&d, 50);
    random_bytes(data, size);
    struct expected e = expect(linear, size, ACCESS_WRITE, data_rights(false));
    bool ok = reads ? mem_rmw_begin(v, linear, size, &rmw) : mem_write_begin(v, linear, size, &rmw);
    assert_outcome(ok, &e, linear);
    if (!ok)
        return;
    mirror_read(e.physical[0], want, e.first);
    if (e.first < size)
        mirror_read(e.physical[1], want + e.first, size - e.first);
    if (reads)
        assert_memory_equal(rmw.host, want, size);
    memcpy(rmw.host, data, size);
    mem_rmw_end(v, &rmw);
    expect_write(&e, data, size);
}

static void do_fetch(void)
{
    const u8 *host;
    gpa_t page;
    u64 linear = random_linear();
    u64 fetches = v->tlb.fetches;
    struct expected e = expect(linear, 1, ACCESS_FETCH, (enum tlb_rights)v->tlb.fetch_rights);
    bool ok = mem_fetch_page(v, linear, &host, &page);
    assert_outcome(ok, &e, linear);
    if (!m->vm.shadow) /* whose pool may be so small that a page that was used had to go */
        assert_int_equal(v->tlb.fetches, fetches);
    if (!ok)
        return;
    assert_int_equal(page.raw, e.physical[0] & ~(u64)PAGE_MASK);
    assert_ptr_equal(host, in_ram(page.raw) ? m->vm.memory.ram + page.raw : NULL);
}

static void do_probe(void)
{
    u64 linear = random_linear();
    unsigned size = 1 + (unsigned)below(&d, 4096);
    if (format == LEVEL4 && ((linear + size) >> 47) != (linear >> 47))
        return;
    enum access access = (enum access)below(&d, 2);
    enum tlb_rights rights = (enum tlb_rights)below(&d, 3);
    struct expected e = expect(linear, size, access, rights);
    assert_outcome(mem_probe(v, linear, size, access, rights), &e, linear);
}

static void do_dma(void)
{
    u8 data[ACCESS_MAX];
    unsigned size = chance(&d, 70) ? 8 : 1 + (unsigned)below(&d, ACCESS_MAX);
    u64 at = ARENA + below(&d, PAGES) * PAGE_SIZE + random_index() * (format == BITS32 ? 4 : 8);
    random_bytes(data, size);
    phys_write(&m->vm, gpa(at), data, size);
    mirror_write(at, data, size);
}

static void do_watch_code(void)
{
    u64 page = below(&d, PAGES), at = below(&d, PAGE_SIZE);
    unsigned size = 1 + (unsigned)below(&d, 120);
    if (at + size > PAGE_SIZE)
        size = PAGE_SIZE - (unsigned)at;
    phys_watch_code(&m->vm, gpa(ARENA + page * PAGE_SIZE + at), size);
    for (unsigned n = 0; n < size; n++)
        code_lines[page] |= 1ull << ((at + n) >> 6);
}

/* As MOV to CR3 does. */
static void do_load_cr3(void)
{
    v->cpu.cr3 = ARENA + below(&d, PAGES) * PAGE_SIZE;
    if (format == PAE) {
        v->cpu.cr3 += below(&d, 128) * 32;
        u64 pdpte[4];
        memcpy(pdpte, mirror + v->cpu.cr3, sizeof pdpte);
        bool valid = reference_pdptes_valid(pdpte);
        assert_int_equal(walk_load_pdptes(v, v->cpu.cr3), valid);
        for (unsigned n = 0; n < 4; n++) /* most random ones are not; go on with good ones */
            v->cpu.pdpte[n] = valid ? pdpte[n] : (ARENA + below(&d, PAGES) * PAGE_SIZE) | chance(&d, 90);
    }
    tlb_invalidate(v);
}

/* CPL, AC and the bits of CR0, CR4 and EFER that rights depend on. */
static void do_change_mode(void)
{
    struct cpu *c = &v->cpu;
    c->cpl = chance(&d, 50) ? 3 : 0;
    c->rflags = FLAG_FIXED | (chance(&d, 30) ? FLAG_AC : 0);
    if (chance(&d, 30)) {
        c->cr0 = (c->cr0 & ~(u64)CR0_WP) | (chance(&d, 60) ? CR0_WP : 0);
        c->cr4 &= ~(u64)(CR4_SMEP | CR4_SMAP);
        c->cr4 |= (chance(&d, 25) ? CR4_SMEP : 0) | (chance(&d, 25) ? CR4_SMAP : 0);
        c->efer = (c->efer & ~(u64)EFER_NXE) | (chance(&d, 80) ? EFER_NXE : 0);
        tlb_invalidate(v);
    }
    vcpu_update_mode(v);
}

static void do_flush(void)
{
    unsigned times = chance(&d, 2) ? 4095 : 1; /* an epoch comes round */
    bool whole = chance(&d, 20);
    for (unsigned n = 0; n < times; n++)
        whole ? tlb_flush(v) : tlb_forget(v);
}

static const struct { void (*run)(void); unsigned weight; } operations[] = {
    {do_read, 300}, {do_write, 110}, {do_operand, 40}, {do_fetch, 100}, {do_probe, 20}, {do_dma, 30},
    {do_watch_code, 15}, {do_load_cr3, 6}, {do_change_mode, 25}, {do_flush, 4},
};

static void one_operation(void)
{
    unsigned total = 0;
    for (size_t n = 0; n < ARRAY_LEN(operations); n++)
        total += operations[n].weight;
    unsigned left = (unsigned)below(&d, total), n = 0;
    while (left >= operations[n].weight)
        left -= operations[n++].weight;
    operations[n].run();
}

static void assert_memories_agree(unsigned operation)
{
    if (memcmp(mirror + ARENA, m->vm.memory.ram + ARENA, PAGES * PAGE_SIZE))
        fail_msg("memory differs after operation %u", operation);
    for (unsigned page = 0; page < PAGES; page++) {
        const struct frame *frame = physmem_frame(&m->vm.memory, gpa(ARENA + page * PAGE_SIZE));
        if (frame->code_generation != generation[page])
            fail_msg("code of page %u: generation %u, expected %u, after operation %u", page, frame->code_generation,
                     generation[page], operation);
    }
}

/* What translated code may do by itself with a page: a walk allows it and sets nothing, and nobody must see it. */
static void assert_tables_agree(u64 linear)
{
    struct reference r = reference_now();
    for (unsigned n = 0; v->memtable && n < TLB_RIGHTS * MEMTABLE_KINDS; n++) {
        enum tlb_rights rights = (enum tlb_rights)(n / MEMTABLE_KINDS);
        bool write = n % MEMTABLE_KINDS == MEMTABLE_WRITE;
        u64 addend = v->memtable->slots[rights][n % MEMTABLE_KINDS][memtable_page(linear)];
        if (!addend)
            continue;
        table_hits++;
        struct reference_result result =
            reference_walk(&r, linear, write ? DATA_WRITE : DATA_READ, who_of(rights));
        assert_false(result.fault);
        assert_ptr_equal(linear + addend, m->vm.memory.ram + result.physical);
        assert_false(write && (physmem_frame(&m->vm.memory, gpa(result.physical))->flags & FRAME_WATCHED));
        for (unsigned e = 0; e < result.entries; e++)
            assert_int_equal(result.entry[e].before, result.entry[e].after);
    }
}

/* A window shows what the tables of its address space show, with no more rights, as long as they do. */
static void assert_windows_agree(u64 linear)
{
    u64 page = linear >> PAGE_SHIFT;
    for (unsigned n = 0; linear < WINDOW_BYTES && n < v->memtable_count * TLB_USER_ALIGNED; n++) {
        const struct memtable *t = &v->memtables[n / TLB_USER_ALIGNED];
        const struct window *w = t->window[n % TLB_USER_ALIGNED];
        if (!(w->present[page / 64] >> page % 64 & 1))
            continue;
        window_hits++;
        u64 *const *slots = t->slots[n % TLB_USER_ALIGNED];
        assert_int_not_equal(slots[MEMTABLE_READ][page], 0);
        assert_true(slots[MEMTABLE_WRITE][page] || !(w->writable[page / 64] >> page % 64 & 1));
        assert_memory_equal(w->base + (page << PAGE_SHIFT), (u8 *)((page << PAGE_SHIFT) + slots[MEMTABLE_READ][page]), 64);
    }
}

/* ---- Setting up --------------------------------------------------------------------------------- */

/* The arena anew, as a device would write it. */
static void fill_tables(void)
{
    unsigned size = format == BITS32 ? 4 : 8;
    for (u64 at = ARENA; at < ARENA_END; at += size) {
        u64 entry = random_entry();
        phys_write(&m->vm, gpa(at), &entry, size);
        mirror_write(at, (u8 *)&entry, size);
    }
}

static void set_up(enum format f, u64 seed)
{
    d.state = seed;
    format = f;
    m = machine_new();
    v = &m->v;
    model = *cpu_model_find("max");
    m->vm.config.model = &model;
    mode_protected(m);
    struct cpu *c = &v->cpu;
    c->cr0 = CR0_PE | (f == OFF ? 0 : CR0_PG);
    c->cr4 = f >= PAE ? CR4_PAE : CR4_PSE;
    c->efer = f == LEVEL4 ? EFER_LME | EFER_LMA : 0;
    if (f == LEVEL4)
        enter_segments(m, CODE0_64, DATA0);
    memset(code_lines, 0, sizeof code_lines);
    memset(generation, 0, sizeof generation);
    memset(hot, 0, sizeof hot);
    successes = faults = table_hits = window_hits = 0;
    memcpy(mirror, m->vm.memory.ram, MACHINE_RAM);
}

/* Memory that windows can map; but with no holes, as the mirror has none. */
static void share_memory(void)
{
    struct physmem *memory = &m->vm.memory;
    host_free(memory->ram, MACHINE_RAM);
    assert_int_equal(host_frames_alloc(MACHINE_RAM, &memory->shared), STATUS_OK);
    memory->ram = memory->shared.memory;
    memory->layout = PHYSMEM_SHARED;
    memcpy(memory->ram, mirror, MACHINE_RAM);
}

/* Few pages and few address spaces, so that there often is no room. */
static void use_shadow(u32 pages)
{
    const u32 spaces = 4;
    if (!pages)
        return;
    for (u64 at = 0; at < MACHINE_RAM; at += PAGE_SIZE) /* no holes here: nothing but this test looks into the tables */
        m->vm.memory.frames[at >> PAGE_SHIFT].flags |= FRAME_GUARDED;
    assert_int_equal(memtable_create(v, true, spaces), STATUS_OK);
    assert_int_equal(tlb_use_shadow(&m->vm, &(struct shadow_config){pages, spaces}), STATUS_OK);
    share_memory();
    assert_int_equal(windows_create(v), STATUS_OK);
}

/* With shadow tables of so many pages, or without (0). */
static void history(enum format f, u64 seed, u32 shadow_pages)
{
    set_up(f, seed);
    use_shadow(shadow_pages);
    for (unsigned n = 0; n < OPERATIONS; n++) {
        if (n % 2000 == 0) {
            fill_tables();
            do_load_cr3();
            do_change_mode();
        }
        one_operation();
        assert_memories_agree(n);
        u64 linear = hot[below(&d, ARRAY_LEN(hot))];
        assert_tables_agree(linear);
        if (v->windows && n % 8 == 0)
            window_map(v, v->memtable, linear, (enum tlb_rights)v->tlb.rights);
        if (v->windows)
            assert_windows_agree(linear);
    }
    /* The history was worth it: accesses that succeed, accesses that fault, and a TLB that hits. */
    assert_true(successes > OPERATIONS / 4);
    assert_true(f == OFF || faults > OPERATIONS / 20);
    assert_true(m->vm.stats.tlb_misses - faults < successes - successes / 5);
    assert_true(!shadow_pages || table_hits > OPERATIONS / 20);
    assert_true(!shadow_pages || f == LEVEL4 || window_hits > OPERATIONS / 100);
    windows_destroy(v);
    shadow_destroy(&m->vm);
    memtable_destroy(v);
    machine_free(m);
}

static void without_paging(void **state) { (void)state, history(OFF, 11, 0); }
static void with_32bit_paging(void **state) { (void)state, history(BITS32, 22, 0); }
static void with_pae_paging(void **state) { (void)state, history(PAE, 33, 0); }
static void with_4level_paging(void **state) { (void)state, history(LEVEL4, 44, 0); }

static void with_shadow_tables(void **state)
{
    (void)state;
    for (enum format f = OFF; f < FORMATS; f++) {
        history(f, 55 + f, 300);
        history(f, 66 + f, 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_paging),     cmocka_unit_test(with_32bit_paging), cmocka_unit_test(with_pae_paging),
        cmocka_unit_test(with_4level_paging), cmocka_unit_test(with_shadow_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
