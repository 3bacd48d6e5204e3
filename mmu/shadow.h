/* The shadow MMU: genuine x86-64 page tables in frames of ours that say what the guest's tables say, and no more.
 *
 * They are filled on demand from guest walks. Frames of guest tables that shadow pages derive from are write-traced:
 * a write drops the entries that derive from what was written, at once, so that every access is as if it had walked
 * the guest's own tables. Loading CR3 selects an address space that may still be there; INVLPG has nothing to do. A
 * translation that cannot be shadowed (tables outside RAM) is walked each time.
 *
 * On metal the processor walks these tables. Elsewhere shadow_translate() is the processor: it walks them, sets A
 * and D in them, and takes what it finds there. Whoever keeps what it found (flat tables, a TLB) gives a listener. */
#ifndef REPRISE_MMU_SHADOW_H
#define REPRISE_MMU_SHADOW_H

#include "mmu/access.h"

struct shadow;

enum { SHADOW_SPACES_MAX = 64, SHADOW_PAGE_BYTES = 8 << 10 };

struct shadow_config {
    u32 pages;  /* capacity in shadow pages, at least 16; each takes SHADOW_PAGE_BYTES once it is used */
    u32 spaces; /* address spaces that are remembered, 1..SHADOW_SPACES_MAX */
};

/* For guests of a few hundred processes: at most 16 MiB. */
extern const struct shadow_config shadow_config_default;
/* The same with the capacity that vm->config asks for. */
struct shadow_config shadow_config_of(const struct vm *vm);

/* Translations that no longer hold. */
struct shadow_drop {
    u8 space, view;   /* view: enum tlb_rights, but TLB_USER_ALIGNED */
    bool writes_only; /* reads and fetches still hold */
    bool code;        /* instructions from there may be cached; if false, none are */
    u64 linear, pages;
};

struct shadow_listener {
    void *self;
    void (*drop)(void *self, const struct shadow_drop *what);
    void (*drop_space)(void *self, unsigned space); /* everything of it: its number may go to another address space */
    void (*drop_all)(void *self);
};

struct shadow_stats {
    u64 misses, fills, traced_writes, dropped_pages, evictions, spaces, uncached;
};

/* Creates vm->shadow. `listener` may be NULL; it is copied. STATUS_BAD_ARGUMENT: capacities out of range. */
enum status shadow_create(struct vm *vm, const struct shadow_config *config, const struct shadow_listener *listener);
/* Does nothing if there is none. */
void shadow_destroy(struct vm *vm);
/* Forgets everything: for memory that changed behind the tracing's back (reset, restored snapshots). */
void shadow_reset(struct vm *vm);

/* Finds the address space of v's CR0, CR3, CR4, EFER and PDPTEs, or makes it; call after any change of them. True if
 * it is not the one that was selected. */
bool shadow_select(struct vcpu *v);
/* Its number, which a listener hears about. */
unsigned shadow_space_number(const struct vcpu *v);

struct shadow_translation {
    bool ok;
    u32 error;         /* if !ok: the #PF error code */
    gpa_t page;        /* of the byte at the linear address: its 4 KiB page */
    bool direct;       /* RAM, and the shadow tables allow this access: good until the listener hears otherwise */
    bool direct_write; /* the same for writes with the same rights */
    bool watched;      /* this write is allowed, and must be seen: good as long, and while the frame is watched */
};

/* Translates for one access, as walk_guest() with commit does. `linear` must be canonical. */
struct shadow_translation shadow_translate(struct vcpu *v, u64 linear, enum access access, enum tlb_rights rights);

/* Bytes [offset, offset + size) of one RAM page with FRAME_SHADOW have been written. */
void shadow_ram_written(struct vm *vm, u64 offset, unsigned size);
/* A walk has set A or D in the byte at `offset` of such a page. */
void shadow_ram_marked(struct vm *vm, u64 offset);
/* The RAM page at `offset` has become watched: no direct writes any more. */
void shadow_ram_watched(struct vm *vm, u64 offset);

/* Drops a page of shadow tables, chosen by `random`: has no effect that a guest can see. For tests, and done now and
 * then if vm_config.chaos has CHAOS_TLB. */
void shadow_disturb(struct vm *vm, u64 random);

const struct shadow_stats *shadow_statistics(const struct vm *vm);
/* Bytes of shadow pages in use, and how many there can be. */
u64 shadow_bytes_used(const struct vm *vm);
u64 shadow_bytes_max(const struct vm *vm);

#endif
