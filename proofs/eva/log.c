/* log_rd: the reader of logs. Any bytes in the file, any answers of the codec, in any state of the reader that
 * satisfies reader_valid(): opening it, the next event, seeking by the index. Nothing undefined happens, and the state
 * is valid again. An event that is delivered lies within the bounds that the replayer counts on. */
#include "eva/eva.h"

#include "replay/log_reader.c"

static struct log_reader r;

static bool reader_valid(const struct log_reader *at)
{
    return at->loaded_bytes <= LOG_PLAIN_MAX && at->text_used <= LOG_TEXT_MAX && at->machine.image_count <= LOG_IMAGES_MAX &&
           at->cursor.icount <= TIME_MAX && at->cursor.skipped_ns <= TIME_MAX && at->first.icount <= TIME_MAX &&
           at->first.skipped_ns <= TIME_MAX;
}

static size_t file_read(void *context, u64 at, void *to, size_t bytes)
{
    (void)context;
    (void)at;
    if (!bytes)
        return 0;
    //@ check room: \valid((u8 *)to + (0 .. bytes - 1));
    any_bytes(to, bytes);
    return Frama_C_unsigned_long_interval(0, bytes);
}

static u64 file_size(void *context)
{
    (void)context;
    return any_u64();
}

static size_t unpack(const void *from, size_t bytes, void *to, size_t room)
{
    //@ check packed: bytes == 0 || \valid_read((u8 *)from + (0 .. bytes - 1));
    any_bytes(to, room);
    return Frama_C_unsigned_long_interval(0, room);
}

static const struct log_codec codec = {.unpack = unpack};
static const struct log_file file = {.read = file_read, .size = file_size};

u32 crc32c(u32 before, const void *from, size_t bytes)
{
    (void)before;
    //@ check summed: bytes == 0 || \valid_read((u8 *)from + (0 .. bytes - 1));
    return any_u32();
}

/* proofs/eva/log_machine.c */
bool machine_take_field(struct log_reader *to, const struct machine_field *field, struct log_error *why)
{
    //@ check field: field->bytes <= LOG_PLAIN_MAX;
    to->machine.image_count = any_below(LOG_IMAGES_MAX + 1);
    to->text_used = Frama_C_unsigned_long_interval(0, LOG_TEXT_MAX);
    if (any_bool())
        return true;
    *why = (struct log_error){.what = "", .action = ""};
    return false;
}

static void any_reader(void)
{
    any_bytes(r.plain, sizeof r.plain);
    any_bytes(r.stored, sizeof r.stored);
    any_bytes(r.text, sizeof r.text);
    r.cursor = (struct log_cursor){any_u64(), any_u32(), any_u32(), any_u32(), any_u64(), any_u64(), any_bool(), any_bool()};
    r.first = (struct log_cursor){any_u64(), any_u32(), any_u32(), any_u32(), any_u64(), any_u64(), any_bool(), any_bool()};
    r.images_at = any_u64();
    r.images_sequence = any_u32();
    r.images_link = any_u32();
    r.damaged = any_bool();
    r.loaded_chunk = any_u64();
    r.loaded_bytes = any_u32();
    r.loaded_stored = any_u32();
    r.loaded_link = any_u32();
    r.text_used = any_u64();
    r.machine.image_count = any_u32();
    r.file = file;
    r.codec = any_bool() ? &codec : NULL;
}

static void next(void)
{
    struct log_event event;
    if (!log_next(&r, &event))
        return;
    REACHED(event);
    //@ check source: event.source < LOG_SOURCES;
    //@ check icount: event.icount <= TIME_MAX;
}

static void use(void)
{
    switch (any_below(4)) {
    case 0: next(); break;
    case 1: log_seek_icount(&r, any_u64()); REACHED(seek); break;
    case 2: log_rewind(&r); break;
    default: {
        struct log_cursor to = log_tell(&r);
        log_seek(&r, &to);
    }
    }
}

void main(void)
{
    struct log_error why;
    if (log_reader_open(&r, &file, any_bool() ? &codec : NULL, &why) == STATUS_OK) {
        REACHED(opened);
        if (!reader_valid(&r)) {
            //@ check valid_after_open: \false;
        }
    }
    any_reader();
    if (!reader_valid(&r))
        return;
    use();
    if (!reader_valid(&r)) {
        //@ check still_valid: \false;
    }
    REACHED(used);
}
