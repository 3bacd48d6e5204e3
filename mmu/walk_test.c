/* The guest page walk: each rule of SDM vol. 3, chapter 4 by itself, then random tables against a second walk. */
#include "mmu/walk.h"

#include "core/test_machine.h"
#include "mmu/reference_walk.h"

enum format { OFF, BITS32, PAE, LEVEL4, FORMATS };

/* The tables that map LINEAR; one page each, so that an entry's place tells its level. */
enum { TOP = 0x10000, ARENA = 0x10000, ARENA_PAGES = 16, ARENA_END = ARENA + ARENA_PAGES * PAGE_SIZE };
#define LINEAR 0x40a03123ull
#define TARGET 0x123000ull /* a 4 KiB page */

static struct machine *m;
static struct cpu_model model;

static int create(void **state)
{
    (void)state;
    m = machine_new();
    model = *cpu_model_find("max");
    m->vm.config.model = &model;
    return 0;
}

static int destroy(void **state)
{
    (void)state;
    machine_free(m);
    return 0;
}

static void feature(enum feature f, bool on)
{
    u64 bit = 1ull << f % 64;
    model.features[f / 64] = on ? model.features[f / 64] | bit : model.features[f / 64] & ~bit;
}

static void set_format(enum format f)
{
    struct cpu *c = &m->v.cpu;
    c->cr0 = f == OFF ? CR0_PE : CR0_PE | CR0_PG;
    c->cr4 = f >= PAE ? CR4_PAE : f == BITS32 ? CR4_PSE : 0;
    c->efer = f == LEVEL4 ? EFER_LME | EFER_LMA : 0;
    c->cr3 = TOP;
}

static unsigned levels(enum format f) { return f == LEVEL4 ? 4 : f == OFF ? 0 : 2; }
static unsigned entry_bytes(enum format f) { return f == BITS32 ? 4 : 8; }

/* Where LINEAR's entry of each level lies; level 0 is the last one, whose entry maps 4 KiB. */
static u64 entry_at(enum format f, unsigned level)
{
    u64 table = TOP + (u64)(levels(f) - 1 - level) * PAGE_SIZE;
    unsigned bits = f == BITS32 ? 10 : 9;
    return table + (LINEAR >> (12 + bits * level) & ((1u << bits) - 1)) * entry_bytes(f);
}

static u64 entry_get(enum format f, unsigned level) { return get(m, entry_at(f, level), entry_bytes(f)); }
static void entry_set(enum format f, unsigned level, u64 value) { put(m, entry_at(f, level), value, entry_bytes(f)); }

/* Tables that map LINEAR to TARGET for everybody, nothing accessed yet. */
static void map_linear(enum format f)
{
    memset(m->vm.memory.ram + ARENA, 0, ARENA_PAGES * PAGE_SIZE);
    model = *cpu_model_find("max");
    set_format(f);
    for (unsigned level = 0; level < levels(f); level++) {
        u64 next = level == 0 ? TARGET : TOP + (u64)(levels(f) - level) * PAGE_SIZE;
        entry_set(f, level, next | 7);
    }
    for (unsigned i = 0; i < 4; i++)
        m->v.cpu.pdpte[i] = i == LINEAR >> 30 ? TOP | 1 : 0;
}

static struct walk_result walk_to(enum access access, enum tlb_rights rights)
{
    return walk_guest(&m->v, LINEAR, access, rights, true);
}

/* ---- One rule, one row -------------------------------------------------------------------------- */

enum { OK = 0xffff, P = PF_PRESENT, W = PF_WRITE, U = PF_USER, RSVD = PF_RESERVED, I = PF_FETCH };
enum { NO_PSE = 1, NXE = 2, SMEP = 4, SMAP = 8, WP = 16, NO_PSE36 = 32, NO_PAT = 64, NO_1GB = 128 }; /* of `with` */
#define NX_BIT (1ull << 63)
#define BIT(n) (1ull << (n))

