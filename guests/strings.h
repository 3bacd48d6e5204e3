/* The string suites: what 32-bit and 64-bit mode share. */
#ifndef GUESTS_STRINGS_H
#define GUESTS_STRINGS_H

#include "guests/lib/pages.h"

extern u8 area[3][PAGE];

/* Maps TEST to the first page of the area, and leaves TEST + PAGE unmapped; clears the area. */
void strings_prepare(void);
void strings_common(void);

#endif
