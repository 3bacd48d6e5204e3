/* The self-modifying code suites: 32-bit and 64-bit mode share everything but the number of page table levels. */
#ifndef GUESTS_SMC_H
#define GUESTS_SMC_H

#include "guests/lib/pages.h"

void smc_common(void);

#endif
