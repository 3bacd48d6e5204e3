/* The hostile suites: what no sane system does, and a processor survives. 32-bit and 64-bit mode share everything. */
#ifndef GUESTS_HOSTILE_H
#define GUESTS_HOSTILE_H

#include "guests/lib/pages.h"

extern u8 frames[4][PAGE];
static inline u64 frame_of(unsigned index) { return (word)frames[index]; }

extern const char jump_to[]; /* a probe: JMP (E|R)BX */

/* Free RAM, mapped to itself: for suites that need more than the image has. */
#define SPACE 0x400000ul
enum { SPACE_PAGES = 2048 };

/* MOV $n,%eax; RET. */
enum { FUNCTION_BYTES = 6 };
void put_function(u8 *at, u32 n);
static inline u32 call(word function) { return ((u32(*)(void))function)(); }

/* devices/selftest.h: Reprise's own; where it is, what the processor leaves open is tested too. */
bool is_reprise(void);

void hostile_tables(void);
void hostile_places(void);
void hostile_code(void);
void hostile_pools(void);

#endif
