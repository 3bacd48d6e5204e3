/* The 8259A pair: in any state, any of the register accesses, line changes and acknowledgements. */
#include "eva/board.h"

#include "devices/pic.c"

static struct pic p;

static void access(void)
{
    switch (any_below(7)) {
    case 0: pic_read(&p, any_u16()); break;
    case 1: pic_write(&p, any_u16(), any_u8()); break;
    case 2: pic_elcr_read(&p, any_u16()); break;
    case 3: pic_elcr_write(&p, any_u16(), any_u8()); break;
    case 4: pic_set_line(&p, any_u32(), any_bool()); break;
    case 5: pic_output(&p); break;
    default: pic_acknowledge(&p); break;
    }
}

void main(void)
{
    pic_reset(&p);
    REACHED(reset);
    any_bytes(&p, sizeof p);
    access();
    REACHED(any_access);
}
