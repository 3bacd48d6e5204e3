#include "guests/smc.h"

/* The self-modifying code suite in 64-bit mode: smc.c. */
const char *const suite_name = "smc64";

int main(void)
{
    pages_start(&format_4level);
    smc_common();
    return 0;
}
