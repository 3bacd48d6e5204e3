/* Which code can run, where it came from, and where its jumps go. */
#include "sbe/codecache_audit.h"

#include "core/vm.h"
#include "sbe/codecache.h"

/* The blocks of a region: from its first to one behind its last. Number 0 is no block. */
static u32 region_begin(const struct sbe *s, u32 region) { return region ? region * s->share.blocks : 1; }
static u32 region_end(const struct sbe *s, u32 region)
{
    return region == s->region ? s->blocks_used : s->region_blocks[region];
}
static u32 region_of(const struct sbe *s, u32 n) { return n / s->share.blocks; }

static bool alive(const struct sbe *s, u32 n)
{
    return n && region_of(s, n) < CACHE_REGIONS && n < region_end(s, region_of(s, n)) && s->blocks[n].key != BLOCK_DEAD;
}

/* Do `count` records from `first` on lie in the region's share? */
static bool in_share(u32 first, u32 count, u32 region, u32 share)
{
    return !count || (first >= region * share && (u64)first + count <= (u64)(region + 1) * share);
}

/* Blocks lie behind each other in their region, each with its own code, sites and links. */
static const char *audit_place(const struct sbe *s, u32 n)
{
    const struct block *b = &s->blocks[n];
    u32 region = region_of(s, n), code = s->code_start + region * s->share.code;
    u32 begin = n > region_begin(s, region) ? s->blocks[n - 1].end : code;
    if (b->code < begin || b->indirect < begin || b->code > b->end || b->indirect > b->end || b->end > code + s->share.code)
        return "a block is not in its place";
    if (!in_share(b->first_site, b->sites, region, s->share.sites) ||
        !in_share(b->first_link, b->links, region, s->share.links))
        return "a block has records that are not its own";
    for (u32 site = b->first_site; site < b->first_site + b->sites; site++)
        if (s->sites[site].begin > s->sites[site].resume || s->sites[site].resume > b->end)
            return "a site lies outside its block";
    return NULL;
}

static bool in_frame(const struct sbe *s, u32 n)
{
    u32 at = s->frames[s->blocks[n].offset >> PAGE_SHIFT], steps = 0;
    while (at && at != n && steps++ < CACHE_REGIONS * s->share.blocks)
        at = s->blocks[at].frame_next;
    return at == n;
}

/* A block that can run lies in a frame whose writes are seen, and dies with it: both frames, if it crosses. */
static const char *audit_frame(const struct vcpu *v, u32 n)
{
    const struct sbe *s = v->sbe;
    const struct block *b = &s->blocks[n];
    const struct frame *frame = &v->vm->memory.frames[b->offset >> PAGE_SHIFT];
    if (b->offset >> PAGE_SHIFT >= s->frame_count || !(frame->flags & FRAME_CODE) || !in_frame(s, n))
        return "a block would outlive the code it was made from";
    if (!(frame->code_lines >> (b->offset & PAGE_MASK) / 64 & 1))
        return "a block's first byte could be written unseen";
    return NULL;
}

static const char *audit_block(const struct vcpu *v, u32 n)
{
    const struct sbe *s = v->sbe;
    const struct block *b = &s->blocks[n];
    u32 rest = b->partner;
    const char *wrong = audit_frame(v, n);
    if (!wrong && rest && (region_of(s, rest) != region_of(s, n) || rest >= region_end(s, region_of(s, rest)) || s->blocks[rest].partner != n || !in_frame(s, rest) ||
                           !(v->vm->memory.frames[s->blocks[rest].offset >> PAGE_SHIFT].flags & FRAME_CODE)))
        return "a block that crosses a page is not tracked in both";
    if (!wrong && (b->class >= s->classes || s->class_keys[b->class] != b->key))
        return "a block is of another class";
    return wrong;
}

static bool listed(const struct sbe *s, u32 target, u32 link)
{
    u32 at = s->blocks[target].incoming, steps = 0;
    while (at && at != link && steps++ < CACHE_REGIONS * s->share.links)
        at = s->links[at].next;
    return at == link;
}

/* A jump goes to its own stub, or to the entry of a block that can run and knows of it. Those of dead blocks are never
 * reached, and nobody knows of them. */
static const char *audit_link(const struct sbe *s, u32 n)
{
    const struct link *l = &s->links[n];
    u32 distance, to = l->target ? s->blocks[l->target].code : l->stub;
    memcpy(&distance, s->code.rw + l->jump, sizeof distance);
    if (l->target && (!alive(s, l->target) || !alive(s, l->block) || !listed(s, l->target, n)))
        return "a jump goes to a block that is dead, or does not know of it";
    if (!alive(s, l->block))
        return NULL;
    return l->jump + 4 + distance == to ? NULL : "a jump does not go where it should";
}

/* A block whose indirect entry lies there, or 0: in a region, blocks lie in the order of their numbers. */
static u32 block_of_entry(const struct sbe *s, u64 offset)
{
    u64 region = (offset - s->code_start) / s->share.code;
    if (offset < s->code_start || region >= CACHE_REGIONS)
        return 0;
    u32 low = region_begin(s, (u32)region), end = region_end(s, (u32)region), high = end;
    while (low < high) {
        u32 middle = (low + high) / 2;
        if (s->blocks[middle].end <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low < end && s->blocks[low].indirect == offset ? low : 0;
}

/* Indirect jumps lead to the look-up, or to the indirect entry of a block that can run, of that class and slot. */
static const char *audit_jumps(const struct vcpu *v)
{
    const struct sbe *s = v->sbe;
    for (u32 class = 0; class < s->classes; class++)
        for (u32 slot = 0; slot < JUMP_SLOTS; slot++) {
            const u8 *to = v->context.jump[class][slot];
            if (to == s->indirect_exit[(s->class_keys[class] & 2) != 0]) /* KEY_WIDE */
                continue;
            u32 n = block_of_entry(s, (u64)(to - s->code.rx));
            if (!alive(s, n) || s->blocks[n].class != class || jump_slot(s->blocks[n].rip) != slot)
                return "an indirect jump leads to no block that may run there";
        }
    return NULL;
}

static const char *audit_region(const struct vcpu *v, u32 region)
{
    const struct sbe *s = v->sbe;
    const char *wrong = NULL;
    for (u32 n = region_begin(s, region); n < region_end(s, region) && !wrong; n++) {
        wrong = audit_place(s, n);
        if (!wrong && alive(s, n))
            wrong = audit_block(v, n);
        for (u32 l = s->blocks[n].first_link; l < s->blocks[n].first_link + s->blocks[n].links && !wrong; l++)
            wrong = audit_link(s, l);
    }
    return wrong;
}

const char *codecache_audit(const struct vcpu *v)
{
    const char *wrong = NULL;
    for (u32 region = 0; region < CACHE_REGIONS && !wrong; region++)
        wrong = audit_region(v, region);
    return wrong ? wrong : audit_jumps(v);
}
