#include "guests/lib/guest.h"

/* The FPU suite in 32-bit mode: fpu.c. */
const char *const suite_name = "fpu32";