struct rule {
    enum format format;
    unsigned level;
    u64 set, clear; /* in the entry at that level of otherwise permissive tables */
    unsigned with;
    enum access access;
    enum tlb_rights who;
    u32 want; /* error code, or OK */
};

#define R ACCESS_READ
#define WR ACCESS_WRITE
#define X ACCESS_FETCH
#define S TLB_SUPERVISOR
#define USER TLB_USER
#define AC TLB_SUPERVISOR_AC
#define ALIGNED TLB_USER_ALIGNED

static const struct rule rules[] = {
    /* Present: 4.7. */
    {BITS32, 1, 0, 1, 0, R, S, 0}, {BITS32, 0, 0, 1, 0, WR, S, W}, {BITS32, 0, 0, 1, 0, WR, USER, W | U},
    {PAE, 1, 0, 1, 0, R, USER, U}, {PAE, 0, 0, 1, 0, X, S, 0}, {PAE, 0, 0, 1, NXE, X, S, I},
    {LEVEL4, 3, 0, 1, 0, R, S, 0}, {LEVEL4, 2, 0, 1, NXE, X, USER, I | U}, {LEVEL4, 1, 0, 1, 0, WR, ALIGNED, W | U},
    {LEVEL4, 0, 0, 1, SMEP, X, S, I},
    /* Nothing else of an absent entry is looked at. */
    {LEVEL4, 3, BIT(7) | BIT(51) | NX_BIT, 1, 0, R, S, 0}, {PAE, 0, BIT(62) | BIT(40), 1, 0, R, S, 0},
    /* U/S at every level, 4.6. */
    {BITS32, 1, 0, 4, 0, R, USER, P | U}, {BITS32, 0, 0, 4, 0, R, ALIGNED, P | U},
    {PAE, 1, 0, 4, 0, WR, USER, P | U | W},
    {LEVEL4, 3, 0, 4, 0, R, USER, P | U}, {LEVEL4, 2, 0, 4, NXE, X, USER, P | U | I},
    {LEVEL4, 1, 0, 4, 0, R, USER, P | U},
    {LEVEL4, 0, 0, 4, 0, X, USER, P | U}, {LEVEL4, 0, 0, 4, 0, WR, S, OK},
    /* R/W and CR0.WP. */
    {BITS32, 1, 0, 2, 0, WR, S, OK}, {BITS32, 1, 0, 2, WP, WR, S, P | W}, {BITS32, 0, 0, 2, WP, WR, S, P | W},
    {BITS32, 0, 0, 2, 0, WR, USER, P | W | U}, {PAE, 1, 0, 2, 0, WR, USER, P | W | U},
    {PAE, 0, 0, 2, WP, WR, AC, P | W},
    {LEVEL4, 3, 0, 2, WP, WR, S, P | W}, {LEVEL4, 2, 0, 2, 0, WR, USER, P | W | U}, {LEVEL4, 1, 0, 2, WP, R, USER, OK},
    {LEVEL4, 0, 0, 2, WP, X, S, OK},
    /* XD: for fetches alone, if NXE; reserved if not. 32-bit paging has no such bit. */
    {PAE, 1, NX_BIT, 0, NXE, X, S, P | I}, {PAE, 0, NX_BIT, 0, NXE, X, USER, P | I | U},
    {PAE, 0, NX_BIT, 0, NXE, WR, S, OK},
    {PAE, 0, NX_BIT, 0, 0, R, S, P | RSVD}, {PAE, 1, NX_BIT, 0, 0, X, USER, P | RSVD | U},
    {LEVEL4, 3, NX_BIT, 0, NXE, X, S, P | I}, {LEVEL4, 2, NX_BIT, 0, NXE, X, USER, P | I | U},
    {LEVEL4, 1, NX_BIT, 0, NXE, X, S, P | I}, {LEVEL4, 0, NX_BIT, 0, NXE, R, USER, OK},
    {LEVEL4, 3, NX_BIT, 0, 0, R, S, P | RSVD}, {LEVEL4, 2, NX_BIT, 0, 0, R, S, P | RSVD},
    {LEVEL4, 1, NX_BIT, 0, 0, WR, S, P | RSVD | W}, {LEVEL4, 0, NX_BIT, 0, 0, X, S, P | RSVD},
    {BITS32, 0, BIT(31), 0, NXE, X, S, OK},
    /* SMEP, SMAP and AC. */
    {BITS32, 0, 0, 0, SMEP, X, S, P | I}, {BITS32, 0, 0, 4, SMEP, X, S, OK}, {BITS32, 1, 0, 4, SMEP, X, S, OK},
    {BITS32, 0, 0, 0, SMEP, R, S, OK}, {LEVEL4, 0, 0, 0, SMEP, X, USER, OK}, {LEVEL4, 0, 0, 0, SMEP | NXE, X, S, P | I},
    {BITS32, 0, 0, 0, SMAP, R, S, P}, {BITS32, 0, 0, 0, SMAP, WR, S, P | W}, {PAE, 0, 0, 0, SMAP, R, AC, OK},
    {LEVEL4, 0, 0, 0, SMAP, WR, AC, OK}, {LEVEL4, 0, 0, 0, SMAP, X, S, OK}, {LEVEL4, 2, 0, 4, SMAP, WR, S, OK},
    {LEVEL4, 0, 0, 0, SMAP, R, USER, OK}, {LEVEL4, 0, 0, 2, SMAP | WP, WR, AC, P | W},
    /* Reserved bits: MAXPHYADDR is 40; bits 62:52 are reserved in PAE, ignored with four levels. */
    {PAE, 1, BIT(40), 0, 0, R, S, P | RSVD}, {PAE, 0, BIT(51), 0, 0, R, USER, P | RSVD | U},
    {PAE, 1, BIT(52), 0, 0, WR, S, P | RSVD | W}, {PAE, 0, BIT(62), 0, 0, R, S, P | RSVD},
    {PAE, 0, BIT(39), 0, 0, R, S, OK},
    {LEVEL4, 3, BIT(40), 0, 0, R, S, P | RSVD}, {LEVEL4, 2, BIT(45), 0, 0, R, S, P | RSVD},
    {LEVEL4, 1, BIT(51), 0, 0, R, S, P | RSVD}, {LEVEL4, 0, BIT(40), 0, 0, R, S, P | RSVD},
    {LEVEL4, 3, BIT(52) | BIT(62), 0, 0, R, S, OK}, {LEVEL4, 2, BIT(52) | BIT(62), 0, 0, R, S, OK},
    {LEVEL4, 1, BIT(52) | BIT(62), 0, 0, R, S, OK}, {LEVEL4, 0, BIT(52) | BIT(62), 0, 0, R, S, OK},
    {LEVEL4, 0, BIT(39), 0, 0, R, S, OK},
    /* Reserved beats rights, absence below does not matter. */
    {LEVEL4, 1, BIT(40), 4, 0, WR, USER, P | RSVD | W | U}, {LEVEL4, 3, BIT(7), 0, 0, R, S, P | RSVD},
    {LEVEL4, 3, BIT(8), 0, 0, R, S, OK},
    /* PS where there are no large pages. */
    {LEVEL4, 2, BIT(7), 0, NO_1GB, R, S, P | RSVD}, {BITS32, 1, BIT(7), 0, NO_PSE, R, S, OK},
    {BITS32, 1, BIT(7) | BIT(20), 0, NO_PSE, R, S, 0}, {BITS32, 0, BIT(7), 0, 0, R, S, OK},
    {LEVEL4, 0, BIT(7), 0, 0, R, S, OK},
    {PAE, 0, BIT(7), 0, 0, R, S, OK},
    /* Large pages: reserved address bits. 4.3: with PSE-36 and M = 40, bit 21 alone. */
    {BITS32, 1, BIT(7) | BIT(21), ~0xfffull, 0, R, S, P | RSVD}, {BITS32, 1, BIT(7) | BIT(20), ~0xfffull, 0, R, S, OK},
    {BITS32, 1, BIT(7) | BIT(13), ~0xfffull, 0, R, S, OK},
    {BITS32, 1, BIT(7) | BIT(13), ~0xfffull, NO_PSE36, R, S, P | RSVD},
    {BITS32, 1, BIT(7) | BIT(20), ~0xfffull, NO_PSE36, R, S, P | RSVD},
    {BITS32, 1, BIT(7) | BIT(12), ~0xfffull, 0, R, S, OK},
    {PAE, 1, BIT(7) | BIT(20), ~0xfffull, 0, R, S, P | RSVD}, {PAE, 1, BIT(7) | BIT(13), ~0xfffull, 0, R, S, P | RSVD},
    {PAE, 1, BIT(7) | BIT(12), ~0xfffull, 0, R, S, OK}, {PAE, 1, BIT(7) | BIT(52), ~0xfffull, 0, R, S, P | RSVD},
    {LEVEL4, 1, BIT(7) | BIT(13), ~0xfffull, 0, R, S, P | RSVD},
    {LEVEL4, 1, BIT(7) | BIT(20), ~0xfffull, 0, R, S, P | RSVD},
    {LEVEL4, 1, BIT(7) | BIT(12), ~0xfffull, 0, R, S, OK}, {LEVEL4, 2, BIT(7) | BIT(13), ~0xfffull, 0, R, S, P | RSVD},
    {LEVEL4, 2, BIT(7) | BIT(29), ~0xfffull, 0, R, S, P | RSVD}, {LEVEL4, 2, BIT(7) | BIT(12), ~0xfffull, 0, R, S, OK},
    {LEVEL4, 2, BIT(7) | BIT(40), ~0xfffull, 0, R, S, P | RSVD},
    /* Without the PAT its bit is reserved, if any bit is: bit 7 of a PTE, bit 12 of a large page. */
    {BITS32, 0, BIT(7), 0, NO_PAT, R, S, P | RSVD}, {BITS32, 0, BIT(7), 0, NO_PAT | NO_PSE, R, S, OK},
    {BITS32, 1, BIT(7) | BIT(12), ~0xfffull, NO_PAT, R, S, P | RSVD}, {BITS32, 0, BIT(12), 0, NO_PAT, R, S, OK},
    {PAE, 0, BIT(7), 0, NO_PAT, R, S, P | RSVD}, {PAE, 1, BIT(7) | BIT(12), ~0xfffull, NO_PAT, R, S, P | RSVD},
};

