/* The shadow tables say what the guest's tables say: after any history of accesses, writes to tables, changes of
 * address space, mode and format, and frames becoming code, under any shortage of room. A second memory, changed by the
 * reference walk and plain copies alone, says what every access must give, and what no table may allow. */
#include "mmu/shadow_state.h"

#include "core/test_machine.h"
#include "mmu/reference_walk.h"

/* Tables and data share a few pages, so that one often is the other. */
enum { ARENA = 0x10000, PAGES = 12, ARENA_END = ARENA + PAGES * PAGE_SIZE, FIRST_INDEX = ARENA >> PAGE_SHIFT };
enum { OPERATIONS = 30000, FLAT = 1024, SPACES = 8 };

static struct machine *m;
static struct vcpu *v;
static struct shadow *s;
static struct dice d;
static enum shadow_format format;
static u8 mirror[MACHINE_RAM];
static u64 hot[16];
static unsigned successes, faults, flat_hits;

/* ---- Somebody who keeps translations ------------------------------------------------------------- */

struct flat {
    bool used, write, fetch;
    u64 linear, page;
};
static struct flat flat[SPACES][SHADOW_VIEWS][FLAT];
static unsigned drops, drops_of_all;

static void drop(void *self, const struct shadow_drop *what)
{
    assert_ptr_equal(self, flat);
    drops++;
    for (unsigned n = 0; n < FLAT; n++) {
        struct flat *f = &flat[what->space][what->view][n];
        if (!f->used || f->linear - what->linear >= what->pages << PAGE_SHIFT)
            continue;
        f->write = false;
        f->used = what->writes_only;
    }
}

static void drop_space(void *self, unsigned space)
{
    assert_ptr_equal(self, flat);
    memset(flat[space], 0, sizeof flat[space]);
}

static void drop_all(void *self)
{
    assert_ptr_equal(self, flat);
    memset(flat, 0, sizeof flat);
    drops_of_all++;
}

static const struct shadow_listener listener = {flat, drop, drop_space, drop_all};

static struct flat *flat_slot(u64 linear, enum tlb_rights view)
{
    u64 hash = (linear >> PAGE_SHIFT) * 0x9e3779b97f4a7c15ull;
    return &flat[s->current[0]][view][hash >> 54];
}

/* ---- What must be ------------------------------------------------------------------------------- */

static bool in_ram(u64 at) { return at < 0xa0000 || (at >= 0xc0000 && at < MACHINE_RAM); }

static void mirror_write(u64 at, const void *from, unsigned size)
{
    for (unsigned n = 0; n < size; n++)
        if (in_ram(at + n))
            mirror[at + n] = ((const u8 *)from)[n];
}

