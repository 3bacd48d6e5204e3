/* Windows: linear addresses of 32-bit code as host addresses, so that translated code accesses guest memory with no look-up.
 *
 * A window is 4 GiB of host address space for one address space and one enum tlb_rights, with space around it where nothing
 * ever is. A page of it is mapped when an access has faulted there, as the flat tables (mmu/memtable.h) allow: readable
 * where the page has a read addend, writable where it has a write addend. So a window holds less than its tables, and loses
 * a page at the moment at which they do. There is a bound on the pages that are mapped; beyond it all windows are emptied. */
#ifndef REPRISE_MMU_WINDOW_H
#define REPRISE_MMU_WINDOW_H

#include "core/host.h"
#include "mmu/memtable.h"
#include "mmu/physmem.h"

enum { WINDOW_PAGE_BITS = 32 - PAGE_SHIFT, WINDOW_WORDS = 1 << (WINDOW_PAGE_BITS - 6) };
#define WINDOW_BYTES (1ull << 32)
/* An address is base + index * 8 + displacement at most, each of 32 bits, the displacement signed. */
#define WINDOW_BELOW (1ull << 32)
#define WINDOW_STRIDE (1ull << 36)
/* Pages mapped in all windows: each may cost the host two of the 65530 mappings that Linux gives a process. */
enum { WINDOW_PAGES_MAX = 24000 };
/* Pages around one that faulted which are mapped with it if the tables know them. */
enum { WINDOW_AROUND = 32 };

struct windows;

struct window {
    struct windows *all;
    u8 *base;   /* where linear address 0 stands */
    u32 mapped; /* pages */
    u64 present[WINDOW_WORDS], writable[WINDOW_WORDS]; /* a bit for each page; writable ones are present */
    u64 lost[WINDOW_WORDS]; /* a right was taken away by window_drop() before: it may go again */
};

struct windows {
    const struct physmem *memory;
    u8 *space; /* address space of all */
    u64 space_bytes, bytes;
    const u8 *nowhere; /* stands for a window in which nothing is ever mapped */
    u32 count, mapped;
    u64 maps, unmaps, overflows; /* what was asked of the host; how often everything was emptied for want of space */
    struct window window[];
};

/* Gives each of v's memtables a window for each class of rights but TLB_USER_ALIGNED. v's memory is PHYSMEM_SHARED (else STATUS_BAD_ARGUMENT).
 * STATUS_NO_MEMORY if the host refuses. */
enum status windows_create(struct vcpu *v);
/* Does nothing if there are none. */
void windows_destroy(struct vcpu *v);

/* Where linear address 0 stands for accesses by `rights`. */
const u8 *window_base(const struct vcpu *v, const struct memtable *m, enum tlb_rights rights);

/* Is this host address in a window, or around one? */
bool windows_hold(const struct vcpu *v, u64 host);

/* What mapping has done for a page. AGAIN: it had to be done before, and was undone. */
enum window_result { WINDOW_NOTHING, WINDOW_MAPPED, WINDOW_AGAIN };

/* Maps the page of `linear`, below 4 GiB, and some around it, as the tables allow now. The result is that page's. */
enum window_result window_map(struct vcpu *v, struct memtable *m, u64 linear, enum tlb_rights rights);

/* Takes [page, page + count) away, or the right to write there. For mmu/memtable.c. */
void window_drop(struct window *w, u64 page, u64 count, bool writes_only);
void window_flush(struct window *w);

#endif
