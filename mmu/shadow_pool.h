/* The host frames that shadow tables are made of: a fixed number of pages of 512 entries, found again by what they
 * shadow, and the links between entries and what they name.
 *
 * Storage only: what an entry may say is decided in mmu/shadow_entry.h, what must be dropped when in mmu/shadow_drop.c.
 * A page and an entry are numbers, so that links stay small: page n is entries 512 n to 512 n + 511, and 0 is none. */
#ifndef REPRISE_MMU_SHADOW_POOL_H
#define REPRISE_MMU_SHADOW_POOL_H

#include "core/status.h"
#include "mmu/shadow_entry.h"
#include "mmu/tlb.h"

enum { SHADOW_SLOTS = 512, SHADOW_LEVELS = 4, SHADOW_VIEWS = TLB_USER_ALIGNED };

/* What a page is the shadow of, beside the address in shadow_key.base. Two pages with equal keys hold equal entries,
 * so whatever an entry depends on is here; and nothing else, so that address spaces share pages. */
#define ROLE_LEVEL 0x00000003u    /* 0: its entries map pages; 3: it is the root */
#define ROLE_QUADRANT 0x0000000cu /* 32-bit paging: which part of a guest table, whose entries number 1024 */
#define ROLE_QUADRANT_SHIFT 2
#define ROLE_SOURCE 0x00000070u
#define ROLE_SOURCE_SHIFT 4
#define ROLE_USER_VIEW 0x00000100u     /* as in struct shadow_request */
#define ROLE_HIDE_USER 0x00000200u
#define ROLE_WRITE_PROTECT 0x00000400u
#define ROLE_SMEP 0x00000800u
#define ROLE_NXE 0x00001000u           /* reserved bits depend on EFER.NXE and CR4.PSE */
#define ROLE_PSE 0x00002000u
#define ROLE_USER 0x00010000u          /* rights of the guest's entries on the path to this page */
#define ROLE_WRITABLE 0x00020000u
#define ROLE_EXECUTABLE 0x00040000u
#define ROLE_DIRTY 0x00080000u         /* SOURCE_DIRECT */

enum shadow_source {
    SOURCE_SYNTHETIC, /* levels that the guest's format has not: base is the serial number of the address space */
    SOURCE_32BIT,     /* a guest's table: base is its guest-physical address */
    SOURCE_PAE,
    SOURCE_4LEVEL,
    SOURCE_DIRECT,    /* inside a large page, or no paging: base is the guest-physical address that slot 0 maps */
};

struct shadow_key {
    u64 base;
    u32 role;
};

static inline unsigned shadow_key_level(struct shadow_key k) { return k.role & ROLE_LEVEL; }
static inline enum shadow_source shadow_key_source(struct shadow_key k)
{
    return (enum shadow_source)((k.role & ROLE_SOURCE) >> ROLE_SOURCE_SHIFT);
}
/* True for pages whose entries derive from the guest table at key.base, which must be write-traced. */
static inline bool shadow_key_traced(struct shadow_key k)
{
    enum shadow_source source = shadow_key_source(k);
    return source >= SOURCE_32BIT && source <= SOURCE_4LEVEL;
}

struct shadow_page {
    struct shadow_key key;
    u32 next;       /* in its hash bucket, or in the list of free pages */
    u32 parents;    /* list of entries that name this page */
    u16 present;    /* entries that are not 0 */
    u16 writes;     /* to the guest table since an entry was last made here */
    bool used;
    bool referenced; /* since the clock hand came by */
    u64 pin;         /* not to be evicted in this fill */
    u64 roots[SHADOW_VIEWS]; /* bit n: the root of address space n in that view */
};

struct shadow_pool {
    u32 capacity;  /* pages */
    u32 in_use;
    u32 free;      /* list */
    u32 hand;      /* eviction clock */
    u32 buckets_mask;
    u64 *entries;  /* page 0 is never used */
    u32 *next, *previous; /* beside each entry: its place in the list of what it names */
    struct shadow_page *pages;
    u32 *buckets;
};

enum status shadow_pool_create(struct shadow_pool *p, u32 capacity);
void shadow_pool_destroy(struct shadow_pool *p);

/* The page for `key`, or 0. */
u32 shadow_pool_find(const struct shadow_pool *p, struct shadow_key key);
/* The first page, and those after it, whose entries derive from the guest table at `base`. 0: no more. */
u32 shadow_pool_first(const struct shadow_pool *p, u64 base);
u32 shadow_pool_next(const struct shadow_pool *p, u32 page);

/* Takes a free page, empty, for `key`; 0 if there is none. */
u32 shadow_pool_take(struct shadow_pool *p, struct shadow_key key);
/* Gives back a page that has no entries and no parents. */
void shadow_pool_give(struct shadow_pool *p, u32 page);
/* The next page to evict: not referenced lately, not pinned by `pin`, no root if that can be avoided. 0: all are
 * pinned. */
u32 shadow_pool_victim(struct shadow_pool *p, u64 pin);

/* Puts an entry at the head of the list `head`, and takes it out. */
void shadow_pool_link(struct shadow_pool *p, u32 *head, u32 entry);
void shadow_pool_unlink(struct shadow_pool *p, u32 *head, u32 entry);

static inline u32 shadow_entry_id(u32 page, unsigned slot) { return page * SHADOW_SLOTS + slot; }
static inline u32 shadow_entry_page(u32 entry) { return entry / SHADOW_SLOTS; }
static inline unsigned shadow_entry_slot(u32 entry) { return entry % SHADOW_SLOTS; }
static inline unsigned shadow_shift(unsigned level) { return PAGE_SHIFT + 9 * level; }

#endif
