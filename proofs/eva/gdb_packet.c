/* Packets of gdb: any byte in any state of the framer, any packet taken apart, any answer put together. One step by
 * induction: a valid state gives a valid one. Packets of 0 to 40 bytes end where their object ends. */
#include "eva/eva.h"

#include "sim/gdb_packet.c"

static struct gdb_framer framer;
static struct gdb_reply reply;

static void feed(void)
{
    any_bytes(&framer, sizeof framer);
    framer.bad = any_bool();
    framer.no_ack = any_bool();
    framer.state = any_below(FRAMER_SUM2 + 1);
    framer.length = Frama_C_unsigned_long_interval(0, GDB_PACKET_MAX);
    enum gdb_event event = gdb_feed(&framer, any_u8());
    if (event == GDB_PACKET) {
        REACHED(packet);
        //@ check packet_length: framer.length <= GDB_PACKET_MAX;
    }
    //@ check still_valid: framer.length <= GDB_PACKET_MAX && framer.state <= FRAMER_SUM2;
}

static void answer(void)
{
    static u8 bytes[64];
    any_bytes(bytes, sizeof bytes);
    any_bytes(&reply, sizeof reply);
    reply.full = any_bool();
    reply.used = Frama_C_unsigned_long_interval(0, GDB_PACKET_MAX);
    size_t count = Frama_C_unsigned_long_interval(0, sizeof bytes);
    switch (any_below(4)) {
    case 0: gdb_put(&reply, "QC1"); break;
    case 1: gdb_put_number(&reply, any_u64()); break;
    case 2: gdb_put_hex(&reply, bytes, count); break;
    default: gdb_put_binary(&reply, bytes, count);
    }
    REACHED(answered);
    //@ check reply_valid_again: reply.used <= GDB_PACKET_MAX;
}

/* Packets end where their object ends. */
static void take_apart(void)
{
    u8 packet[40], to[16];
    size_t bytes = Frama_C_unsigned_long_interval(0, sizeof packet);
    any_bytes(packet, sizeof packet);
    //@ split bytes;
    struct gdb_text t = {.at = packet + (sizeof packet - bytes), .end = packet + sizeof packet};
    u64 value;
    switch (any_below(3)) {
    case 0: gdb_eat(&t, "vCont;"); break;
    case 1:
        if (gdb_eat_number(&t, &value)) {
            REACHED(number);
        }
        break;
    default:
        if (gdb_eat_hex(&t, to, sizeof to)) {
            REACHED(hex);
        }
    }
    //@ check inside: t.at <= t.end;
}

void main(void)
{
    switch (any_below(3)) {
    case 0: feed(); break;
    case 1: answer(); break;
    default: take_apart();
    }
}
