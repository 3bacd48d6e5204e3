#include "guests/lib/guest.h"

/* The debug suite in 64-bit mode: debug.c. */
const char *const suite_name = "debug64";
