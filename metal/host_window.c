/* Windows (mmu/window.h) are the simulator's: on bare metal the processor is to walk the shadow tables themselves. */
#include "core/host.h"

enum status host_frames_alloc(size_t bytes, struct host_frames *frames)
{
    (void)bytes;
    (void)frames;
    return STATUS_UNSUPPORTED;
}
void host_frames_free(struct host_frames *frames) { (void)frames; }
u8 *host_window_alloc(size_t bytes)
{
    (void)bytes;
    return NULL;
}
bool host_window_map(u8 *at, const struct host_frames *frames, u64 offset, size_t bytes, bool writable)
{
    (void)at;
    (void)frames;
    (void)offset;
    (void)bytes;
    (void)writable;
    return false;
}
bool host_window_protect(u8 *at, size_t bytes)
{
    (void)at;
    (void)bytes;
    return false;
}
bool host_window_unmap(u8 *at, size_t bytes) { return host_window_protect(at, bytes); }
u64 host_fault_address(void) { return UINT64_MAX; }
