#include "guests/lib/guest.h"

/* The debug suite in 32-bit mode: debug.c. */
const char *const suite_name = "debug32";