static struct reference reference_of(const struct cpu *c)
{
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

/* ---- What the tables allow ---------------------------------------------------------------------- */

/* The registers that selected an address space. */
static struct reference reference_of_space(const struct shadow_space_key *key)
{
    struct cpu c = {.cr3 = key->table};
    if (key->format != SHADOW_OFF)
        c.cr0 = CR0_PG | (key->flags & ROLE_WRITE_PROTECT ? CR0_WP : 0);
    c.cr4 = (key->format >= SHADOW_PAE ? CR4_PAE : 0) | (key->flags & ROLE_PSE ? CR4_PSE : 0) |
            (key->flags & ROLE_SMEP ? CR4_SMEP : 0) | (key->flags & ROLE_HIDE_USER ? CR4_SMAP : 0);
    c.efer = (key->format == SHADOW_4LEVEL ? EFER_LMA : 0) | (key->flags & ROLE_NXE ? EFER_NXE : 0);
    memcpy(c.pdpte, key->pdpte, sizeof c.pdpte);
    return reference_of(&c);
}

struct allowed {
    bool present, writable, executable;
    u64 page;
};

/* A walk of four levels, as a processor would do it, without setting anything. */
static struct allowed processor(u32 root, u64 linear)
{
    struct allowed a = {true, true, true, 0};
    u32 page = root;
    for (int shift = 39; shift >= 12; shift -= 9) {
        u64 entry = s->pool.entries[page * 512u + (linear >> shift & 511)];
        if (!page || !(entry & 1))
            return (struct allowed){0};
        assert_true(entry & 4);
        a.writable &= (entry & 2) != 0;
        a.executable &= !(entry >> 63);
        u64 frame = entry >> 12 & 0xffffffffff;
        if (shift > 12)
            assert_true(frame > s->domain.tables.first && frame < s->domain.tables.first + s->pool.capacity);
        else
            assert_true(frame < MACHINE_RAM >> 12);
        page = shift > 12 ? (u32)(frame - s->domain.tables.first) : 0;
        a.page = frame << 12;
    }
    return a;
}

/* What one address space allows in one view, its guest tables allow, and with A and D set already. */
static void assert_view_honest(const struct shadow_space *space, enum tlb_rights view, u64 linear)
{
    struct reference r = reference_of_space(&space->key);
    struct allowed a = processor(space->root[view], linear);
    const bool can[] = {[DATA_READ] = a.present, [DATA_WRITE] = a.writable, [CODE_FETCH] = a.executable};
    if (!a.present)
        return;
    assert_false(a.writable && (physmem_frame(&m->vm.memory, gpa(a.page))->flags & FRAME_WATCHED));
    for (unsigned access = DATA_READ; access <= CODE_FETCH; access++) {
        if (!can[access] || (access == CODE_FETCH && view == TLB_SUPERVISOR)) /* fetches use the other view */
            continue;
        struct reference_result result = reference_walk(&r, linear, (enum reference_access)access, who_of(view));
        assert_false(result.fault);
        assert_int_equal(result.physical & ~(u64)PAGE_MASK, a.page);
        for (unsigned n = 0; n < result.entries; n++)
            assert_int_equal(result.entry[n].before, result.entry[n].after);
    }
}

static void assert_honest(u64 linear)
{
    for (unsigned n = 0; n < s->spaces; n++)
        for (unsigned view = 0; s->space[n].used && view < SHADOW_VIEWS; view++)
            assert_view_honest(&s->space[n], (enum tlb_rights)view,
                               s->space[n].key.format == SHADOW_4LEVEL ? linear : (u32)linear);
}

static bool listed(u32 head, u32 entry)
{
    while (head && head != entry)
        head = s->pool.next[head];
    return head == entry;
}

/* Links, counts and flags of the pool agree with its entries. */
static void assert_structure(void)
{
    u32 used = 0;
    for (u32 n = 1; n < s->pool.capacity; n++) {
        const struct shadow_page *page = &s->pool.pages[n];
        unsigned present = 0, level = shadow_key_level(page->key);
        used += page->used;
        for (u32 e = n * 512; e < n * 512 + 512; e++) {
            u64 entry = s->pool.entries[e];
            present += entry != 0;
            if (!entry)
                continue;
            u32 child = level ? shadow_child(s, entry) : 0;
            if (level)
                assert_true(s->pool.pages[child].used && listed(s->pool.pages[child].parents, e));
            else
                assert_int_equal(listed(s->writers[shadow_entry_frame(entry)], e), (entry & SHADOW_WRITABLE) != 0);
        }
        assert_int_equal(present, page->present);
        if (page->used && shadow_key_traced(page->key))
            assert_true(physmem_frame(&m->vm.memory, gpa(page->key.base))->flags & FRAME_SHADOW);
    }
    assert_int_equal(used, s->pool.in_use);
    for (unsigned n = 0; n < s->spaces; n++)
        for (unsigned view = 0; view < SHADOW_VIEWS; view++)
            if (s->space[n].root[view])
                assert_true(s->pool.pages[s->space[n].root[view]].roots[view] >> n & 1);
    for (u64 at = 0; at < MACHINE_RAM; at += PAGE_SIZE)
        if (in_ram(at) && !shadow_pool_first(&s->pool, at))
            assert_false(physmem_frame(&m->vm.memory, gpa(at))->flags & FRAME_SHADOW);
}

/* ---- Operations --------------------------------------------------------------------------------- */

static unsigned entry_bytes(void) { return format == SHADOW_32BIT ? 4 : 8; }

/* Indexes that tables are filled at: the arena's own pages, so that large pages hit it, and both ends. */
static u64 random_index(void)
{
    static const u16 ends[] = {0, 1, 0x1ff, 0x3ff};
    if (chance(&d, 75))
        return FIRST_INDEX + below(&d, PAGES);
    return ends[below(&d, ARRAY_LEN(ends))] & (format == SHADOW_32BIT ? 0x3ff : 0x1ff);
}

static u64 random_top_index(void)
{
    static const u16 some[] = {0, 1, 0x1ff, 0x3ff};
    return some[below(&d, ARRAY_LEN(some))] & (format == SHADOW_32BIT ? 0x3ff : 0x1ff);
}

static u64 random_page(void)
{
    u64 low = random_index() << 12;
    if (format == SHADOW_OFF)
        return low;
    if (format == SHADOW_32BIT)
        return (u32)(random_top_index() << 22) + low;
    if (format == SHADOW_PAE)
        return (u32)(below(&d, 4) << 30 | random_top_index() << 21) + low;
    u64 linear = random_top_index() << 39 | (random_top_index() & 3) << 30 | random_top_index() << 21 | low;
    return (u64)((s64)(linear << 16) >> 16);
}

static u64 random_linear(void)
{
    u64 page = chance(&d, 75) ? hot[below(&d, ARRAY_LEN(hot))] : random_page();
    page = format == SHADOW_4LEVEL ? (u64)((s64)(page << 16) >> 16) : (u32)page;
    return page | (chance(&d, 50) ? random_index() * entry_bytes() & 0xff8 : below(&d, PAGE_SIZE - 8));
}

static u64 random_entry(void)
{
    u64 entry = ARENA + below(&d, PAGES) * PAGE_SIZE;
    if (chance(&d, 15))
        entry = 0x80; /* a large page at 0, where level and mode allow it */
    if (chance(&d, 3))
        entry = PHYS_VGA_BEGIN;
    entry |= (roll(&d) & 0x60) | (chance(&d, 92) ? 1 : 0) | (chance(&d, 80) ? 2 : 0) | (chance(&d, 75) ? 4 : 0);
    if (format >= SHADOW_PAE && chance(&d, 4))
        entry |= 1ull << 63;
    if (format >= SHADOW_PAE && chance(&d, 1))
        entry |= 1ull << 45;
    return format == SHADOW_32BIT ? (u32)entry : entry;
}

/* Sets A and D in the mirror as the reference says, and returns what it says. */
static struct reference_result expect(u64 linear, enum access access, enum tlb_rights rights)
{
    struct reference r = reference_of(&v->cpu);
    struct reference_result result = reference_walk(&r, linear, (enum reference_access)access, who_of(rights));
    for (unsigned n = 0; n < result.entries && !result.fault; n++) {
        u8 low = (u8)result.entry[n].after;
        if (result.entry[n].after != result.entry[n].before)
            mirror_write(result.entry[n].at, &low, 1);
    }
    return result;
}

/* Writes as a flat table's user or the slow path would. */
static void write_memory(u64 physical, bool direct)
{
    u64 data = random_entry();
    unsigned size = chance(&d, 80) ? entry_bytes() : 1 + (unsigned)below(&d, 8);
    if (direct)
        memcpy(m->vm.memory.ram + physical, &data, size);
    else
        phys_write(&m->vm, gpa(physical), &data, size);
    mirror_write(physical, &data, size);
}

/* Every table lies in RAM, and the page, and nobody must see the access: then there is no reason to ask again. */
static bool may_be_direct(const struct reference_result *r, enum access access)
{
    bool direct = in_ram(r->physical);
    for (unsigned n = 0; n < r->entries; n++)
        direct &= in_ram(r->entry[n].at);
    return direct && (access != ACCESS_WRITE ||
                      !(physmem_frame(&m->vm.memory, gpa(r->physical))->flags & FRAME_WATCHED));
}

static void access_memory(u64 linear, enum access access, enum tlb_rights rights)
{
    enum tlb_rights view = rights == TLB_USER_ALIGNED ? TLB_USER : rights;
    if (view == TLB_SUPERVISOR && access == ACCESS_FETCH)
        view = TLB_SUPERVISOR_AC;
    u64 page = linear & ~(u64)PAGE_MASK;
    struct flat *f = flat_slot(linear, view);
    struct reference_result want = expect(linear, access, rights);
    bool allowed = access == ACCESS_READ || (access == ACCESS_WRITE ? f->write : f->fetch);
    bool hit = f->used && f->linear == page && allowed;
    struct shadow_translation t = {.ok = true, .page = gpa(f->page), .direct = true, .direct_write = f->write};
    if (hit)
        flat_hits++;
    else
        t = shadow_translate(v, linear, access, rights);
    if (t.ok == want.fault)
        fail_msg("%#llx: ok %d, expected fault %d", (unsigned long long)linear, t.ok, want.fault);
    successes += t.ok;
    faults += !t.ok;
    if (!t.ok) {
        assert_int_equal(t.error, want.error);
        return;
    }
    assert_int_equal(t.page.raw, want.physical & ~(u64)PAGE_MASK);
    hot[below(&d, ARRAY_LEN(hot))] = page;
    assert_int_equal(t.direct, may_be_direct(&want, access));
    if (access == ACCESS_WRITE)
        assert_true(t.direct == t.direct_write);
    if (t.direct) {
        bool fetch = access == ACCESS_FETCH || (f->used && f->linear == page && f->fetch);
        *f = (struct flat){true, t.direct_write, fetch, page, t.page.raw};
    }
    if (access == ACCESS_WRITE)
        write_memory(want.physical, t.direct);
}

static void do_access(void)
{
    static const enum tlb_rights all[] = {TLB_SUPERVISOR, TLB_USER, TLB_SUPERVISOR_AC, TLB_USER_ALIGNED};
    static const enum access kinds[] = {ACCESS_READ, ACCESS_READ, ACCESS_WRITE, ACCESS_FETCH};
    access_memory(random_linear(), kinds[below(&d, 4)], all[below(&d, 4)]);
}

static void do_dma(void)
{
    write_memory(ARENA + below(&d, PAGES) * PAGE_SIZE + random_index() * entry_bytes() % (PAGE_SIZE - 8), false);
}

static void do_watch_code(void)
{
    phys_watch_code(&m->vm, gpa(ARENA + below(&d, PAGES) * PAGE_SIZE + below(&d, PAGE_SIZE - 16)), 16);
}

static void do_load_cr3(void)
{
    v->cpu.cr3 = ARENA + below(&d, 4) * PAGE_SIZE;
    if (format == SHADOW_PAE) {
        u64 pdpte[4];
        v->cpu.cr3 += below(&d, 128) * 32;
        memcpy(pdpte, mirror + v->cpu.cr3, sizeof pdpte);
        bool valid = walk_load_pdptes(v, v->cpu.cr3);
        assert_int_equal(valid, reference_pdptes_valid(pdpte));
        for (unsigned n = 0; n < 4 && (!valid || chance(&d, 80)); n++)
            v->cpu.pdpte[n] = (ARENA + below(&d, 3) * PAGE_SIZE) | chance(&d, 90);
    }
    shadow_select(v);
}

static void do_change_mode(void)
{
    struct cpu *c = &v->cpu;
    c->cr0 = (c->cr0 & ~(u64)CR0_WP) | (chance(&d, 70) ? CR0_WP : 0);
    c->cr4 &= ~(u64)(CR4_SMEP | CR4_SMAP | CR4_PSE);
    c->cr4 |= (chance(&d, 25) ? CR4_SMEP : 0) | (chance(&d, 25) ? CR4_SMAP : 0) | (chance(&d, 80) ? CR4_PSE : 0);
    c->efer = (c->efer & ~(u64)EFER_NXE) | (chance(&d, 80) ? EFER_NXE : 0);
    shadow_select(v);
}

static void set_format(enum shadow_format f)
{
    struct cpu *c = &v->cpu;
    format = f;
    c->cr0 = CR0_PE | (f == SHADOW_OFF ? 0 : CR0_PG);
    c->cr4 = f >= SHADOW_PAE ? CR4_PAE : CR4_PSE;
    c->efer = f == SHADOW_4LEVEL ? EFER_LME | EFER_LMA : 0;
    do_load_cr3();
    do_change_mode();
}

static void do_change_format(void) { set_format((enum shadow_format)below(&d, 4)); }
static void do_disturb(void) { shadow_disturb(&m->vm, roll(&d)); }
static void do_reset(void) { shadow_reset(&m->vm); }

struct operation {
    void (*run)(void);
    unsigned weight;
};

/* A guest that stays in its format, and one that does not. */
static const struct operation usual[] = {{do_access, 500}, {do_dma, 20}, {do_watch_code, 8}, {do_load_cr3, 12},
                                         {do_change_mode, 3}, {do_disturb, 4}, {do_reset, 1}};
static const struct operation mixed[] = {{do_access, 500}, {do_dma, 20}, {do_watch_code, 8}, {do_load_cr3, 12},
                                         {do_change_mode, 3}, {do_disturb, 4}, {do_change_format, 12}};

static void run_one(const struct operation *operations, unsigned count)
{
    unsigned total = 0, n = 0;
    for (unsigned i = 0; i < count; i++)
        total += operations[i].weight;
    unsigned left = (unsigned)below(&d, total);
    while (left >= operations[n].weight)
        left -= operations[n++].weight;
    operations[n].run();
}

/* ---- Setting up --------------------------------------------------------------------------------- */

static void create(u32 pages, u32 spaces)
{
    m = machine_new();
    v = &m->v;
    m->vm.config.model = cpu_model_find("max");
    mode_protected(m);
    memset(flat, 0, sizeof flat);
    memset(hot, 0, sizeof hot);
    drops = drops_of_all = successes = faults = flat_hits = 0;
    assert_int_equal(shadow_create(&m->vm, &(struct shadow_config){pages, spaces}, &listener), STATUS_OK);
    s = m->vm.shadow;
    memcpy(mirror, m->vm.memory.ram, MACHINE_RAM);
}

static void destroy(void)
{
    shadow_destroy(&m->vm);
    assert_null(m->vm.shadow);
    for (u64 at = 0; at < MACHINE_RAM; at += PAGE_SIZE)
        if (in_ram(at))
            assert_false(physmem_frame(&m->vm.memory, gpa(at))->flags & FRAME_SHADOW);
    machine_free(m);
}

/* The arena anew, as a device would write it. */
static void fill_tables(void)
{
    for (u64 at = ARENA; at < ARENA_END; at += entry_bytes()) {
        u64 entry = random_entry();
        phys_write(&m->vm, gpa(at), &entry, entry_bytes());
        mirror_write(at, &entry, entry_bytes());
    }
}

struct history {
    enum shadow_format format;
    bool changes_format;
    u32 pages, spaces;
    u64 seed;
};

static void run_history(const struct history *h)
{
    d.state = h->seed;
    create(h->pages, h->spaces);
    set_format(h->format);
    for (unsigned n = 0; n < OPERATIONS; n++) {
        if (n % 2000 == 0)
            fill_tables();
        h->changes_format ? run_one(mixed, ARRAY_LEN(mixed)) : run_one(usual, ARRAY_LEN(usual));
        if (memcmp(mirror + ARENA, m->vm.memory.ram + ARENA, PAGES * PAGE_SIZE))
            fail_msg("memory differs after operation %u", n);
        assert_honest(hot[below(&d, ARRAY_LEN(hot))]);
        if (n % 256 == 0)
            assert_structure();
    }
    /* The history was worth it. */
    assert_true(successes > OPERATIONS / 4);
    assert_true(h->format == SHADOW_OFF || faults > OPERATIONS / 20);
    assert_true(flat_hits > OPERATIONS / 20);
    assert_true(h->format == SHADOW_OFF || (s->stats.fills > 1000 && drops > 200));
    assert_int_equal(s->pool.in_use <= h->pages, true);
    destroy();
}

static void random_histories(void **state)
{
    static const struct history histories[] = {
        {SHADOW_OFF, false, 64, 2, 11},    {SHADOW_32BIT, false, 300, 8, 22}, {SHADOW_PAE, false, 300, 8, 33},
        {SHADOW_4LEVEL, false, 300, 8, 44}, {SHADOW_32BIT, false, 16, 1, 55},  {SHADOW_PAE, false, 16, 3, 66},
        {SHADOW_4LEVEL, false, 16, 3, 77},  {SHADOW_4LEVEL, true, 400, 8, 88}, {SHADOW_4LEVEL, true, 24, 5, 99},
    };
    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(histories); n++)
        run_history(&histories[n]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
