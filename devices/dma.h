/* The ISA DMA controllers' registers (8237A pair and page registers) as plain latches: what is written is read back,
 * and no transfer ever happens, for no ISA device here masters the bus. Port 0x80, a spare page register, doubles as
 * the POST code latch. */
#ifndef REPRISE_DEVICES_DMA_H
#define REPRISE_DEVICES_DMA_H

#include "core/types.h"

struct dma {
    u8 low[16];  /* ports 0x00..0x0f */
    u8 page[16]; /* ports 0x80..0x8f */
    u8 high[32]; /* ports 0xc0..0xdf */
};

static inline void dma_reset(struct dma *d) { *d = (struct dma){0}; }

u8 dma_read(const struct dma *d, u16 port);
void dma_write(struct dma *d, u16 port, u8 value);

#endif
