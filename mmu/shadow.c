#include "mmu/shadow.h"

#include "core/checked.h"
#include "core/host.h"
#include "mmu/shadow_audit.h"
#include "mmu/shadow_state.h"

enum { PAGES_MIN = 16, PAGES_MAX = 1 << 20 };

const struct shadow_config shadow_config_default = {.pages = 2048, .spaces = 8};

struct shadow_config shadow_config_of(const struct vm *vm)
{
    struct shadow_config config = shadow_config_default;
    if (vm->config.shadow_bytes)
        config.pages = (u32)(vm->config.shadow_bytes / SHADOW_PAGE_BYTES);
    return config;
}

/* ---- Life --------------------------------------------------------------------------------------- */

static u64 writers_bytes(const struct shadow *s) { return s->frames * sizeof *s->writers; }

/* Host frame numbers: the VM's memory in the order of its offsets, then the pool. */
static void set_domain(struct shadow *s)
{
    s->domain.memory = (struct shadow_range){.first = 0, .count = s->frames};
    s->domain.tables = (struct shadow_range){.first = s->frames, .count = s->pool.capacity};
}

enum status shadow_create(struct vm *vm, const struct shadow_config *config, const struct shadow_listener *listener)
{
    if (config->pages < PAGES_MIN || config->pages > PAGES_MAX || !config->spaces ||
        config->spaces > SHADOW_SPACES_MAX)
        return STATUS_BAD_ARGUMENT;
    struct shadow *s = host_alloc(sizeof *s);
    if (!s)
        return STATUS_NO_MEMORY;
    s->spaces = config->spaces;
    s->frames = vm->memory.size >> PAGE_SHIFT;
    s->frame = vm->memory.frames;
    s->chaos = vm->config.chaos.kinds & CHAOS_TLB ? chaos_seed(&vm->config.chaos, CHAOS_TLB) | 1 : 0;
    if (listener)
        s->listener = *listener;
    s->writers = host_alloc(writers_bytes(s));
    if (!s->writers || shadow_pool_create(&s->pool, config->pages) != STATUS_OK) {
        if (s->writers)
            host_free(s->writers, writers_bytes(s));
        host_free(s, sizeof *s);
        return STATUS_NO_MEMORY;
    }
    set_domain(s);
    vm->shadow = s;
    for (unsigned n = 0; n < vm->vcpu_count; n++)
        shadow_select(vm->vcpu[n]);
    return STATUS_OK;
}

void shadow_destroy(struct vm *vm)
{
    struct shadow *s = vm->shadow;
    if (!s)
        return;
    shadow_reset(vm);
    shadow_pool_destroy(&s->pool);
    host_free(s->writers, writers_bytes(s));
    host_free(s, sizeof *s);
    vm->shadow = NULL;
}

void shadow_reset(struct vm *vm)
{
    struct shadow *s = vm->shadow;
    s->budget = 0; /* one report for all */
    if (s->listener.drop_all)
        s->listener.drop_all(s->listener.self);
    for (u32 n = 1; n < s->pool.capacity; n++)
        if (s->pool.pages[n].used)
            shadow_drop_page(vm, n);
    for (unsigned n = 0; n < s->spaces; n++)
        s->space[n] = (struct shadow_space){0};
    for (unsigned n = 0; n < vm->vcpu_count; n++)
        shadow_select(vm->vcpu[n]);
}

void shadow_disturb(struct vm *vm, u64 random)
{
    struct shadow *s = vm->shadow;
    u32 n = (u32)(random % s->pool.capacity);
    shadow_begin(s);
    if (!s->pool.in_use)
        return;
    while (!s->pool.pages[n].used)
        n = n + 1 < s->pool.capacity ? n + 1 : 1;
    shadow_drop_page(vm, n);
}

/* One miss in 32, at random. */
static void cause_chaos(struct vm *vm)
{
    struct shadow *s = vm->shadow;
    s->chaos = s->chaos * 6364136223846793005u + 1442695040888963407u;
    if (s->chaos >> 59 == 0)
        shadow_disturb(vm, s->chaos >> 20);
}

const struct shadow_stats *shadow_statistics(const struct vm *vm) { return &vm->shadow->stats; }

u64 shadow_bytes_used(const struct vm *vm) { return (u64)vm->shadow->pool.in_use * SHADOW_PAGE_BYTES; }
u64 shadow_bytes_max(const struct vm *vm) { return (u64)(vm->shadow->pool.capacity - 1) * SHADOW_PAGE_BYTES; }

