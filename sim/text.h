/* Text from outside, for people and for JSON. */
#ifndef REPRISE_SIM_TEXT_H
#define REPRISE_SIM_TEXT_H

#include "core/types.h"

#include <stdio.h>

/* As it is, but with '?' for control characters: what a file contains must not steer a terminal. */
void text_put(FILE *to, const char *text);
/* A JSON string with its quotes. Bytes that are no UTF-8 become U+FFFD. */
void text_put_json(FILE *to, const char *text);
void text_put_hex(FILE *to, const u8 *bytes, size_t count);
/* "2026-11-25 07:40:00 UTC" of seconds since 1970. */
void text_put_time(FILE *to, u64 seconds);

#endif
