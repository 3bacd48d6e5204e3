#include "sbe/codecache.h"

#include "core/checked.h"
#include "core/vm.h"
#include "mmu/access.h"
#include "sbe/translate.h"

static void block_evict(struct vcpu *v, u32 block);

/* ---- Regions ------------------------------------------------------------------------------------ */

enum { HOST_LINE = 64 };

static u32 region_code(const struct sbe *s, u32 region) { return s->code_start + region * s->share.code; }

/* Records of number 0 stay unused. */
static u32 region_first(u32 region, u32 records) { return region ? region * records : 1; }

static void region_open(struct sbe *s, u32 region)
{
    s->region = region;
    s->code_used = region_code(s, region);
    s->blocks_used = region_first(region, s->share.blocks);
    s->sites_used = region_first(region, s->share.sites);
    s->links_used = region_first(region, s->share.links);
}

static void regions_start(struct sbe *s)
{
    for (u32 n = 0; n < CACHE_REGIONS; n++) {
        s->region_code[n] = region_code(s, n);
        s->region_blocks[n] = region_first(n, s->share.blocks);
    }
    region_open(s, 0);
}

/* One behind the last block of a region. */
static u32 region_blocks_end(const struct sbe *s, u32 region)
{
    return region == s->region ? s->blocks_used : s->region_blocks[region];
}

bool codecache_has_space(const struct sbe *s)
{
    u32 behind = s->region + 1;
    return s->code_used + BLOCK_BYTES_MAX <= region_code(s, behind) && s->blocks_used + 2 <= behind * s->share.blocks &&
           s->sites_used + 2 * BLOCK_INSNS <= behind * s->share.sites &&
           s->links_used + 2 * BLOCK_INSNS <= behind * s->share.links;
}

/* Goes on in the next region, where the oldest blocks are. */
static void region_next(struct vcpu *v)
{
    struct sbe *s = v->sbe;
    u32 next = (s->region + 1) % CACHE_REGIONS;
    s->region_code[s->region] = s->code_used;
    s->region_blocks[s->region] = s->blocks_used;
    bool used = s->region_blocks[next] > region_first(next, s->share.blocks);
    for (u32 n = region_first(next, s->share.blocks); n < s->region_blocks[next]; n++)
        if (s->blocks[n].key != BLOCK_DEAD)
            block_evict(v, n);
    region_open(s, next);
    s->discards++;
    v->vm->stats.evictions += used;
}

struct codecache_use codecache_use(const struct sbe *s)
{
    struct codecache_use use = {.code = s->code_start};
    for (u32 n = 0; n < CACHE_REGIONS; n++) {
        u32 code = n == s->region ? s->code_used : s->region_code[n];
        use.code += code - region_code(s, n);
        use.blocks += region_blocks_end(s, n) - region_first(n, s->share.blocks);
    }
    for (u32 n = 1; n < CACHE_REGIONS * s->share.blocks; n++) {
        use.sites += s->blocks[n].sites;
        use.links += s->blocks[n].links;
    }
    return use;
}

/* ---- Life --------------------------------------------------------------------------------------- */

static u64 records_bytes(const struct region_share *s)
{
    return CACHE_REGIONS * (s->blocks * sizeof(struct block) + s->sites * sizeof(struct site) + s->links * sizeof(struct link));
}

static void records_place(struct sbe *s, void *memory)
{
    s->blocks = memory;
    s->sites = (struct site *)(s->blocks + CACHE_REGIONS * s->share.blocks);
    s->links = (struct link *)(s->sites + CACHE_REGIONS * s->share.sites);
}
_Static_assert(sizeof(struct block) % 8 == 0 && sizeof(struct site) % 8 == 0, "records lie behind each other");

/* The cache without what it holds: NULL if the host has no memory. */
static struct sbe *sbe_alloc(const struct vm *vm)
{
    struct sbe *s = host_alloc(sizeof *s);
    if (!s)
        return NULL;
    s->frame_count = vm->memory.size >> PAGE_SHIFT;
    s->code_limit = vm->config.code_bytes ? (u32)vm->config.code_bytes : CACHE_CODE_BYTES;
    u32 region = s->code_limit / CACHE_REGIONS;
    s->share = (struct region_share){
        .blocks = region / BYTES_PER_BLOCK, .sites = region / BYTES_PER_SITE, .links = region / BYTES_PER_LINK};
    s->frames = host_alloc(s->frame_count * sizeof *s->frames);
    void *records = s->frames ? host_alloc(records_bytes(&s->share)) : NULL;
    if (records) {
        records_place(s, records);
        return s;
    }
    if (s->frames)
        host_free(s->frames, s->frame_count * sizeof *s->frames);
    host_free(s, sizeof *s);
    return NULL;
}

