/* The proofs' predicates at run time: a checking build (cmake -DCHECKED=ON) evaluates CHECKED(condition) and panics where it
 * does not hold; any other build compiles it and drops it. The conditions are those that proofs/ proves, enumerates or
 * assumes, so a run of such a build asks whether what was proved of the parts holds of the whole. */
#ifndef REPRISE_CORE_CHECKED_H
#define REPRISE_CORE_CHECKED_H

#include "core/panic.h"

#ifdef REPRISE_CHECKED
#define CHECKED(condition) invariant(condition)
#else
#define CHECKED(condition) ((void)sizeof(condition))
#endif

/* What looks at everything is asked once in so many times (powers of two). */
enum { CHECKED_SHADOW = 1 << 14, CHECKED_CODE = 1 << 10, CHECKED_BOARD = 1 << 6 };

#endif