/* ---- The processor that walks the tables -------------------------------------------------------- */

/* Fetches ignore SMAP, so they use the tables that show pages of the user. */
static enum tlb_rights view_of(enum access access, enum tlb_rights rights)
{
    if (rights == TLB_USER_ALIGNED)
        return TLB_USER;
    return access == ACCESS_FETCH && rights == TLB_SUPERVISOR ? TLB_SUPERVISOR_AC : rights;
}

/* What the shadow tables say about an access. */
struct found {
    bool mapped; /* the access is allowed */
    bool traced; /* a write, allowed by the guest's tables, but it must be seen */
    bool writable;
    u64 frame;
};

/* SDM vol. 3, 4.5 and 4.6, for CPL 3: rights are those that all levels give. A and D are set if the access is
 * allowed. */
static struct found walk_shadow(struct shadow *s, u32 root, u64 linear, enum access access)
{
    u64 *path[SHADOW_LEVELS], all = ~0ull, any = 0;
    u32 page = root;
    for (unsigned level = SHADOW_LEVELS; level-- > 0;) {
        u64 *entry = shadow_at(s, shadow_entry_id(page, linear >> shadow_shift(level) & (SHADOW_SLOTS - 1)));
        if (!(*entry & SHADOW_PRESENT))
            return (struct found){0};
        path[level] = entry;
        all &= *entry;
        any |= *entry;
        page = level ? shadow_child(s, *entry) : 0;
    }
    bool write = access == ACCESS_WRITE;
    struct found found = {.writable = all & SHADOW_WRITABLE, .frame = shadow_entry_frame(*path[0])};
    found.traced = write && (*path[0] & SHADOW_TRACED);
    found.mapped = write ? found.writable : access == ACCESS_READ || !(any & SHADOW_NX);
    if (!found.mapped && !found.traced)
        return found;
    for (unsigned level = 0; level < SHADOW_LEVELS && !(all & SHADOW_ACCESSED); level++)
        shadow_entry_touch(path[level], false);
    if (write && found.mapped)
        shadow_entry_touch(path[0], true);
    return found;
}

static struct found look_up(struct vcpu *v, u64 linear, enum access access, enum tlb_rights view)
{
    struct shadow *s = v->vm->shadow;
    u32 root = s->space[s->current[v->index]].root[view];
    return root ? walk_shadow(s, root, linear, access) : (struct found){0};
}

static struct shadow_translation from_shadow(struct vm *vm, struct found found)
{
    u64 offset = (found.frame - vm->shadow->domain.memory.first) << PAGE_SHIFT;
    return (struct shadow_translation){
        .ok = true,
        .page = physmem_address(&vm->memory, offset),
        .direct = found.mapped,
        .direct_write = found.mapped && found.writable,
        .watched = found.traced,
    };
}

/* A page that nobody watches any more may be made writable again. */
static bool still_traced(const struct vm *vm, struct found found)
{
    return found.traced && (vm->memory.frames[found.frame - vm->shadow->domain.memory.first].flags & FRAME_WATCHED);
}

struct shadow_translation shadow_translate(struct vcpu *v, u64 linear, enum access access, enum tlb_rights rights)
{
    struct shadow *s = v->vm->shadow;
    enum tlb_rights view = view_of(access, rights);
    if (s->chaos)
        cause_chaos(v->vm);
    if (s->space[s->current[v->index]].key.format != SHADOW_4LEVEL)
        linear = (u32)linear;
    struct found found = look_up(v, linear, access, view);
    if (found.mapped || still_traced(v->vm, found))
        return from_shadow(v->vm, found);
    s->stats.misses++;
    struct walk_path path;
    shadow_begin(s);
    struct walk_result walk = walk_guest_path(v, linear, access, rights, &path);
    if (!walk.ok)
        return (struct shadow_translation){.error = walk.error};
    struct shadow_translation uncached = {.ok = true, .page = walk.page};
    if (!walk.cacheable || physmem_offset(&v->vm->memory, walk.page) == UINT64_MAX) {
        s->stats.uncached++;
        return uncached;
    }
    shadow_begin(s); /* setting A and D may have been an operation by itself */
    shadow_fill(v, view, linear, &walk, &path);
    CHECKED(s->stats.misses % CHECKED_SHADOW || !shadow_audit(v->vm));
    found = look_up(v, linear, access, view);
    return found.mapped || found.traced ? from_shadow(v->vm, found) : uncached;
}
