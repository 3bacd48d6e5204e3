#include "mmu/window.h"

#include "core/panic.h"
#include "core/vm.h"

enum { WINDOWS_PER_SPACE = TLB_USER_ALIGNED }; /* the first classes of rights */

/* ---- Life --------------------------------------------------------------------------------------- */

enum status windows_create(struct vcpu *v)
{
    if (v->vm->memory.layout != PHYSMEM_SHARED)
        return STATUS_BAD_ARGUMENT;
    u32 count = v->memtable_count * WINDOWS_PER_SPACE;
    u64 bytes = sizeof(struct windows) + count * sizeof(struct window);
    struct windows *all = host_alloc(bytes);
    if (!all)
        return STATUS_NO_MEMORY;
    u64 space_bytes = (count + 1) * WINDOW_STRIDE;
    u8 *space = host_window_alloc(space_bytes);
    if (!space) {
        host_free(all, bytes);
        return STATUS_NO_MEMORY;
    }
    all->memory = &v->vm->memory;
    all->space = space;
    all->space_bytes = space_bytes;
    all->bytes = bytes;
    all->count = count;
    all->nowhere = space + count * WINDOW_STRIDE + WINDOW_BELOW;
    for (u32 n = 0; n < count; n++) {
        all->window[n].all = all;
        all->window[n].base = space + n * WINDOW_STRIDE + WINDOW_BELOW;
        v->memtables[n / WINDOWS_PER_SPACE].window[n % WINDOWS_PER_SPACE] = &all->window[n];
    }
    v->windows = all;
    return STATUS_OK;
}

void windows_destroy(struct vcpu *v)
{
    struct windows *all = v->windows;
    if (!all)
        return;
    for (u32 n = 0; n < v->memtable_count; n++)
        memset(v->memtables[n].window, 0, sizeof v->memtables[n].window);
    host_free(all->space, all->space_bytes);
    host_free(all, all->bytes);
    v->windows = NULL;
}

const u8 *window_base(const struct vcpu *v, const struct memtable *m, enum tlb_rights rights)
{
    return rights < TLB_USER_ALIGNED ? m->window[rights]->base : v->windows->nowhere;
}

bool windows_hold(const struct vcpu *v, u64 host)
{
    return v->windows && host - (u64)v->windows->space < v->windows->space_bytes;
}

/* ---- Bits --------------------------------------------------------------------------------------- */

static bool bit(const u64 *words, u64 page) { return words[page / 64] >> page % 64 & 1; }
static void bit_set(u64 *words, u64 page) { words[page / 64] |= 1ull << page % 64; }
static void bit_clear(u64 *words, u64 page) { words[page / 64] &= ~(1ull << page % 64); }

/* The first page at or behind `page` whose bit is set; `end` if there is none before it. */
static u64 next_set(const u64 *words, u64 page, u64 end)
{
    while (page < end) {
        u64 word = words[page / 64] >> page % 64;
        if (word) {
            page += (u64)__builtin_ctzll(word);
            break;
        }
        page = (page | 63) + 1;
    }
    return page < end ? page : end;
}

static u8 *place(const struct window *w, u64 page) { return w->base + (page << PAGE_SHIFT); }

/* ---- Taking away -------------------------------------------------------------------------------- */

void window_flush(struct window *w)
{
    if (!w || !w->mapped)
        return;
    w->all->unmaps++;
    bool unmapped = host_window_unmap(w->base, WINDOW_BYTES);
    invariant(unmapped);
    for (unsigned n = 0; n < WINDOW_WORDS; n++)
        if (w->present[n])
            w->present[n] = w->writable[n] = 0;
    w->all->mapped -= w->mapped;
    w->mapped = 0;
}

static void unmap_run(struct window *w, u64 page, u64 count)
{
    w->all->unmaps++;
    if (!host_window_unmap(place(w, page), count << PAGE_SHIFT)) {
        window_flush(w);
        return;
    }
    for (u64 n = page; n < page + count; n++) {
        bit_clear(w->present, n);
        bit_clear(w->writable, n);
        bit_set(w->lost, n);
    }
    w->mapped -= (u32)count;
    w->all->mapped -= (u32)count;
}

static void protect_run(struct window *w, u64 page, u64 count)
{
    w->all->unmaps++;
    if (!host_window_protect(place(w, page), count << PAGE_SHIFT)) {
        window_flush(w);
        return;
    }
    for (u64 n = page; n < page + count; n++) {
        bit_clear(w->writable, n);
        bit_set(w->lost, n);
    }
}

void window_drop(struct window *w, u64 page, u64 count, bool writes_only)
{
    u64 pages = WINDOW_BYTES >> PAGE_SHIFT;
    if (!w || !w->mapped || page >= pages)
        return;
    u64 end = count < pages - page ? page + count : pages;
    const u64 *words = writes_only ? w->writable : w->present;
    while ((page = next_set(words, page, end)) < end) {
        u64 run = 1;
        while (page + run < end && bit(words, page + run))
            run++;
        if (writes_only)
            protect_run(w, page, run);
        else
            unmap_run(w, page, run);
        page += run;
    }
}

static void flush_all(struct windows *all)
{
    all->overflows++;
    for (u32 n = 0; n < all->count; n++)
        window_flush(&all->window[n]);
}

/* ---- Mapping ------------------------------------------------------------------------------------ */

/* True if the page has got a right that it had not. */
static bool map_page(struct windows *all, struct memtable *m, u64 page, enum tlb_rights rights)
{
    struct window *w = m->window[rights];
    u64 addend = m->slots[rights][MEMTABLE_READ][page], linear = page << PAGE_SHIFT;
    bool write = m->slots[rights][MEMTABLE_WRITE][page] && m->slots[rights][MEMTABLE_WRITE][page] == addend;
    bool present = bit(w->present, page);
    if (!addend || (present && (!write || bit(w->writable, page))))
        return false;
    all->maps++;
    u64 offset = linear + addend - (u64)all->memory->ram;
    if (!host_window_map(place(w, page), &all->memory->shared, offset, PAGE_SIZE, write)) {
        flush_all(all);
        return false;
    }
    w->mapped += !present;
    all->mapped += !present;
    bit_set(w->present, page);
    if (write)
        bit_set(w->writable, page);
    return true;
}

enum window_result window_map(struct vcpu *v, struct memtable *m, u64 linear, enum tlb_rights rights)
{
    struct windows *all = v->windows;
    u64 page = linear >> PAGE_SHIFT;
    if (rights >= TLB_USER_ALIGNED || linear >= WINDOW_BYTES)
        return WINDOW_NOTHING;
    if (all->mapped >= WINDOW_PAGES_MAX)
        flush_all(all);
    if (!map_page(all, m, page, rights))
        return WINDOW_NOTHING;
    bool again = bit(m->window[rights]->lost, page);
    u64 first = page & ~(u64)(WINDOW_AROUND - 1);
    for (u64 n = first; n < first + WINDOW_AROUND; n++)
        map_page(all, m, n, rights);
    return again ? WINDOW_AGAIN : WINDOW_MAPPED;
}
