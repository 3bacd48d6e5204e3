/* The exceptions suites: what 32-bit and 64-bit mode share. */
#ifndef GUESTS_EXCEPTIONS_H
#define GUESTS_EXCEPTIONS_H

#include "guests/lib/guest.h"

void exceptions_common(void);

#endif
