/* The log of a run: one append-only file that, with the images it names, is enough to repeat the run exactly.
 *
 * A preamble, then chunks: the machine's description, images (if embedded), events, and an index once the run has
 * ended. A chunk is checked (CRC-32C), compressed by itself, and names its predecessor, so that a log is valid up to
 * its last good chunk wherever it was cut off, and a damaged, spliced or reordered one ends where the damage begins.
 * All numbers are little-endian.
 *
 *     preamble   "Reprise\n"  version:4  crc of these 12 bytes:4
 *     chunk      header (LOG_CHUNK_HEADER bytes, see chunk_put() in log_format.c), payload
 *     trailer    offset of the index chunk:8  "xdnI"  crc of these 12 bytes:4     (only of a log that was closed)
 *
 * An event is where it happened and what: a byte (source and two bits that say which fields follow), the icount
 * since the last event, the virtual time that was skipped since then, the unit, and the value. Where: between two
 * instructions, before interrupts are looked at. What a guest does by itself costs no byte.
 *
 * Events are trusted for nothing but their shape: a reader takes any bytes. Writers and readers are plain data;
 * files and compression come from outside (struct log_file, struct log_codec), so that both builds of Reprise can
 * use them. */
#ifndef REPRISE_REPLAY_LOG_H
#define REPRISE_REPLAY_LOG_H

#include "core/boot.h"
#include "core/chaos.h"
#include "core/cpuid.h"
#include "core/status.h"
#include "core/types.h"

enum {
    LOG_VERSION = 1, /* of the format */
    /* Of what guests can observe. Raise it with every change of processor, board or boot protocol that a guest may
     * see: an older log would not repeat its run any more, and is refused. */
    LOG_MACHINE_REVISION = 3,
    LOG_PREAMBLE = 16,
    LOG_CHUNK_HEADER = 48,
    LOG_TRAILER = 16,
    LOG_PLAIN_MAX = 64 << 10,               /* bytes of a chunk's payload before compression */
    LOG_STORED_MAX = LOG_PLAIN_MAX + 1024,  /* and after */
    LOG_TEXT_MAX = 256 << 10,               /* all texts of a machine's description together */
    LOG_HASH_BYTES = 32,                    /* SHA-256 */
    LOG_IMAGES_MAX = 2 + BOOT_MODULES_MAX,
};

/* Bytes in storage. `append` returns false when nothing more can be written (the log then ends there). `read` copies
 * up to `bytes` from offset `at` and returns how many there were; a file that is still being written may have more
 * later. `size` is what there is now. */
struct log_file {
    void *context;
    bool (*append)(void *context, const void *from, size_t bytes);
    size_t (*read)(void *context, u64 at, void *to, size_t bytes);
    u64 (*size)(void *context);
};

/* Compression. Each returns the bytes written to `to`, 0 if they do not fit or the input is malformed. */
enum log_method { LOG_RAW, LOG_ZSTD };
struct log_codec {
    size_t (*pack)(const void *from, size_t bytes, void *to, size_t room);
    size_t (*unpack)(const void *from, size_t bytes, void *to, size_t room);
};

/* ---- The machine ---------------------------------------------------------------------------------- */

enum log_image_kind { LOG_IMAGE_KERNEL, LOG_IMAGE_INITRD, LOG_IMAGE_MODULE };

struct log_image {
    enum log_image_kind kind;
    bool embedded;
    const char *path; /* where it was found */
    const char *text; /* of a module, else "" */
    u64 size;
    u8 hash[LOG_HASH_BYTES];
};

/* Everything that decides what a guest sees, less its inputs. Texts are never NULL. */
struct log_machine {
    u64 ram_bytes, rtc_start;
    bool debug_exit;
    bool reset_exits;      /* --reset exit: a reset of the guest ends the run */
    struct chaos_config chaos;
    const char *cpu;       /* model by name, and what it was when the log was written */
    struct cpu_model model; /* name and summary NULL */
    const char *append;
    struct log_image images[LOG_IMAGES_MAX];
    unsigned image_count;
    /* For people only. */
    const char *program, *engine, *host; /* version of Reprise; engine; the processor underneath */
    u64 started;                         /* seconds since 1970 */
    u64 checkpoint_interval;             /* instructions between two state hashes; 0: none but at the end */
    bool wall;                           /* virtual time followed real time */
};

/* Why a log was refused, for a message. */
struct log_error {
    const char *what;   /* "format version", "processor model", ... or what is wrong */
    const char *action; /* what the user may do about it */
    const char *wanted_text, *have_text; /* the field's value in the log and here; NULL: wanted and have */
    u64 wanted, have;   /* compared if they differ */
};

/* Does this build have the very machine that `machine` describes? Else the first field that differs is in *why. Text in
 * it points into `machine` and the model. */
bool log_machine_matches(const struct log_machine *machine, struct log_error *why);

/* ---- Events --------------------------------------------------------------------------------------- */

enum log_source {
    LOG_SERIAL,     /* unit: port; value: the byte */
    LOG_KEYBOARD,   /* value: the byte */
    LOG_TIME,       /* value: nanoseconds by which virtual time jumps */
    LOG_CHECKPOINT, /* hash */
    LOG_MARK,       /* nothing happened up to here */
    LOG_END,        /* unit: enum log_ending; value: what the guest wrote to its exit port; hash */
    LOG_MEMORY,     /* as INPUT_MEMORY (replay/input.h); behind the others, so that older logs stay what they are */
    LOG_SOURCES
};

