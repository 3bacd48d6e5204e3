/* Memory that can be mapped more than once: a memory file, and mappings of pieces of it in reserved address space. */
#include "core/host.h"

#include <sys/mman.h>
#include <unistd.h>

enum status host_frames_alloc(size_t bytes, struct host_frames *frames)
{
    int file = memfd_create("reprise-ram", MFD_CLOEXEC);
    if (file < 0)
        return STATUS_NO_MEMORY;
    void *memory = MAP_FAILED;
    if (ftruncate(file, (off_t)bytes) == 0)
        memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
    if (memory == MAP_FAILED) {
        close(file);
        return STATUS_NO_MEMORY;
    }
    *frames = (struct host_frames){.memory = memory, .bytes = bytes, .handle = file};
    return STATUS_OK;
}

void host_frames_free(struct host_frames *frames)
{
    munmap(frames->memory, frames->bytes);
    close((int)frames->handle);
    *frames = (struct host_frames){0};
}

/* Reserved space stays reserved: what is unmapped is replaced by nothing, not given back, or the C library might put its own
 * things there. */
static u8 *map_nothing(u8 *at, size_t bytes)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (at ? MAP_FIXED : 0);
    void *memory = mmap(at, bytes, PROT_NONE, flags, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

u8 *host_window_alloc(size_t bytes) { return map_nothing(NULL, bytes); }

/* Populated: the access that asked for it is repeated at once. */
bool host_window_map(u8 *at, const struct host_frames *frames, u64 offset, size_t bytes, bool writable)
{
    int protection = PROT_READ | (writable ? PROT_WRITE : 0), flags = MAP_SHARED | MAP_FIXED | MAP_POPULATE;
    return mmap(at, bytes, protection, flags, (int)frames->handle, (off_t)offset) != MAP_FAILED;
}

bool host_window_protect(u8 *at, size_t bytes) { return mprotect(at, bytes, PROT_READ) == 0; }

bool host_window_unmap(u8 *at, size_t bytes) { return map_nothing(at, bytes) != NULL; }
