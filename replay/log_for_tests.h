/* Logs in memory, for unit tests and fuzzers. */
#ifndef REPRISE_REPLAY_LOG_FOR_TESTS_H
#define REPRISE_REPLAY_LOG_FOR_TESTS_H

#include <string.h>

#include "replay/log.h"

enum { MEMORY_LOG_MAX = 1 << 20 };

struct memory_log {
    u64 size, room; /* bytes there are; bytes that fit */
    u8 data[MEMORY_LOG_MAX];
};

static inline bool memory_log_append(void *context, const void *from, size_t bytes)
{
    struct memory_log *m = context;
    u64 fits = m->room - m->size < bytes ? m->room - m->size : bytes;
    memcpy(m->data + m->size, from, fits);
    m->size += fits;
    return fits == bytes;
}

static inline size_t memory_log_read(void *context, u64 at, void *to, size_t bytes)
{
    const struct memory_log *m = context;
    if (at >= m->size)
        return 0;
    u64 there = m->size - at < bytes ? m->size - at : bytes;
    memcpy(to, m->data + at, there);
    return there;
}

static inline u64 memory_log_size(void *context) { return ((const struct memory_log *)context)->size; }

static inline struct log_file memory_log_file(struct memory_log *m)
{
    return (struct log_file){
        .context = m, .append = memory_log_append, .read = memory_log_read, .size = memory_log_size};
}

/* A machine of the default model with one kernel that is `embedded` or not. */
static inline struct log_machine memory_log_machine(bool embedded)
{
    return (struct log_machine){
        .ram_bytes = 16 << 20, .rtc_start = 1735689600, .debug_exit = true, .cpu = CPU_MODEL_DEFAULT,
        .model = *cpu_model_find(CPU_MODEL_DEFAULT), .append = "console=ttyS0", .program = "test", .engine = "interp",
        .host = "a processor", .started = 1, .checkpoint_interval = 1000, .image_count = 1,
        .images = {{.kind = LOG_IMAGE_KERNEL, .embedded = embedded, .path = "kernel", .text = "", .size = 3000,
                    .hash = {1, 2, 3}}},
    };
}

#endif
