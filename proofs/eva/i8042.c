/* The 8042 and its keyboard: in any state that satisfies i8042_valid(), any of the accesses and key bytes. */
#include "eva/board.h"

#include "devices/i8042.c"

static struct i8042 c;

static void access(void)
{
    struct device_env e = any_env();
    switch (any_below(4)) {
    case 0: i8042_read(&c, any_u32(), &e); break;
    case 1: i8042_write(&c, any_u32(), any_u8(), &e); break;
    case 2: i8042_key(&c, any_u8(), &e); break;
    default: i8042_room(&c); break;
    }
}

void main(void)
{
    i8042_reset(&c);
    if (!i8042_valid(&c)) {
        //@ check valid_after_reset: \false;
    }
    any_bytes(&c, sizeof c);
    if (!i8042_valid(&c))
        return;
    access();
    if (!i8042_valid(&c)) {
        //@ check still_valid: \false;
    }
    REACHED(any_access);
}
