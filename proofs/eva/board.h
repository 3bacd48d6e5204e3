/* The board as the device drivers see it: every service checks what a device may ask of it, and gives it anything. */
#ifndef REPRISE_PROOFS_BOARD_H
#define REPRISE_PROOFS_BOARD_H

#include "eva/eva.h"

#include "core/host.h"
#include "devices/device.h"

static void board_irq(void *context, unsigned line, bool level)
{
    (void)context;
    (void)level;
    //@ check irq_line: line < 24;
}

static void board_console(void *context, unsigned channel, u8 byte)
{
    (void)context;
    (void)byte;
    //@ check console_channel: channel <= HOST_DEBUG_CONSOLE;
}

static void board_request(void *context, enum device_request request, u32 argument)
{
    (void)context;
    (void)argument;
    //@ check known_request: REQUEST_NONE <= request <= REQUEST_DEBUG_EXIT;
}

static void board_dma_read(void *context, u64 from, void *to, unsigned size)
{
    (void)context;
    (void)from;
    any_bytes(to, size);
}

static void board_dma_write(void *context, u64 to, const void *from, unsigned size)
{
    (void)context;
    (void)to;
    //@ check dma_bytes: size == 0 || \valid_read((u8 *)from + (0 .. size - 1));
}

static const struct device_services board_services = {
    board_irq, board_console, board_request, board_dma_read, board_dma_write,
};

static struct device_env any_env(void)
{
    return (struct device_env){.now = any_u64(), .services = &board_services, .context = NULL};
}

/* An access of 1, 2, 4 or 8 bytes. */
static unsigned any_size(unsigned largest) { return 1u << any_below(largest == 8 ? 4 : largest == 4 ? 3 : largest == 2 ? 2 : 1); }

#endif