static void rule_prepare(const struct rule *r)
{
    struct cpu *c = &m->v.cpu;
    map_linear(r->format);
    entry_set(r->format, r->level, (entry_get(r->format, r->level) & ~r->clear) | r->set);
    if (r->with & NO_PSE)
        c->cr4 &= ~(u64)CR4_PSE;
    if (r->with & NXE)
        c->efer |= EFER_NXE;
    if (r->with & WP)
        c->cr0 |= CR0_WP;
    c->cr4 |= (r->with & SMEP ? CR4_SMEP : 0) | (r->with & SMAP ? CR4_SMAP : 0);
    feature(FEAT_PSE36, !(r->with & NO_PSE36));
    feature(FEAT_PAT, !(r->with & NO_PAT));
    feature(FEAT_PDPE1GB, !(r->with & NO_1GB));
}

static void each_rule_gives_its_error_code(void **state)
{
    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(rules); n++) {
        const struct rule *r = &rules[n];
        rule_prepare(r);
        u8 before[ARENA_PAGES * PAGE_SIZE];
        memcpy(before, m->vm.memory.ram + ARENA, sizeof before);
        struct walk_result result = walk_to(r->access, r->who);
        u32 got = result.ok ? OK : result.error;
        if (got != r->want)
            fail_msg("rule %zu: got %#x, want %#x", n, got, r->want);
        if (!result.ok) /* a walk that fails sets no A or D bit */
            assert_memory_equal(before, m->vm.memory.ram + ARENA, sizeof before);
    }
}

