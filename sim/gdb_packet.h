/* Packets of the gdb remote serial protocol (GDB manual, appendix E): framing, escapes, numbers. No sockets here, and
 * no bytes that it does not take. */
#ifndef REPRISE_SIM_GDB_PACKET_H
#define REPRISE_SIM_GDB_PACKET_H

#include "core/types.h"

enum { GDB_PACKET_MAX = 16384 }; /* payload bytes; said to gdb in qSupported */

/* What a byte from gdb has completed. */
enum gdb_event {
    GDB_NOTHING,
    GDB_PACKET,     /* framer.data[0..length-1]; to be acknowledged with '+' unless no_ack */
    GDB_CORRUPT,    /* wrong checksum, or too long: to be answered with '-' unless no_ack */
    GDB_INTERRUPT,  /* byte 3 between packets: stop the guest */
    GDB_RETRANSMIT, /* '-': our last packet did not arrive well */
};

struct gdb_framer {
    enum { FRAMER_IDLE, FRAMER_DATA, FRAMER_ESCAPE, FRAMER_SUM1, FRAMER_SUM2 } state;
    u8 sum, said;
    bool bad;
    bool no_ack; /* QStartNoAckMode */
    size_t length;
    u8 data[GDB_PACKET_MAX + 1]; /* unescaped; a zero byte follows */
};

enum gdb_event gdb_feed(struct gdb_framer *f, u8 byte);

/* A packet being made. What does not fit is left out, and `full` says so. */
struct gdb_reply {
    size_t used;
    bool full;
    u8 data[GDB_PACKET_MAX];
};

void gdb_put(struct gdb_reply *r, const char *text);
void gdb_put_number(struct gdb_reply *r, u64 value);                    /* hex digits, no leading zeros */
void gdb_put_hex(struct gdb_reply *r, const void *bytes, size_t count); /* two digits a byte */
void gdb_put_binary(struct gdb_reply *r, const void *bytes, size_t count);

/* Writes '$', the payload with escapes, '#' and the checksum to `to`, which has room for GDB_FRAME_MAX bytes. */
enum { GDB_FRAME_MAX = 2 * GDB_PACKET_MAX + 4 };
size_t gdb_frame(const struct gdb_reply *r, u8 *to);

/* A packet being taken apart. Each of these consumes what it has recognised, and nothing if it fails. */
struct gdb_text {
    const u8 *at, *end;
};

bool gdb_eat(struct gdb_text *t, const char *prefix);
bool gdb_eat_number(struct gdb_text *t, u64 *value); /* 1 to 16 hex digits */
bool gdb_eat_hex(struct gdb_text *t, void *bytes, size_t count);
static inline size_t gdb_left(const struct gdb_text *t) { return (size_t)(t->end - t->at); }

#endif
