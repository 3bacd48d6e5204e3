/* Reading a log, from bytes that anybody may have written. */
#include "replay/crc32c.h"
#include "replay/input.h"
#include "replay/log_format.h"

/* No run lasts longer: sums of two such numbers do not overflow. */
#define TIME_MAX (1ull << 62)

static bool refuse(struct log_error *why, const char *what, const char *action)
{
    *why = (struct log_error){.what = what, .action = action};
    return false;
}

/* What the file holds at an offset. */
enum found { FOUND_CHUNK, FOUND_NOTHING, FOUND_DAMAGE };

static enum found read_header(struct log_reader *r, u64 at, struct chunk *chunk, u32 *checksum)
{
    u8 header[LOG_CHUNK_HEADER];
    if (r->file.read(r->file.context, at, header, sizeof header) != sizeof header)
        return FOUND_NOTHING;
    *checksum = chunk_checksum(header);
    return chunk_get(header, chunk) ? FOUND_CHUNK : FOUND_DAMAGE;
}

/* Reads the payload of a chunk (not of an index) into r->plain. */
static enum found read_payload(struct log_reader *r, u64 at, const struct chunk *chunk)
{
    //@ split chunk->method;
    r->loaded_chunk = 0;
    u8 *to = chunk->method == LOG_RAW ? r->plain : r->stored;
    if (chunk->plain > LOG_PLAIN_MAX || chunk->stored > (chunk->method == LOG_RAW ? LOG_PLAIN_MAX : LOG_STORED_MAX))
        return FOUND_DAMAGE;
    if (chunk->method == LOG_RAW && chunk->stored != chunk->plain)
        return FOUND_DAMAGE;
    if (r->file.read(r->file.context, at + LOG_CHUNK_HEADER, to, chunk->stored) != chunk->stored)
        return FOUND_NOTHING;
    if (crc32c(0, to, chunk->stored) != chunk->payload_crc)
        return FOUND_DAMAGE;
    if (chunk->method != LOG_RAW &&
        r->codec->unpack(r->stored, chunk->stored, r->plain, sizeof r->plain) != chunk->plain)
        return FOUND_DAMAGE;
    r->loaded_chunk = at;
    r->loaded_bytes = chunk->plain;
    r->loaded_stored = chunk->stored;
    return FOUND_CHUNK;
}

/* The chunk at *at, if it is the successor of what came before; *at, *sequence and *link then move beyond it. */
static enum found read_chunk(struct log_reader *r, u64 at, u32 sequence, u32 link, struct chunk *chunk, u32 *checksum)
{
    enum found found = read_header(r, at, chunk, checksum);
    if (found != FOUND_CHUNK)
        return found;
    if (chunk->sequence != sequence || chunk->link != link || (chunk->method != LOG_RAW && !r->codec))
        return FOUND_DAMAGE;
    return chunk->kind == CHUNK_INDEX ? FOUND_CHUNK : read_payload(r, at, chunk);
}

/* ---- The machine ---------------------------------------------------------------------------------- */

static bool read_preamble(struct log_reader *r, u32 *link, struct log_error *why)
{
    u8 preamble[LOG_PREAMBLE];
    size_t bytes = r->file.read(r->file.context, 0, preamble, sizeof preamble);
    if (bytes < sizeof log_magic || memcmp(preamble, log_magic, sizeof log_magic))
        return refuse(why, "is not a log of Reprise", "check the path");
    if (bytes < sizeof preamble)
        return refuse(why, "is cut off before its run began", "there is nothing in it to replay");
    *link = (u32)get_le(preamble + 12, 4);
    if (*link != crc32c(0, preamble, 12))
        return refuse(why, "is damaged in its first bytes", "take another copy");
    u32 version = (u32)get_le(preamble + 8, 4);
    if (version == LOG_VERSION)
        return true;
    *why = (struct log_error){.what = "format version", .wanted = version, .have = LOG_VERSION,
                              .action = "read it with the version of Reprise that wrote it"};
    return false;
}

