/* The machine's serial ports: 16550A UARTs at the places where a PC has them, 115200 8n1. Output is polled; input is
 * collected by serial_collect(), which the timer's interrupt calls often enough that no FIFO overflows. */
#ifndef REPRISE_METAL_SERIAL_H
#define REPRISE_METAL_SERIAL_H

#include "core/types.h"

enum serial_port { SERIAL_COM1, SERIAL_COM2, SERIAL_COM3, SERIAL_COM4, SERIAL_PORTS };

/* Sets the port up. False if there is none: it then swallows what is written. */
bool serial_open(enum serial_port port);
void serial_write(enum serial_port port, const void *from, size_t bytes);

/* Takes what COM1 has received. To be called with interrupts off, or from a handler. */
void serial_collect(void);
/* The next byte that came in by COM1, or -1. */
int serial_read(void);

#endif
