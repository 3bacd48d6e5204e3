/* Every entry is looked at once, and every list is followed once. A list holds only entries that name its head, so lists
 * are disjoint; if they are as long together as there are entries that name something, each entry is in its list. */
#include "mmu/shadow_audit.h"

#include "mmu/shadow_state.h"

struct audit {
    const struct vm *vm;
    const struct shadow *s;
    u64 naming, named;    /* entries that name tables; those that lists of parents hold */
    u64 writing, written; /* writable entries of pages; those that lists of writers hold */
    u32 used;
};

static const char *audit_table_entry(struct audit *a, u64 entry, unsigned level)
{
    const struct shadow_pool *p = &a->s->pool;
    u64 child = shadow_entry_frame(entry) - a->s->domain.tables.first;
    if (!child || child >= p->capacity || !p->pages[child].used)
        return "an entry names a table that there is not";
    if (shadow_key_level(p->pages[child].key) != level - 1)
        return "an entry names a table of another level";
    a->naming++;
    return NULL;
}

static const char *audit_page_entry(struct audit *a, u64 entry)
{
    u64 frame = shadow_entry_frame(entry) - a->s->domain.memory.first;
    if (frame >= a->s->frames)
        return "an entry maps a frame that is not the VM's";
    if (!(entry & SHADOW_WRITABLE))
        return NULL;
    if ((entry & SHADOW_TRACED) || (a->s->frame[frame].flags & FRAME_WATCHED))
        return "an entry lets a watched frame be written";
    a->writing++;
    return NULL;
}

static const char *audit_entries(struct audit *a, u32 n)
{
    const struct shadow_pool *p = &a->s->pool;
    const char *wrong = NULL;
    unsigned present = 0, level = shadow_key_level(p->pages[n].key);
    for (unsigned slot = 0; slot < SHADOW_SLOTS && !wrong; slot++) {
        u64 entry = p->entries[shadow_entry_id(n, slot)];
        if (!entry)
            continue;
        present++;
        if (!(entry & SHADOW_PRESENT) || !(entry & SHADOW_USER))
            return "an entry is neither empty nor there for translated code";
        wrong = level ? audit_table_entry(a, entry, level) : audit_page_entry(a, entry);
    }
    if (!wrong && present != p->pages[n].present)
        return "a page's count of entries is wrong";
    return wrong;
}

/* The list `head`: `page`: of entries that name this table; 0: of writable ones that map `frame`. */
static const char *audit_list(const struct audit *a, u32 head, u32 page, u64 frame, u64 *length)
{
    const struct shadow_pool *p = &a->s->pool;
    u64 wanted = page ? a->s->domain.tables.first + page : a->s->domain.memory.first + frame;
    u64 most = page ? a->naming : a->writing;
    for (u32 e = head, before = 0; e; before = e, e = p->next[e]) {
        if (e >= p->capacity * SHADOW_SLOTS || p->previous[e] != before || ++*length > most)
            return "a list of entries is broken";
        bool table = shadow_key_level(p->pages[shadow_entry_page(e)].key) > 0;
        u64 entry = p->entries[e];
        if (table != (page != 0) || shadow_entry_frame(entry) != wanted || (!page && !(entry & SHADOW_WRITABLE)))
            return "a list holds an entry that does not name its head";
    }
    return NULL;
}

static const char *audit_page(struct audit *a, u32 n)
{
    const struct shadow_page *page = &a->s->pool.pages[n];
    a->used++;
    if (shadow_key_traced(page->key)) {
        const struct frame *frame = physmem_frame(&a->vm->memory, gpa(page->key.base));
        if (!frame || !(frame->flags & FRAME_SHADOW))
            return "a table derives from a frame whose writes nobody sees";
    }
    if (shadow_pool_find(&a->s->pool, page->key) != n)
        return "a page cannot be found by its key";
    return audit_entries(a, n);
}

/* A page is in use or free, not both. */
static const char *audit_free(const struct audit *a)
{
    const struct shadow_pool *p = &a->s->pool;
    u32 count = 0;
    for (u32 n = p->free; n; n = p->pages[n].next) {
        const struct shadow_page *page = &p->pages[n];
        if (n >= p->capacity || ++count > p->capacity)
            return "the list of free pages is broken";
        if (page->used || page->parents || page->present)
            return "a free page is in use";
    }
    if (a->used != p->in_use || a->used + count != p->capacity - 1)
        return "a page is neither in use nor free";
    return NULL;
}

static const char *audit_roots(const struct audit *a)
{
    for (unsigned n = 0; n < a->s->spaces; n++)
        for (unsigned view = 0; view < SHADOW_VIEWS; view++) {
            u32 root = a->s->space[n].root[view];
            const struct shadow_page *page = &a->s->pool.pages[root];
            if (root && (root >= a->s->pool.capacity || !page->used || !(page->roots[view] >> n & 1) ||
                         shadow_key_level(page->key) != SHADOW_LEVELS - 1))
                return "an address space has a root that does not know of it";
        }
    return NULL;
}

static const char *audit_lists(struct audit *a)
{
    const struct shadow_pool *p = &a->s->pool;
    const char *wrong = NULL;
    for (u32 n = 1; n < p->capacity && !wrong; n++)
        wrong = audit_list(a, p->pages[n].parents, n, 0, &a->named);
    for (u64 frame = 0; frame < a->s->frames && !wrong; frame++)
        wrong = audit_list(a, a->s->writers[frame], 0, frame, &a->written);
    if (!wrong && (a->named != a->naming || a->written != a->writing))
        return "an entry is not in the list of what it names";
    return wrong;
}

const char *shadow_audit(const struct vm *vm)
{
    struct audit a = {.vm = vm, .s = vm->shadow};
    const struct shadow_pool *p = &vm->shadow->pool;
    const char *wrong = p->pages[0].used ? "page 0 is in use" : NULL;
    for (u32 n = 1; n < p->capacity && !wrong; n++)
        if (p->pages[n].used)
            wrong = audit_page(&a, n);
    if (!wrong)
        wrong = audit_free(&a);
    if (!wrong)
        wrong = audit_lists(&a);
    return wrong ? wrong : audit_roots(&a);
}
