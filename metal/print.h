/* Text for the person at the machine: to COM1. */
#ifndef REPRISE_METAL_PRINT_H
#define REPRISE_METAL_PRINT_H

#include "core/types.h"

void print(const char *text);
void print_hex(u64 value);           /* 0x and as many digits as it takes */
void print_hex_16(u64 value);        /* 16 digits */
void print_decimal(u64 value);
/* A byte of a guest's output, as it is. */
void print_byte(u8 byte);

#endif
