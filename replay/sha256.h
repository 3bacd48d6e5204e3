/* SHA-256 (FIPS 180-4), by which logs name images. */
#ifndef REPRISE_REPLAY_SHA256_H
#define REPRISE_REPLAY_SHA256_H

#include "core/types.h"

enum { SHA256_BYTES = 32 };

void sha256(const void *data, u64 bytes, u8 hash[SHA256_BYTES]);

#endif
