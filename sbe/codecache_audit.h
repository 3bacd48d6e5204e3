/* What always holds of the code cache, between any two operations. Tests and the enumeration of proofs/scan/codecache.c
 * ask after every step, a checking build (core/checked.h) now and then. */
#ifndef REPRISE_SBE_CODECACHE_AUDIT_H
#define REPRISE_SBE_CODECACHE_AUDIT_H

#include "core/vcpu.h"

/* NULL, or what is broken. Costs a look at every block, link and slot of the tables of jumps. Not while a block is under
 * construction. */
const char *codecache_audit(const struct vcpu *v);

#endif
