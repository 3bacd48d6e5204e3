/* One entry of a shadow page table, in the format of x86-64 (SDM vol. 3, tables 4-15 to 4-20).
 *
 * shadow_entry_write() is the only function that gives a guest's code a mapping. Whatever the rest of the shadow MMU
 * computes, its contract holds: the frame belongs to this VM, the rights are not above those of the guest's own tables,
 * a present entry stands for a present and accessed guest entry, and a writable one for a dirty page that nobody
 * watches. Bits are taken apart and put together by arithmetic, so that the contract can be proved. */
#ifndef REPRISE_MMU_SHADOW_ENTRY_H
#define REPRISE_MMU_SHADOW_ENTRY_H

#include "core/types.h"

#define SHADOW_PRESENT 0x001ull
#define SHADOW_WRITABLE 0x002ull
#define SHADOW_USER 0x004ull /* in every present entry: code derived from a guest runs at CPL 3 */
#define SHADOW_ACCESSED 0x020ull
#define SHADOW_DIRTY 0x040ull
/* Available to software: the guest's tables allow writes and D is set, but the frame is watched: emulate, don't walk. */
#define SHADOW_TRACED 0x200ull
#define SHADOW_NX (1ull << 63)
#define SHADOW_FRAME_LIMIT (1ull << 40) /* frame numbers are below */

/* Frames [first, first + count) of host memory. */
struct shadow_range {
    u64 first, count;
};

/* What the shadow tables may name: the VM's memory, and its own tables. */
struct shadow_domain {
    struct shadow_range memory, tables;
};

/* A mapping that somebody wants, from the guest's entries on the path to it, this one included. */
struct shadow_request {
    bool table; /* names a shadow table, else maps a page */
    u64 frame;  /* host frame number of either */
    /* The guest's entries: all present, all accessed, user and writable in all, no-execute in none; dirty in the last. */
    bool present, accessed, user, writable, executable, dirty;
    /* Who the tables are for. */
    bool user_view;     /* CPL 3: pages of the supervisor are not there */
    bool hide_user;     /* CR4.SMAP without RFLAGS.AC: pages of the user are not there */
    bool write_protect; /* CR0.WP */
    bool smep;          /* CR4.SMEP */
    /* The page holds tables or code that is cached: a write must be seen. */
    bool watched;
};

/*@ predicate in_range(struct shadow_range r, integer frame) = r.first <= frame < r.first + r.count;

    // Bits of an entry, by arithmetic.
    logic integer entry_present(integer e) = e % 2;
    logic integer entry_writable(integer e) = (e / 2) % 2;
    logic integer entry_frame(integer e) = (e / 4096) % 1099511627776;
    logic integer entry_nx(integer e) = e / 9223372036854775808;

    predicate domain_valid(struct shadow_domain d) =
        d.memory.first + d.memory.count <= 1099511627776 && d.tables.first + d.tables.count <= 1099511627776;
*/

/*@ requires \valid(slot);
    requires \valid_read(r) && \valid_read(d);
    requires \separated(slot, r, d);
    requires domain_valid(*d);
    assigns *slot;
    ensures own_memory: entry_present(*slot) == 1 && !r->table ==> in_range(d->memory, entry_frame(*slot));
    ensures own_tables: entry_present(*slot) == 1 && r->table ==> in_range(d->tables, entry_frame(*slot));
    ensures frame: entry_present(*slot) == 1 ==> entry_frame(*slot) == r->frame;
    ensures present: entry_present(*slot) == 1 ==> r->present && r->accessed;
    ensures user: entry_present(*slot) == 1 && r->user_view ==> r->user;
    ensures hidden: entry_present(*slot) == 1 && r->hide_user && !r->table ==> !r->user;
    ensures writable: entry_writable(*slot) == 1 ==>
        entry_present(*slot) == 1 && (r->writable || (!r->user_view && !r->write_protect));
    ensures dirty: entry_writable(*slot) == 1 && !r->table ==> r->dirty && !r->watched;
    ensures executable: entry_present(*slot) == 1 && entry_nx(*slot) == 0 ==> r->executable;
    ensures smep: entry_present(*slot) == 1 && entry_nx(*slot) == 0 && r->smep && !r->user_view && !r->table ==> !r->user;
    ensures absent: entry_present(*slot) == 0 ==> *slot == 0;
*/
/* Writes the entry that `r` asks for, as far as it may be had; 0 if it may not be there at all. A and D are clear. */
void shadow_entry_write(u64 *slot, const struct shadow_domain *d, const struct shadow_request *r);

/*@ requires \valid(slot);
    assigns *slot;
    ensures entry_writable(*slot) == 0;
    ensures entry_present(*slot) == entry_present(\old(*slot));
    ensures entry_frame(*slot) == entry_frame(\old(*slot));
    ensures entry_nx(*slot) == entry_nx(\old(*slot));
*/
/* A writable entry's page is watched from now on. */
static inline void shadow_entry_protect(u64 *slot)
{
    if (*slot / SHADOW_WRITABLE % 2 == 1)
        *slot -= SHADOW_WRITABLE;
    if (*slot / SHADOW_TRACED % 2 == 0)
        *slot += SHADOW_TRACED;
}

/* Nothing is mapped here any more. */
static inline void shadow_entry_clear(u64 *slot) { *slot = 0; }

/* What the processor does to an entry that it uses: A, and D for a write. */
static inline void shadow_entry_touch(u64 *slot, bool write)
{
    *slot |= SHADOW_ACCESSED | (write ? SHADOW_DIRTY : 0);
}

static inline u64 shadow_entry_frame(u64 entry) { return entry / 4096 % SHADOW_FRAME_LIMIT; }

#endif
