/* SplitMix64, for generators of tests: the same seed gives the same programs and cases on every host. */
#ifndef REPRISE_FUZZ_RANDOM_H
#define REPRISE_FUZZ_RANDOM_H

#include "core/types.h"

struct random { u64 state; };

static inline u64 random_next(struct random *r)
{
    u64 z = r->state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static inline u32 random_below(struct random *r, u32 limit) { return (u32)((random_next(r) >> 32) * limit >> 32); }
static inline bool one_in(struct random *r, u32 n) { return random_below(r, n) == 0; }

#endif
