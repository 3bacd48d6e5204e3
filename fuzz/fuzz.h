/* A fuzz target is one function; driver.c has the main() around it. */
#ifndef REPRISE_FUZZ_FUZZ_H
#define REPRISE_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Feeds one input to the code under test and aborts on a broken promise. Must leave nothing behind: it is called many
 * times in one process. Returns 0. */
int fuzz_one(const uint8_t *data, size_t size);

/* Reports a broken promise and aborts, so that AFL++ keeps the input. */
#define FUZZ_CHECK(condition) ((condition) ? (void)0 : fuzz_broken(__FILE__, __LINE__, #condition))
_Noreturn void fuzz_broken(const char *file, int line, const char *promise);

#endif
