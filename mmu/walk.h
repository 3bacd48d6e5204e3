/* The guest page walk: every paging format of the SDM (vol. 3, chapter 4), with levels as data and one walker. */
#ifndef REPRISE_MMU_WALK_H
#define REPRISE_MMU_WALK_H

#include "core/vcpu.h"
#include "mmu/access.h"

struct walk_result {
    bool ok;
    u32 error;      /* if !ok: the #PF error code */
    gpa_t page;     /* guest-physical address of the 4 KiB page that holds the linear address */
    bool writable;  /* a write with the same rights would succeed and D is already set in the leaf */
    bool global;
    bool cacheable; /* every table lies in RAM, so that writes to it are seen; else translate anew each time */
    bool watched;   /* mmu/access.c: what is remembered is this write alone, which must be seen */
    u8 page_shift;  /* 12, 21, 22 or 30: size of the mapping; 32 without paging */
};

/* The protection that a path of entries adds up to (SDM vol. 3, 4.6). */
struct walk_rights {
    bool user, writable, executable;
};

/* The tables that a walk went through, from the top: what a shadow of it derives from. PAE's PDPTEs are registers and
 * do not count; without paging there is none. */
struct walk_path {
    u8 levels;    /* entries used, 0..4; the last one maps the page */
    u64 table[4]; /* guest-physical address of the table of each */
    u64 at[4], entry[4]; /* where each lies, and its value before the walk set A and D */
    struct walk_rights after[4]; /* the entries so far */
    bool dirty;   /* D of the last entry, after the access */
};

/* Walks for an access by `rights`; sets A (and D, for writes) bits as the processor does. `linear` must be canonical.
 * With `commit` false it changes nothing in guest memory (debuggers, probes). */
struct walk_result walk_guest(struct vcpu *v, u64 linear, enum access access, enum tlb_rights rights, bool commit);

/* The same with `commit`, and tells the path; it is valid only if the walk succeeds. */
struct walk_result walk_guest_path(struct vcpu *v, u64 linear, enum access access, enum tlb_rights rights,
                                   struct walk_path *path);

/* Reads the four PAE PDPTEs that `cr3` points at. False if a present one has reserved bits set (#GP(0), SDM vol. 3,
 * 4.4.1): `pdpte` is then unchanged. */
bool walk_read_pdptes(struct vm *vm, u64 cr3, u64 pdpte[4]);
/* The same into the processor's own PDPTE registers. */
bool walk_load_pdptes(struct vcpu *v, u64 cr3);

#endif
