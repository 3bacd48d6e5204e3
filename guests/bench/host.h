/* The benchmark programs of the host: what the native and the Unicorn program share. */
#ifndef GUESTS_BENCH_HOST_H
#define GUESTS_BENCH_HOST_H

#include "guests/bench/kernels.h"

#include <stddef.h>
#include <stdint.h>

/* Reads the blob into BLOB_BASE, which this maps; exits with a message if it cannot. Returns its size in bytes. */
size_t blob_load(const char *path);

/* Runs the kernels named in the arguments (`program BLOB ITERATIONS [KERNEL...]`; none: all), and prints what the guest
 * prints. `call` is the blob's entry. Returns the program's exit code. */
typedef uint32_t (*blob_call)(uint32_t kernel, uint32_t iterations);
int bench_main(int argc, char **argv, blob_call call);

#endif
