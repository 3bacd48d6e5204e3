#include "sim/gdb_packet.h"

#include <string.h>

enum { INTERRUPT = 3, ESCAPE = '}', ESCAPE_BIT = 0x20 };

static int digit_value(u8 c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* ---- Framing ------------------------------------------------------------------------------------ */

static enum gdb_event idle(struct gdb_framer *f, u8 byte)
{
    if (byte == INTERRUPT)
        return GDB_INTERRUPT;
    if (byte == '-')
        return GDB_RETRANSMIT;
    if (byte == '$') {
        f->state = FRAMER_DATA;
        f->length = 0;
        f->sum = 0;
        f->bad = false;
    }
    return GDB_NOTHING; /* '+', and noise */
}

static void keep(struct gdb_framer *f, u8 byte)
{
    if (f->length < GDB_PACKET_MAX)
        f->data[f->length++] = byte;
    else
        f->bad = true;
}

static enum gdb_event data(struct gdb_framer *f, u8 byte)
{
    if (byte == '#') {
        f->bad |= f->state == FRAMER_ESCAPE;
        f->state = FRAMER_SUM1;
        return GDB_NOTHING;
    }
    if (byte == '$') { /* the end of the last packet was lost */
        f->state = FRAMER_IDLE;
        return idle(f, byte);
    }
    f->sum = (u8)(f->sum + byte);
    if (f->state == FRAMER_ESCAPE) {
        keep(f, byte ^ ESCAPE_BIT);
        f->state = FRAMER_DATA;
    } else if (byte == ESCAPE) {
        f->state = FRAMER_ESCAPE;
    } else {
        keep(f, byte);
    }
    return GDB_NOTHING;
}

static enum gdb_event checksum(struct gdb_framer *f, u8 byte)
{
    int value = digit_value(byte);
    f->bad |= value < 0;
    f->said = (u8)(f->said << 4 | (value & 15));
    if (f->state == FRAMER_SUM1) {
        f->state = FRAMER_SUM2;
        return GDB_NOTHING;
    }
    f->state = FRAMER_IDLE;
    f->data[f->length] = 0;
    return f->bad || (f->said != f->sum && !f->no_ack) ? GDB_CORRUPT : GDB_PACKET;
}

enum gdb_event gdb_feed(struct gdb_framer *f, u8 byte)
{
    switch (f->state) {
    case FRAMER_IDLE: return idle(f, byte);
    case FRAMER_DATA:
    case FRAMER_ESCAPE: return data(f, byte);
    default: return checksum(f, byte);
    }
}

/* ---- Making packets ----------------------------------------------------------------------------- */

static const char digits[] = "0123456789abcdef";

void gdb_put_binary(struct gdb_reply *r, const void *bytes, size_t count)
{
    const u8 *from = bytes;
    for (size_t n = 0; n < count; n++) {
        if (r->used < sizeof r->data)
            r->data[r->used++] = from[n];
        else
            r->full = true;
    }
}

void gdb_put(struct gdb_reply *r, const char *text) { gdb_put_binary(r, text, strlen(text)); }

void gdb_put_number(struct gdb_reply *r, u64 value)
{
    char text[16];
    unsigned n = sizeof text;
    do
        text[--n] = digits[value & 15];
    while ((value >>= 4) && n);
    gdb_put_binary(r, text + n, sizeof text - n);
}

void gdb_put_hex(struct gdb_reply *r, const void *bytes, size_t count)
{
    const u8 *from = bytes;
    for (size_t n = 0; n < count; n++) {
        const char pair[2] = {digits[from[n] >> 4], digits[from[n] & 15]};
        gdb_put_binary(r, pair, 2);
    }
}

size_t gdb_frame(const struct gdb_reply *r, u8 *to)
{
    size_t used = 0;
    u8 sum = 0;
    to[used++] = '$';
    for (size_t n = 0; n < r->used; n++) {
        u8 byte = r->data[n];
        if (byte == '$' || byte == '#' || byte == ESCAPE || byte == '*') {
            to[used++] = ESCAPE;
            sum = (u8)(sum + ESCAPE);
            byte ^= ESCAPE_BIT;
        }
        to[used++] = byte;
        sum = (u8)(sum + byte);
    }
    to[used++] = '#';
    to[used++] = (u8)digits[sum >> 4];
    to[used++] = (u8)digits[sum & 15];
    return used;
}

/* ---- Taking packets apart ----------------------------------------------------------------------- */

bool gdb_eat(struct gdb_text *t, const char *prefix)
{
    size_t length = strlen(prefix);
    if (gdb_left(t) < length || memcmp(t->at, prefix, length))
        return false;
    t->at += length;
    return true;
}

bool gdb_eat_number(struct gdb_text *t, u64 *value)
{
    const u8 *at = t->at;
    u64 sum = 0;
    for (; at < t->end && digit_value(*at) >= 0; at++) {
        if (sum >> 60)
            return false;
        sum = sum << 4 | (u64)digit_value(*at);
    }
    if (at == t->at)
        return false;
    t->at = at;
    *value = sum;
    return true;
}

bool gdb_eat_hex(struct gdb_text *t, void *bytes, size_t count)
{
    u8 *to = bytes;
    if (gdb_left(t) / 2 < count)
        return false;
    for (size_t n = 0; n < 2 * count; n++)
        if (digit_value(t->at[n]) < 0)
            return false;
    for (size_t n = 0; n < count; n++)
        to[n] = (u8)((digit_value(t->at[2 * n]) & 15) << 4 | digit_value(t->at[2 * n + 1]));
    t->at += 2 * count;
    return true;
}
