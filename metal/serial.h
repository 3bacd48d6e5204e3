/* The hypervisor's own console: a 16550A at COM1, 115200 8n1, polled. */
#ifndef REPRISE_METAL_SERIAL_H
#define REPRISE_METAL_SERIAL_H

#include "core/types.h"

void serial_init(void);
void serial_put(u8 byte);
void serial_print(const char *text);
void serial_print_hex(u64 value); /* 0x and as many digits as it takes */
void serial_print_decimal(u64 value);

#endif