/* How a run ended. Numbers stand in logs. */
enum log_ending {
    LOG_END_HOST,         /* the user, a signal, a time limit: the guest would have gone on */
    LOG_END_LIMIT,        /* --max-insns */
    LOG_END_POWER_OFF,
    LOG_END_DEBUG_EXIT,
    LOG_END_TRIPLE_FAULT,
    LOG_END_RESET,
    LOG_END_IDLE,         /* halted, and nothing could wake it */
    LOG_ENDINGS
};

extern const char *const log_source_names[LOG_SOURCES];
extern const char *const log_ending_names[LOG_ENDINGS];

/* Between two instructions, at icount `icount`, after `skipped_ns` of virtual time were skipped (struct clock), with
 * device timers that were due done, and before any interrupt is delivered. Both never decrease along a log. */
struct log_event {
    u64 icount, skipped_ns;
    enum log_source source;
    u32 unit;
    u64 value;
    u64 hash; /* of the state there */
};

/* ---- Writing -------------------------------------------------------------------------------------- */

struct log_writer {
    struct log_file file;
    const struct log_codec *codec; /* NULL: store raw */
    bool failed;                   /* the file took no more */
    u64 bytes;                     /* written so far */
    u32 sequence, link;            /* of the next chunk: its number, its predecessor's checksum */
    u64 icount, skipped_ns;        /* where the last event left them */
    u64 chunk_icount, chunk_skipped_ns; /* the same at the start of the chunk in `plain` */
    size_t used;
    u8 plain[LOG_PLAIN_MAX], stored[LOG_STORED_MAX];
};

/* Begins a log in an empty file. *w is large: not for a stack. STATUS_IO, or STATUS_TOO_BIG if texts exceed their
 * room. */
enum status log_writer_open(struct log_writer *w, const struct log_file *file, const struct log_codec *codec,
                            const struct log_machine *machine);
/* The contents of images[image], in the machine's order, before the first event. */
bool log_put_image(struct log_writer *w, unsigned image, const u8 *data, u64 size);
/* Events in their order. False if the file takes no more; from then on nothing is written, and the log ends there. */
bool log_put(struct log_writer *w, const struct log_event *event);
/* Makes what was put so far durable and visible to readers as far as the file does. */
bool log_flush(struct log_writer *w);
/* Flushes, writes the index. Reads chunk headers back through file.read. */
bool log_close(struct log_writer *w);

/* ---- Reading -------------------------------------------------------------------------------------- */

/* Why there is no next event. */
enum log_tail {
    LOG_TAIL_CUT,      /* the file ends; while its writer lives, there may be more later */
    LOG_TAIL_COMPLETE, /* the run's end was read */
    LOG_TAIL_DAMAGED,  /* what follows is not what was written */
};

/* Where a reader stands; plain data, to be kept in snapshots. */
struct log_cursor {
    u64 chunk;              /* offset of the chunk being read, or of the next one */
    u32 at;                 /* bytes of its payload consumed; 0 with loaded false: not yet looked at */
    u32 sequence, link;     /* expected of the chunk */
    u64 icount, skipped_ns; /* of the last event */
    bool loaded, ended;
};

struct log_reader {
    struct log_file file;
    const struct log_codec *codec;
    struct log_machine machine; /* texts point into `text` */
    struct log_cursor cursor, first; /* first: of the first event chunk */
    u64 images_at;                   /* offset of the first chunk after the machine's description */
    u32 images_sequence, images_link;
    bool damaged;
    u64 loaded_chunk;                /* the chunk that `plain` holds, 0 if none; its sizes and checksum */
    u32 loaded_bytes, loaded_stored, loaded_link;
    size_t text_used;
    char text[LOG_TEXT_MAX];
    u8 plain[LOG_PLAIN_MAX], stored[LOG_STORED_MAX];
};

/* Reads the preamble and the machine's description. *r is large: not for a stack. STATUS_BAD_IMAGE (not a log, or
 * cut off within the description), STATUS_UNSUPPORTED (another format version or method) with *why filled in. */
enum status log_reader_open(struct log_reader *r, const struct log_file *file, const struct log_codec *codec,
                            struct log_error *why);
/* The next event. False: log_tail() says why. At LOG_TAIL_CUT it may be called again when the file has grown. */
bool log_next(struct log_reader *r, struct log_event *event);
enum log_tail log_tail(const struct log_reader *r);
struct log_cursor log_tell(const struct log_reader *r);
/* Back to where log_tell() was. False if the file does not hold that chunk any more; the reader then stands at no
 * event. */
bool log_seek(struct log_reader *r, const struct log_cursor *to);
/* To the first event again. */
void log_rewind(struct log_reader *r);
/* Copies embedded images[image], of exactly its size, to `to`. False if it is not (wholly) in the log. */
bool log_read_image(struct log_reader *r, unsigned image, u8 *to);
/* To a place not beyond the first event at or after `icount`: by the index where there is one, else to the first
 * event. */
void log_seek_icount(struct log_reader *r, u64 icount);

#endif
