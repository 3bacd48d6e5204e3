/* The MC146818 and CMOS memory: in any state, any of the accesses; the guest may set registers to any nonsense. */
#include "eva/board.h"

#include "devices/rtc.c"

static struct rtc r;

static void access(void)
{
    struct device_env e = any_env();
    switch (any_below(4)) {
    case 0: rtc_read(&r, any_below(2), &e); break;
    case 1: rtc_write(&r, any_below(2), any_u8(), &e); break;
    case 2: rtc_deadline(&r); break;
    default: rtc_tick(&r, &e); break;
    }
}

void main(void)
{
    rtc_reset(&r, any_u64(), any_u64(), any_u64(), any_u64());
    REACHED(reset);
    any_bytes(&r, sizeof r);
    access();
    REACHED(any_access);
}
