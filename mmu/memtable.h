/* Flat translation tables for translated code: one 8-byte addend for each page of linear addresses.
 *
 * host address = linear address + addend[page number]; 0 means that the page is not known, and the slow path
 * (mmu/access.h) decides. There is a table for reads and one for writes for each enum tlb_rights; the tables are sparse, and
 * only slots in use cost memory. They hold exactly what the TLB was ever told since the last flush: mmu/access.c fills and
 * revokes both together, under the same conditions, so that they are as coherent as it is.
 *
 * A page number is bits 47..12 of the address. A non-canonical address meets the slot of another one, and makes a host
 * address that is not canonical either. */
#ifndef REPRISE_MMU_MEMTABLE_H
#define REPRISE_MMU_MEMTABLE_H

#include "core/status.h"
#include "core/vcpu.h"

/* Filled slots since the last flush. */
enum { MEMTABLE_LOG = 1 << 15 };

enum memtable_kind { MEMTABLE_READ, MEMTABLE_WRITE, MEMTABLE_KINDS };

struct memtable {
    u64 *slots[TLB_RIGHTS][MEMTABLE_KINDS]; /* TLB_USER_ALIGNED: never filled */
    u64 bytes;                              /* of each table */
    u32 used;
    struct {
        u64 *slot;
        u64 linear; /* of the page */
        bool write;
    } log[MEMTABLE_LOG];
};

/* For linear addresses of 48 bits if `wide`, else of 32. STATUS_NO_MEMORY if the host refuses. */
enum status memtable_create(struct vcpu *v, bool wide);
void memtable_destroy(struct vcpu *v);

/* `host` is where the page that holds `linear` lies. False if too many slots are in use: flush the TLB first. */
bool memtable_fill(struct memtable *m, u64 linear, enum tlb_rights rights, enum memtable_kind kind, const u8 *host);
void memtable_flush(struct memtable *m);
/* Takes back all writes to the page of RAM at `host`. */
void memtable_revoke_writes(struct memtable *m, const u8 *host);

static inline u64 memtable_page(u64 linear) { return linear << 16 >> 28; }

#endif
