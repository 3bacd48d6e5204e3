/* A second guest page walk, for tests: one function per paging mode, written down in the order of the SDM (vol. 3,
 * chapter 4), with nothing shared with mmu/walk.c. It works on any image of guest memory and changes nothing: it
 * answers which bits a processor would set. */
#ifndef REPRISE_MMU_REFERENCE_WALK_H
#define REPRISE_MMU_REFERENCE_WALK_H

#include <string.h>

#include "core/cpu.h"
#include "mmu/physmem.h"

/* What the walk depends on. RAM is [0, ram_bytes) but for the VGA hole; everything else reads as all ones. */
struct reference {
    const u8 *ram;
    u64 ram_bytes;
    u64 cr0, cr3, cr4, efer, pdpte[4];
    bool pse36, page1gb, pat; /* CPUID */
};

enum reference_who { BY_SUPERVISOR, BY_USER, BY_SUPERVISOR_WITH_AC };
enum reference_access { DATA_READ, DATA_WRITE, CODE_FETCH };

struct reference_entry {
    u64 at, before, after; /* physical address; contents before and after a successful access */
    unsigned bytes;
};

struct reference_result {
    bool fault;
    u32 error;
    u64 physical; /* of the byte at the linear address */
    unsigned page_bits;
    unsigned entries; /* looked at, also on the way to a fault */
    struct reference_entry entry[4];
};

static inline u64 reference_load(const struct reference *r, u64 at, unsigned bytes)
{
    u64 value = bytes == 4 ? 0xffffffffu : ~0ull;
    if (at < 0xa0000 || (at >= 0xc0000 && at + bytes <= r->ram_bytes))
        memcpy(&value, r->ram + at, bytes);
    return bytes == 4 ? (u32)value : value;
}

/* One translation on its way down the tables. */
struct reference_trip {
    const struct reference *r;
    enum reference_who who;
    enum reference_access access;
    bool any_supervisor, any_read_only, any_no_execute; /* in the entries so far */
    struct reference_result result;
};

/* 4.7: the error code of a page fault. */
static inline struct reference_result reference_fault(const struct reference_trip *t, bool present, bool reserved)
{
    const struct reference *r = t->r;
    struct reference_result result = t->result; /* with the entries seen so far */
    result.fault = true;
    if (present)
        result.error |= 1;
    if (t->access == DATA_WRITE)
        result.error |= 2;
    if (t->who == BY_USER)
        result.error |= 4;
    if (reserved)
        result.error |= 8;
    bool reports_fetches = (r->cr4 & CR4_SMEP) || ((r->cr4 & CR4_PAE) && (r->efer & EFER_NXE));
    if (t->access == CODE_FETCH && reports_fetches)
        result.error |= 16;
    return result;
}

/* 4.6.1: access rights, case by case. */
static inline bool reference_allows(const struct reference_trip *t)
{
    const struct reference *r = t->r;
    bool wp = r->cr0 & CR0_WP, smap = r->cr4 & CR4_SMAP, smep = r->cr4 & CR4_SMEP;
    bool user_page = !t->any_supervisor;
    if (t->who == BY_USER) {
        if (!user_page)
            return false;
        if (t->access == DATA_WRITE)
            return !t->any_read_only;
        return t->access == DATA_READ || !t->any_no_execute;
    }
    if (t->access == CODE_FETCH) {
        if (t->any_no_execute)
            return false;
        return !user_page || !smep;
    }
    if (user_page && smap && t->who != BY_SUPERVISOR_WITH_AC)
        return false;
    if (t->access == DATA_READ)
        return true;
    return wp ? !t->any_read_only : true;
}

/* Reads an entry and notes what it says. */
static inline u64 reference_visit(struct reference_trip *t, u64 at, unsigned bytes)
{
    u64 entry = reference_load(t->r, at, bytes);
    if (!(entry & 4))
        t->any_supervisor = true;
    if (!(entry & 2))
        t->any_read_only = true;
    if (bytes == 8 && (t->r->efer & EFER_NXE) && entry >> 63)
        t->any_no_execute = true;
    t->result.entry[t->result.entries++] =
        (struct reference_entry){.at = at, .before = entry, .after = entry, .bytes = bytes};
    return entry;
}

/* 4.8: the access succeeds; accessed in every entry used, dirty in the last. */
static inline struct reference_result reference_finish(struct reference_trip *t, u64 frame, unsigned page_bits,
                                                       u64 linear)
{
    if (!reference_allows(t))
        return reference_fault(t, true, false);
    struct reference_result *result = &t->result;
    for (unsigned i = 0; i < result->entries; i++)
        result->entry[i].after |= 0x20;
    if (t->access == DATA_WRITE)
        result->entry[result->entries - 1].after |= 0x40;
    result->page_bits = page_bits;
    result->physical = frame + (linear & ((1ull << page_bits) - 1));
    return *result;
}

