/* Page tables of any format, with the levels as data: one walker serves 32-bit, PAE and 4-level paging.
 *
 * pages_start() maps the first 16 MiB to themselves for the supervisor only, and once more at USER_ALIAS for
 * everybody, so that ring 3 runs the same probes at other addresses. TEST and what follows is left unmapped for
 * the suites. */
#ifndef GUESTS_LIB_PAGES_H
#define GUESTS_LIB_PAGES_H

#include "guests/lib/guest.h"

struct page_format { u8 levels, entry_size, index_bits; };
extern const struct page_format format_32bit, format_pae, format_4level;

enum { PAGE = 4096 };
#define USER_ALIAS 0x10000000ul
#define TEST 0x40000000ul
#define USER(pointer) ((word)(pointer) + USER_ALIAS)

#define PTE_P 0x1ull
#define PTE_W 0x2ull
#define PTE_U 0x4ull
#define PTE_A 0x20ull
#define PTE_D 0x40ull
#define PTE_PS 0x80ull
#define PTE_G 0x100ull
#define PTE_NX (1ull << 63)
#define PTE_RW (PTE_P | PTE_W)
#define PTE_URW (PTE_P | PTE_W | PTE_U)

/* Builds the tables, loads CR3, and turns paging on if it is off. */
void pages_start(const struct page_format *format);
extern word pages_root;
/* The entry of `address` at `level` (1: page table). Missing tables above it are made, with all rights. */
void entry_set(word address, unsigned level, u64 entry);
u64 entry_get(word address, unsigned level);
/* The address of the table that holds the entry. */
word entry_table(word address, unsigned level);
void invlpg(word address);
/* entry_set() at level 1, and INVLPG. */
void page_set(word address, u64 entry);
/* A zeroed page for tables. */
word page_allocate(void);
static inline void flush(void) { write_cr3(read_cr3()); }

/* Runs a probe with the argument in (E|R)BX; ring 3 runs it in the alias, on a stack there. */
const struct trap *run_paged(const char *code, unsigned ring, word bx);
/* Promises a page fault with this error code, CR2 and saved IP. */
void page_faults(const char *promise, const struct trap *t, word error, word cr2, word ip);
/* Promises the end of the probe without a fault. */
void page_passes(const char *promise, const struct trap *t);

#endif
