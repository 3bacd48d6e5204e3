#include "sbe/codecache.h"

#include "core/checked.h"
#include "core/vm.h"
#include "sbe/translate.h"

enum status codecache_create(struct vcpu *v)
{
    u64 frame_count = v->vm->memory.size >> PAGE_SHIFT;
    struct sbe *s = host_alloc(sizeof *s);
    if (!s)
        return STATUS_NO_MEMORY;
    s->frames = host_alloc(frame_count * sizeof *s->frames);
    s->frame_count = frame_count;
    s->code_limit = v->vm->config.code_bytes ? (u32)v->vm->config.code_bytes : CACHE_CODE_BYTES;
    s->code.landing = codecache_landing;
    s->code.context = s;
    enum status status = s->frames ? host_exec_alloc(s->code_limit, &s->code) : STATUS_NO_MEMORY;
    if (status != STATUS_OK) {
        if (s->frames)
            host_free(s->frames, frame_count * sizeof *s->frames);
        host_free(s, sizeof *s);
        return status;
    }
    v->sbe = s;
    s->code_start = s->code_used = translate_fixed_stubs(v);
    s->blocks[0].key = BLOCK_DEAD;
    s->blocks_used = s->sites_used = s->links_used = 1;
    return STATUS_OK;
}

void codecache_destroy(struct vcpu *v)
{
    struct sbe *s = v->sbe;
    host_exec_free(&s->code);
    host_free(s->frames, s->frame_count * sizeof *s->frames);
    host_free(s, sizeof *s);
    v->sbe = NULL;
}

/* ---- Blocks ------------------------------------------------------------------------------------- */

static u32 *hash_head(struct sbe *s, u64 offset, u64 rip, u32 key)
{
    u64 x = (offset ^ rip >> 3 ^ (u64)key << 20) * 0x9e3779b97f4a7c15ull; /* Fibonacci hashing */
    return &s->hash[x >> 49];
}
_Static_assert(CACHE_HASH == 1 << 15, "64 - 49 bits");

u32 codecache_find(const struct sbe *s, u64 offset, u64 rip, u32 key)
{
    u32 n = *hash_head((struct sbe *)s, offset, rip, key);
    while (n && !(s->blocks[n].offset == offset && s->blocks[n].rip == rip && s->blocks[n].key == key))
        n = s->blocks[n].hash_next;
    return n;
}

bool codecache_has_space(const struct sbe *s)
{
    return s->code_used + BLOCK_BYTES_MAX <= s->code_limit && s->blocks_used + 2 <= CACHE_BLOCKS &&
           s->sites_used + 2 * BLOCK_INSNS <= CACHE_SITES && s->links_used + 2 * BLOCK_INSNS <= CACHE_LINKS;
}

static u8 class_of(struct vcpu *v, u32 key);

