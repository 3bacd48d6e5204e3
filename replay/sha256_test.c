/* SHA-256 against libgcrypt's, at every length around the edges of blocks. */
#include "replay/sha256.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "sim/log_file.h"

static void test_against_library(void **state)
{
    (void)state;
    static u8 data[1000];
    u8 ours[SHA256_BYTES], theirs[SHA256_BYTES];
    for (unsigned n = 0; n < sizeof data; n++)
        data[n] = (u8)(n * 151 + (n >> 3));
    for (unsigned bytes = 0; bytes <= sizeof data; bytes++) {
        sha256(data, bytes, ours);
        log_hash_image(data, bytes, theirs);
        assert_memory_equal(ours, theirs, SHA256_BYTES);
    }
}

/* FIPS 180-4's own example. */
static void test_abc(void **state)
{
    (void)state;
    static const u8 wanted[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea};
    u8 hash[SHA256_BYTES];
    sha256("abc", 3, hash);
    assert_memory_equal(hash, wanted, sizeof wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_library), cmocka_unit_test(test_abc)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
