/* fuzz_replay on random guests: random_replay COUNT SEED. */
#include "core/types.h"
#include "fuzz/fuzz.h"
#include "fuzz/guest_image.h"

#include <stdio.h>
#include <stdlib.h>

enum { CODE_MAX = 400 };

static u64 state;

static u32 next(void)
{
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (u32)(state >> 32);
}

/* Random code runs into a fault soon, whose handler steps over it; short loops, port accesses and halts make it less
 * dull. */
static size_t make_code(u8 *to)
{
    static const u8 pieces[][4] = {
        {0x90, 0x90, 0x90, 0x90}, {0xf4, 0xfb, 0xf4, 0x90}, /* HLT, STI, HLT */
        {0xec, 0xa8, 0x01, 0x90}, {0xe4, 0x60, 0xe4, 0x64}, /* IN AL, DX; IN AL, 0x60; IN AL, 0x64 */
        {0xeb, 0x00, 0xe2, 0xfe}, {0x0f, 0x31, 0x0f, 0xa2}, /* JMP; LOOP; RDTSC; CPUID */
        {0xaa, 0xab, 0xac, 0xa4}, {0x50, 0x58, 0x9c, 0x9d}, /* string instructions; PUSH, POP, PUSHF, POPF */
    };
    size_t length = 40 + next() % (CODE_MAX - 40);
    for (size_t n = 0; n + 4 <= length; n += 4) {
        const u8 *piece = pieces[next() % ARRAY_LEN(pieces)];
        for (unsigned i = 0; i < 4; i++)
            to[n + i] = next() % 3 ? piece[i] : (u8)next();
    }
    return length;
}

int main(int argc, char **argv)
{
    unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 0) : 0;
    static u8 input[GUEST_INPUT_HEADER + CODE_MAX];
    if (argc != 3 || !count) {
        fprintf(stderr, "usage: random_replay COUNT SEED\n");
        return 2;
    }
    for (unsigned long n = 0; n < count; n++) {
        state = strtoul(argv[2], NULL, 0) * 1000003 + n;
        next();
        for (unsigned i = 0; i < 4; i++)
            input[i] = (u8)next();
        input[1] |= next() % 4 ? GUEST_INTERRUPTS : 0;
        size_t length = make_code(input + GUEST_INPUT_HEADER);
        input[4] = (u8)length;
        input[5] = (u8)(length >> 8);
        const char *keep = getenv("RANDOM_REPLAY_KEEP"); /* the input at work, to look at after a crash */
        FILE *file = keep ? fopen(keep, "wb") : NULL;
        if (file) {
            fwrite(input, 1, GUEST_INPUT_HEADER + length, file);
            fclose(file);
        }
        fuzz_one(input, GUEST_INPUT_HEADER + length);
    }
    printf("%lu random guests repeated themselves\n", count);
    return 0;
}
