/* Flat translation tables for translated code: one 8-byte addend for each page of linear addresses.
 *
 * host address = linear address + addend[page number]; 0 means that the page is not known, and the slow path
 * (mmu/access.h) decides. There is a table for reads and one for writes for each enum tlb_rights; the tables are
 * sparse, and only slots in use cost memory. Each address space of the shadow MMU has a set of them, so that a
 * process that comes back finds what it had: mmu/access.c fills them together with the TLB, and mmu/tlb.c drops what
 * the shadow MMU reports.
 *
 * A page number is bits 47..12 of the address. A non-canonical address meets the slot of another one, and makes a
 * host address that is not canonical either. */
#ifndef REPRISE_MMU_MEMTABLE_H
#define REPRISE_MMU_MEMTABLE_H

#include "core/status.h"
#include "core/vcpu.h"

/* Filled slots of each kind since the last flush. */
enum { MEMTABLE_LOG = 1 << 15 };

enum memtable_kind { MEMTABLE_READ, MEMTABLE_WRITE, MEMTABLE_KINDS };

struct memtable {
    u64 *slots[TLB_RIGHTS][MEMTABLE_KINDS]; /* TLB_USER_ALIGNED: never filled */
    struct window *window[TLB_USER_ALIGNED]; /* mmu/window.h: they hear of all that is emptied here; NULL: none */
    u64 bytes;                              /* of each table */
    u32 used[MEMTABLE_KINDS]; /* of the logs; slots dropped one by one stay in them */
    u64 *log[MEMTABLE_KINDS][MEMTABLE_LOG];
};

/* Gives v a set for each of `spaces` address spaces, and selects the first. For linear addresses of 48 bits if
 * `wide`, else of 32. STATUS_NO_MEMORY if the host refuses. */
enum status memtable_create(struct vcpu *v, bool wide, unsigned spaces);
/* Does nothing if there are none. */
void memtable_destroy(struct vcpu *v);

/* `host` is where the page that holds `linear` lies. */
void memtable_fill(struct memtable *m, u64 linear, enum tlb_rights rights, enum memtable_kind kind, const u8 *host);
/* Would filling flush? Who fills for what the TLB remembers has to empty that then, too: a page that is in the TLB alone
 * would be a slow path for good. */
static inline bool memtable_full(const struct memtable *m)
{
    return m->used[MEMTABLE_READ] == MEMTABLE_LOG || m->used[MEMTABLE_WRITE] == MEMTABLE_LOG;
}
/* Empties all slots, or those of writes. */
void memtable_flush(struct memtable *m);
void memtable_flush_writes(struct memtable *m);
/* Empties the slots of `pages` pages from `linear` on; `writes_only`: reads stay. */
void memtable_drop(struct memtable *m, enum tlb_rights rights, u64 linear, u64 pages, bool writes_only);

static inline u64 memtable_page(u64 linear) { return linear << 16 >> 28; }

#endif