/* ---- A, D and addresses ------------------------------------------------------------------------- */

static void accessed_and_dirty_bits(void **state)
{
    (void)state;
    for (enum format f = BITS32; f < FORMATS; f++) {
        for (unsigned large = 0; large < 2 + (f == LEVEL4); large++) {
            map_linear(f);
            if (large)
                entry_set(f, large, 0x87);
            struct walk_result result = walk_guest(&m->v, LINEAR, ACCESS_WRITE, TLB_USER, false);
            assert_true(result.ok);
            for (unsigned level = 0; level < levels(f); level++)
                assert_int_equal(entry_get(f, level) & 0x60, 0);
            result = walk_to(ACCESS_READ, TLB_USER);
            assert_true(result.ok);
            assert_false(result.writable);
            for (unsigned level = 0; level < levels(f); level++)
                assert_int_equal(entry_get(f, level) & 0x60, level < large ? 0 : 0x20);
            result = walk_to(ACCESS_FETCH, TLB_USER);
            assert_false(result.writable);
            result = walk_to(ACCESS_WRITE, TLB_USER);
            assert_true(result.writable);
            for (unsigned level = 0; level < levels(f); level++)
                assert_int_equal(entry_get(f, level) & 0x60, level < large ? 0 : level == large ? 0x60 : 0x20);
            result = walk_to(ACCESS_READ, TLB_USER);
            assert_true(result.writable);
        }
    }
}

