#include "replay/sha256.h"

enum { BLOCK_BYTES = 64, LENGTH_BYTES = 8, ROUNDS = 64, WORDS = 8 };

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes (4.2.2). */
static const u32 constants[ROUNDS] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static u32 rotate(u32 x, unsigned by) { return x >> by | x << (32 - by); }

static u32 load_big_endian(const u8 *at) { return (u32)at[0] << 24 | (u32)at[1] << 16 | (u32)at[2] << 8 | at[3]; }

/* 6.2.2. */
static void block(u32 state[WORDS], const u8 *data)
{
    u32 w[ROUNDS], s[WORDS];
    for (unsigned n = 0; n < 16; n++)
        w[n] = load_big_endian(data + 4 * n);
    for (unsigned n = 16; n < ROUNDS; n++) {
        u32 s0 = rotate(w[n - 15], 7) ^ rotate(w[n - 15], 18) ^ w[n - 15] >> 3;
        u32 s1 = rotate(w[n - 2], 17) ^ rotate(w[n - 2], 19) ^ w[n - 2] >> 10;
        w[n] = w[n - 16] + s0 + w[n - 7] + s1;
    }
    memcpy(s, state, sizeof s);
    for (unsigned n = 0; n < ROUNDS; n++) {
        u32 s1 = rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25);
        u32 s0 = rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22);
        u32 choice = (s[4] & s[5]) ^ (~s[4] & s[6]), majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
        u32 t = s[7] + s1 + choice + constants[n] + w[n];
        memmove(s + 1, s, 7 * sizeof s[0]);
        s[4] += t;
        s[0] = t + s0 + majority;
    }
    for (unsigned n = 0; n < WORDS; n++)
        state[n] += s[n];
}

static void store_big_endian(u8 *to, u64 value, unsigned bytes)
{
    for (unsigned n = 0; n < bytes; n++)
        to[n] = (u8)(value >> 8 * (bytes - 1 - n));
}

void sha256(const void *data, u64 bytes, u8 hash[SHA256_BYTES])
{
    u32 state[WORDS] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    u8 last[2 * BLOCK_BYTES] = {0};
    u64 whole = bytes / BLOCK_BYTES, rest = bytes % BLOCK_BYTES;
    for (u64 n = 0; n < whole; n++)
        block(state, (const u8 *)data + n * BLOCK_BYTES);
    if (rest)
        memcpy(last, (const u8 *)data + whole * BLOCK_BYTES, rest);
    last[rest] = 0x80;
    unsigned used = rest < BLOCK_BYTES - LENGTH_BYTES ? BLOCK_BYTES : 2 * BLOCK_BYTES;
    store_big_endian(last + used - LENGTH_BYTES, bytes * 8, LENGTH_BYTES);
    for (unsigned at = 0; at < used; at += BLOCK_BYTES)
        block(state, last + at);
    for (unsigned n = 0; n < WORDS; n++)
        store_big_endian(hash + 4 * n, state[n], 4);
}
