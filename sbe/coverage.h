/* Edge coverage of guest code, for fuzzers: translated code counts which way each conditional jump goes and where each indirect
 * jump and call leads, in a map of bytes that wrap, as AFL++ wants it. What the interpreter executes (16-bit code, LOOP and JCXZ,
 * code that is single-stepped) counts nothing. The guest cannot tell. */
#ifndef REPRISE_SBE_COVERAGE_H
#define REPRISE_SBE_COVERAGE_H

#include "core/types.h"

struct vcpu;

enum { COVERAGE_BITS = 16, COVERAGE_MAP_BYTES = 1 << COVERAGE_BITS };

/* Counts into `map`, of COVERAGE_MAP_BYTES, which stays the caller's and outlives every run; NULL: no more. Throws all
 * translations away. False: this engine does not translate. */
bool coverage_start(struct vcpu *v, u8 *map);

/* The counter of something that happens at an address: for what else a fuzzer wants to tell apart. */
static inline unsigned coverage_index(u64 rip, unsigned what)
{
    return (unsigned)((rip * 8 + what) * 0x9e3779b97f4a7c15ull >> (64 - COVERAGE_BITS)); /* Fibonacci hashing */
}
enum { COVERAGE_FALLS, COVERAGE_JUMPS, COVERAGE_TARGET, COVERAGE_EXCEPTION }; /* `what` */

#endif
