/* Text for the person at the machine: to COM1, and to the screen if there is one. */
#ifndef REPRISE_METAL_PRINT_H
#define REPRISE_METAL_PRINT_H

#include "core/types.h"

void print(const char *text);
void print_hex(u64 value);           /* 0x and as many digits as it takes */
void print_hex_16(u64 value);        /* 16 digits */
void print_decimal(u64 value);
/* print_all("a", "b", ...): one after the other. */
#define print_all(...) print_list((const char *const[]){__VA_ARGS__, NULL})
void print_list(const char *const texts[]);
/* Bytes of a guest's output, as they are. */
void print_bytes(const u8 *from, size_t bytes);

#endif