static void sbe_free(struct sbe *s)
{
    host_free(s->blocks, records_bytes(&s->share));
    host_free(s->frames, s->frame_count * sizeof *s->frames);
    host_free(s, sizeof *s);
}

enum status codecache_create(struct vcpu *v)
{
    invariant(isa_row_count <= CALLED_ROWS);
    struct sbe *s = sbe_alloc(v->vm);
    if (!s)
        return STATUS_NO_MEMORY;
    s->code.landing = codecache_landing;
    s->code.context = s;
    enum status status = host_exec_alloc(s->code_limit, &s->code);
    if (status != STATUS_OK) {
        sbe_free(s);
        return status;
    }
    v->sbe = s;
    s->code_start = (translate_fixed_stubs(v) + HOST_LINE - 1) & ~(HOST_LINE - 1u);
    s->share.code = (s->code_limit - s->code_start) / CACHE_REGIONS & ~(HOST_LINE - 1u);
    s->blocks[0].key = BLOCK_DEAD;
    regions_start(s);
    return STATUS_OK;
}

void codecache_destroy(struct vcpu *v)
{
    host_exec_free(&v->sbe->code);
    sbe_free(v->sbe);
    v->sbe = NULL;
}

/* ---- Blocks ------------------------------------------------------------------------------------- */

static u32 *hash_head(struct sbe *s, u64 offset, u64 rip, u32 key)
{
    u64 x = (offset ^ rip >> 3 ^ (u64)key << 20) * 0x9e3779b97f4a7c15ull; /* Fibonacci hashing */
    return &s->hash[x >> 48];
}
_Static_assert(CACHE_HASH == 1 << 16, "64 - 48 bits");

u32 codecache_find(const struct sbe *s, u64 offset, u64 rip, u32 key)
{
    u32 n = *hash_head((struct sbe *)s, offset, rip, key);
    while (n && !(s->blocks[n].offset == offset && s->blocks[n].rip == rip && s->blocks[n].key == key))
        n = s->blocks[n].hash_next;
    return n;
}

u32 codecache_begin(struct vcpu *v, u64 offset, u64 rip, u32 key)
{
    struct sbe *s = v->sbe;
    u8 class = codecache_class(v, key);
    if (!codecache_has_space(s))
        region_next(v);
    u32 n = s->blocks_used++;
    s->blocks[n] = (struct block){
        .rip = rip,
        .offset = offset,
        .key = key,
        .class = class,
        .first_site = s->sites_used,
        .first_link = s->links_used,
    };
    return n;
}

/* The list of a frame: its blocks, and partners. */
static u32 *frame_head(struct sbe *s, const struct block *b) { return &s->frames[b->offset >> PAGE_SHIFT]; }

static void frame_link(struct sbe *s, u32 block)
{
    struct block *b = &s->blocks[block];
    u32 *head = frame_head(s, b);
    b->frame_next = *head;
    b->frame_before = 0;
    s->blocks[*head].frame_before = block; /* block 0 is nobody's */
    *head = block;
}

static void frame_unlink(struct sbe *s, u32 block)
{
    struct block *b = &s->blocks[block];
    *(b->frame_before ? &s->blocks[b->frame_before].frame_next : frame_head(s, b)) = b->frame_next;
    s->blocks[b->frame_next].frame_before = b->frame_before;
}

void codecache_commit(struct sbe *s, u32 block, unsigned bytes)
{
    struct block *b = &s->blocks[block];
    u32 *head = hash_head(s, b->offset, b->rip, b->key);
    b->hash_next = *head;
    *head = block;
    b->bytes = (u16)bytes;
    frame_link(s, block);
    s->serialize = true;
}

void codecache_commit_rest(struct sbe *s, u32 block, u64 offset, unsigned bytes)
{
    struct block *b = &s->blocks[block];
    u32 n = s->blocks_used++;
    s->blocks[n] = (struct block){
        .offset = offset,
        .bytes = (u16)bytes,
        .key = BLOCK_DEAD,
        .code = b->end,
        .indirect = b->end,
        .end = b->end,
        .partner = block,
    };
    b->partner = n;
    frame_link(s, n);
}

u32 codecache_site(struct sbe *s, u32 block)
{
    invariant(s->sites_used < (s->region + 1) * s->share.sites);
    s->blocks[block].sites++;
    return s->sites_used++;
}

u32 codecache_link(struct sbe *s, u32 block)
{
    invariant(s->links_used < (s->region + 1) * s->share.links);
    s->blocks[block].links++;
    return s->links_used++;
}

