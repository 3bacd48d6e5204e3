/* Frames in, frames out, and numbers: well-formed ones and others. */
#include "sim/gdb_packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct gdb_framer framer;

/* Feeds a whole text; the last event that was not GDB_NOTHING, and how many there were. */
static enum gdb_event feed(const char *text, unsigned *events)
{
    enum gdb_event last = GDB_NOTHING;
    unsigned count = 0;
    for (; *text; text++) {
        enum gdb_event event = gdb_feed(&framer, (u8)*text);
        if (event != GDB_NOTHING) {
            last = event;
            count++;
        }
    }
    if (events)
        *events = count;
    return last;
}

static int fresh(void **state)
{
    (void)state;
    memset(&framer, 0, sizeof framer);
    return 0;
}

static void assert_packet(const char *frame, const char *payload)
{
    assert_int_equal(feed(frame, NULL), GDB_PACKET);
    assert_int_equal(framer.length, strlen(payload));
    assert_string_equal((const char *)framer.data, payload);
}

static void frames(void **state)
{
    (void)state;
    assert_packet("$g#67", "g");
    assert_packet("+$#00", "");
    assert_packet("noise$vMustReplyEmpty#3a", "vMustReplyEmpty");
    assert_packet("$X}\x03}]#b2", "X#}"); /* escapes */
    assert_packet("$lost$g#67", "g");
}

static void broken_frames(void **state)
{
    (void)state;
    unsigned events;
    assert_int_equal(feed("$g#68", &events), GDB_CORRUPT);
    assert_int_equal(events, 1);
    assert_int_equal(feed("$g#6x", NULL), GDB_CORRUPT);
    assert_int_equal(feed("$g}#e4", NULL), GDB_CORRUPT); /* ends in an escape */
    framer.no_ack = true;
    assert_int_equal(feed("$g#68", NULL), GDB_PACKET); /* checksums no longer count */
    assert_int_equal(feed("$g#zz", NULL), GDB_CORRUPT);
    framer.no_ack = false;
    gdb_feed(&framer, '$');
    for (unsigned n = 0; n < 2 * GDB_PACKET_MAX; n++)
        assert_int_equal(gdb_feed(&framer, 'a'), GDB_NOTHING);
    assert_int_equal(feed("#00", NULL), GDB_CORRUPT);
    assert_packet("$g#67", "g");
}

static void between_frames(void **state)
{
    (void)state;
    unsigned events;
    assert_int_equal(feed("\x03", &events), GDB_INTERRUPT);
    assert_int_equal(feed("++-+", &events), GDB_RETRANSMIT);
    assert_int_equal(events, 1);
    assert_int_equal(feed("$\x03-#30", &events), GDB_PACKET); /* inside a frame they are data */
    assert_int_equal(events, 1);
}

/* Whatever is put into a frame comes out of it. */
static void round_trip(void **state)
{
    (void)state;
    static struct gdb_reply reply;
    static u8 frame[GDB_FRAME_MAX];
    for (unsigned n = 0; n < GDB_PACKET_MAX; n++) {
        u8 byte = (u8)(n * 7);
        gdb_put_binary(&reply, &byte, 1);
    }
    assert_false(reply.full);
    size_t size = gdb_frame(&reply, frame);
    enum gdb_event event = GDB_NOTHING;
    for (size_t n = 0; n < size; n++) {
        assert_int_equal(event, GDB_NOTHING);
        event = gdb_feed(&framer, frame[n]);
    }
    assert_int_equal(event, GDB_PACKET);
    assert_int_equal(framer.length, GDB_PACKET_MAX);
    assert_memory_equal(framer.data, reply.data, GDB_PACKET_MAX);
    gdb_put(&reply, "x");
    assert_true(reply.full);
    assert_int_equal(reply.used, GDB_PACKET_MAX);
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
        u64 value;
        size_t left;
    } cases[] = {
        {"0", true, 0, 0}, {"1f,4", true, 0x1f, 2}, {"ffffffffffffffff", true, UINT64_MAX, 0}, {"", false, 0, 0},
        {"10000000000000000", false, 0, 17}, {"xyz", false, 0, 3}, {"DEADbeef:", true, 0xdeadbeef, 1},
        {"-1", false, 0, 2},
        {"00000000000000001", true, 1, 0},
    };
    for (unsigned n = 0; n < ARRAY_LEN(cases); n++) {
        const u8 *text = (const u8 *)cases[n].text;
        struct gdb_text t = {text, text + strlen(cases[n].text)};
        u64 value = 0;
        assert_int_equal(gdb_eat_number(&t, &value), cases[n].good);
        assert_int_equal(value, cases[n].value);
        assert_int_equal(gdb_left(&t), cases[n].left);
    }
    static struct gdb_reply reply;
    gdb_put_number(&reply, 0);
    gdb_put_number(&reply, 0xabc0);
    gdb_put_hex(&reply, "\x01\xfe", 2);
    assert_int_equal(reply.used, 9);
    assert_memory_equal(reply.data, "0abc001fe", 9);
}

static void hex(void **state)
{
    (void)state;
    u8 bytes[4] = {0};
    struct gdb_text t = {(const u8 *)"01fEzz", (const u8 *)"01fEzz" + 6};
    assert_false(gdb_eat_hex(&t, bytes, 3)); /* zz */
    assert_false(gdb_eat_hex(&t, bytes, 4)); /* too short */
    assert_int_equal(gdb_left(&t), 6);
    assert_true(gdb_eat_hex(&t, bytes, 2));
    assert_memory_equal(bytes, "\x01\xfe\0", 4);
    assert_true(gdb_eat(&t, "z"));
    assert_false(gdb_eat(&t, "zz"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(frames, fresh), cmocka_unit_test_setup(broken_frames, fresh),
        cmocka_unit_test_setup(between_frames, fresh), cmocka_unit_test_setup(round_trip, fresh),
        cmocka_unit_test(numbers), cmocka_unit_test(hex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
