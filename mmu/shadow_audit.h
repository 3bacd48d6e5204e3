/* What always holds of the shadow tables, between any two operations. Tests and the enumeration of proofs/scan/shadow.c
 * ask after every step, a checking build (core/checked.h) now and then. */
#ifndef REPRISE_MMU_SHADOW_AUDIT_H
#define REPRISE_MMU_SHADOW_AUDIT_H

#include "core/vm.h"

/* NULL, or what is broken. Costs a look at every entry of every page in use. */
const char *shadow_audit(const struct vm *vm);

#endif