/* 4.3: 32-bit paging. */
static inline struct reference_result reference_32bit(struct reference_trip *t, u32 linear)
{
    const struct reference *r = t->r;
    bool pse = r->cr4 & CR4_PSE;
    u64 pde = reference_visit(t, (r->cr3 & 0xfffff000) + (linear >> 22) * 4, 4);
    if (!(pde & 1))
        return reference_fault(t, false, false);
    if (pse && (pde & 0x80)) {
        if (r->pse36 ? pde & 0x00200000 : pde & 0x003fe000)
            return reference_fault(t, true, true);
        if (!r->pat && (pde & 0x1000))
            return reference_fault(t, true, true);
        return reference_finish(t, (pde & 0xffc00000) | (pde >> 13 & 0xff) << 32, 22, linear);
    }
    u64 pte = reference_visit(t, (pde & 0xfffff000) + (linear >> 12 & 0x3ff) * 4, 4);
    if (!(pte & 1))
        return reference_fault(t, false, false);
    if (pse && !r->pat && (pte & 0x80))
        return reference_fault(t, true, true);
    return reference_finish(t, pte & 0xfffff000, 12, linear);
}

/* M, the physical-address width, is 40. */
#define REFERENCE_FRAME 0x000000fffffff000ull
#define REFERENCE_ABOVE_M 0x000fff0000000000ull

/* XD is reserved where it does not work. */
static inline u64 reference_xd(const struct reference *r) { return r->efer & EFER_NXE ? 0 : 1ull << 63; }

/* The last two levels, which PAE paging and 4-level paging share but for `ignored`: bits 62:52. */
static inline struct reference_result reference_directory(struct reference_trip *t, u64 directory, u64 linear,
                                                          u64 ignored)
{
    u64 reserved = (REFERENCE_ABOVE_M | 0x7ff0000000000000ull | reference_xd(t->r)) & ~ignored;
    u64 pde = reference_visit(t, directory + (linear >> 21 & 0x1ff) * 8, 8);
    if (!(pde & 1))
        return reference_fault(t, false, false);
    if (pde & reserved)
        return reference_fault(t, true, true);
    if (pde & 0x80) {
        if (pde & (t->r->pat ? 0x1fe000 : 0x1ff000))
            return reference_fault(t, true, true);
        return reference_finish(t, pde & REFERENCE_FRAME & ~0x1fffffull, 21, linear);
    }
    u64 pte = reference_visit(t, (pde & REFERENCE_FRAME) + (linear >> 12 & 0x1ff) * 8, 8);
    if (!(pte & 1))
        return reference_fault(t, false, false);
    if ((pte & reserved) || (!t->r->pat && (pte & 0x80)))
        return reference_fault(t, true, true);
    return reference_finish(t, pte & REFERENCE_FRAME, 12, linear);
}

/* 4.4: PAE paging, from the PDPTE registers. */
static inline struct reference_result reference_pae(struct reference_trip *t, u32 linear)
{
    u64 pdpte = t->r->pdpte[linear >> 30];
    if (!(pdpte & 1))
        return reference_fault(t, false, false);
    return reference_directory(t, pdpte & REFERENCE_FRAME, linear, 0);
}

/* 4.5: 4-level paging. */
static inline struct reference_result reference_4level(struct reference_trip *t, u64 linear)
{
    u64 reserved = REFERENCE_ABOVE_M | reference_xd(t->r);
    u64 pml4e = reference_visit(t, (t->r->cr3 & REFERENCE_FRAME) + (linear >> 39 & 0x1ff) * 8, 8);
    if (!(pml4e & 1))
        return reference_fault(t, false, false);
    if (pml4e & (reserved | 0x80))
        return reference_fault(t, true, true);
    u64 pdpte = reference_visit(t, (pml4e & REFERENCE_FRAME) + (linear >> 30 & 0x1ff) * 8, 8);
    if (!(pdpte & 1))
        return reference_fault(t, false, false);
    if (pdpte & reserved)
        return reference_fault(t, true, true);
    if (pdpte & 0x80) {
        if (!t->r->page1gb || (pdpte & 0x3fffe000))
            return reference_fault(t, true, true);
        return reference_finish(t, pdpte & REFERENCE_FRAME & ~0x3fffffffull, 30, linear);
    }
    return reference_directory(t, pdpte & REFERENCE_FRAME, linear, 0x7ff0000000000000ull);
}

static inline struct reference_result reference_walk(const struct reference *r, u64 linear,
                                                     enum reference_access access, enum reference_who who)
{
    struct reference_trip t = {.r = r, .who = who, .access = access};
    if (!(r->cr0 & CR0_PG))
        return (struct reference_result){.physical = (u32)linear, .page_bits = 32};
    if (r->efer & EFER_LMA)
        return reference_4level(&t, linear);
    if (r->cr4 & CR4_PAE)
        return reference_pae(&t, (u32)linear);
    return reference_32bit(&t, (u32)linear);
}

/* 4.4.1: would MOV to CR3 take these PDPTEs? */
static inline bool reference_pdptes_valid(const u64 pdpte[4])
{
    for (unsigned i = 0; i < 4; i++)
        if ((pdpte[i] & 1) && (pdpte[i] & (REFERENCE_ABOVE_M | 0xfff00000000001e6ull)))
            return false;
    return true;
}

/* Tests draw their randomness from here, so that a failure comes back. */
struct dice {
    u64 state;
};

static inline u64 roll(struct dice *d)
{
    d->state ^= d->state << 13;
    d->state ^= d->state >> 7;
    d->state ^= d->state << 17;
    return d->state * 0x2545f4914f6cdd1dull >> 8 ^ d->state << 40;
}

static inline u64 below(struct dice *d, u64 n) { return roll(d) % n; }
static inline bool chance(struct dice *d, unsigned percent) { return below(d, 100) < percent; }

#endif
