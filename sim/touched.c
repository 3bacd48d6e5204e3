#include "sim/touched.h"

#include <fcntl.h>
#include <unistd.h>

/* A page of the guest may take two of the host, one of them a hole. */
enum { STEP_MAX = 2 };
/* Linux, Documentation/admin-guide/mm/pagemap.rst: the page is present, or swapped out. */
#define PRESENT_OR_SWAPPED (3ull << 62)

int touched_open(void) { return open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC); }

void touched_close(int handle)
{
    if (handle >= 0)
        close(handle);
}

void touched_add(int handle, const struct vm *vm, u64 address, bool touched[TOUCHED_PAGES])
{
    u64 end = physmem_end(&vm->memory), left = address < end ? (end - address) >> PAGE_SHIFT : 0;
    size_t pages = left < TOUCHED_PAGES ? (size_t)left : TOUCHED_PAGES;
    const u8 *first = physmem_pointer(&vm->memory, gpa(address));
    const u8 *second = physmem_pointer(&vm->memory, gpa(address + PAGE_SIZE));
    size_t step = first && second ? (size_t)(second - first) / PAGE_SIZE : 0;
    u64 entries[STEP_MAX * TOUCHED_PAGES];
    size_t bytes = pages ? ((pages - 1) * step + 1) * sizeof entries[0] : 0;
    off_t at = (off_t)((u64)first / PAGE_SIZE * sizeof entries[0]);
    bool known = step && step <= STEP_MAX && pread(handle, entries, bytes, at) == (ssize_t)bytes;
    for (size_t n = 0; n < pages; n++)
        touched[n] |= !known || (entries[n * step] & PRESENT_OR_SWAPPED);
}
