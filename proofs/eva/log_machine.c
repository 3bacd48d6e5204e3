/* log_rd: a field of the machine's description in a log. Any number, any bytes up to a chunk's worth; and again with 1
 * to 40 bytes that end where their object ends. */
#include "eva/eva.h"

#include "replay/log_machine.c"

static struct log_reader r;

bool writer_put_bytes(struct log_writer *w, const void *from, size_t bytes)
{
    (void)w;
    (void)from;
    (void)bytes;
    return any_bool();
}

bool writer_end_chunk(struct log_writer *w, enum chunk_kind kind)
{
    (void)w;
    (void)kind;
    return any_bool();
}

static void take(const u8 *data, size_t bytes)
{
    struct machine_field f = {.number = any_u64(), .data = data, .bytes = bytes};
    struct log_error why;
    r.text_used = Frama_C_unsigned_long_interval(0, LOG_TEXT_MAX);
    r.machine.image_count = any_below(LOG_IMAGES_MAX + 1);
    if (machine_take_field(&r, &f, &why)) {
        REACHED(taken);
    } else {
        REACHED(refused);
    }
    //@ check still_valid: r.text_used <= LOG_TEXT_MAX && r.machine.image_count <= LOG_IMAGES_MAX;
}

static u8 large[LOG_PLAIN_MAX];

void main(void)
{
    u8 small[40];
    any_bytes(large, sizeof large);
    any_bytes(small, sizeof small);
    if (any_bool()) {
        take(large, Frama_C_unsigned_long_interval(0, sizeof large));
    } else {
        size_t bytes = Frama_C_unsigned_long_interval(1, sizeof small);
        //@ split bytes;
        take(small + (sizeof small - bytes), bytes);
    }
}
