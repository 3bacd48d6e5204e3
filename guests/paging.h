/* The paging suites: what all formats of page tables share. */
#ifndef GUESTS_PAGING_H
#define GUESTS_PAGING_H

#include "guests/lib/pages.h"

/* Probes on the address in (E|R)BX. */
extern const char read_byte[], read_byte_at[], read_word[], read_word_at[], write_word[], write_word_at[], jump_to[];

extern u8 frames[4][PAGE];
static inline u64 frame_of(unsigned index) { return (word)frames[index]; }

void paging_common(void);
/* Fetches; `nx` tells whether the format and EFER give the I/D bit of the error code. */
void paging_fetches(bool fetch_bit);
/* SMEP and SMAP, where CPUID has them. */
void paging_supervisor(void);
/* A large page of 1 << shift bytes that the entry at `level` maps. */
void paging_large(unsigned level, unsigned shift);

#endif
