/* What a log is made of, for its writer and its reader: little-endian numbers, varints, chunk headers, and the
 * fields of the machine's description. Private to replay/log_*.c and their tests. */
#ifndef REPRISE_REPLAY_LOG_FORMAT_H
#define REPRISE_REPLAY_LOG_FORMAT_H

#include "replay/log.h"

extern const u8 log_magic[8];         /* of the preamble */
extern const u8 log_trailer_magic[4];

enum { VARINT_MAX = 10 }; /* bytes of the longest */

enum chunk_kind { CHUNK_MACHINE = 1, CHUNK_IMAGE, CHUNK_EVENTS, CHUNK_INDEX };

struct chunk {
    u8 kind, method;
    u32 sequence;     /* 0, 1, ... along the file */
    u32 link;         /* checksum of the header before it; of the preamble for the first */
    u32 plain, stored; /* bytes of the payload before and after compression */
    u32 payload_crc;  /* of the stored bytes */
    u64 icount;       /* EVENTS: of the event before; IMAGE: number of the image */
    u64 skipped_ns;   /* EVENTS: after the event before; IMAGE: offset in the image */
};

/* An index entry: where an events chunk stands, and the icount it begins with. */
enum { INDEX_ENTRY = 16 };

/* What a record's first byte says beside its source. */
enum { RECORD_SOURCE = 0x0f, RECORD_SKIPPED = 0x10, RECORD_UNIT = 0x20, RECORD_MAX = 1 + 4 * VARINT_MAX + 8 };

static inline bool record_has_value(enum log_source s) { return s != LOG_CHECKPOINT && s != LOG_MARK; }
static inline bool record_has_hash(enum log_source s) { return s == LOG_CHECKPOINT || s == LOG_END; }

/* Fields of the machine's description: number, length, bytes; numbers are varints. A reader refuses a number it does
 * not know below FIELD_FREE, and passes over one from there on. So what is added to the machine gets a number below, and is
 * written only where it is used: other logs stay readable by everybody. */
enum field {
    FIELD_RAM = 1, FIELD_RTC, FIELD_DEBUG_EXIT, FIELD_RESET_EXITS, FIELD_REVISION, FIELD_CPU, FIELD_VENDOR, FIELD_BRAND,
    FIELD_SIGNATURE, FIELD_MAX_BASIC, FIELD_MAX_EXTENDED, FIELD_FEATURES_0, FIELD_FEATURES_1, FIELD_APPEND,
    FIELD_IMAGE, /* begins an image: its kind */
    FIELD_IMAGE_PATH, FIELD_IMAGE_TEXT, FIELD_IMAGE_SIZE, FIELD_IMAGE_HASH, FIELD_IMAGE_EMBEDDED,
    FIELD_END, /* the description is complete */
    FIELD_CHAOS_SEED, FIELD_CHAOS_KINDS, /* only with chaos */
    FIELD_KNOWN, /* numbers from here to FIELD_FREE belong to later versions */
    FIELD_FREE = 64, FIELD_PROGRAM = FIELD_FREE, FIELD_ENGINE, FIELD_HOST, FIELD_STARTED, FIELD_INTERVAL, FIELD_WALL,
};

/*@ requires bytes <= 8 && \valid(to + (0 .. bytes - 1));
    assigns to[0 .. bytes - 1]; */
static inline void put_le(u8 *to, u64 value, unsigned bytes)
{
    /*@ loop invariant 0 <= n <= bytes;
        loop assigns n, to[0 .. bytes - 1];
        loop variant bytes - n; */
    for (unsigned n = 0; n < bytes; n++)
        to[n] = (u8)(value >> 8 * n);
}

/*@ requires bytes <= 8 && \valid_read(from + (0 .. bytes - 1));
    assigns \result \from from[0 .. bytes - 1], bytes; */
static inline u64 get_le(const u8 *from, unsigned bytes)
{
    u64 value = 0;
    /*@ loop invariant 0 <= n <= bytes;
        loop assigns n, value;
        loop variant bytes - n; */
    for (unsigned n = 0; n < bytes; n++)
        value |= (u64)from[n] << 8 * n;
    return value;
}

/*@ requires \valid(to + (0 .. VARINT_MAX - 1));
    assigns to[0 .. VARINT_MAX - 1];
    ensures used: 1 <= \result <= VARINT_MAX; */
/* Seven bits a byte, the lowest first, bit 7 set in all but the last. Returns the bytes written. */
unsigned varint_put(u8 to[VARINT_MAX], u64 value);
/* Reads one at *at and advances it. False, with *at undefined, if it does not end before `end` or exceeds 64 bits. */
bool varint_get(const u8 *from, size_t end, size_t *at, u64 *value);

/* Encodes and decodes a header. chunk_get() is false for bytes that are no header, or one beyond the format's
 * bounds. The checksum, for the next chunk's `link`, is the header's last word. */
void chunk_put(u8 to[LOG_CHUNK_HEADER], const struct chunk *chunk);
bool chunk_get(const u8 from[LOG_CHUNK_HEADER], struct chunk *chunk);
/*@ requires \valid_read(header + (0 .. LOG_CHUNK_HEADER - 1));
    assigns \result \from header[0 .. LOG_CHUNK_HEADER - 1]; */
static inline u32 chunk_checksum(const u8 header[LOG_CHUNK_HEADER])
{
    return (u32)get_le(header + LOG_CHUNK_HEADER - 4, 4);
}

/* The machine's description from its fields, one by one; `image_open` says whether an image has begun. Text is
 * copied into r->text. False with *why filled in if a field is unknown, malformed or too much. */
struct machine_field {
    u64 number;
    const u8 *data;
    size_t bytes;
};
bool machine_take_field(struct log_reader *r, const struct machine_field *field, struct log_error *why);

/* Writes the description; false if the file takes no more. Defined in log_machine.c. */
bool machine_put(struct log_writer *w, const struct log_machine *machine);
/* A field of text or of a number; called by machine_put() alone. */
bool writer_put_bytes(struct log_writer *w, const void *from, size_t bytes);
/* Ends the chunk in w->plain. */
bool writer_end_chunk(struct log_writer *w, enum chunk_kind kind);

#endif
