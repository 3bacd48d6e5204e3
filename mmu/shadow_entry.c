/* Unpacked, decided, packed: three steps that a prover follows. */
#include "mmu/shadow_entry.h"

/* The rights of one entry. */
struct decision {
    bool present, writable, executable, traced;
};

static bool owned(const struct shadow_range *range, u64 frame)
{
    return range->first <= frame && frame - range->first < range->count;
}

/* Rights of a table entry are those of the path so far: what lies below may take away more. Which pages are the
 * user's is known at the last level only, so what depends on it is decided there. */
static struct decision decide(const struct shadow_domain *d, const struct shadow_request *r)
{
    struct decision none = {false, false, false, false};
    if (!r->present || !r->accessed || (r->user_view && !r->user))
        return none;
    if (!owned(r->table ? &d->tables : &d->memory, r->frame))
        return none;
    bool writable = r->writable || (!r->user_view && !r->write_protect);
    if (r->table)
        return (struct decision){true, writable, r->executable, false};
    if (r->hide_user && r->user)
        return none;
    bool executable = r->executable && !(r->smep && !r->user_view && r->user);
    bool write = writable && r->dirty;
    return (struct decision){true, write && !r->watched, executable, write && r->watched};
}

static u64 pack(struct decision d, u64 frame)
{
    if (!d.present)
        return 0;
    u64 entry = SHADOW_PRESENT + SHADOW_USER + frame * PAGE_SIZE;
    if (d.writable)
        entry += SHADOW_WRITABLE;
    if (d.traced)
        entry += SHADOW_TRACED;
    if (!d.executable)
        entry += SHADOW_NX;
    return entry;
}

void shadow_entry_write(u64 *slot, const struct shadow_domain *d, const struct shadow_request *r)
{
    *slot = pack(decide(d, r), r->frame);
}
