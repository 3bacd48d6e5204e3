/* Frames come from what the loader calls RAM, each once, and from nowhere else. */
#include "metal/frames.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PAGES = 64 };

u8 image_end[1]; /* of the image, which is not here: something at a low address would be */

static u8 *ram;

static u64 page(unsigned n) { return (u64)ram + (u64)n * PAGE_SIZE; }

static void test_frames(void **state)
{
    (void)state;
    static bool taken[PAGES];
    const struct boot_info boot = {
        /* Unsorted, overlapping, not on pages. */
        .ram = {{page(32), page(64)}, {page(0) + 1, page(8) + 5}, {page(6), page(16) - 1}},
        .ram_count = 3,
        .file = {{.data = (u8 *)page(3) + 100, .size = PAGE_SIZE}, {.data = (u8 *)page(40), .size = 1}, {.size = 0}},
        .file_count = 2,
    };
    const struct range *ranges;
    frames_init(&boot);
    /* 1 to 14 but for 3 and 4; 32 to 63 but for 40. */
    assert_int_equal(frames_total(), 12 + 31);
    assert_int_equal(frames_ranges(&ranges), 4);
    for (unsigned n = 1; n < 4; n++)
        assert_true(ranges[n - 1].end <= ranges[n].begin);
    for (u64 left = frames_total(); left; left--) {
        assert_int_equal(frames_left(), left);
        u64 frame = frame_alloc();
        unsigned n = (unsigned)((frame - (u64)ram) / PAGE_SIZE);
        assert_true(n < PAGES && frame % PAGE_SIZE == 0 && !taken[n]);
        assert_true((n >= 1 && n <= 14 && n != 3 && n != 4) || (n >= 32 && n != 40));
        for (unsigned at = 0; at < PAGE_SIZE; at++)
            assert_int_equal(((u8 *)frame)[at], 0);
        taken[n] = true;
    }
    assert_int_equal(frame_alloc(), 0);
}

/* What is given back comes again, empty. */
static void test_given_back(void **state)
{
    (void)state;
    for (unsigned n = 32; n < 40; n++) {
        memset((void *)page(n), 0xff, PAGE_SIZE);
        frame_free(page(n));
    }
    assert_int_equal(frames_left(), 8);
    for (unsigned n = 0; n < 8; n++) {
        u64 frame = frame_alloc();
        assert_true(frame >= page(32) && frame < page(40));
        assert_int_equal(*(u64 *)frame, 0);
    }
    assert_int_equal(frame_alloc(), 0);
}

int main(void)
{
    ram = aligned_alloc(PAGE_SIZE, PAGES * PAGE_SIZE);
    memset(ram, 0xff, PAGES * PAGE_SIZE);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_frames), cmocka_unit_test(test_given_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
