/* CRC-32C (Castagnoli polynomial, reflected, RFC 3720 section 12.1): finds damage in logs and snapshots. */
#ifndef REPRISE_REPLAY_CRC32C_H
#define REPRISE_REPLAY_CRC32C_H

#include "core/types.h"

/* Of `bytes` more bytes after those that gave `before`; 0 for none. */
u32 crc32c(u32 before, const void *from, size_t bytes);

#endif
