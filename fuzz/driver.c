/* main() of a fuzz target built as a plain program: each file given as an argument is one input. */
#include "fuzz/fuzz.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { INPUT_MAX = 1 << 24 };

/* Copies the first INPUT_MAX bytes of a file into a block of just that size, so that sanitizers see the first byte read
 * beyond it. NULL if the file cannot be read; else the caller frees it. */
static uint8_t *read_input(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(INPUT_MAX);
    bool good = file && data;
    if (good) {
        *size = fread(data, 1, INPUT_MAX, file);
        good = !ferror(file);
    }
    if (file)
        fclose(file);
    if (!good) {
        free(data);
        return NULL;
    }
    uint8_t *exact = realloc(data, *size ? *size : 1);
    return exact ? exact : data;
}

int main(int argc, char **argv)
{
    for (int n = 1; n < argc; n++) {
        size_t size;
        uint8_t *data = read_input(argv[n], &size);
        if (!data) {
            perror(argv[n]);
            return 2;
        }
        fuzz_one(data, size);
        free(data);
    }
    printf("%d inputs replayed\n", argc - 1);
    return argc > 1 ? 0 : 2;
}
