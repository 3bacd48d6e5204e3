/* Taking shadow entries away, and telling who may have used them.
 *
 * A page may be shared: what one entry meant is found by climbing from its page through all entries that name it, up to
 * the roots. Only entries with A set were ever used. A guest can build tables that one page is reached through
 * in millions of ways; then everything is dropped at once instead. */
#include "mmu/shadow_state.h"

enum { REPORTS = 4096 }; /* climbing steps of one operation */

void shadow_begin(struct shadow *s) { s->budget = REPORTS; }

/* False if the operation has taken too long, and everything has been dropped. */
static bool spend(struct shadow *s)
{
    if (s->budget && --s->budget == 0 && s->listener.drop_all)
        s->listener.drop_all(s->listener.self);
    return s->budget != 0;
}

static void report(struct shadow *s, const struct shadow_page *root, struct shadow_drop what)
{
    what.linear = (u64)((s64)(what.linear << 16) >> 16);
    for (unsigned view = 0; view < SHADOW_VIEWS; view++) {
        for (u64 users = root->roots[view]; users; users &= users - 1) {
            what.view = (u8)view;
            what.space = (u8)__builtin_ctzll(users);
            s->listener.drop(s->listener.self, &what);
        }
    }
}

/* `what.linear` is relative to what page n maps. The depth of recursion is the number of levels. */
static void climb(struct shadow *s, u32 n, struct shadow_drop what)
{
    const struct shadow_page *page = &s->pool.pages[n];
    if (!spend(s))
        return;
    if (shadow_key_level(page->key) == SHADOW_LEVELS - 1)
        report(s, page, what);
    for (u32 e = page->parents; e && s->budget; e = s->pool.next[e]) {
        if (!(s->pool.entries[e] & SHADOW_ACCESSED))
            continue;
        struct shadow_drop up = what;
        up.linear += (u64)shadow_entry_slot(e) << shadow_shift(shadow_key_level(shadow_page_of(s, e)->key));
        climb(s, shadow_entry_page(e), up);
    }
}

/* Reports what was used below page `child`, which page n maps at `linear` of its own. */
static void report_below(struct shadow *s, u32 n, u64 linear, u32 child)
{
    unsigned level = shadow_key_level(s->pool.pages[child].key);
    unsigned first = SHADOW_SLOTS, last = 0;
    for (unsigned slot = 0; slot < SHADOW_SLOTS && s->budget; slot++) {
        u64 entry = s->pool.entries[shadow_entry_id(child, slot)];
        if (!(entry & SHADOW_ACCESSED))
            continue;
        if (level > 0 && spend(s))
            report_below(s, n, linear + ((u64)slot << shadow_shift(level)), shadow_child(s, entry));
        first = slot < first ? slot : first;
        last = slot;
    }
    if (level == 0 && first <= last)
        climb(s, n, (struct shadow_drop){
                        .linear = linear + ((u64)first << PAGE_SHIFT), .pages = last - first + 1, .code = true});
}

static void report_entry(struct shadow *s, u32 e)
{
    u64 entry = s->pool.entries[e];
    if (!(entry & SHADOW_ACCESSED) || !s->listener.drop)
        return;
    unsigned level = shadow_key_level(shadow_page_of(s, e)->key);
    u64 linear = (u64)shadow_entry_slot(e) << shadow_shift(level);
    if (level == 0) {
        bool code = s->frame[shadow_entry_frame(entry) - s->domain.memory.first].flags & FRAME_CODE;
        climb(s, shadow_entry_page(e), (struct shadow_drop){.linear = linear, .pages = 1, .code = code});
        return;
    }
    report_below(s, shadow_entry_page(e), linear, shadow_child(s, entry));
}

void shadow_report_protected(struct shadow *s, u32 e)
{
    if (!(s->pool.entries[e] & SHADOW_ACCESSED) || !s->listener.drop)
        return;
    u64 linear = (u64)shadow_entry_slot(e) << PAGE_SHIFT;
    climb(s, shadow_entry_page(e), (struct shadow_drop){.linear = linear, .pages = 1, .writes_only = true});
}

static void clear(struct shadow *s, u32 e)
{
    u64 *entry = shadow_at(s, e);
    struct shadow_page *page = shadow_page_of(s, e);
    if (shadow_key_level(page->key) > 0)
        shadow_pool_unlink(&s->pool, &s->pool.pages[shadow_child(s, *entry)].parents, e);
    else if (*entry & SHADOW_WRITABLE)
        shadow_pool_unlink(&s->pool, &s->writers[shadow_entry_frame(*entry) - s->domain.memory.first], e);
    shadow_entry_clear(entry);
    page->present--;
}

void shadow_drop_entry(struct shadow *s, u32 e)
{
    if (!*shadow_at(s, e))
        return;
    report_entry(s, e);
    clear(s, e);
}

static void leave_spaces(struct shadow *s, struct shadow_page *page)
{
    for (unsigned view = 0; view < SHADOW_VIEWS; view++) {
        for (u64 users = page->roots[view]; users; users &= users - 1) {
            unsigned space = (unsigned)__builtin_ctzll(users);
            s->space[space].root[view] = 0;
            if (s->listener.drop_space)
                s->listener.drop_space(s->listener.self, space);
        }
        page->roots[view] = 0;
    }
}

void shadow_drop_page(struct vm *vm, u32 n)
{
    struct shadow *s = vm->shadow;
    struct shadow_page *page = &s->pool.pages[n];
    struct shadow_key key = page->key;
    while (page->parents)
        shadow_drop_entry(s, page->parents);
    leave_spaces(s, page);
    for (u32 e = shadow_entry_id(n, 0); page->present; e++)
        if (*shadow_at(s, e))
            clear(s, e);
    shadow_pool_give(&s->pool, n);
    s->stats.dropped_pages++;
    if (shadow_key_traced(key) && !shadow_pool_first(&s->pool, key.base))
        physmem_frame(&vm->memory, gpa(key.base))->flags &= (u16)~FRAME_SHADOW;
}
