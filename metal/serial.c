#include "metal/serial.h"

#include "metal/port.h"
#include "metal/processor.h"

enum { IER = 1, FCR = 2, LCR = 3, MCR = 4, LSR = 5, SCRATCH = 7 };
enum {
    LSR_READY = 0x01,
    LSR_THRE = 0x20,
    LCR_8N1 = 0x03,
    LCR_DLAB = 0x80,
    FCR_ENABLE_CLEAR = 0x07,
    MCR_DTR_RTS = 0x03,
    DIVISOR_115200 = 1,
    FIFO_BYTES = 16,
    PATIENCE = 100000,
    INPUT_BYTES = 4096, /* a power of two */
};

static const u16 bases[SERIAL_PORTS] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
static bool present[SERIAL_PORTS];

/* Bytes [read, written) are there; the handler writes, serial_read() reads. */
static struct {
    u8 bytes[INPUT_BYTES];
    volatile u32 written, read;
} input;

bool serial_open(enum serial_port port)
{
    u16 base = bases[port];
    port_out8(base + SCRATCH, 0x5a); /* an absent port reads as all ones */
    present[port] = port_in8(base + SCRATCH) == 0x5a;
    if (!present[port])
        return false;
    port_out8(base + IER, 0);
    port_out8(base + LCR, LCR_DLAB);
    port_out8(base + 0, DIVISOR_115200);
    port_out8(base + 1, 0);
    port_out8(base + LCR, LCR_8N1);
    port_out8(base + FCR, FCR_ENABLE_CLEAR);
    port_out8(base + MCR, MCR_DTR_RTS);
    return true;
}

void serial_write(enum serial_port port, const void *from, size_t bytes)
{
    const u8 *byte = from;
    if (!present[port])
        return;
    for (size_t done = 0; done < bytes; done++) {
        /* An empty FIFO takes 16 bytes. A broken port may never be ready, which must not hang the machine. */
        for (unsigned tries = 0; done % FIFO_BYTES == 0 && tries < PATIENCE; tries++) {
            if (port_in8(bases[port] + LSR) & LSR_THRE)
                break;
            __asm__ volatile("pause");
        }
        port_out8(bases[port], byte[done]);
    }
}

void serial_collect(void)
{
    while (present[SERIAL_COM1] && (port_in8(bases[SERIAL_COM1] + LSR) & LSR_READY)) {
        u8 byte = port_in8(bases[SERIAL_COM1]);
        if (input.written - input.read < INPUT_BYTES)
            input.bytes[input.written++ % INPUT_BYTES] = byte;
    }
}

int serial_read(void)
{
    if (input.read == input.written)
        return -1;
    return input.bytes[input.read++ % INPUT_BYTES];
}
