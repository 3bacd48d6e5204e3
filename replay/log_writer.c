/* Writing a log. */
#include "replay/crc32c.h"
#include "replay/log_format.h"

static bool append(struct log_writer *w, const void *from, size_t bytes)
{
    if (!w->failed && !w->file.append(w->file.context, from, bytes))
        w->failed = true;
    if (w->failed)
        return false;
    w->bytes += bytes;
    return true;
}

/* Writes one chunk whose payload is `from`. */
static bool put_chunk(struct log_writer *w, struct chunk *chunk, const void *from, size_t bytes)
{
    u8 header[LOG_CHUNK_HEADER];
    size_t packed = w->codec ? w->codec->pack(from, bytes, w->stored, sizeof w->stored) : 0;
    bool smaller = packed && packed < bytes;
    const void *payload = smaller ? w->stored : from;
    chunk->method = smaller ? LOG_ZSTD : LOG_RAW;
    chunk->plain = (u32)bytes;
    chunk->stored = (u32)(smaller ? packed : bytes);
    chunk->payload_crc = crc32c(0, payload, chunk->stored);
    chunk->sequence = w->sequence;
    chunk->link = w->link;
    chunk_put(header, chunk);
    if (!append(w, header, sizeof header) || !append(w, payload, chunk->stored))
        return false;
    w->sequence++;
    w->link = chunk_checksum(header);
    return true;
}

bool writer_end_chunk(struct log_writer *w, enum chunk_kind kind)
{
    struct chunk chunk = {.kind = (u8)kind, .icount = w->chunk_icount, .skipped_ns = w->chunk_skipped_ns};
    size_t used = w->used;
    w->used = 0;
    w->chunk_icount = w->icount;
    w->chunk_skipped_ns = w->skipped_ns;
    return used ? put_chunk(w, &chunk, w->plain, used) : !w->failed;
}

bool writer_put_bytes(struct log_writer *w, const void *from, size_t bytes)
{
    if (bytes > LOG_PLAIN_MAX)
        return false;
    if (w->used + bytes > LOG_PLAIN_MAX && !writer_end_chunk(w, CHUNK_MACHINE))
        return false;
    memcpy(w->plain + w->used, from, bytes);
    w->used += bytes;
    return true;
}

/* Bytes that the texts take in a reader, each with its end. */
static u64 text_bytes(const struct log_machine *m)
{
    u64 sum = strlen(m->cpu) + strlen(m->append) + strlen(m->program) + strlen(m->engine) + strlen(m->host) + 5;
    for (unsigned n = 0; n < m->image_count; n++)
        sum += strlen(m->images[n].path) + strlen(m->images[n].text) + 2;
    return sum;
}

enum status log_writer_open(struct log_writer *w, const struct log_file *file, const struct log_codec *codec,
                            const struct log_machine *machine)
{
    u8 preamble[LOG_PREAMBLE];
    w->file = *file;
    w->codec = codec;
    w->failed = false;
    w->bytes = 0;
    w->sequence = 0;
    w->icount = w->skipped_ns = w->chunk_icount = w->chunk_skipped_ns = 0;
    w->used = 0;
    if (text_bytes(machine) > LOG_TEXT_MAX || machine->image_count > LOG_IMAGES_MAX)
        return STATUS_TOO_BIG;
    memcpy(preamble, log_magic, sizeof log_magic);
    put_le(preamble + 8, LOG_VERSION, 4);
    put_le(preamble + 12, crc32c(0, preamble, 12), 4);
    w->link = (u32)get_le(preamble + 12, 4);
    if (!append(w, preamble, sizeof preamble))
        return STATUS_IO;
    if (!machine_put(w, machine))
        return w->failed ? STATUS_IO : STATUS_TOO_BIG;
    return writer_end_chunk(w, CHUNK_MACHINE) ? STATUS_OK : STATUS_IO;
}