/* ---- Chains ------------------------------------------------------------------------------------- */

static void link_aim(struct sbe *s, const struct link *l, u32 to)
{
    u32 distance = to - (l->jump + 4);
    memcpy(s->code.rw + l->jump, &distance, sizeof distance);
    s->serialize = true;
}

void codecache_chain(struct sbe *s, u32 link, u32 target)
{
    struct link *l = &s->links[link];
    struct block *b = &s->blocks[target];
    if (l->target)
        return;
    CHECKED(b->key != BLOCK_DEAD && s->blocks[l->block].key != BLOCK_DEAD);
    l->target = target;
    l->next = b->incoming;
    l->before = 0;
    s->links[l->next].before = link; /* link 0 is nobody's */
    b->incoming = link;
    link_aim(s, l, b->code);
}

static void links_break_incoming(struct sbe *s, struct block *b)
{
    for (u32 n = b->incoming; n; n = s->links[n].next) {
        s->links[n].target = 0;
        link_aim(s, &s->links[n], s->links[n].stub);
    }
    b->incoming = 0;
}

static void link_remove(struct sbe *s, struct link *l)
{
    *(l->before ? &s->links[l->before].next : &s->blocks[l->target].incoming) = l->next;
    s->links[l->next].before = l->before;
    l->target = 0;
}

/* ---- Indirect jumps ----------------------------------------------------------------------------- */

static const u8 *jump_nowhere(const struct sbe *s, u32 class)
{
    return s->indirect_exit[block_key_wide(s->class_keys[class])];
}

void codecache_jump_remember(struct vcpu *v, u32 block)
{
    struct sbe *s = v->sbe;
    const struct block *b = &s->blocks[block];
    u32 class = b->class;
    u64 slot = jump_slot(b->rip);
    if (v->context.jump[class][slot] == jump_nowhere(s, class)) {
        if (s->jump_log_used == ARRAY_LEN(s->jump_log))
            codecache_jump_forget_all(v);
        s->jump_log[s->jump_log_used++] = (u16)(class * JUMP_SLOTS + slot);
    }
    v->context.jump[class][slot] = codecache_rx(s, b->indirect);
}

void codecache_jump_forget_all(struct vcpu *v)
{
    struct sbe *s = v->sbe;
    for (u32 n = 0; n < s->jump_log_used; n++) {
        u32 class = s->jump_log[n] / JUMP_SLOTS;
        v->context.jump[class][s->jump_log[n] % JUMP_SLOTS] = jump_nowhere(s, class);
    }
    s->jump_log_used = 0;
}

static void jump_forget(struct vcpu *v, const struct block *b)
{
    const u8 **slot = &v->context.jump[b->class][jump_slot(b->rip)];
    if (*slot == codecache_rx(v->sbe, b->indirect)) /* its place in the log may soon be taken a second time: no harm */
        *slot = jump_nowhere(v->sbe, b->class);
}

/* The class of a key, a new one if need be. A jump enters blocks of the class whose table it goes through, and no others. */
u8 codecache_class(struct vcpu *v, u32 key)
{
    struct sbe *s = v->sbe;
    for (u8 n = 0; n < s->classes; n++)
        if (s->class_keys[n] == key)
            return n;
    if (s->classes == JUMP_CLASSES) {
        codecache_forget_all(v);
        s->classes = 0;
    }
    u8 class = s->classes++;
    s->class_keys[class] = key;
    for (u32 n = 0; n < JUMP_SLOTS; n++)
        v->context.jump[class][n] = jump_nowhere(s, class);
    return class;
}

/* ---- Death -------------------------------------------------------------------------------------- */

/* A guest that rewrites one piece of code again and again should not push out all other code: the block that was made last
 * leaves its space to the next. */
static void space_give_back(struct sbe *s, const struct block *b)
{
    u32 first = (u32)(b - s->blocks), behind = (b->partner ? b->partner : first) + 1;
    if (behind != s->blocks_used || b->first_site + b->sites != s->sites_used || b->first_link + b->links != s->links_used)
        return;
    s->code_used = b->indirect; /* where it begins */
    s->blocks_used = first;
    s->sites_used = b->first_site;
    s->links_used = b->first_link;
    s->discards++;
}

