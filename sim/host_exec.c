/* host_exec_alloc: one memory file, mapped writable and mapped executable, so that no page is ever both. */
#include "sim/exec_arena.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ARENAS = 64 };

/* Readers are signal handlers: a slot is in use from the moment `bytes` is not 0. */
static struct {
    _Atomic u64 start;
    _Atomic u64 bytes;
    _Atomic bool taken;
    struct host_exec memory;
} arenas[ARENAS];

const struct host_exec *exec_arena_find(u64 address)
{
    for (unsigned n = 0; n < ARENAS; n++)
        if (address - atomic_load(&arenas[n].start) < atomic_load(&arenas[n].bytes))
            return &arenas[n].memory;
    return NULL;
}

static bool arena_register(const struct host_exec *memory)
{
    for (unsigned n = 0; n < ARENAS; n++) {
        bool expected = false;
        if (!atomic_compare_exchange_strong(&arenas[n].taken, &expected, true))
            continue;
        arenas[n].memory = *memory;
        atomic_store(&arenas[n].start, (u64)memory->rx);
        atomic_store(&arenas[n].bytes, memory->bytes);
        return true;
    }
    return false;
}

static void arena_forget(const u8 *start)
{
    for (unsigned n = 0; n < ARENAS; n++)
        if (atomic_load(&arenas[n].taken) && atomic_load(&arenas[n].start) == (u64)start) {
            atomic_store(&arenas[n].bytes, 0);
            atomic_store(&arenas[n].taken, false);
        }
}

static bool map_twice(size_t bytes, struct host_exec *memory)
{
    int file = memfd_create("reprise-code", MFD_CLOEXEC);
    if (file < 0)
        return false;
    void *rw = MAP_FAILED, *rx = MAP_FAILED;
    if (ftruncate(file, (off_t)bytes) == 0) {
        rw = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        rx = mmap(NULL, bytes, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0);
    }
    close(file);
    memory->rw = rw;
    memory->rx = rx;
    memory->bytes = bytes;
    if (rw != MAP_FAILED && rx != MAP_FAILED)
        return true;
    if (rw != MAP_FAILED)
        munmap(rw, bytes);
    if (rx != MAP_FAILED)
        munmap(rx, bytes);
    return false;
}

enum status host_exec_alloc(size_t bytes, struct host_exec *memory)
{
    enum status status = exec_traps_install();
    if (status != STATUS_OK)
        return status;
    if (!map_twice(bytes, memory))
        return STATUS_NO_MEMORY;
    if (arena_register(memory))
        return STATUS_OK;
    host_exec_free(memory);
    return STATUS_TOO_BIG;
}

void host_exec_free(struct host_exec *memory)
{
    arena_forget(memory->rx);
    munmap(memory->rw, memory->bytes);
    munmap((void *)memory->rx, memory->bytes);
    memory->rw = NULL;
    memory->rx = NULL;
    memory->bytes = 0;
}
