/* Making shadow entries from a guest walk that has succeeded. */
#include "mmu/shadow_state.h"

/* One fill. */
struct fill {
    struct vcpu *v;
    struct shadow *s;
    const struct shadow_space *space;
    const struct walk_result *walk;
    const struct walk_path *path;
    enum tlb_rights view;
    u64 linear;
};

static const struct walk_rights all_rights = {true, true, true};

/* Which entry of the path a shadow level's entry stands for: -1 if the guest's format begins below it. */
static int path_index(const struct fill *f, unsigned level)
{
    unsigned top = f->space->key.format == SHADOW_4LEVEL ? 3 : 1;
    return (int)top - (int)level;
}

/* True where the guest has no table any more: inside a large page, or without paging. */
static bool is_direct(const struct fill *f, unsigned level)
{
    return f->space->key.format == SHADOW_OFF || path_index(f, level) >= f->path->levels;
}

/* The rights that the guest's entries before (after: and at) a level add up to. */
static struct walk_rights path_rights(const struct fill *f, unsigned level, bool after)
{
    int n = is_direct(f, level) ? f->path->levels : path_index(f, level) + after;
    return n > 0 ? f->path->after[n - 1] : all_rights;
}

static unsigned slot_of(u64 linear, unsigned level) { return linear >> shadow_shift(level) & (SHADOW_SLOTS - 1); }

/* Rights that a view does not ask for count as given, so that more address spaces share a page. */
static u32 role_rights(u32 policy, struct walk_rights r)
{
    bool asks_user = policy & (ROLE_USER_VIEW | ROLE_HIDE_USER | ROLE_SMEP);
    bool asks_writable = policy & (ROLE_USER_VIEW | ROLE_WRITE_PROTECT);
    return (r.user || !asks_user ? ROLE_USER : 0) | (r.writable || !asks_writable ? ROLE_WRITABLE : 0) |
           (r.executable ? ROLE_EXECUTABLE : 0);
}

static u32 quadrant(const struct fill *f, unsigned level)
{
    unsigned n = level == 1 ? f->linear >> 30 & 3 : f->linear >> 21 & 1;
    return f->space->key.format == SHADOW_32BIT ? n << ROLE_QUADRANT_SHIFT : 0;
}

static u32 role_source(enum shadow_source source) { return (u32)source << ROLE_SOURCE_SHIFT; }

static struct shadow_key key_of(const struct fill *f, unsigned level)
{
    static const u8 sources[] = {SOURCE_DIRECT, SOURCE_32BIT, SOURCE_PAE, SOURCE_4LEVEL};
    u32 policy = f->space->policy[f->view], role = level | role_rights(policy, path_rights(f, level, false));
    if (is_direct(f, level)) {
        u64 span = (u64)SHADOW_SLOTS << shadow_shift(level);
        role |= role_source(SOURCE_DIRECT) | (f->path->dirty ? ROLE_DIRTY : 0);
        return (struct shadow_key){f->walk->page.raw & ~(span - 1), role | (policy & ~(ROLE_NXE | ROLE_PSE))};
    }
    int n = path_index(f, level);
    if (n < 0)
        return (struct shadow_key){f->space->serial << PAGE_SHIFT, role | policy | role_source(SOURCE_SYNTHETIC)};
    role |= policy | role_source((enum shadow_source)sources[f->space->key.format]) | quadrant(f, level);
    return (struct shadow_key){f->path->table[n], role};
}

/* Makes room and takes a page; 0 if every page is pinned. */
static u32 take_page(struct fill *f, struct shadow_key key)
{
    struct shadow *s = f->s;
    u32 n = shadow_pool_take(&s->pool, key);
    if (n)
        return n;
    u32 victim = shadow_pool_victim(&s->pool, s->pin);
    if (!victim)
        return 0;
    s->stats.evictions++;
    shadow_drop_page(f->v->vm, victim);
    return shadow_pool_take(&s->pool, key);
}

static u32 use_page(struct shadow *s, u32 n)
{
    s->pool.pages[n].pin = s->pin;
    s->pool.pages[n].referenced = true;
    return n;
}