/* The fields in r->plain. *complete when the last was among them. */
static bool take_fields(struct log_reader *r, bool *complete, struct log_error *why)
{
    size_t at = 0;
    while (at < r->loaded_bytes && !*complete) {
        struct machine_field f;
        u64 bytes;
        if (!varint_get(r->plain, r->loaded_bytes, &at, &f.number) || !varint_get(r->plain, r->loaded_bytes, &at, &bytes) ||
            bytes > r->loaded_bytes || at + bytes > r->loaded_bytes)
            return refuse(why, "the description of its machine is malformed", "take another copy");
        f.data = r->plain + at;
        f.bytes = bytes;
        if (!machine_take_field(r, &f, why))
            return false;
        at += bytes;
        *complete = f.number == FIELD_END;
    }
    return true;
}

static bool read_machine(struct log_reader *r, struct log_cursor *at, struct log_error *why)
{
    bool complete = false;
    struct chunk chunk = {0};
    u32 checksum = 0;
    while (!complete) {
        enum found found = read_chunk(r, at->chunk, at->sequence, at->link, &chunk, &checksum);
        if (found == FOUND_NOTHING)
            return refuse(why, "is cut off before its run began", "there is nothing in it to replay");
        if (found == FOUND_DAMAGE && chunk.method != LOG_RAW && !r->codec)
            return refuse(why, "is compressed, which cannot be undone here", "record it with --uncompressed");
        if (found == FOUND_DAMAGE || chunk.kind != CHUNK_MACHINE)
            return refuse(why, "is damaged in the description of its machine", "take another copy");
        if (!take_fields(r, &complete, why))
            return false;
        at->chunk += LOG_CHUNK_HEADER + chunk.stored;
        at->sequence++;
        at->link = checksum;
    }
    return true;
}

/* Over the image chunks, without looking into them. */
static void skip_images(struct log_reader *r, struct log_cursor *at)
{
    struct chunk chunk = {0};
    u32 checksum = 0;
    while (read_header(r, at->chunk, &chunk, &checksum) == FOUND_CHUNK && chunk.kind == CHUNK_IMAGE &&
           chunk.sequence == at->sequence && chunk.link == at->link) {
        at->chunk += LOG_CHUNK_HEADER + chunk.stored;
        at->sequence++;
        at->link = checksum;
    }
}

static const struct log_machine no_machine = {.cpu = "", .append = "", .program = "", .engine = "", .host = ""};

enum status log_reader_open(struct log_reader *r, const struct log_file *file, const struct log_codec *codec,
                            struct log_error *why)
{
    struct log_cursor at = {.chunk = LOG_PREAMBLE};
    r->file = *file;
    r->codec = codec;
    r->damaged = false;
    r->loaded_chunk = 0;
    r->loaded_bytes = 0;
    r->text_used = 0;
    r->machine = no_machine;
    *why = (struct log_error){0};
    if (!read_preamble(r, &at.link, why))
        return why->have ? STATUS_UNSUPPORTED : STATUS_BAD_IMAGE;
    if (!read_machine(r, &at, why))
        return why->have ? STATUS_UNSUPPORTED : STATUS_BAD_IMAGE;
    r->images_at = at.chunk;
    r->images_sequence = at.sequence;
    r->images_link = at.link;
    skip_images(r, &at);
    r->first = r->cursor = at;
    return STATUS_OK;
}

bool log_read_image(struct log_reader *r, unsigned image, u8 *to)
{
    struct log_cursor at = {.chunk = r->images_at, .sequence = r->images_sequence, .link = r->images_link};
    struct chunk chunk = {0};
    u32 checksum = 0;
    u64 done = 0, size = image < r->machine.image_count ? r->machine.images[image].size : 0;
    while (at.chunk < r->first.chunk &&
           read_chunk(r, at.chunk, at.sequence, at.link, &chunk, &checksum) == FOUND_CHUNK &&
           chunk.kind == CHUNK_IMAGE) {
        if (chunk.icount == image) {
            if (chunk.skipped_ns != done || chunk.plain > size - done)
                return false;
            memcpy(to + done, r->plain, chunk.plain);
            done += chunk.plain;
        }
        at.chunk += LOG_CHUNK_HEADER + chunk.stored;
        at.sequence++;
        at.link = checksum;
    }
    return size && done == size;
}

