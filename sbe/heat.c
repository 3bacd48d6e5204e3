#include "sbe/heat.h"

#include "core/host.h"
#include "core/vm.h"
#include "mmu/window.h"
#include "sbe/codecache.h"

static u64 heat_bytes(u64 frames) { return sizeof(struct heat) + frames * sizeof(struct heat_page); }

bool heat_create(struct vcpu *v)
{
    u64 frames = physmem_pages(&v->vm->memory);
    struct heat *h = host_alloc(heat_bytes(frames));
    if (!h)
        return false;
    h->frames = frames;
    v->sbe->heat = h;
    return true;
}

void heat_destroy(struct vcpu *v)
{
    struct heat *h = v->sbe->heat;
    if (h)
        host_free(h, heat_bytes(h->frames));
    v->sbe->heat = NULL;
}

u64 heat_limit(const struct vcpu *v, u64 now, u64 until)
{
    const struct heat *h = v->sbe->heat;
    if (!h)
        return until;
    u64 next = h->next > now + BLOCK_INSNS ? h->next : now + BLOCK_INSNS;
    return next < until ? next : until;
}

bool heat_windows(const struct heat *h, u64 offset) { return h->page[offset >> PAGE_SHIFT].windows; }

static u16 wanted(const struct heat_page *p) { return p->wanted ? p->wanted : HEAT_FIRST; }

static void warm_up(struct vcpu *v, struct heat_page *p, u64 offset)
{
    p->windows = true;
    p->credit = p->samples;
    p->samples = 0;
    codecache_forget(v, offset & ~(u64)PAGE_MASK, PAGE_SIZE);
}

static void cool_down(struct heat_page *p)
{
    p->windows = false;
    p->wanted = (u16)(wanted(p) < HEAT_MOST ? 2 * wanted(p) : HEAT_MOST);
    p->samples = p->credit = 0;
}

/* Mappings that go again and again (processes that fork and end) are nobody's fault in particular. */
static bool settle_debt(struct vcpu *v, struct heat *h)
{
    u64 unmaps = v->windows->unmaps - h->unmaps;
    h->unmaps = v->windows->unmaps;
    h->debt += unmaps;
    h->debt -= h->debt > 0;
    if (h->debt < HEAT_DEBT)
        return false;
    h->debt = 0;
    for (u64 n = 0; n < h->frames; n++)
        if (h->page[n].windows)
            cool_down(&h->page[n]);
    codecache_forget_all(v);
    return true;
}

void heat_sample(struct vcpu *v, u64 offset)
{
    struct heat *h = v->sbe->heat;
    struct heat_page *p = &h->page[offset >> PAGE_SHIFT];
    h->next = v->cpu.icount + HEAT_PERIOD;
    if (settle_debt(v, h))
        return;
    if (p->windows)
        p->credit += p->credit < HEAT_MOST;
    else if (++p->samples >= wanted(p))
        warm_up(v, p, offset);
}

void heat_fault(struct vcpu *v, u64 offset)
{
    struct heat_page *p = &v->sbe->heat->page[offset >> PAGE_SHIFT];
    if (!p->windows || (p->credit && --p->credit))
        return;
    cool_down(p);
    codecache_forget(v, offset & ~(u64)PAGE_MASK, PAGE_SIZE);
}