static u32 get_page(struct fill *f, struct shadow_key key)
{
    struct shadow *s = f->s;
    u32 n = shadow_pool_find(&s->pool, key);
    if (!n) {
        n = take_page(f, key);
        if (n && shadow_key_traced(key))
            phys_watch_shadow(f->v->vm, gpa(key.base));
    }
    return use_page(s, n);
}

static u32 get_root(struct fill *f)
{
    struct shadow *s = f->s;
    u32 number = (u32)(f->space - s->space), *root = &s->space[number].root[f->view];
    if (!*root) {
        *root = get_page(f, key_of(f, SHADOW_LEVELS - 1));
        s->pool.pages[*root].roots[f->view] |= *root ? 1ull << number : 0;
    }
    return use_page(s, *root);
}

static struct shadow_request request_for(const struct fill *f, unsigned level)
{
    u32 policy = f->space->policy[f->view];
    struct walk_rights r = path_rights(f, level, true);
    return (struct shadow_request){
        .table = level > 0,
        .present = true,
        .accessed = true,
        .user = r.user,
        .writable = r.writable,
        .executable = r.executable,
        .dirty = f->path->dirty,
        .user_view = policy & ROLE_USER_VIEW,
        .hide_user = policy & ROLE_HIDE_USER,
        .write_protect = policy & ROLE_WRITE_PROTECT,
        .smep = policy & ROLE_SMEP,
    };
}

/* The page that entry e names, after making it name the right one; 0 if there is no room. What derives from guest
 * tables is the right one if it is there at all. */
static u32 descend(struct fill *f, u32 e, unsigned level)
{
    struct shadow *s = f->s;
    u64 *entry = shadow_at(s, e);
    if (*entry && !is_direct(f, level - 1))
        return use_page(s, shadow_child(s, *entry));
    struct shadow_key key = key_of(f, level - 1);
    u32 child = get_page(f, key);
    if (!child || (*entry && shadow_child(s, *entry) == child))
        return child;
    shadow_drop_entry(s, e); /* the same large page, not dirty until now */
    struct shadow_request r = request_for(f, level);
    r.frame = s->domain.tables.first + child;
    shadow_entry_write(entry, &s->domain, &r);
    if (!*entry)
        return 0;
    shadow_pool_link(&s->pool, &s->pool.pages[child].parents, e);
    shadow_page_of(s, e)->present++;
    return child;
}

/* Rights may have been added to an entry that is there: D has been set, or nobody watches the page any more. */
static void map_page(struct fill *f, u32 e)
{
    struct shadow *s = f->s;
    struct physmem *memory = &f->v->vm->memory;
    u64 number = physmem_offset(memory, f->walk->page) >> PAGE_SHIFT, *entry = shadow_at(s, e), made, old = *entry;
    struct shadow_request r = request_for(f, 0);
    r.frame = s->domain.memory.first + number;
    r.watched = memory->frames[number].flags & FRAME_WATCHED;
    shadow_entry_write(&made, &s->domain, &r);
    u64 kept = SHADOW_ACCESSED | SHADOW_DIRTY;
    if (made == (old & ~kept))
        return;
    if ((old ^ made) & ~(kept | SHADOW_WRITABLE | SHADOW_TRACED) || (old & SHADOW_WRITABLE)) {
        shadow_drop_entry(s, e);
        old = 0;
    }
    shadow_entry_write(entry, &s->domain, &r);
    *entry |= old & kept;
    if (*entry & SHADOW_WRITABLE)
        shadow_pool_link(&s->pool, &s->writers[number], e);
    if (*entry && !old)
        shadow_page_of(s, e)->present++;
}

void shadow_fill(struct vcpu *v, enum tlb_rights view, u64 linear, const struct walk_result *walk,
                 const struct walk_path *path)
{
    struct shadow *s = v->vm->shadow;
    struct fill f = {.v = v, .s = s, .space = &s->space[s->current[v->index]], .walk = walk, .path = path,
                     .view = view, .linear = linear};
    s->pin++;
    s->stats.fills++;
    u32 page = get_root(&f);
    for (unsigned level = SHADOW_LEVELS - 1; page && level > 0; level--) {
        s->pool.pages[page].writes = 0;
        page = descend(&f, shadow_entry_id(page, slot_of(linear, level)), level);
    }
    if (!page)
        return;
    s->pool.pages[page].writes = 0;
    map_page(&f, shadow_entry_id(page, slot_of(linear, 0)));
}
