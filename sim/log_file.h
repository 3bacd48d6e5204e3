/* Logs in the host's files, compressed with zstd: the doors of replay/log.h. */
#ifndef REPRISE_SIM_LOG_FILE_H
#define REPRISE_SIM_LOG_FILE_H

#include "replay/log.h"

extern const struct log_codec log_codec_zstd;

/* The file behind `fd`, which stays the caller's. */
struct log_file log_file_of(int fd);

/* A writer holds a lock on its log for as long as it lives. False if somebody else does. */
bool log_file_lock(int fd);
/* True if a writer holds it: more may come. */
bool log_file_is_live(int fd);

/* SHA-256. */
void log_hash_image(const u8 *data, u64 size, u8 hash[LOG_HASH_BYTES]);

#endif
