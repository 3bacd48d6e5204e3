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
} arenas[ARENAS];

bool exec_arena_contains(u64 address)
{
    for (unsigned n = 0; n < ARENAS; n++)
        if (address - atomic_load(&arenas[n].start) < atomic_load(&arenas[n].bytes))
            return true;
    return false;
}

static bool arena_register(const u8 *start, size_t bytes)
{
    for (unsigned n = 0; n < ARENAS; n++) {
        bool expected = false;
        if (!atomic_compare_exchange_strong(&arenas[n].taken, &expected, true))
            continue;
        atomic_store(&arenas[n].start, (u64)start);
        atomic_store(&arenas[n].bytes, bytes);
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
    *memory = (struct host_exec){.rw = rw, .rx = rx, .bytes = bytes};
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
    enum status status = fpu_trap_install();
    if (status != STATUS_OK)
        return status;
    if (!map_twice(bytes, memory))
        return STATUS_NO_MEMORY;
    if (arena_register(memory->rx, bytes))
        return STATUS_OK;
    host_exec_free(memory);
    return STATUS_TOO_BIG;
}

void host_exec_free(struct host_exec *memory)
{
    arena_forget(memory->rx);
    munmap(memory->rw, memory->bytes);
    munmap((void *)memory->rx, memory->bytes);
    *memory = (struct host_exec){.rw = NULL};
}
