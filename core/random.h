/* SplitMix64: a stream of numbers that is a function of its seed, the same on every host. Never a source of secrets, and
 * never of anything that a guest sees unless its seed is in the log (core/chaos.h). */
#ifndef REPRISE_CORE_RANDOM_H
#define REPRISE_CORE_RANDOM_H

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
