/* Page references form a tree of two levels: a root is an array of leaves, a leaf one pool page of LEAF_PAGES
 * references. Reference 0 is a page of zeros, or a leaf of such pages. Leaves and pages are shared and counted; a
 * leaf that only one root has is changed in place, one that several have is copied first. */
#include "replay/checkpoint.h"

#include "core/host.h"
#include "core/panic.h"
#include "mmu/access.h"
#include "replay/snapshot.h"

enum { LEAF_PAGES = PAGE_SIZE / sizeof(u32), POOL_PAGES_MIN = 64 };

/* Near the present place checkpoints may be this far apart. */
#define NEAR_INSNS 5000ull

struct checkpoint {
    u64 icount;
    u8 note[CHECKPOINT_NOTE_MAX];
    struct machine_state state;
};

struct checkpoints {
    struct vm *vm;
    u32 leaves;         /* of a root */
    u32 count;
    u32 pool_pages;     /* references 1..pool_pages */
    u32 pool_top;       /* references above it have never been used */
    u32 pool_used, pool_free; /* pages in use; head of the list of free ones, 0 if none */
    u64 epoch;          /* pages not written since hold what `present` says */
    u32 order[CHECKPOINTS_MAX]; /* order[0..count-1]: places in `slots`, by icount; the rest: free places */
    struct checkpoint *slots;
    u32 *roots;   /* CHECKPOINTS_MAX + 1 of them; the last is `present` */
    u32 *counts;  /* how many roots or leaves refer to a pool page; its successor in the free list */
    u8 *pool;
};

static u64 counts_bytes(const struct checkpoints *c) { return (c->pool_pages + 1ull) * sizeof(u32); }
static u64 pool_bytes(const struct checkpoints *c) { return (u64)c->pool_pages << PAGE_SHIFT; }
static u64 roots_bytes(const struct checkpoints *c) { return (CHECKPOINTS_MAX + 1ull) * c->leaves * sizeof(u32); }
static u64 slots_bytes(void) { return CHECKPOINTS_MAX * sizeof(struct checkpoint); }

static void release(void *memory, u64 bytes)
{
    if (memory)
        host_free(memory, bytes);
}

void checkpoints_destroy(struct checkpoints *c)
{
    release(c->pool, pool_bytes(c));
    release(c->counts, counts_bytes(c));
    release(c->roots, roots_bytes(c));
    release(c->slots, slots_bytes());
    host_free(c, sizeof *c);
}

enum status checkpoints_create(struct vm *vm, u64 budget, struct checkpoints **result)
{
    u64 pages = budget >> PAGE_SHIFT;
    if (pages < POOL_PAGES_MIN || pages > UINT32_MAX - 1)
        return STATUS_BAD_ARGUMENT;
    struct checkpoints *c = host_alloc(sizeof *c);
    if (!c)
        return STATUS_NO_MEMORY;
    c->vm = vm;
    c->leaves = (u32)((physmem_pages(&vm->memory) + LEAF_PAGES - 1) / LEAF_PAGES);
    c->pool_pages = (u32)pages;
    c->epoch = 1; /* pages that were never written are zero */
    c->slots = host_alloc(slots_bytes());
    c->roots = host_alloc(roots_bytes(c));
    c->counts = host_alloc(counts_bytes(c));
    c->pool = host_alloc(pool_bytes(c));
    if (!c->slots || !c->roots || !c->counts || !c->pool) {
        checkpoints_destroy(c);
        return STATUS_NO_MEMORY;
    }
    for (u32 n = 0; n < CHECKPOINTS_MAX; n++)
        c->order[n] = n;
    *result = c;
    return STATUS_OK;
}

static u32 *root(const struct checkpoints *c, u32 slot) { return c->roots + (u64)slot * c->leaves; }
static u32 *present(const struct checkpoints *c) { return root(c, CHECKPOINTS_MAX); }
static u8 *pool_page(const struct checkpoints *c, u32 reference)
{
    return c->pool + ((u64)(reference - 1) << PAGE_SHIFT);
}

static u32 *leaf_of(const struct checkpoints *c, u32 reference) { return (u32 *)(void *)pool_page(c, reference); }

/* ---- The pool ----------------------------------------------------------------------------------- */

/* A pool page with one reference, or 0. */
static u32 pool_take(struct checkpoints *c)
{
    u32 reference = c->pool_free;
    if (reference)
        c->pool_free = c->counts[reference];
    else if (c->pool_top < c->pool_pages)
        reference = ++c->pool_top;
    else
        return 0;
    c->counts[reference] = 1;
    c->pool_used++;
    return reference;
}

static bool pool_drop(struct checkpoints *c, u32 reference)
{
    if (--c->counts[reference])
        return false;
    c->counts[reference] = c->pool_free;
    c->pool_free = reference;
    c->pool_used--;
    return true;
}

