/* dev_dma, the device side: any register values make the bus master offer bytes that exist, 64 at a time, on a line
 * that exists. */
#include "eva/board.h"

#include "devices/selftest.c"

static struct selftest s;

static void access(void)
{
    struct device_env e = any_env();
    switch (any_below(4)) {
    case 0: selftest_read(&s, any_u32(), any_u64(), &e); break;
    case 1: selftest_write(&s, any_u32(), any_u32(), &e); break;
    case 2: selftest_deadline(&s); break;
    default: selftest_tick(&s, &e); break;
    }
}

void main(void)
{
    selftest_reset(&s);
    if (!selftest_valid(&s)) {
        //@ check valid_after_reset: \false;
    }
    any_bytes(&s, sizeof s);
    if (!selftest_valid(&s))
        return;
    access();
    if (!selftest_valid(&s)) {
        //@ check still_valid: \false;
    }
    REACHED(any_access);
}
