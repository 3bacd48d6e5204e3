/* Numbers and chunk headers of the log. */
#include "replay/log_format.h"

#include "replay/crc32c.h"

const u8 log_magic[8] = {'R', 'e', 'p', 'r', 'i', 's', 'e', '\n'};
const u8 log_trailer_magic[4] = {'x', 'd', 'n', 'I'};

static const u8 chunk_magic[4] = {'c', 'h', 'n', 'k'};

/* Offsets in a chunk header. */
enum {
    AT_MAGIC = 0, AT_KIND = 4, AT_METHOD = 5, AT_ZERO = 6, AT_SEQUENCE = 8, AT_LINK = 12, AT_PLAIN = 16, AT_STORED = 20,
    AT_ICOUNT = 24, AT_SKIPPED = 32, AT_PAYLOAD_CRC = 40, AT_HEADER_CRC = 44,
};
_Static_assert(AT_HEADER_CRC + 4 == LOG_CHUNK_HEADER, "the header's checksum comes last");

const char *const log_source_names[LOG_SOURCES] = {
    [LOG_SERIAL] = "serial", [LOG_KEYBOARD] = "keyboard", [LOG_TIME] = "time",
    [LOG_CHECKPOINT] = "checkpoint", [LOG_MARK] = "mark", [LOG_END] = "end", [LOG_MEMORY] = "memory",
};

const char *const log_ending_names[LOG_ENDINGS] = {
    [LOG_END_HOST] = "stopped from outside", [LOG_END_LIMIT] = "instruction limit", [LOG_END_POWER_OFF] = "power off",
    [LOG_END_DEBUG_EXIT] = "debug exit", [LOG_END_TRIPLE_FAULT] = "triple fault", [LOG_END_RESET] = "reset",
    [LOG_END_IDLE] = "halted for ever",
};

unsigned varint_put(u8 to[VARINT_MAX], u64 value)
{
    unsigned used = 0;
    /*@ loop invariant 0 <= used < VARINT_MAX;
        loop assigns used, value, to[0 .. VARINT_MAX - 1];
        loop variant VARINT_MAX - used; */
    for (; value >= 0x80 && used < VARINT_MAX - 1; value >>= 7) /* nine times seven bits leave one */
        to[used++] = (u8)(value | 0x80);
    to[used++] = (u8)value;
    return used;
}

bool varint_get(const u8 *from, size_t end, size_t *at, u64 *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && *at < end; shift += 7) {
        u8 byte = from[(*at)++];
        if (shift == 63 && byte > 1)
            return false;
        *value |= (u64)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

void chunk_put(u8 to[LOG_CHUNK_HEADER], const struct chunk *chunk)
{
    memcpy(to + AT_MAGIC, chunk_magic, sizeof chunk_magic);
    to[AT_KIND] = chunk->kind;
    to[AT_METHOD] = chunk->method;
    put_le(to + AT_ZERO, 0, 2);
    put_le(to + AT_SEQUENCE, chunk->sequence, 4);
    put_le(to + AT_LINK, chunk->link, 4);
    put_le(to + AT_PLAIN, chunk->plain, 4);
    put_le(to + AT_STORED, chunk->stored, 4);
    put_le(to + AT_ICOUNT, chunk->icount, 8);
    put_le(to + AT_SKIPPED, chunk->skipped_ns, 8);
    put_le(to + AT_PAYLOAD_CRC, chunk->payload_crc, 4);
    put_le(to + AT_HEADER_CRC, crc32c(0, to, AT_HEADER_CRC), 4);
}

bool chunk_get(const u8 from[LOG_CHUNK_HEADER], struct chunk *chunk)
{
    if (memcmp(from, chunk_magic, sizeof chunk_magic) || chunk_checksum(from) != crc32c(0, from, AT_HEADER_CRC))
        return false;
    *chunk = (struct chunk){
        .kind = from[AT_KIND],
        .method = from[AT_METHOD],
        .sequence = (u32)get_le(from + AT_SEQUENCE, 4),
        .link = (u32)get_le(from + AT_LINK, 4),
        .plain = (u32)get_le(from + AT_PLAIN, 4),
        .stored = (u32)get_le(from + AT_STORED, 4),
        .icount = get_le(from + AT_ICOUNT, 8),
        .skipped_ns = get_le(from + AT_SKIPPED, 8),
        .payload_crc = (u32)get_le(from + AT_PAYLOAD_CRC, 4),
    };
    if (chunk->kind < CHUNK_MACHINE || chunk->kind > CHUNK_INDEX || chunk->method > LOG_ZSTD)
        return false;
    /* The index is a table of its own, read entry by entry. */
    return chunk->kind == CHUNK_INDEX || (chunk->plain <= LOG_PLAIN_MAX && chunk->stored <= LOG_STORED_MAX);
}
