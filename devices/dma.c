#include "devices/dma.h"

#define STATUS_LOW 0x08u  /* no channel requests, none has reached its count */
#define STATUS_HIGH 0xd0u

static u8 *cell(struct dma *d, u16 port)
{
    if (port < 0x10)
        return &d->low[port];
    if (port >= 0x80 && port < 0x90)
        return &d->page[port - 0x80];
    return &d->high[port & 31];
}

u8 dma_read(const struct dma *d, u16 port)
{
    if (port == STATUS_LOW || port == STATUS_HIGH)
        return 0;
    return *cell((struct dma *)d, port);
}

void dma_write(struct dma *d, u16 port, u8 value) { *cell(d, port) = value; }
