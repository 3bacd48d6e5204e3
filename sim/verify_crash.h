/* An engine that crashes takes the program along; before it does, the user learns which one, and where. */
#ifndef REPRISE_SIM_VERIFY_CRASH_H
#define REPRISE_SIM_VERIFY_CRASH_H

#include "sim/verify_pair.h"

/* Watches SIGILL, SIGSEGV, SIGBUS and SIGABRT, as far as engines created later leave them to us. `pair` stays until the
 * program ends. */
void verify_crash_watch(const struct verify_pair *pair);

#endif
