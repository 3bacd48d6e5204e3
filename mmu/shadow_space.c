/* Address spaces: what CR3 and the mode select, remembered. */
#include "mmu/shadow_state.h"

/* Where CR3 points: as mmu/walk.c reads it. */
#define TABLE_32BIT 0xfffff000ull
#define TABLE_64BIT (((1ull << PHYS_ADDRESS_BITS) - 1) & ~(u64)PAGE_MASK)

static enum shadow_format format_of(const struct cpu *c)
{
    if (!cpu_paging(c))
        return SHADOW_OFF;
    if (cpu_long(c))
        return SHADOW_4LEVEL;
    return c->cr4 & CR4_PAE ? SHADOW_PAE : SHADOW_32BIT;
}

static struct shadow_space_key key_now(const struct cpu *c)
{
    struct shadow_space_key key = {.format = format_of(c)};
    if (key.format == SHADOW_OFF)
        return key;
    key.flags = (c->cr0 & CR0_WP ? ROLE_WRITE_PROTECT : 0) | (c->cr4 & CR4_SMEP ? ROLE_SMEP : 0) |
                (c->cr4 & CR4_SMAP ? ROLE_HIDE_USER : 0);
    if (key.format == SHADOW_32BIT)
        key.flags |= c->cr4 & CR4_PSE ? ROLE_PSE : 0;
    else
        key.flags |= c->efer & EFER_NXE ? ROLE_NXE : 0;
    if (key.format == SHADOW_PAE)
        memcpy(key.pdpte, c->pdpte, sizeof key.pdpte);
    else
        key.table = c->cr3 & (key.format == SHADOW_4LEVEL ? TABLE_64BIT : TABLE_32BIT);
    return key;
}

/* A view asks for what distinguishes it, so that views that do not differ share their pages. */
static void set_policies(struct shadow_space *space)
{
    u32 flags = (u32)space->key.flags, reserved = flags & (ROLE_NXE | ROLE_PSE);
    bool paging = space->key.format != SHADOW_OFF;
    space->policy[TLB_SUPERVISOR] = flags;
    space->policy[TLB_SUPERVISOR_AC] = flags & ~ROLE_HIDE_USER;
    space->policy[TLB_USER] = paging ? reserved | ROLE_USER_VIEW : 0;
}

/* An unused space, or the one that was selected longest ago. */
static unsigned oldest_space(const struct shadow *s)
{
    unsigned oldest = 0;
    for (unsigned n = 0; n < s->spaces; n++) {
        if (!s->space[n].used)
            return n;
        if (s->space[n].stamp < s->space[oldest].stamp)
            oldest = n;
    }
    return oldest;
}

static void vacate(struct vm *vm, unsigned n)
{
    struct shadow *s = vm->shadow;
    struct shadow_space *space = &s->space[n];
    if (space->used && s->listener.drop_space)
        s->listener.drop_space(s->listener.self, n);
    for (unsigned view = 0; view < SHADOW_VIEWS; view++)
        s->pool.pages[space->root[view]].roots[view] &= ~(1ull << n);
    *space = (struct shadow_space){0};
}

static bool same_key(const struct shadow_space_key *a, const struct shadow_space_key *b)
{
    return a->table == b->table && a->flags == b->flags && a->format == b->format &&
           !memcmp(a->pdpte, b->pdpte, sizeof a->pdpte);
}

unsigned shadow_space_number(const struct vcpu *v) { return v->vm->shadow->current[v->index]; }

bool shadow_select(struct vcpu *v)
{
    struct shadow *s = v->vm->shadow;
    struct shadow_space_key key = key_now(&v->cpu);
    const struct shadow_space *now = &s->space[s->current[v->index]];
    if (now->used && now->serial == s->selected[v->index] && same_key(&now->key, &key))
        return false;
    unsigned n = 0;
    while (n < s->spaces && !(s->space[n].used && same_key(&s->space[n].key, &key)))
        n++;
    if (n == s->spaces) {
        n = oldest_space(s);
        vacate(v->vm, n);
        s->space[n] = (struct shadow_space){.used = true, .serial = ++s->serial, .key = key};
        set_policies(&s->space[n]);
        s->stats.spaces++;
    }
    s->space[n].stamp = ++s->stamp;
    s->current[v->index] = n;
    s->selected[v->index] = s->space[n].serial;
    return true;
}
