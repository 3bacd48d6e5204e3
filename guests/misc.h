/* The suites of what fits nowhere else: what 32-bit and 64-bit mode share. */
#ifndef GUESTS_MISC_H
#define GUESTS_MISC_H

void misc_common(void);

#endif
