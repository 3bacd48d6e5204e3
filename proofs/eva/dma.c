/* The 8237 latches at the ports that the port map gives them: 0x00..0x0f, 0x80..0x8f, 0xc0..0xdf. */
#include "eva/board.h"

#include "devices/dma.c"

static struct dma d;

static void access(void)
{
    u16 port = (u16)(any_bool() ? any_below(0x10) : any_bool() ? 0x80 + any_below(0x10) : 0xc0 + any_below(0x20));
    switch (any_below(2)) {
    case 0: dma_read(&d, port); break;
    default: dma_write(&d, port, any_u8()); break;
    }
}

void main(void)
{
    dma_reset(&d);
    REACHED(reset);
    any_bytes(&d, sizeof d);
    access();
    REACHED(any_access);
}
