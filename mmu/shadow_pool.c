#include "mmu/shadow_pool.h"

#include "core/host.h"

static u64 pages_bytes(u32 capacity) { return (u64)capacity * PAGE_SIZE; }
static u64 links_bytes(u32 capacity) { return (u64)capacity * SHADOW_SLOTS * sizeof(u32); }

/* Twice as many buckets as pages, in a power of two. */
static u32 bucket_count(u32 capacity)
{
    u32 count = 64;
    while (count < 2 * capacity)
        count *= 2;
    return count;
}

enum status shadow_pool_create(struct shadow_pool *p, u32 capacity)
{
    u32 total = capacity + 1; /* page 0 means none */
    *p = (struct shadow_pool){.capacity = total, .buckets_mask = bucket_count(total) - 1, .hand = 1};
    p->entries = host_alloc(pages_bytes(total));
    p->next = host_alloc(links_bytes(total));
    p->previous = host_alloc(links_bytes(total));
    p->pages = host_alloc(total * sizeof *p->pages);
    p->buckets = host_alloc((p->buckets_mask + 1ull) * sizeof *p->buckets);
    if (!p->entries || !p->next || !p->previous || !p->pages || !p->buckets) {
        shadow_pool_destroy(p);
        return STATUS_NO_MEMORY;
    }
    for (u32 n = total - 1; n > 0; n--) {
        p->pages[n].next = p->free;
        p->free = n;
    }
    return STATUS_OK;
}

static void release(void *memory, u64 bytes)
{
    if (memory)
        host_free(memory, bytes);
}

void shadow_pool_destroy(struct shadow_pool *p)
{
    release(p->entries, pages_bytes(p->capacity));
    release(p->next, links_bytes(p->capacity));
    release(p->previous, links_bytes(p->capacity));
    release(p->pages, p->capacity * sizeof *p->pages);
    release(p->buckets, (p->buckets_mask + 1ull) * sizeof *p->buckets);
    *p = (struct shadow_pool){0};
}

/* By address alone: a write to a guest table finds the pages of every role in one bucket. */
static u32 *bucket(const struct shadow_pool *p, u64 base)
{
    return &p->buckets[((base >> PAGE_SHIFT) * 0x9e3779b97f4a7c15ull >> 32) & p->buckets_mask];
}

u32 shadow_pool_find(const struct shadow_pool *p, struct shadow_key key)
{
    u32 n = *bucket(p, key.base);
    while (n && (p->pages[n].key.base != key.base || p->pages[n].key.role != key.role))
        n = p->pages[n].next;
    return n;
}

static u32 derived_from(const struct shadow_pool *p, u32 n, u64 base)
{
    while (n && (p->pages[n].key.base != base || !shadow_key_traced(p->pages[n].key)))
        n = p->pages[n].next;
    return n;
}

u32 shadow_pool_first(const struct shadow_pool *p, u64 base) { return derived_from(p, *bucket(p, base), base); }

u32 shadow_pool_next(const struct shadow_pool *p, u32 page)
{
    return derived_from(p, p->pages[page].next, p->pages[page].key.base);
}

u32 shadow_pool_take(struct shadow_pool *p, struct shadow_key key)
{
    u32 n = p->free;
    if (!n)
        return 0;
    struct shadow_page *page = &p->pages[n];
    p->free = page->next;
    u32 *head = bucket(p, key.base);
    *page = (struct shadow_page){.key = key, .next = *head, .used = true, .referenced = true};
    *head = n;
    p->in_use++;
    return n;
}

void shadow_pool_give(struct shadow_pool *p, u32 n)
{
    struct shadow_page *page = &p->pages[n];
    u32 *at = bucket(p, page->key.base);
    while (*at != n)
        at = &p->pages[*at].next;
    *at = page->next;
    *page = (struct shadow_page){.next = p->free};
    p->free = n;
    p->in_use--;
}

static bool is_root(const struct shadow_page *page)
{
    u64 users = 0;
    for (unsigned view = 0; view < SHADOW_VIEWS; view++)
        users |= page->roots[view];
    return users != 0;
}

/* First round: clears marks on its way. Second: takes what is unmarked. Third: takes roots too. */
u32 shadow_pool_victim(struct shadow_pool *p, u64 pin)
{
    for (u32 step = 0; step < 3 * p->capacity; step++) {
        u32 n = p->hand;
        p->hand = n + 1 < p->capacity ? n + 1 : 1;
        struct shadow_page *page = &p->pages[n];
        if (!page->used || page->pin == pin)
            continue;
        if (page->referenced) {
            page->referenced = false;
            continue;
        }
        if (!is_root(page) || step >= 2 * p->capacity)
            return n;
    }
    return 0;
}

void shadow_pool_link(struct shadow_pool *p, u32 *head, u32 entry)
{
    p->next[entry] = *head;
    p->previous[entry] = 0;
    if (*head)
        p->previous[*head] = entry;
    *head = entry;
}

void shadow_pool_unlink(struct shadow_pool *p, u32 *head, u32 entry)
{
    u32 next = p->next[entry], previous = p->previous[entry];
    if (previous)
        p->next[previous] = next;
    else
        *head = next;
    if (next)
        p->previous[next] = previous;
}
