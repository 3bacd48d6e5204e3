/* Areas: pieces of the address space that get memory when it is first used, so that a reservation of terabytes costs
 * its page tables only. A page that was only read shares one frame of zeros with all others. Executable areas come
 * in pairs: one is written, the other executed, and both show the same frames.
 *
 * Each area is followed by at least one page of nothing. */
#ifndef REPRISE_METAL_AREAS_H
#define REPRISE_METAL_AREAS_H

#include "core/host.h"

/* What is reserved from now on belongs to `owner`, any number; 0: to the machine. */
void areas_set_owner(unsigned owner);
/* Gives back everything that belongs to it. */
void areas_release_owner(unsigned owner);

/* Before the first reservation; frames and paging must be there. */
void areas_init(void);

/* Reserves memory that reads as zeros; NULL if there is no space, or no slot for another area. */
void *area_reserve(size_t bytes);
/* Reserves a pair; `memory` as in host_exec_alloc(). */
enum status area_reserve_exec(size_t bytes, struct host_exec *memory);
/* Gives back what begins at `memory`, its frames included; of a pair, both. */
void area_release(const void *memory);
/* Makes whole pages of an area fault from now on. False: no frame for the tables. */
bool area_guard(void *memory, size_t bytes);

/* A page fault at `address`. */
enum area_fault {
    AREA_FAULT_DONE,      /* the page is there now */
    AREA_FAULT_FOREIGN,   /* not in an area, a guard page, or an access that the area does not allow */
    AREA_FAULT_NO_MEMORY, /* no frame left */
};
enum area_fault area_page_fault(u64 address, bool write);

/* The executable area in which `address` may be executed, or NULL. */
const struct host_exec *area_exec_at(u64 address);

#endif