u32 codecache_begin(struct vcpu *v, u64 offset, u64 rip, u32 key)
{
    struct sbe *s = v->sbe;
    if (!codecache_has_space(s))
        codecache_forget_all(v);
    u8 class = class_of(v, key);
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

void codecache_commit(struct sbe *s, u32 block)
{
    struct block *b = &s->blocks[block];
    u32 *head = hash_head(s, b->offset, b->rip, b->key);
    b->hash_next = *head;
    *head = block;
    u32 *frame = &s->frames[b->offset >> PAGE_SHIFT];
    b->frame_next = *frame;
    *frame = block;
    s->serialize = true;
}

void codecache_commit_rest(struct sbe *s, u32 block, u64 offset)
{
    struct block *b = &s->blocks[block];
    u32 n = s->blocks_used++, *frame = &s->frames[offset >> PAGE_SHIFT];
    s->blocks[n] = (struct block){
        .offset = offset,
        .key = BLOCK_DEAD,
        .code = b->end,
        .indirect = b->end,
        .end = b->end,
        .first_site = s->sites_used,
        .first_link = s->links_used,
        .partner = block,
        .frame_next = *frame,
    };
    *frame = n;
    b->partner = n;
}

u32 codecache_site(struct sbe *s, u32 block)
{
    invariant(s->sites_used < CACHE_SITES);
    s->blocks[block].sites++;
    return s->sites_used++;
}

u32 codecache_link(struct sbe *s, u32 block)
{
    invariant(s->links_used < CACHE_LINKS);
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

static void link_remove(struct sbe *s, u32 link)
{
    struct link *l = &s->links[link];
    u32 *at = &s->blocks[l->target].incoming;
    while (*at != link)
        at = &s->links[*at].next;
    *at = l->next;
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
        invariant(s->jump_log_used < ARRAY_LEN(s->jump_log));
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

/* The class of a key, a new one if need be. A jump from a block of one key never enters a block of another. */
static u8 class_of(struct vcpu *v, u32 key)
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

static void block_kill(struct sbe *s, u32 block)
{
    struct block *b = &s->blocks[block];
    u32 *at = hash_head(s, b->offset, b->rip, b->key);
    while (*at != block)
        at = &s->blocks[*at].hash_next;
    *at = b->hash_next;
    links_break_incoming(s, b);
    for (u32 n = b->first_link; n < b->first_link + b->links; n++)
        if (s->links[n].target)
            link_remove(s, n);
    b->key = BLOCK_DEAD;
}

void codecache_forget(struct vcpu *v, u64 offset)
{
    struct sbe *s = v->sbe;
    u32 *frame = &s->frames[offset >> PAGE_SHIFT];
    if (!*frame)
        return;
    for (u32 n = *frame; n; n = s->blocks[n].frame_next) {
        bool alive = s->blocks[n].key != BLOCK_DEAD; /* else it may stand for one that lies in two frames */
        u32 dies = alive ? n : s->blocks[n].partner;
        if (s->blocks[dies].key != BLOCK_DEAD)
            block_kill(s, dies);
    }
    *frame = 0;
    codecache_jump_forget_all(v);
}

void codecache_kill(struct vcpu *v, u32 block)
{
    block_kill(v->sbe, block); /* it stays in the list of its frame, dead */
    codecache_jump_forget_all(v);
}

void codecache_forget_all(struct vcpu *v)
{
    struct sbe *s = v->sbe;
    for (u32 n = 1; n < s->blocks_used; n++) {
        s->frames[s->blocks[n].offset >> PAGE_SHIFT] = 0;
        s->blocks[n].key = BLOCK_DEAD;
    }
    memset(s->hash, 0, sizeof s->hash);
    codecache_jump_forget_all(v);
    s->code_used = s->code_start;
    s->blocks_used = s->sites_used = s->links_used = 1;
}

/* ---- What instructions are like ----------------------------------------------------------------- */

static u64 learned_bit(u64 offset) { return offset * 0x9e3779b97f4a7c15ull >> 48; }
_Static_assert(CROSSING_BITS == 1 << 16, "64 - 48 bits");

static bool is_learned(const struct learned *l, u64 offset)
{
    u64 bit = learned_bit(offset);
    return l->bits[bit / 64] >> bit % 64 & 1;
}

static void learn(struct vcpu *v, struct learned *l, u64 offset)
{
    u64 bit = learned_bit(offset);
    l->bits[bit / 64] |= 1ull << bit % 64;
    codecache_forget(v, offset);
}

bool codecache_crosses(const struct sbe *s, u64 offset) { return is_learned(&s->crossing, offset); }
void codecache_learn_crossing(struct vcpu *v, u64 offset) { learn(v, &v->sbe->crossing, offset); }

bool codecache_strained(const struct sbe *s, u64 offset) { return s->strain[learned_bit(offset)] >= STRAIN_BORNE; }

void codecache_strain(struct vcpu *v, u64 offset, u16 cost)
{
    u16 *strain = &v->sbe->strain[learned_bit(offset)];
    if (*strain >= STRAIN_BORNE)
        return;
    *strain = *strain + cost < STRAIN_BORNE ? *strain + cost : STRAIN_BORNE;
    if (*strain == STRAIN_BORNE)
        codecache_forget(v, offset);
}

/* ---- Exceptions --------------------------------------------------------------------------------- */

/* Blocks lie in the cache in the order of their numbers. */
static const struct block *block_at(const struct sbe *s, u64 offset)
{
    u32 low = 1, high = s->blocks_used;
    while (low < high) {
        u32 middle = (low + high) / 2;
        if (s->blocks[middle].end <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low < s->blocks_used ? &s->blocks[low] : NULL;
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
