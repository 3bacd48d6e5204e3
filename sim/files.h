/* Files that the user names: images read whole, reports written whole or not at all. */
#ifndef REPRISE_SIM_FILES_H
#define REPRISE_SIM_FILES_H

#include "core/types.h"

struct file {
    u8 *data; /* mmap-ed; NULL if empty */
    u64 size; /* bytes */
};

enum { FILE_MESSAGE_MAX = 400 };

/* Reads a file of at most `limit` bytes. False with one line in `message` otherwise; nothing is then held. */
bool file_read(const char *path, u64 limit, struct file *file, char message[FILE_MESSAGE_MAX]);
void file_free(struct file *file);

/* A file that appears under its name only when complete. Devices and pipes are written directly. */
struct report_file {
    const char *path;
    char temporary[4096]; /* "" when written directly */
    int fd;
};

/* True if a report could be written to `path` now; nothing is left behind. */
bool report_check(const char *path, char message[FILE_MESSAGE_MAX]);
bool report_open(const char *path, struct report_file *report, char message[FILE_MESSAGE_MAX]);
/* Takes the bytes, renames, closes. On failure the old file, if any, is as it was. */
bool report_commit(struct report_file *report, const char *text, size_t bytes, char message[FILE_MESSAGE_MAX]);

#endif