/* ---- Events --------------------------------------------------------------------------------------- */

static bool value_in_range(const struct log_event *e)
{
    switch (e->source) {
    case LOG_SERIAL:
    case LOG_KEYBOARD: return e->value <= 0xff;
    case LOG_TIME: return e->value <= TIME_MAX;
    case LOG_MEMORY: return input_memory_valid(e->value);
    case LOG_END: return e->unit < LOG_ENDINGS && e->value <= UINT32_MAX;
    default: return true;
    }
}

static bool get_value(struct log_reader *r, size_t *at, struct log_event *e)
{
    if (record_has_value(e->source) && !varint_get(r->plain, r->loaded_bytes, at, &e->value))
        return false;
    if (!record_has_hash(e->source))
        return true;
    if (*at + 8 > r->loaded_bytes)
        return false;
    //@ check in_plain: *at + 8 <= LOG_PLAIN_MAX;
    e->hash = get_le(r->plain + *at, 8);
    *at += 8;
    return true;
}

/* The record at the cursor, which then stands behind it. False if it is none. */
static bool decode(struct log_reader *r, struct log_event *e)
{
    struct log_cursor *c = &r->cursor;
    size_t at = c->at;
    u64 icount, skipped = 0, unit = 0;
    u8 first = r->plain[at++];
    *e = (struct log_event){.source = (enum log_source)(first & RECORD_SOURCE)};
    if (e->source >= LOG_SOURCES || first & ~(RECORD_SOURCE | RECORD_SKIPPED | RECORD_UNIT) ||
        !varint_get(r->plain, r->loaded_bytes, &at, &icount) || icount > TIME_MAX)
        return false;
    if ((first & RECORD_SKIPPED) && (!varint_get(r->plain, r->loaded_bytes, &at, &skipped) || skipped > TIME_MAX))
        return false;
    if ((first & RECORD_UNIT) && (!varint_get(r->plain, r->loaded_bytes, &at, &unit) || unit > UINT32_MAX))
        return false;
    e->icount = c->icount + icount;
    e->skipped_ns = c->skipped_ns + skipped;
    e->unit = (u32)unit;
    if (!get_value(r, &at, e) || !value_in_range(e))
        return false;
    u64 after = e->skipped_ns + (e->source == LOG_TIME ? e->value : 0);
    if (e->icount > TIME_MAX || after > TIME_MAX)
        return false;
    c->at = (u32)at;
    c->icount = e->icount;
    c->skipped_ns = after;
    c->ended = e->source == LOG_END;
    return true;
}

/* Has the cursor's chunk in r->plain. */
static bool load_chunk(struct log_reader *r)
{
    struct log_cursor *c = &r->cursor;
    struct chunk chunk = {0};
    if (c->chunk == r->first.chunk && !c->loaded) {
        skip_images(r, &r->first); /* they may not all have been there when the log was opened */
        *c = r->first;
    }
    enum found found = read_chunk(r, c->chunk, c->sequence, c->link, &chunk, &r->loaded_link);
    if (found != FOUND_CHUNK || chunk.kind == CHUNK_INDEX) {
        r->damaged = found == FOUND_DAMAGE;
        return false;
    }
    bool goes_on = c->loaded || (chunk.icount == c->icount && chunk.skipped_ns == c->skipped_ns);
    r->damaged = chunk.kind != CHUNK_EVENTS || !goes_on || c->at > chunk.plain;
    c->loaded = !r->damaged;
    return c->loaded;
}

/* Has a record at the cursor in r->plain. */
static bool load(struct log_reader *r)
{
    struct log_cursor *c = &r->cursor;
    for (;;) {
        if ((!c->loaded || r->loaded_chunk != c->chunk) && !load_chunk(r))
            return false;
        if (c->at < r->loaded_bytes)
            return true;
        *c = (struct log_cursor){.chunk = c->chunk + LOG_CHUNK_HEADER + r->loaded_stored, .sequence = c->sequence + 1,
                                 .link = r->loaded_link, .icount = c->icount, .skipped_ns = c->skipped_ns};
    }
}

