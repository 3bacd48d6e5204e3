#include "guests/hostile.h"

/* The hostile suite in 32-bit mode. */
const char *const suite_name = "hostile32";

int main(void)
{
    pages_start(&format_32bit);
    hostile_tables();
    hostile_places();
    hostile_code();
    hostile_pools();
    return 0;
}
