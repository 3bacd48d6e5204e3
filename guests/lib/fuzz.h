/* What a guest says to `reprise fuzz` (sim/fuzz_guest.h). Without a fuzzer it does nothing: the port is unassigned. */
#ifndef GUESTS_LIB_FUZZ_H
#define GUESTS_LIB_FUZZ_H

#include "guests/lib/guest.h"

enum { FUZZ_PORT = 0xf8, FUZZ_BEGIN = 1, FUZZ_DONE = 2, FUZZ_CRASH = 3 };

/* Every run begins here, with another input in `buffer` and its length in *length. */
static inline void fuzz_begin(void *buffer, word bytes, volatile u32 *length)
{
    __asm__ volatile("outl %0, $0xf8" : : "a"(FUZZ_BEGIN), "b"(buffer), "c"(bytes), "d"(length) : "memory");
}
static inline void fuzz_done(void) { __asm__ volatile("outl %0, $0xf8" : : "a"(FUZZ_DONE) : "memory"); }
static inline void fuzz_crash(word reason) { __asm__ volatile("outl %0, $0xf8" : : "a"(FUZZ_CRASH), "b"(reason) : "memory"); }

#endif
