/* The translation cache in front of the guest walk: data structure and fast path only.
 *
 * It is coherent: the guest sees translations as if every access walked its tables. mmu/access.c keeps it
 * so by tracing writes to every frame that served as a page table since the last flush, and frames that
 * hold decoded code. Entries are kept apart by rights: supervisor; user; supervisor with RFLAGS.AC set while CR4.SMAP is (an
 * explicit access to user pages is then allowed); and user with alignment checking on, which is never filled, so that
 * every access takes the slow path. */
#ifndef REPRISE_MMU_TLB_H
#define REPRISE_MMU_TLB_H

#include "core/types.h"

enum tlb_rights { TLB_SUPERVISOR, TLB_USER, TLB_SUPERVISOR_AC, TLB_USER_ALIGNED, TLB_RIGHTS };

enum { TLB_ENTRIES = 1024, TLB_WATCHED = 64, WALK_MEMOS = 16 };

/* A walk that led outside RAM (mmu/walk_memo.h). */
struct walk_memo {
    u64 key;   /* page | access and rights */
    u64 modes; /* tlb.modes; 0: empty */
    u64 page;
    u8 levels, entry_bytes;
    const u8 *at[4]; /* the entries, in host memory, */
    u64 entry[4];    /* and what they held */
};

/* A tag is the page's linear address with an epoch in its low 12 bits, `write_epoch` for writes; no tag of an older
 * epoch matches. */
struct tlb_entry {
    u64 read_tag, write_tag, fetch_tag;
    u64 addend;  /* host address = linear address + addend; valid where a tag matches (RAM only) */
};

/* A page that may be written, but whose writes must be seen: spares the walk while its frame is watched. */
struct tlb_watched {
    u64 tag;
    u64 offset; /* of the page in RAM */
};

struct tlb {
    u64 epoch;         /* 1..4095, in every valid tag */
    u64 write_epoch;   /* 1..4095, in every valid write_tag: writes can be forgotten alone */
    u64 modes;         /* counts loads of the registers that translation depends on, from 1 */
    u64 fetches;       /* bumped when a cached fetch translation may be stale */
    struct tlb_entry *current; /* entries[rights of data accesses now] */
    u8 rights;         /* enum tlb_rights of explicit data accesses now */
    u8 fetch_rights;   /* enum tlb_rights of instruction fetches now */
    struct tlb_entry entries[TLB_RIGHTS][TLB_ENTRIES];
    struct tlb_watched watched[TLB_RIGHTS][TLB_WATCHED];
    struct walk_memo memo[WALK_MEMOS];
};

static inline struct tlb_entry *tlb_slot(struct tlb_entry *entries, u64 linear)
{
    return &entries[(linear >> PAGE_SHIFT) & (TLB_ENTRIES - 1)];
}

static inline struct tlb_watched *tlb_watched_slot(struct tlb *t, enum tlb_rights rights, u64 linear)
{
    return &t->watched[rights][(linear >> PAGE_SHIFT) & (TLB_WATCHED - 1)];
}

/* True when [linear, linear + size) lies in one page whose tag is `tag`. size is 1..64. */
static inline bool tlb_hit(u64 tag, u64 linear, unsigned size, u64 epoch)
{
    return ((linear & ~(u64)PAGE_MASK) | epoch) == tag && (linear & PAGE_MASK) <= PAGE_SIZE - size;
}

#endif
