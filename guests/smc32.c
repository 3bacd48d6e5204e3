#include "guests/smc.h"

/* The self-modifying code suite in 32-bit mode: smc.c. */
const char *const suite_name = "smc32";

int main(void)
{
    pages_start(&format_32bit);
    smc_common();
    return 0;
}
