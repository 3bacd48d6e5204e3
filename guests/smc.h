/* The self-modifying code suites: 32-bit and 64-bit mode share everything but the number of page table levels. */
#ifndef GUESTS_SMC_H
#define GUESTS_SMC_H

#include "guests/lib/pages.h"

/* Where a push ends that overwrites the end of a six-byte function: its offset in the text of a probe. */
#ifdef __x86_64__
#define PUSH_AT "8"
#else
#define PUSH_AT "7"
#endif

void smc_common(void);

#endif
