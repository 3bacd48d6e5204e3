/* Before every source that Frama-C reads, and only there. It takes away what Frama-C 25 cannot parse, and nothing that
 * a proof rests on:
 *  - __int128: the units use neither u128 nor s128 (ci/proofs refuses one that does);
 *  - _Alignas: no proof speaks of alignment;
 *  - __builtin_expect: a hint;
 *  - the memory functions of core/mem.c: Frama-C's own specifications of the C library's stand for them. */
#ifndef REPRISE_PROOFS_PRELUDE_H
#define REPRISE_PROOFS_PRELUDE_H

#define __int128 long
#define _Alignas(bytes)
#define __builtin_expect(value, expected) (value)
#define __builtin_memcpy memcpy
#define __builtin_memset memset
#define __builtin_memcmp memcmp

#include <string.h>

/* Files that Frama-C cannot read (assembly) are replaced by their specifications: these have the same include
 * guards. */
#include "proofs/stubs/core/scale.h"

#endif
