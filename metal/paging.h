/* The hypervisor's own page tables (SDM vol. 3, 4.5): four levels, no page both writable and executable.
 *
 *     [1 MiB, image end)       the image: code, constants and data each with their own rights; guard pages below stacks
 *     [0, end of RAM)          RAM at its physical address, writable, in pages as large as fit; page 0 is not there
 *     AREAS_BEGIN, AREAS_END   areas (metal/areas.h), by pages of 4 KiB, on both sides of the canonical hole
 *     DEVICES_BEGIN            registers of devices, uncached */
#ifndef REPRISE_METAL_PAGING_H
#define REPRISE_METAL_PAGING_H

#include "metal/boot_info.h"

#define AREAS_BEGIN 0x0000100000000000ull
#define AREAS_END 0xfffff00000000000ull
#define CANONICAL_HOLE_BEGIN 0x0000800000000000ull /* addresses that do not exist (SDM vol. 1, 3.3.7.1) */
#define CANONICAL_HOLE_END 0xffff800000000000ull
#define DEVICES_BEGIN 0xfffff80000000000ull

#define PTE_PRESENT 0x1ull
#define PTE_WRITE 0x2ull
#define PTE_WRITE_THROUGH 0x8ull
#define PTE_CACHE_OFF 0x10ull
#define PTE_LARGE 0x80ull
#define PTE_GLOBAL 0x100ull
#define PTE_GUARD 0x200ull  /* not present, and never will be: an access is an error of whoever makes it */
#define PTE_SHARED 0x400ull /* the frame belongs to somebody else: it is not freed with the page */
#define PTE_NO_EXECUTE (1ull << 63) /* as we ask for it; without NX in the processor it is left out */
#define PTE_FRAME 0x000ffffffffff000ull

/* Builds the tables and switches to them; turns on NX, SMEP, SMAP, UMIP and global pages where they exist. Frames
 * must be there. */
void paging_init(const struct boot_info *boot);

/* The entry of the 4 KiB page at `address`, in tables that are made if `create`; NULL: there are none, or no frame for
 * them. Not for pages that paging_init() made large. */
u64 *paging_entry(u64 address, bool create);
/* Writes an entry; the translation that it replaces is gone afterwards. */
void paging_set(u64 *entry, u64 address, u64 value);

/* Empties [begin, begin + bytes) of 4 KiB pages: frees frames that are not PTE_SHARED, and the tables that lie wholly
 * inside. */
void paging_clear(u64 begin, u64 bytes);

/* Device registers at a physical address, uncached; NULL if they cannot be mapped. */
volatile void *paging_device(u64 physical, u64 bytes);

#endif