/* A recursive entry serves at every level, and keeps every bit that each of its roles sets. */
static void one_entry_at_all_levels(void **state)
{
    (void)state;
    map_linear(LEVEL4);
    put(m, TOP + 8 * 511, TOP | 7, 8);
    u64 linear = ~0ull << 48 | 511ull << 39 | 511ull << 30 | 511ull << 21 | 511ull << 12;
    assert_true(walk_guest(&m->v, linear, ACCESS_READ, TLB_USER, true).ok);
    assert_int_equal(get(m, TOP + 8 * 511, 8), TOP | 0x27);
    assert_true(walk_guest(&m->v, linear, ACCESS_WRITE, TLB_USER, true).ok);
    assert_int_equal(get(m, TOP + 8 * 511, 8), TOP | 0x67);
}

static void physical_addresses(void **state)
{
    (void)state;
    static const struct { enum format format; unsigned level; u64 entry, page; u8 shift; } cases[] = {
        {BITS32, 0, 0xfffff007, 0xfffff000, 12}, {BITS32, 1, 0xffc00087, 0xffe03000, 22},
        {BITS32, 1, 0x001fe087, 0xff00203000, 22}, {BITS32, 1, 0x00003087, 0x100203000, 22},
        {PAE, 0, 0xfffffff007, 0xfffffff000, 12}, {PAE, 1, 0xffffe01087, 0xffffe03000, 21},
        {LEVEL4, 0, 0xfffffff007, 0xfffffff000, 12}, {LEVEL4, 1, 0xffffe00087, 0xffffe03000, 21},
        {LEVEL4, 2, 0xffc0000087, 0xffc0a03000, 30}, {LEVEL4, 0, 0x7ff0000123456007, 0x123456000, 12},
    };
    for (size_t n = 0; n < ARRAY_LEN(cases); n++) {
        map_linear(cases[n].format);
        entry_set(cases[n].format, cases[n].level, cases[n].entry);
        struct walk_result result = walk_to(ACCESS_READ, TLB_SUPERVISOR);
        assert_true(result.ok);
        assert_int_equal(result.page.raw, cases[n].page);
        assert_int_equal(result.page_shift, cases[n].shift);
        assert_true(result.cacheable);
        assert_false(result.global);
    }
    map_linear(PAE);
    entry_set(PAE, 0, TARGET | 0x107);
    assert_true(walk_to(ACCESS_READ, TLB_SUPERVISOR).global);
    set_format(OFF);
    struct walk_result flat = walk_guest(&m->v, 0xfedcb123, ACCESS_WRITE, TLB_USER, true);
    assert_true(flat.ok && flat.writable && flat.cacheable);
    assert_int_equal(flat.page.raw, 0xfedcb000);
    assert_int_equal(flat.page_shift, 32);
}