bool log_next(struct log_reader *r, struct log_event *event)
{
    if (r->damaged || r->cursor.ended || !load(r))
        return false;
    r->damaged = !decode(r, event);
    return !r->damaged;
}

enum log_tail log_tail(const struct log_reader *r)
{
    return r->cursor.ended ? LOG_TAIL_COMPLETE : r->damaged ? LOG_TAIL_DAMAGED : LOG_TAIL_CUT;
}

struct log_cursor log_tell(const struct log_reader *r) { return r->cursor; }

bool log_seek(struct log_reader *r, const struct log_cursor *to)
{
    r->cursor = *to;
    r->damaged = false;
    return !to->loaded || r->loaded_chunk == to->chunk || load_chunk(r);
}

void log_rewind(struct log_reader *r)
{
    r->cursor = r->first;
    r->damaged = false;
}

/* ---- The index ------------------------------------------------------------------------------------ */

static bool read_exactly(struct log_reader *r, u64 at, void *to, size_t bytes)
{
    return r->file.read(r->file.context, at, to, bytes) == bytes;
}

/* Does the index lie at `at`, whole and sound? *entries: how many. */
static bool index_is_sound(struct log_reader *r, u64 at, u64 end, u64 *entries)
{
    struct chunk chunk = {0};
    u32 checksum, sum = 0;
    if (read_header(r, at, &chunk, &checksum) != FOUND_CHUNK || chunk.kind != CHUNK_INDEX ||
        chunk.stored % INDEX_ENTRY || at + LOG_CHUNK_HEADER + chunk.stored != end)
        return false;
    for (u32 done = 0, part; done < chunk.stored; done += part) {
        u32 left = chunk.stored - done;
        part = left < LOG_PLAIN_MAX ? left : LOG_PLAIN_MAX;
        if (!read_exactly(r, at + LOG_CHUNK_HEADER + done, r->stored, part))
            return false;
        sum = crc32c(sum, r->stored, part);
    }
    *entries = chunk.stored / INDEX_ENTRY;
    return sum == chunk.payload_crc;
}

/* Finds the index by the trailer; its offset, or 0 if there is none. */
static u64 find_index(struct log_reader *r, u64 *entries)
{
    u8 trailer[LOG_TRAILER];
    u64 size = r->file.size(r->file.context);
    if (size < LOG_PREAMBLE + LOG_TRAILER || !read_exactly(r, size - LOG_TRAILER, trailer, sizeof trailer) ||
        memcmp(trailer + 8, log_trailer_magic, sizeof log_trailer_magic) ||
        get_le(trailer + 12, 4) != crc32c(0, trailer, 12))
        return 0;
    u64 at = get_le(trailer, 8), end = size - LOG_TRAILER;
    return at >= LOG_PREAMBLE && at < end && index_is_sound(r, at, end, entries) ? at : 0;
}

void log_seek_icount(struct log_reader *r, u64 icount)
{
    u8 entry[INDEX_ENTRY];
    u64 entries = 0, low = 0, index = find_index(r, &entries), high = entries;
    log_rewind(r);
    /* The last chunk that begins before `icount`: those that begin at it may follow one with events at it. */
    while (index && low < high) {
        u64 middle = low + (high - low) / 2;
        if (!read_exactly(r, index + LOG_CHUNK_HEADER + middle * INDEX_ENTRY, entry, sizeof entry))
            return;
        if (get_le(entry + 8, 8) < icount)
            low = middle + 1;
        else
            high = middle;
    }
    struct chunk chunk = {0};
    u32 checksum = 0;
    if (!low || !read_exactly(r, index + LOG_CHUNK_HEADER + (low - 1) * INDEX_ENTRY, entry, sizeof entry))
        return;
    u64 at = get_le(entry, 8);
    if (at < r->first.chunk || at >= index || read_header(r, at, &chunk, &checksum) != FOUND_CHUNK ||
        chunk.kind != CHUNK_EVENTS || chunk.icount > TIME_MAX || chunk.skipped_ns > TIME_MAX)
        return;
    r->cursor = (struct log_cursor){.chunk = at, .sequence = chunk.sequence, .link = chunk.link, .icount = chunk.icount,
                                    .skipped_ns = chunk.skipped_ns};
}
