#include "sim/tests/insn_diff.h"

#include <string.h>

u8 window_pattern[WINDOW_BYTES];

void window_seed(u64 seed)
{
    struct random r = {seed};
    for (unsigned at = 0; at < WINDOW_BYTES; at += PATCH_BYTES)
        random_data(&r, window_pattern + at, PATCH_BYTES);
}

void window_prepare(u8 *live, const struct diff_case *c)
{
    for (unsigned n = 0; n < ARRAY_LEN(c->patch); n++)
        memcpy(live + c->patch[n].at, c->patch[n].data, c->patch[n].bytes);
}

void window_collect(u8 *live, const struct diff_case *c, struct outcome *o)
{
    static u8 before[WINDOW_BYTES];
    memcpy(before, window_pattern, WINDOW_BYTES);
    window_prepare(before, c);
    unsigned first = 0, end = WINDOW_BYTES;
    o->written_at = o->written_bytes = 0;
    while (first < end && !memcmp(live + first, before + first, 64))
        first += 64;
    if (first < end) {
        while (!memcmp(live + end - 64, before + end - 64, 64))
            end -= 64;
        while (live[first] == before[first])
            first++;
        while (live[end - 1] == before[end - 1])
            end--;
        o->written_at = first;
        o->written_bytes = end - first;
        memcpy(o->written, live + first, o->written_bytes < WRITTEN_MAX ? o->written_bytes : WRITTEN_MAX);
    }
    memcpy(live, window_pattern, WINDOW_BYTES);
}
