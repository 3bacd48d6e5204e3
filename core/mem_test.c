/* The memory functions of the portable modules, against loops that cannot be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/mem.h"

enum { ROOM = 96 };

static void fill(unsigned char *bytes, unsigned start)
{
    for (unsigned n = 0; n < ROOM; n++)
        bytes[n] = (unsigned char)(start + 3 * n);
}

/* Every size around the border between the ways to copy, at every alignment; nothing beside is touched. */
static void copies_what_was_asked(void **state)
{
    unsigned char from[ROOM], to[ROOM], want[ROOM];
    (void)state;
    for (unsigned size = 0; size <= 40; size++) {
        for (unsigned at = 0; at < 16; at++) {
            fill(from, 1);
            fill(to, 100);
            fill(want, 100);
            for (unsigned n = 0; n < size; n++)
                want[at + n] = from[(at * 7 & 15) + n];
            assert_ptr_equal(memcpy(to + at, from + (at * 7 & 15), size), to + at);
            assert_memory_equal(to, want, ROOM);
        }
    }
}

static void moves_over_itself(void **state)
{
    unsigned char bytes[ROOM], want[ROOM], old[ROOM];
    (void)state;
    for (unsigned size = 0; size <= 40; size++) {
        for (int distance = -20; distance <= 20; distance++) {
            fill(bytes, 5);
            fill(old, 5);
            fill(want, 5);
            for (unsigned n = 0; n < size; n++)
                want[24 + distance + (int)n] = old[24 + n];
            memmove(bytes + 24 + distance, bytes + 24, size);
            assert_memory_equal(bytes, want, ROOM);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_what_was_asked),
        cmocka_unit_test(moves_over_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