static void drop_page(struct checkpoints *c, u32 reference)
{
    if (reference)
        pool_drop(c, reference);
}

static void drop_leaf(struct checkpoints *c, u32 reference)
{
    if (!reference)
        return;
    if (c->counts[reference] == 1)
        for (unsigned n = 0; n < LEAF_PAGES; n++)
            drop_page(c, leaf_of(c, reference)[n]);
    pool_drop(c, reference);
}

/* ---- Thinning ----------------------------------------------------------------------------------- */

static struct checkpoint *at(const struct checkpoints *c, unsigned number) { return &c->slots[c->order[number]]; }

static void forget(struct checkpoints *c, unsigned number)
{
    u32 slot = c->order[number];
    for (u32 n = 0; n < c->leaves; n++) {
        drop_leaf(c, root(c, slot)[n]);
        root(c, slot)[n] = 0;
    }
    for (unsigned n = number; n + 1 < c->count; n++)
        c->order[n] = c->order[n + 1];
    c->order[--c->count] = slot;
}

/* What giving up a checkpoint costs: the gap that it leaves, relative to the gap that is fair in its place: a quarter
 * of the distance from here, but not more than a part of the whole run. */
struct cost {
    u64 gap, fair;
};

static struct cost cost_of(const struct checkpoints *c, unsigned number, u64 here)
{
    u64 icount = at(c, number)->icount, before = at(c, number - 1)->icount;
    u64 after = number + 1 < c->count ? at(c, number + 1)->icount : here > icount ? here : icount;
    u64 distance = here > icount ? here - icount : icount - here, last = at(c, c->count - 1)->icount;
    u64 far = (last > here ? last : here) / 32;
    return (struct cost){.gap = after - before, .fair = NEAR_INSNS + (distance / 4 < far ? distance / 4 : far)};
}

static bool cheaper(struct cost a, struct cost b) { return (u128)a.gap * b.fair < (u128)b.gap * a.fair; }

/* Gives one up; the first stays, because everything is reached from it. False if there is no other. */
static bool thin(struct checkpoints *c)
{
    u64 here = c->vm->vcpu[0]->cpu.icount;
    if (c->count < 2)
        return false;
    unsigned victim = 1;
    for (unsigned n = 2; n < c->count; n++)
        if (cheaper(cost_of(c, n, here), cost_of(c, victim, here)))
            victim = n;
    forget(c, victim);
    return true;
}

static u32 pool_take_or_thin(struct checkpoints *c)
{
    u32 reference;
    while (!(reference = pool_take(c)))
        if (!thin(c))
            return 0;
    return reference;
}

/* ---- Taking ------------------------------------------------------------------------------------- */

static bool page_is_zero(const u8 *page)
{
    for (unsigned n = 0; n < PAGE_SIZE; n += sizeof(u64)) {
        u64 word;
        memcpy(&word, page + n, sizeof word);
        if (word)
            return false;
    }
    return true;
}

/* Leaf n of `present`, for changing: nobody else's. NULL if there is no room. */
static u32 *leaf_open(struct checkpoints *c, u32 n)
{
    u32 *entry = &present(c)[n], old = *entry;
    if (old && c->counts[old] == 1)
        return leaf_of(c, old);
    u32 fresh = pool_take_or_thin(c);
    if (!fresh)
        return NULL;
    u32 *leaf = leaf_of(c, fresh);
    if (old)
        memcpy(leaf, leaf_of(c, old), PAGE_SIZE);
    else
        memset(leaf, 0, PAGE_SIZE);
    for (unsigned i = 0; i < LEAF_PAGES; i++)
        if (leaf[i])
            c->counts[leaf[i]]++;
    drop_leaf(c, old);
    *entry = fresh;
    return leaf;
}

static bool page_agrees(const struct checkpoints *c, u32 reference, const u8 *host)
{
    return reference ? !memcmp(pool_page(c, reference), host, PAGE_SIZE) : page_is_zero(host);
}

/* Makes `present` hold what page `page` of RAM holds. False if there is no room. */
static bool store_page(struct checkpoints *c, u64 page, const u8 *host)
{
    u32 n = (u32)(page / LEAF_PAGES), i = page % LEAF_PAGES;
    u32 reference = present(c)[n] ? leaf_of(c, present(c)[n])[i] : 0;
    if (page_agrees(c, reference, host))
        return true;
    u32 fresh = 0;
    if (!page_is_zero(host)) {
        fresh = pool_take_or_thin(c);
        if (!fresh)
            return false;
        memcpy(pool_page(c, fresh), host, PAGE_SIZE);
    }
    u32 *leaf = leaf_open(c, n);
    if (!leaf) {
        drop_page(c, fresh);
        return false;
    }
    drop_page(c, leaf[i]);
    leaf[i] = fresh;
    return true;
}