bool log_put_image(struct log_writer *w, unsigned image, const u8 *data, u64 size)
{
    for (u64 done = 0, part; done < size; done += part) {
        struct chunk chunk = {.kind = CHUNK_IMAGE, .icount = image, .skipped_ns = done};
        part = size - done < LOG_PLAIN_MAX ? size - done : LOG_PLAIN_MAX;
        if (!put_chunk(w, &chunk, data + done, part))
            return false;
    }
    return true;
}

static unsigned encode(const struct log_writer *w, const struct log_event *e, u8 to[RECORD_MAX])
{
    u64 skipped = e->skipped_ns - w->skipped_ns;
    unsigned used = 1;
    to[0] = (u8)((unsigned)e->source | (skipped ? RECORD_SKIPPED : 0u) | (e->unit ? RECORD_UNIT : 0u));
    used += varint_put(to + used, e->icount - w->icount);
    if (skipped)
        used += varint_put(to + used, skipped);
    if (e->unit)
        used += varint_put(to + used, e->unit);
    if (record_has_value(e->source))
        used += varint_put(to + used, e->value);
    if (record_has_hash(e->source)) {
        put_le(to + used, e->hash, 8); /* no small number */
        used += 8;
    }
    return used;
}

bool log_put(struct log_writer *w, const struct log_event *event)
{
    u8 record[RECORD_MAX];
    if (w->failed || event->icount < w->icount || event->skipped_ns < w->skipped_ns)
        return false;
    unsigned bytes = encode(w, event, record);
    if (w->used + bytes > LOG_PLAIN_MAX && !log_flush(w))
        return false;
    memcpy(w->plain + w->used, record, bytes);
    w->used += bytes;
    w->icount = event->icount;
    w->skipped_ns = event->skipped_ns + (event->source == LOG_TIME ? event->value : 0);
    return true;
}

bool log_flush(struct log_writer *w) { return writer_end_chunk(w, CHUNK_EVENTS); }

/* Calls `each` for the header of every events chunk written. False if the file does not give back what was written. */
static bool for_events_chunks(struct log_writer *w, u64 end,
                              void (*each)(struct log_writer *w, const u8 entry[INDEX_ENTRY]))
{
    u8 header[LOG_CHUNK_HEADER], entry[INDEX_ENTRY];
    struct chunk chunk;
    for (u64 at = LOG_PREAMBLE; at < end; at += LOG_CHUNK_HEADER + chunk.stored) {
        if (w->file.read(w->file.context, at, header, sizeof header) != sizeof header || !chunk_get(header, &chunk))
            return false;
        if (chunk.kind != CHUNK_EVENTS)
            continue;
        put_le(entry, at, 8);
        put_le(entry + 8, chunk.icount, 8);
        each(w, entry);
    }
    return true;
}

/* The index has no bound, so it is made twice from the file: once for its checksum, once for itself. */
static void sum_entry(struct log_writer *w, const u8 entry[INDEX_ENTRY])
{
    w->link = crc32c(w->link, entry, INDEX_ENTRY);
    w->used += INDEX_ENTRY;
}

static void put_entry(struct log_writer *w, const u8 entry[INDEX_ENTRY]) { append(w, entry, INDEX_ENTRY); }

bool log_close(struct log_writer *w)
{
    u8 header[LOG_CHUNK_HEADER], trailer[LOG_TRAILER];
    u64 end;
    if (!log_flush(w))
        return false;
    end = w->bytes;
    struct chunk chunk = {.kind = CHUNK_INDEX, .sequence = w->sequence, .link = w->link};
    w->link = 0;
    if (!for_events_chunks(w, end, sum_entry))
        return false;
    chunk.plain = chunk.stored = (u32)w->used;
    chunk.payload_crc = w->link;
    w->used = 0;
    chunk_put(header, &chunk);
    put_le(trailer, end, 8);
    memcpy(trailer + 8, log_trailer_magic, sizeof log_trailer_magic);
    put_le(trailer + 12, crc32c(0, trailer, 12), 4);
    return append(w, header, sizeof header) && for_events_chunks(w, end, put_entry) &&
           append(w, trailer, sizeof trailer);
}