/* Writes to tables outside RAM cannot be seen: nothing that derives from them may be cached. */
static void tables_outside_ram(void **state)
{
    (void)state;
    map_linear(BITS32);
    m->v.cpu.cr4 = 0;
    entry_set(BITS32, 1, PHYS_VGA_BEGIN | 7);
    struct walk_result result = walk_to(ACCESS_WRITE, TLB_USER);
    assert_true(result.ok); /* unassigned space reads as all ones: present, writable, user */
    assert_false(result.cacheable);
    assert_int_equal(result.page.raw, 0xfffff000);
    m->v.cpu.cr3 = PHYS_VGA_BEGIN;
    assert_false(walk_to(ACCESS_READ, TLB_USER).cacheable);
}

static void cr3_bits_that_are_no_address(void **state)
{
    (void)state;
    map_linear(BITS32);
    m->v.cpu.cr3 = TOP | 0xfff | ~0ull << 32;
    assert_true(walk_to(ACCESS_READ, TLB_USER).ok);
    map_linear(LEVEL4);
    m->v.cpu.cr3 = TOP | 0xfff | ~0ull << 40;
    assert_true(walk_to(ACCESS_READ, TLB_USER).ok);
}

/* ---- PDPTEs ------------------------------------------------------------------------------------- */

static bool load_pdptes(u64 cr3, u64 second)
{
    put(m, cr3 & ~31ull, 0x11001, 8);
    put(m, (cr3 & ~31ull) + 8, second, 8);
    put(m, (cr3 & ~31ull) + 16, 0xfffffffe, 8); /* absent: whatever else it holds */
    put(m, (cr3 & ~31ull) + 24, 0xfffffff019, 8); /* PWT, PCD */
    return walk_load_pdptes(&m->v, cr3);
}

static void pdptes_are_loaded_whole_or_not_at_all(void **state)
{
    (void)state;
    struct cpu *c = &m->v.cpu;
    map_linear(PAE);
    assert_true(load_pdptes(0x15560 | 0x1f, 0x12001));
    const u64 want[4] = {0x11001, 0x12001, 0xfffffffe, 0xfffffff019};
    assert_memory_equal(c->pdpte, want, sizeof want);
    static const u8 reserved[] = {1, 2, 5, 6, 7, 8, 40, 45, 51, 52, 62, 63};
    for (size_t n = 0; n < ARRAY_LEN(reserved); n++) {
        assert_false(load_pdptes(0x15000, 0x13001 | BIT(reserved[n])));
        assert_memory_equal(c->pdpte, want, sizeof want);
        assert_true(load_pdptes(0x15560, 0x12000 | BIT(reserved[n])));
        c->pdpte[1] = want[1];
    }
    static const u8 allowed[] = {3, 4, 9, 10, 11, 39};
    for (size_t n = 0; n < ARRAY_LEN(allowed); n++)
        assert_true(load_pdptes(0x15000, 0x13001 | BIT(allowed[n])));
}

/* After the load the registers count, not the memory they came from; bits 31:30 choose. */
static void pdptes_are_registers(void **state)
{
    (void)state;
    map_linear(PAE);
    for (unsigned n = 0; n < 4; n++) {
        for (unsigned i = 0; i < 4; i++)
            m->v.cpu.pdpte[i] = i == n ? TOP | 1 : (u64)(TOP + 0x8000) | 1;
        u64 linear = (LINEAR & 0x3fffffff) | (u64)n << 30;
        assert_true(walk_guest(&m->v, linear, ACCESS_READ, TLB_USER, true).ok);
        assert_false(walk_guest(&m->v, linear ^ 1u << 30, ACCESS_READ, TLB_USER, true).ok);
        m->v.cpu.pdpte[n] &= ~1ull;
        struct walk_result result = walk_guest(&m->v, linear, ACCESS_WRITE, TLB_USER, true);
        assert_false(result.ok);
        assert_int_equal(result.error, PF_WRITE | PF_USER);
    }
}

