/* Snapshots in files: a whole machine, to be continued later or by somebody else.
 *
 *     "RpsSnap\n"  version:4  bytes of the body:8  CRC-32C of all these:4  then the body, one zstd frame:
 *     what the machine is (struct snapshot_header), its state (struct machine_state as it stands in memory), pages that
 *     are not zero as number:8 and contents, in ascending order, the number UINT64_MAX, CRC-32C of the body so far:4
 *
 * Numbers are little-endian. The state's structures change with the program: the header says their sizes and the
 * machine's revision (replay/log.h), and a snapshot of another layout is refused. A reader takes any bytes. */
#ifndef REPRISE_SIM_SNAPSHOT_FILE_H
#define REPRISE_SIM_SNAPSHOT_FILE_H

#include "core/vm.h"

enum { SNAPSHOT_MESSAGE_MAX = 400, SNAPSHOT_VERSION = 2 };

/* Writes the machine as it stands, between two calls of vm_run(). The file appears under its name only when it is
 * complete. False with one line in `message` otherwise. */
bool snapshot_write(const char *path, struct vm *vm, char message[SNAPSHOT_MESSAGE_MAX]);

/* A snapshot that has been read as far as its header. */
struct snapshot;

/* Reads the header; *config gets everything but the engine, which the caller chooses. */
bool snapshot_open(const char *path, struct snapshot **snapshot, struct vm_config *config,
                   char message[SNAPSHOT_MESSAGE_MAX]);
/* Reads the rest into a new machine of that configuration. On failure the machine is good for nothing but
 * vm_destroy(). */
bool snapshot_load(struct snapshot *s, struct vm *vm, char message[SNAPSHOT_MESSAGE_MAX]);
void snapshot_close(struct snapshot *s);

/* The same of bytes in memory, which stay the caller's, for tests and fuzzers: no header is kept. */
struct snapshot_bytes {
    const u8 *data;
    u64 size;
    const char *name; /* for messages */
};
bool snapshot_open_bytes(struct snapshot_bytes from, struct snapshot **snapshot, struct vm_config *config,
                         char message[SNAPSHOT_MESSAGE_MAX]);

#endif
