/* main() of a fuzz target under AFL++: one process runs many inputs, which arrive in shared memory. */
#include "fuzz/fuzz.h"

#include <unistd.h>

__AFL_FUZZ_INIT();

enum { PERSISTENT_ROUNDS = 10000 };

int main(void)
{
    __AFL_INIT();
    const uint8_t *data = __AFL_FUZZ_TESTCASE_BUF;
    while (__AFL_LOOP(PERSISTENT_ROUNDS)) {
        size_t size = (size_t)__AFL_FUZZ_TESTCASE_LEN; /* changes with every round */
        fuzz_one(data, size);
    }
    return 0;
}