/* ---- Random tables ------------------------------------------------------------------------------ */

static u8 mirror[MACHINE_RAM]; /* what the tables must be */

static u64 random_entry(struct dice *d, enum format f)
{
    static const u8 reserved[] = {7, 8, 12, 13, 20, 21, 29, 39, 40, 51, 52, 58, 62};
    u64 entry = ARENA + below(d, ARENA_PAGES) * PAGE_SIZE;
    if (chance(d, 10))
        entry = below(d, MACHINE_RAM) & ~(u64)PAGE_MASK;
    if (chance(d, 20))
        entry = (entry & ~0x3ff000ull) | 0x80;
    entry |= roll(d) & 0x60;
    entry |= (chance(d, 95) ? 1 : 0) | (chance(d, 85) ? 2 : 0) | (chance(d, 85) ? 4 : 0);
    if (chance(d, 8))
        entry |= BIT(reserved[below(d, ARRAY_LEN(reserved))]);
    if (chance(d, 8))
        entry |= NX_BIT;
    return f == BITS32 ? (u32)entry : entry;
}

static void random_tables(struct dice *d, enum format f)
{
    for (u64 at = ARENA; at < ARENA_END; at += entry_bytes(f))
        put(m, at, random_entry(d, f), entry_bytes(f));
    memcpy(mirror + ARENA, m->vm.memory.ram + ARENA, ARENA_PAGES * PAGE_SIZE);
}

static void random_control(struct dice *d, enum format f)
{
    struct cpu *c = &m->v.cpu;
    set_format(f);
    c->cr0 |= chance(d, 50) ? CR0_WP : 0;
    c->cr4 |= (chance(d, 30) ? CR4_SMEP : 0) | (chance(d, 30) ? CR4_SMAP : 0);
    if (f == BITS32 && chance(d, 30))
        c->cr4 &= ~(u64)CR4_PSE;
    c->efer |= chance(d, 70) ? EFER_NXE : 0;
    c->cr3 = (ARENA + below(d, ARENA_PAGES) * PAGE_SIZE) | (roll(d) & 0x18);
    for (unsigned i = 0; i < 4; i++)
        c->pdpte[i] = (ARENA + below(d, ARENA_PAGES) * PAGE_SIZE) | chance(d, 90);
    feature(FEAT_PSE36, chance(d, 70));
    feature(FEAT_PDPE1GB, chance(d, 70));
    feature(FEAT_PAT, f == LEVEL4 || chance(d, 70));
}

static struct reference reference_now(void)
{
    const struct cpu *c = &m->v.cpu;
    struct reference r = {
        .ram = mirror, .ram_bytes = MACHINE_RAM, .cr0 = c->cr0, .cr3 = c->cr3, .cr4 = c->cr4, .efer = c->efer,
        .pse36 = model_has(&model, FEAT_PSE36), .page1gb = model_has(&model, FEAT_PDPE1GB),
        .pat = model_has(&model, FEAT_PAT),
    };
    memcpy(r.pdpte, c->pdpte, sizeof r.pdpte);
    return r;
}

static void apply(const struct reference_result *result)
{
    for (unsigned i = 0; i < result->entries; i++) {
        const struct reference_entry *e = &result->entry[i];
        if (e->at < ARENA_END) { /* an entry with two roles collects the bits of both */
            u64 both = reference_load(&(struct reference){.ram = mirror}, e->at, e->bytes) | e->after;
            memcpy(mirror + e->at, &both, e->bytes);
        }
    }
}

static bool in_arena(const struct reference_result *r)
{
    for (unsigned i = 0; i < r->entries; i++)
        if (r->entry[i].at < ARENA || r->entry[i].at >= ARENA_END)
            return false;
    return true;
}

static u64 random_linear(struct dice *d, enum format f)
{
    u64 linear = roll(d);
    return f == LEVEL4 ? (u64)((s64)(linear << 16) >> 16) : (u32)linear;
}

