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
/* Available to software: the guest's tables allow writes and D is set, but the frame is watched: emulate, don't
 * walk. */
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
    /* The guest's entries: all present, all accessed, user and writable in all, no-execute in none; dirty in the
     * last. */
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

    predicate domain_valid(struct shadow_domain d) =
        d.memory.first + d.memory.count <= 1099511627776 && d.tables.first + d.tables.count <= 1099511627776;

    predicate bool_valid(integer b) = b == 0 || b == 1;
    predicate request_valid(struct shadow_request r) =
        bool_valid(r.table) && bool_valid(r.present) && bool_valid(r.accessed) && bool_valid(r.user) &&
        bool_valid(r.writable) && bool_valid(r.executable) && bool_valid(r.dirty) && bool_valid(r.user_view) &&
        bool_valid(r.hide_user) && bool_valid(r.write_protect) && bool_valid(r.smep) && bool_valid(r.watched);

    // What the guest's tables give, for this view: SDM vol. 3, 4.6.1. A table gives what its pages give at best.
    predicate may_be_present(struct shadow_domain d, struct shadow_request r) =
        r.present == 1 && r.accessed == 1 && (r.user_view == 1 ==> r.user == 1) &&
        (r.table == 1 ==> in_range(d.tables, r.frame)) &&
        (r.table == 0 ==> in_range(d.memory, r.frame) && (r.hide_user == 1 ==> r.user == 0));
    predicate may_be_written(struct shadow_request r) =
        (r.writable == 1 || (r.user_view == 0 && r.write_protect == 0)) &&
        (r.table == 0 ==> r.dirty == 1 && r.watched == 0);
    predicate may_be_executed(struct shadow_request r) =
        r.executable == 1 && (r.table == 0 && r.user_view == 0 && r.smep == 1 ==> r.user == 0);

    // Fields of an entry, by arithmetic.
    logic integer entry_present(integer e) = e % 2;
    logic integer entry_writable(integer e) = (e / 2) % 2;
    logic integer entry_frame(integer e) = (e / 4096) % 1099511627776;
    logic integer entry_nx(integer e) = e / 9223372036854775808;
*/

/*@ requires \valid(slot) && \valid_read(d) && \valid_read(r) && \separated(slot, r, d);
    requires domain_valid(*d) && request_valid(*r);
    assigns *slot;
    ensures present: entry_present(*slot) == 1 <==> may_be_present(*d, *r);
    ensures absent: entry_present(*slot) == 0 ==> *slot == 0;
    ensures frame: entry_present(*slot) == 1 ==> entry_frame(*slot) == r->frame;
    ensures writable: entry_writable(*slot) == 1 ==> may_be_present(*d, *r) && may_be_written(*r);
    ensures executable: entry_present(*slot) == 1 && entry_nx(*slot) == 0 ==> may_be_executed(*r);
*/
/* Writes the entry that `r` asks for, as far as it may be had; 0 if it may not be there at all. A and D are clear. */
void shadow_entry_write(u64 *slot, const struct shadow_domain *d, const struct shadow_request *r);

/*@ requires \valid_read(d) && \valid_read(r) && domain_valid(*d) && request_valid(*r);
    assigns \nothing;
    ensures holds: \result != 0 <==> (entry_present(entry) == 1 <==> may_be_present(*d, *r)) &&
        (entry_present(entry) == 0 ==> entry == 0) && (entry_present(entry) == 1 ==> entry_frame(entry) == r->frame) &&
        (entry_writable(entry) == 1 ==> may_be_present(*d, *r) && may_be_written(*r)) &&
        (entry_present(entry) == 1 && entry_nx(entry) == 0 ==> may_be_executed(*r)); */
/* The contract above, as a function: for checking builds. */
bool shadow_entry_honest(u64 entry, const struct shadow_domain *d, const struct shadow_request *r);

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
    u64 low = *slot % 4096, high = *slot / 4096;
    if (low / SHADOW_WRITABLE % 2 == 1)
        low -= SHADOW_WRITABLE;
    if (low / SHADOW_TRACED % 2 == 0)
        low += SHADOW_TRACED;
    /*@ assert low < 4096; */
    /*@ assert low / 2 % 2 == 0; */
    *slot = high * 4096 + low;
    /*@ assert *slot / 4096 == high; */
    /*@ assert *slot / 2 == high * 2048 + low / 2; */
}

/* Nothing is mapped here any more. */
static inline void shadow_entry_clear(u64 *slot) { *slot = 0; }

/* What the processor does to an entry that it uses: A, and D for a write. */
static inline void shadow_entry_touch(u64 *slot, bool write)
{
    *slot |= SHADOW_ACCESSED | (write ? SHADOW_DIRTY : 0);
}

/*@ assigns \nothing;
    ensures frame: \result == entry_frame(entry); */
static inline u64 shadow_entry_frame(u64 entry) { return entry / 4096 % SHADOW_FRAME_LIMIT; }

#endif
