/* The HPET: in any state that satisfies hpet_valid(), any of the accesses of any offset and size. */
#include "eva/board.h"

#include "devices/hpet.c"

static struct hpet h;

static void access(void)
{
    struct device_env e = any_env();
    switch (any_below(4)) {
    case 0: hpet_read(&h, any_u32(), any_size(8), e.now); break;
    case 1: hpet_write(&h, any_u32(), any_u64(), any_size(8), &e); break;
    case 2: hpet_deadline(&h); break;
    default: hpet_tick(&h, &e); break;
    }
}

void main(void)
{
    hpet_reset(&h);
    if (!hpet_valid(&h)) {
        //@ check valid_after_reset: \false;
    }
    any_bytes(&h, sizeof h);
    if (!hpet_valid(&h))
        return;
    access();
    if (!hpet_valid(&h)) {
        //@ check still_valid: \false;
    }
    REACHED(any_access);
}
