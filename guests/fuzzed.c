/* A guest with a planted bug for `reprise fuzz`: not a suite of promises. It takes packets of the form
 *
 *     "RPRS"  version:1  type:1  length:1  payload
 *
 * and compares the magic byte by byte, so that a search that sees edges finds its way in. A packet of type 'w' is copied to a
 * buffer of 16 bytes, however long it says it is; behind the buffer stands what is called when the packet is done. */
#include "guests/lib/fuzz.h"

const char *const suite_name = "fuzzed";

enum { PACKET_MAX = 256, VERSION = 2, BUFFER = 16 };

static u8 packet[PACKET_MAX] = "hello";
static volatile u32 packet_size = 5;

static u32 sum;

static void finished(void) { sum++; }

static struct {
    u8 bytes[BUFFER];
    void (*then)(void);
} state;

static void take_bytes(const u8 *from, u32 bytes)
{
    volatile u8 *to = state.bytes;
    for (u32 n = 0; n < bytes; n++)
        to[n] = from[n];
}

static void take_sum(const u8 *from, u32 bytes)
{
    for (u32 n = 0; n < bytes; n++)
        sum = sum * 31 + from[n];
}

static void take(const u8 *p, u32 size)
{
    if (size < 8 || p[0] != 'R')
        return;
    if (p[1] != 'P')
        return;
    if (p[2] != 'R')
        return;
    if (p[3] != 'S')
        return;
    if (p[4] != VERSION)
        return;
    u32 bytes = p[6] < size - 7 ? p[6] : size - 7;
    switch (p[5]) {
    case 's': take_sum(p + 7, bytes); break;
    case 'w': take_bytes(p + 7, bytes); break;
    default: return;
    }
    state.then();
}

/* Any exception that nobody expects: the bug. */
static bool on_trap(const struct trap *t, struct frame *f)
{
    (void)f;
    fuzz_crash(t->vector);
    return false;
}

int main(void)
{
    trap_hook = on_trap;
    state.then = finished;
    fuzz_begin(packet, sizeof packet, &packet_size);
    take(packet, packet_size < sizeof packet ? packet_size : sizeof packet);
    fuzz_done();
    promise("a packet without the magic is dropped", 0, sum);
    finish();
}