static void block_kill(struct vcpu *v, u32 block)
{
    struct sbe *s = v->sbe;
    struct block *b = &s->blocks[block];
    u32 *at = hash_head(s, b->offset, b->rip, b->key);
    while (*at != block)
        at = &s->blocks[*at].hash_next;
    *at = b->hash_next;
    frame_unlink(s, block);
    if (b->partner)
        frame_unlink(s, b->partner);
    links_break_incoming(s, b);
    for (u32 n = b->first_link; n < b->first_link + b->links; n++)
        if (s->links[n].target)
            link_remove(s, &s->links[n]);
    jump_forget(v, b);
    b->key = BLOCK_DEAD;
    space_give_back(s, b);
}

/* If nothing of a frame is translated any more, writes to it find no code. */
static void block_evict(struct vcpu *v, u32 block)
{
    struct sbe *s = v->sbe;
    const struct block *b = &s->blocks[block], *rest = &s->blocks[b->partner ? b->partner : block];
    block_kill(v, block);
    if (!*frame_head(s, b))
        phys_code_gone(v->vm, b->offset);
    if (rest != b && !*frame_head(s, rest))
        phys_code_gone(v->vm, rest->offset);
}

void codecache_kill(struct vcpu *v, u32 block) { block_kill(v, block); }

/* Does [at, at + size) in the frame touch code of the block, other than a soft immediate? */
static bool block_hurt(const struct block *b, u64 at, unsigned size)
{
    if (at >= b->offset + b->bytes || at + size <= b->offset)
        return false;
    for (unsigned n = 0; n < b->softs; n++) {
        u64 soft = b->offset + b->soft_at[n];
        if (at >= soft && at + size <= soft + b->soft_size[n])
            return false;
    }
    return true;
}

static u64 block_lines(const struct block *b)
{
    unsigned first = (b->offset & PAGE_MASK) >> 6, last = ((b->offset & PAGE_MASK) + b->bytes - 1) >> 6;
    return (~0ull >> (63 - last)) & (~0ull << first);
}

/* Kills what is hurt. `soft`: as by a write. */
static u64 forget(struct vcpu *v, u64 offset, unsigned size, bool soft)
{
    struct sbe *s = v->sbe;
    u32 *frame = &s->frames[offset >> PAGE_SHIFT], next;
    u64 lines = 0;
    for (u32 n = *frame; n; n = next) {
        struct block *b = &s->blocks[n];
        next = b->frame_next;
        if (!block_hurt(b, offset, size)) {
            lines |= block_lines(b);
            continue;
        }
        if (soft)
            codecache_patched(s, offset);
        v->vm->stats.code_kills += soft;
        u32 dies = b->key != BLOCK_DEAD ? n : b->partner; /* it may stand for one that lies in two frames, */
        if (next && next == b->partner) /* or twice in this one */
            next = s->blocks[next].frame_next;
        block_kill(v, dies);
    }
    return lines;
}

u64 codecache_forget(struct vcpu *v, u64 offset, unsigned size) { return forget(v, offset, size, false); }
u64 codecache_written(struct vcpu *v, u64 offset, unsigned size) { return forget(v, offset, size, true); }

void codecache_forget_all(struct vcpu *v)
{
    struct sbe *s = v->sbe;
    for (u32 region = 0; region < CACHE_REGIONS; region++)
        for (u32 n = region_first(region, s->share.blocks); n < region_blocks_end(s, region); n++) {
            s->frames[s->blocks[n].offset >> PAGE_SHIFT] = 0;
            s->blocks[n].key = BLOCK_DEAD;
        }
    memset(s->hash, 0, sizeof s->hash);
    codecache_jump_forget_all(v);
    regions_start(s);
    s->discards++;
}

/* ---- Exceptions --------------------------------------------------------------------------------- */

/* Blocks lie in their region in the order of their numbers. */
static const struct block *block_at(const struct sbe *s, u64 offset)
{
    u32 region = offset < s->code_start ? CACHE_REGIONS : (u32)((offset - s->code_start) / s->share.code);
    if (region >= CACHE_REGIONS)
        return NULL;
    u32 low = region_first(region, s->share.blocks), end = region_blocks_end(s, region), high = end;
    while (low < high) {
        u32 middle = (low + high) / 2;
        if (s->blocks[middle].end <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low < end ? &s->blocks[low] : NULL;
}

bool codecache_landing(const void *context, u64 offset, struct host_landing *to)
{
    const struct sbe *s = context;
    const struct block *b = block_at(s, offset);
    if (!b)
        return false;
    for (u32 n = b->first_site; n < b->first_site + b->sites; n++)
        if (offset - s->sites[n].begin < s->sites[n].resume - s->sites[n].begin) {
            *to = (struct host_landing){.code = s->site_exit[block_key_wide(b->key)], .rcx = n | SITE_FAULTED};
            return true;
        }
    return false;
}
