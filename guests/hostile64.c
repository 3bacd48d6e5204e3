#include "guests/hostile.h"

/* The hostile suite in 64-bit mode. */
const char *const suite_name = "hostile64";

int main(void)
{
    pages_start(&format_4level);
    hostile_tables();
    hostile_places();
    hostile_code();
    hostile_pools();
    return 0;
}
