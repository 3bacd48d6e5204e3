/* The 8254: in any state that satisfies pit_valid(), any of the accesses at any times. No count divides by zero. */
#include "eva/board.h"

#include "devices/pit.c"

static struct pit p;

static void access(void)
{
    struct device_env e = any_env();
    switch (any_below(6)) {
    case 0: pit_read(&p, any_below(4), &e); break;
    case 1: pit_write(&p, any_below(4), any_u8(), &e); break;
    case 2: pit_speaker_read(&p, &e); break;
    case 3: pit_speaker_write(&p, any_u8(), &e); break;
    case 4: pit_deadline(&p); break;
    default: pit_tick(&p, &e); break;
    }
}

void main(void)
{
    pit_reset(&p);
    if (!pit_valid(&p)) {
        //@ check valid_after_reset: \false;
    }
    any_bytes(&p, sizeof p);
    if (!pit_valid(&p))
        return;
    access();
    if (!pit_valid(&p)) {
        //@ check still_valid: \false;
    }
    REACHED(any_access);
}
