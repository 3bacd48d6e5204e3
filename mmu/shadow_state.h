/* The shadow MMU's state and what its parts offer each other. For mmu/shadow*.c and their tests only. */
#ifndef REPRISE_MMU_SHADOW_STATE_H
#define REPRISE_MMU_SHADOW_STATE_H

#include "core/vm.h"
#include "mmu/shadow.h"
#include "mmu/shadow_pool.h"
#include "mmu/walk.h"

enum shadow_format { SHADOW_OFF, SHADOW_32BIT, SHADOW_PAE, SHADOW_4LEVEL };

/* What makes two address spaces the same one. Members that a format does not read are 0. */
struct shadow_space_key {
    u64 format; /* enum shadow_format */
    u64 flags;  /* ROLE_WRITE_PROTECT, ROLE_SMEP, ROLE_HIDE_USER (if CR4.SMAP), ROLE_NXE, ROLE_PSE */
    u64 table;  /* CR3's */
    u64 pdpte[4];
};

struct shadow_space {
    bool used;
    u64 serial; /* never used twice: the base of its synthetic pages, in pages */
    u64 stamp;  /* of its last selection */
    struct shadow_space_key key;
    u32 policy[SHADOW_VIEWS]; /* ROLE_ bits of each view */
    u32 root[SHADOW_VIEWS];   /* page, or 0 */
};

struct shadow {
    struct shadow_pool pool;
    struct shadow_domain domain; /* host frames: the VM's memory, and the pool */
    struct shadow_listener listener;
    struct shadow_stats stats;
    struct shadow_space space[SHADOW_SPACES_MAX];
    u32 spaces;
    u32 current[VCPU_MAX];  /* space of each processor */
    u64 selected[VCPU_MAX]; /* and its serial number */
    const struct frame *frame; /* physmem.frames */
    u64 serial, stamp, pin;
    u64 chaos;    /* CHAOS_TLB: ever changing; 0: none */
    u32 budget;   /* reports left in this operation, before everything is dropped instead */
    u32 *writers; /* by RAM frame: list of writable entries that map it */
    u64 frames;
};

/* ---- shadow_drop.c ---- */

/* Begins an operation that may drop entries. */
void shadow_begin(struct shadow *s);
/* Takes an entry away, and reports it. */
void shadow_drop_entry(struct shadow *s, u32 entry);
/* Takes a page out of every table and space, and gives it back to the pool. */
void shadow_drop_page(struct vm *vm, u32 page);
/* Reports that what a leaf entry allows has shrunk to reads. */
void shadow_report_protected(struct shadow *s, u32 entry);

static inline u32 shadow_child(const struct shadow *s, u64 entry)
{
    return (u32)(shadow_entry_frame(entry) - s->domain.tables.first);
}

static inline u64 *shadow_at(struct shadow *s, u32 entry) { return &s->pool.entries[entry]; }
static inline struct shadow_page *shadow_page_of(struct shadow *s, u32 entry)
{
    return &s->pool.pages[shadow_entry_page(entry)];
}

/* ---- shadow_fill.c ---- */

/* Makes the entries that lead to the page of a successful walk. Does less, or nothing, where it may not or has no
 * room. */
void shadow_fill(struct vcpu *v, enum tlb_rights view, u64 linear, const struct walk_result *walk,
                 const struct walk_path *path);

#endif
