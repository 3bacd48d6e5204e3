/* A fake chipset for device unit tests: it records lines, edges, console bytes and requests. */
#ifndef REPRISE_DEVICES_FAKE_BOARD_H
#define REPRISE_DEVICES_FAKE_BOARD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "devices/device.h"

struct fake_board {
    bool line[24];
    unsigned rises[24];
    char console[256];
    unsigned console_length;
    enum device_request request;
    u32 argument;
    u8 memory[4096];
};

static inline void fake_irq(void *context, unsigned line, bool level)
{
    struct fake_board *b = context;
    b->rises[line] += level && !b->line[line];
    b->line[line] = level;
}

static inline void fake_console(void *context, unsigned channel, u8 byte)
{
    struct fake_board *b = context;
    (void)channel;
    if (b->console_length < sizeof(b->console) - 1)
        b->console[b->console_length++] = (char)byte;
}

static inline void fake_request(void *context, enum device_request request, u32 argument)
{
    struct fake_board *b = context;
    b->request = request;
    b->argument = argument;
}

static inline void fake_dma_read(void *context, u64 from, void *to, unsigned size)
{
    struct fake_board *b = context;
    memcpy(to, b->memory + from, size);
}

static inline void fake_dma_write(void *context, u64 to, const void *from, unsigned size)
{
    struct fake_board *b = context;
    memcpy(b->memory + to, from, size);
}

static const struct device_services fake_services = {
    fake_irq, fake_console, fake_request, fake_dma_read, fake_dma_write,
};

static inline struct device_env fake_env(struct fake_board *b, u64 now)
{
    return (struct device_env){.now = now, .services = &fake_services, .context = b};
}

#endif
