/* Unpacked, decided, packed: three steps that a prover follows. */
#include "mmu/shadow_entry.h"

#include "core/checked.h"

/* The rights of one entry. */
struct decision {
    bool present, writable, executable, traced;
};

/*@ requires \valid_read(range);
    assigns \nothing;
    ensures \result != 0 <==> in_range(*range, frame);
*/
static bool owned(const struct shadow_range *range, u64 frame)
{
    return range->first <= frame && frame - range->first < range->count;
}

/*@ requires \valid_read(d) && \valid_read(r) && request_valid(*r) && domain_valid(*d);
    assigns \nothing;
    ensures bits: (\result.present == 0 || \result.present == 1) && (\result.writable == 0 || \result.writable == 1) &&
        (\result.executable == 0 || \result.executable == 1) && (\result.traced == 0 || \result.traced == 1);
    ensures present: \result.present != 0 <==> may_be_present(*d, *r);
    ensures frame: \result.present != 0 ==> r->frame < 1099511627776;
    ensures writable: \result.writable != 0 <==> may_be_present(*d, *r) && may_be_written(*r);
    ensures traced: \result.traced != 0 ==> \result.writable == 0;
    ensures executable: \result.present != 0 ==> (\result.executable != 0 <==> may_be_executed(*r));
*/
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

/*@ requires frame < 1099511627776;
    requires (d.writable == 0 || d.writable == 1) && (d.executable == 0 || d.executable == 1);
    requires (d.traced == 0 || d.traced == 1);
    assigns \nothing;
    ensures frame: entry_frame(\result) == frame;
    ensures present: entry_present(\result) == 1;
    ensures writable: entry_writable(\result) == (d.writable != 0 ? 1 : 0);
    ensures executable: entry_nx(\result) == (d.executable != 0 ? 0 : 1);
    ensures whole: \result == 5 + frame * 4096 + 2 * (d.writable != 0 ? 1 : 0) +
        512 * (d.traced != 0 ? 1 : 0) + (d.executable != 0 ? 0 : 9223372036854775808);
*/
static u64 pack(struct decision d, u64 frame)
{
    u64 low = SHADOW_PRESENT + SHADOW_USER;
    if (d.writable)
        low += SHADOW_WRITABLE;
    if (d.traced)
        low += SHADOW_TRACED;
    u64 entry = frame * PAGE_SIZE + low;
    /*@ assert entry / 4096 == frame; */
    /*@ assert entry / 2 == frame * 2048 + low / 2; */
    if (!d.executable)
        entry += SHADOW_NX;
    /*@ assert entry / 4096 == frame || entry / 4096 == frame + 2048 * 1099511627776; */
    /*@ assert entry / 2 == frame * 2048 + low / 2 || entry / 2 == frame * 2048 + low / 2 + 4611686018427387904; */
    return entry;
}

/*@ requires \valid_read(d) && \valid_read(r) && domain_valid(*d) && request_valid(*r);
    assigns \nothing;
    ensures same: \result != 0 <==> may_be_present(*d, *r); */
static bool allows_presence(const struct shadow_domain *d, const struct shadow_request *r)
{
    if (!r->present || !r->accessed || (r->user_view && !r->user))
        return false;
    return r->table ? owned(&d->tables, r->frame) : owned(&d->memory, r->frame) && !(r->hide_user && r->user);
}

/*@ requires \valid_read(r) && request_valid(*r);
    assigns \nothing;
    ensures same: \result != 0 <==> may_be_written(*r); */
static bool allows_writing(const struct shadow_request *r)
{
    return (r->writable || (!r->user_view && !r->write_protect)) && (r->table || (r->dirty && !r->watched));
}

/*@ requires \valid_read(r) && request_valid(*r);
    assigns \nothing;
    ensures same: \result != 0 <==> may_be_executed(*r); */
static bool allows_execution(const struct shadow_request *r)
{
    return r->executable && (r->table || r->user_view || !r->smep || !r->user);
}

bool shadow_entry_honest(u64 entry, const struct shadow_domain *d, const struct shadow_request *r)
{
    bool present = entry % 2, writable = entry / SHADOW_WRITABLE % 2, executable = entry / SHADOW_NX == 0;
    if (!present)
        return entry == 0 && !allows_presence(d, r);
    return allows_presence(d, r) && shadow_entry_frame(entry) == r->frame && (!writable || allows_writing(r)) &&
           (!executable || allows_execution(r));
}

void shadow_entry_write(u64 *slot, const struct shadow_domain *d, const struct shadow_request *r)
{
    struct decision rights = decide(d, r);
    *slot = rights.present ? pack(rights, r->frame) : 0;
    CHECKED(shadow_entry_honest(*slot, d, r));
}
