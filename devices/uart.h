/* 16550A serial port.
 *
 * National Semiconductor PC16550D data sheet (June 1995), section 8. Transmission takes no virtual time: a byte leaves
 * when it is written and the transmitter is empty again at once; each write of THR while ETBEI is set therefore raises
 * the THRE interrupt anew. Received bytes arrive when the host delivers them. The FIFO's character timeout is counted in
 * virtual time at the programmed rate. The modem at the other end is always there: CTS, DSR and DCD are on. Interrupts
 * reach the bus only while MCR.OUT2 is on and the port is not in loopback, as the PC's wiring has it. */
#ifndef REPRISE_DEVICES_UART_H
#define REPRISE_DEVICES_UART_H

#include "devices/device.h"

enum { UART_FIFO = 16 };

struct uart {
    u64 timeout_at; /* virtual ns of the character timeout, CLOCK_NEVER if not running */
    u16 divisor;
    u8 index;       /* 0..3: COM1..COM4, host channel and console number */
    u8 line;        /* interrupt line */
    u8 ier, fcr, lcr, mcr, lsr, msr, scratch;
    u8 thre_pending; /* THRE interrupt not yet read or answered */
    u8 timed_out;
    u8 head, count;  /* receive queue */
    u8 fifo[UART_FIFO];
    u8 error[UART_FIFO]; /* LSR error bits that came with each byte (break) */
};

void uart_reset(struct uart *u, unsigned index, unsigned line);

/* Offsets 0..7. */
u8 uart_read(struct uart *u, unsigned offset, const struct device_env *e);
void uart_write(struct uart *u, unsigned offset, u8 value, const struct device_env *e);

/* A byte arrives from outside; it is lost with LSR.OE set when the receiver is full, and silently in loopback. */
void uart_receive(struct uart *u, u8 byte, const struct device_env *e);
/* Bytes that can arrive now without loss. */
unsigned uart_room(const struct uart *u);

u64 uart_deadline(const struct uart *u);
void uart_tick(struct uart *u, const struct device_env *e);

/* What every state of a port satisfies, and what a state from a file must satisfy before it is used. */
static inline bool uart_valid(const struct uart *u)
{
    return u->head < UART_FIFO && u->count <= UART_FIFO && u->index < 4 && u->line < 16;
}

#endif