static bool store_written(struct checkpoints *c)
{
    const struct physmem *m = &c->vm->memory;
    u64 end = physmem_pages(m);
    for (u64 page = physmem_newest(m); page != end && physmem_written_since(m, page, c->epoch);
         page = physmem_next_written(m, page)) {
        const u8 *host = physmem_pointer(m, physmem_page_address(m, page));
        if (host && !store_page(c, page, host))
            return false;
    }
    return true;
}

static void copy_root(struct checkpoints *c, u32 *to, const u32 *from)
{
    for (u32 n = 0; n < c->leaves; n++) {
        if (from[n])
            c->counts[from[n]]++;
        drop_leaf(c, to[n]);
        to[n] = from[n];
    }
}

enum status checkpoints_take(struct checkpoints *c, const void *note, size_t bytes)
{
    invariant(bytes <= CHECKPOINT_NOTE_MAX);
    u64 icount = c->vm->vcpu[0]->cpu.icount;
    int before = checkpoints_find(c, icount);
    if (before >= 0 && at(c, (unsigned)before)->icount == icount)
        return STATUS_OK;
    if (c->count == CHECKPOINTS_MAX)
        thin(c);
    if (!store_written(c))
        return STATUS_TOO_BIG;
    c->epoch = phys_track_writes(c->vm);
    u32 slot = c->order[c->count], place = (u32)(checkpoints_find(c, icount) + 1);
    for (u32 n = c->count++; n > place; n--)
        c->order[n] = c->order[n - 1];
    c->order[place] = slot;
    c->slots[slot].icount = icount;
    memcpy(c->slots[slot].note, note, bytes);
    machine_state_save(c->vm, &c->slots[slot].state);
    copy_root(c, root(c, slot), present(c));
    return STATUS_OK;
}

/* ---- Going back --------------------------------------------------------------------------------- */

static void load_page(struct checkpoints *c, u64 page, u32 reference)
{
    static const u8 zeros[PAGE_SIZE];
    const struct physmem *m = &c->vm->memory;
    gpa_t to = physmem_page_address(m, page);
    if (page < physmem_pages(m) && physmem_pointer(m, to))
        phys_write(c->vm, to, reference ? pool_page(c, reference) : zeros, PAGE_SIZE); /* engines forget what they knew */
}

/* What is written since the last checkpoint, or the last going to one. */
static void load_written(struct checkpoints *c, const u32 *root)
{
    const struct physmem *m = &c->vm->memory;
    u64 end = physmem_pages(m), next;
    for (u64 page = physmem_newest(m); page != end && physmem_written_since(m, page, c->epoch); page = next) {
        next = physmem_next_written(m, page); /* loading it moves it to the list's head */
        u32 leaf = root[page / LEAF_PAGES];
        load_page(c, page, leaf ? leaf_of(c, leaf)[page % LEAF_PAGES] : 0);
    }
}

/* What differs without having been written since. */
static void load_leaf(struct checkpoints *c, u32 n, u32 old, u32 fresh)
{
    const struct physmem *m = &c->vm->memory;
    for (unsigned i = 0; i < LEAF_PAGES; i++) {
        u64 page = (u64)n * LEAF_PAGES + i;
        u32 was = old ? leaf_of(c, old)[i] : 0, is = fresh ? leaf_of(c, fresh)[i] : 0;
        if (was != is && page < physmem_pages(m) && !physmem_written_since(m, page, c->epoch))
            load_page(c, page, is);
    }
}

void checkpoints_restore(struct checkpoints *c, unsigned number, void *note, size_t bytes)
{
    invariant(number < c->count && bytes <= CHECKPOINT_NOTE_MAX);
    const struct checkpoint *k = at(c, number);
    const u32 *fresh = root(c, c->order[number]);
    load_written(c, fresh);
    for (u32 n = 0; n < c->leaves; n++)
        if (present(c)[n] != fresh[n])
            load_leaf(c, n, present(c)[n], fresh[n]);
    copy_root(c, present(c), fresh);
    machine_state_load(c->vm, &k->state);
    c->epoch = phys_track_writes(c->vm);
    memcpy(note, k->note, bytes);
}

/* ---- Questions ---------------------------------------------------------------------------------- */

int checkpoints_find(const struct checkpoints *c, u64 icount)
{
    u32 low = 0, high = c->count;
    while (low < high) {
        u32 middle = (low + high) / 2;
        if (at(c, middle)->icount <= icount)
            low = middle + 1;
        else
            high = middle;
    }
    return (int)low - 1;
}

unsigned checkpoints_count(const struct checkpoints *c) { return c->count; }
u64 checkpoints_icount(const struct checkpoints *c, unsigned number) { return at(c, number)->icount; }
u64 checkpoints_bytes(const struct checkpoints *c) { return (u64)c->pool_used << PAGE_SHIFT; }

void checkpoints_drop_after(struct checkpoints *c, u64 icount)
{
    while (c->count && at(c, c->count - 1)->icount > icount)
        forget(c, c->count - 1);
}
