/* The log reader on any bytes. Input: a byte of choices, then either the file itself (choice bit 0 clear), or the
 * chunks of one: each a kind (1 byte: bits 0..1 enum chunk_kind less one, bit 2 zstd, bit 3 a wrong link), a length
 * (2 bytes), and so many bytes of payload, to which preamble, headers and checksums are made, so that the search
 * gets behind them.
 *
 * Whatever is read must be well-formed, the same when read again, and a prefix when the file is cut off. */
#include "fuzz/fuzz.h"
#include "replay/crc32c.h"
#include "replay/log_for_tests.h"
#include "replay/log_format.h"
#include "sim/log_file.h"

#include <stdlib.h>

enum { CHUNK_HEADER = 3, EVENTS_MAX = 4096, TIMES = 3 };
enum { CHOOSE_CHUNKS = 1, CHOOSE_CUT = 2 };

static struct memory_log file;
static struct log_reader reader;
static struct log_event events[EVENTS_MAX];

static void append(const void *from, size_t bytes) { (void)memory_log_append(&file, from, bytes); }

/* The machine's description that the reader wants first. */
static void put_beginning(void)
{
    static struct log_writer writer;
    struct log_machine machine = memory_log_machine(false);
    struct log_file f = memory_log_file(&file);
    FUZZ_CHECK(log_writer_open(&writer, &f, NULL, &machine) == STATUS_OK);
}

static void put_chunk(struct chunk *chunk, const uint8_t *payload, size_t bytes, uint8_t how)
{
    static u8 packed[LOG_STORED_MAX];
    u8 header[LOG_CHUNK_HEADER];
    size_t stored = how & 4 ? log_codec_zstd.pack(payload, bytes, packed, sizeof packed) : 0;
    chunk->kind = (u8)(CHUNK_MACHINE + (how & 3));
    chunk->method = stored ? LOG_ZSTD : LOG_RAW;
    chunk->plain = (u32)bytes;
    chunk->stored = (u32)(stored ? stored : bytes);
    chunk->payload_crc = crc32c(0, stored ? packed : payload, chunk->stored);
    chunk->link ^= how & 8 ? 1 : 0;
    chunk_put(header, chunk);
    append(header, sizeof header);
    append(stored ? packed : payload, chunk->stored);
    chunk->sequence++;
    chunk->link = chunk_checksum(header);
}

/* Position and link of the next chunk after those that are in the file. */
static struct chunk last_chunk(void)
{
    struct chunk chunk, next = {.link = (u32)get_le(file.data + 12, 4)};
    for (u64 at = LOG_PREAMBLE; at + LOG_CHUNK_HEADER <= file.size; at += LOG_CHUNK_HEADER + chunk.stored) {
        FUZZ_CHECK(chunk_get(file.data + at, &chunk));
        next.sequence++;
        next.link = chunk_checksum(file.data + at);
    }
    return next;
}

static void make_file(const uint8_t *data, size_t size, bool beginning)
{
    if (beginning)
        put_beginning();
    else
        append((const u8[]){'R', 'e', 'p', 'r', 'i', 's', 'e', '\n', LOG_VERSION, 0, 0, 0}, 12);
    if (!beginning) {
        u8 sum[4];
        put_le(sum, crc32c(0, file.data, 12), 4);
        append(sum, 4);
    }
    struct chunk next = last_chunk();
    while (size > CHUNK_HEADER) {
        size_t bytes = data[1] | (size_t)data[2] << 8, room = size - CHUNK_HEADER;
        bytes = bytes < room ? bytes : room;
        put_chunk(&next, data + CHUNK_HEADER, bytes, data[0]);
        data += CHUNK_HEADER + bytes;
        size -= CHUNK_HEADER + bytes;
    }
}

static void check_event(const struct log_event *e, const struct log_event *before)
{
    FUZZ_CHECK(e->source < LOG_SOURCES && e->icount >= before->icount && e->icount < 1ull << 63);
    u64 after = before->skipped_ns + (before->source == LOG_TIME ? before->value : 0);
    FUZZ_CHECK(e->skipped_ns >= after && e->skipped_ns < 1ull << 63);
    FUZZ_CHECK(e->source > LOG_KEYBOARD || e->value <= 0xff);
    FUZZ_CHECK(e->source != LOG_END || e->unit < LOG_ENDINGS);
}

static bool same(const struct log_event *a, const struct log_event *b)
{
    return a->icount == b->icount && a->skipped_ns == b->skipped_ns && a->source == b->source && a->unit == b->unit &&
           a->value == b->value && a->hash == b->hash;
}

/* Reads everything; compares with what was read before, if `compare`. Returns how many events there are. */
static unsigned read_all(bool compare)
{
    struct log_event e, before = {0};
    unsigned count = 0;
    for (; count < EVENTS_MAX && log_next(&reader, &e); count++) {
        check_event(&e, &before);
        FUZZ_CHECK(!compare || same(&e, &events[count]));
        before = events[count] = e;
    }
    return count;
}

static void read_images(void)
{
    for (unsigned n = 0; n < reader.machine.image_count; n++) {
        u64 size = reader.machine.images[n].size;
        u8 *to = size <= MEMORY_LOG_MAX ? malloc(size ? size : 1) : NULL;
        if (to)
            (void)log_read_image(&reader, n, to);
        free(to);
    }
}

static void read_file(void)
{
    struct log_file f = memory_log_file(&file);
    struct log_error why;
    if (log_reader_open(&reader, &f, &log_codec_zstd, &why) != STATUS_OK) {
        FUZZ_CHECK(why.what && why.action);
        return;
    }
    FUZZ_CHECK(log_machine_matches(&reader.machine, &why) || (why.what && why.action));
    unsigned count = read_all(false);
    enum log_tail tail = log_tail(&reader);
    read_images();
    log_rewind(&reader);
    FUZZ_CHECK(read_all(true) == count && log_tail(&reader) == tail);
    for (u64 n = 0; n < TIMES && count; n++) {
        log_seek_icount(&reader, events[count - 1].icount / (n + 1));
        struct log_event e;
        (void)log_next(&reader, &e);
    }
    u64 whole = file.size;
    for (u64 n = 1; n <= TIMES; n++) {
        file.size = whole * n / (TIMES + 1);
        if (log_reader_open(&reader, &f, &log_codec_zstd, &why) == STATUS_OK)
            FUZZ_CHECK(read_all(true) <= count);
    }
}

int fuzz_one(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    file.size = 0;
    file.room = MEMORY_LOG_MAX;
    if (data[0] & CHOOSE_CHUNKS)
        make_file(data + 1, size - 1, data[0] & CHOOSE_CUT);
    else
        append(data + 1, size - 1);
    read_file();
    return 0;
}