/* One access, both ways. True if it succeeded. */
static bool compare_walks(struct dice *d, enum format f)
{
    static const enum reference_who who_of[] = {BY_SUPERVISOR, BY_USER, BY_SUPERVISOR_WITH_AC, BY_USER};
    u64 linear = random_linear(d, f);
    enum access access = (enum access)below(d, 3);
    enum tlb_rights rights = (enum tlb_rights)below(d, access == ACCESS_FETCH ? 2 : 4);
    bool commit = chance(d, 80);
    struct reference r = reference_now();
    struct reference_result want = reference_walk(&r, linear, (enum reference_access)access, who_of[rights]);
    if (!in_arena(&want))
        return false; /* tables elsewhere have tests of their own */
    struct walk_result got = walk_guest(&m->v, linear, access, rights, commit);
    if (got.ok == want.fault || (want.fault && got.error != want.error))
        fail_msg("format %d linear %#llx access %d rights %d: error %#x, want fault %d %#x", f,
                 (unsigned long long)linear, access, rights, got.error, want.fault, want.error);
    if (want.fault)
        return false;
    assert_int_equal(got.page.raw, want.physical & ~(u64)PAGE_MASK);
    assert_int_equal(got.page_shift, want.page_bits);
    assert_true(got.cacheable);
    bool dirty = want.entry[want.entries - 1].after & 0x40;
    struct reference_result write = reference_walk(&r, linear, DATA_WRITE, who_of[rights]);
    assert_int_equal(got.writable, dirty && !write.fault);
    if (commit)
        apply(&want);
    return true;
}

static void random_tables_agree_with_the_reference(void **state)
{
    (void)state;
    enum { ROUNDS = 400, ACCESSES = 150 };
    struct dice d = {0x9e3779b97f4a7c15};
    for (enum format f = BITS32; f < FORMATS; f++) {
        unsigned good = 0;
        for (unsigned round = 0; round < ROUNDS; round++) {
            random_tables(&d, f);
            random_control(&d, f);
            for (unsigned n = 0; n < ACCESSES; n++)
                good += compare_walks(&d, f);
            assert_memory_equal(mirror + ARENA, m->vm.memory.ram + ARENA, ARENA_PAGES * PAGE_SIZE);
        }
        assert_in_range(good, ROUNDS * ACCESSES / 10, ROUNDS * ACCESSES * 9 / 10);
    }
}

static void random_pdptes_agree_with_the_reference(void **state)
{
    (void)state;
    struct dice d = {77};
    unsigned good = 0;
    for (unsigned n = 0; n < 20000; n++) {
        u64 cr3 = ARENA + below(&d, 0x1000) * 32, entry[4];
        for (unsigned i = 0; i < 4; i++) {
            entry[i] = (roll(&d) & 0xfffffffe19) | chance(&d, 80);
            if (chance(&d, 10))
                entry[i] |= 1ull << below(&d, 64);
            put(m, cr3 + 8 * i, entry[i], 8);
        }
        bool want = reference_pdptes_valid(entry);
        good += want;
        memset(m->v.cpu.pdpte, 0x5a, sizeof m->v.cpu.pdpte);
        assert_int_equal(walk_load_pdptes(&m->v, cr3 | (roll(&d) & 0x1f)), want);
        if (want)
            assert_memory_equal(m->v.cpu.pdpte, entry, sizeof entry);
        else
            assert_int_equal(m->v.cpu.pdpte[0], 0x5a5a5a5a5a5a5a5a);
    }
    assert_in_range(good, 2000, 18000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_gives_its_error_code),
        cmocka_unit_test(accessed_and_dirty_bits),
        cmocka_unit_test(one_entry_at_all_levels),
        cmocka_unit_test(physical_addresses),
        cmocka_unit_test(tables_outside_ram),
        cmocka_unit_test(cr3_bits_that_are_no_address),
        cmocka_unit_test(pdptes_are_loaded_whole_or_not_at_all),
        cmocka_unit_test(pdptes_are_registers),
        cmocka_unit_test(random_tables_agree_with_the_reference),
        cmocka_unit_test(random_pdptes_agree_with_the_reference),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
