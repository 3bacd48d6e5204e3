/* core/host.h on bare metal. */
#include "core/host.h"

#include "metal/memory.h"
#include "metal/power.h"
#include "metal/serial.h"
#include "metal/traps.h"

extern u8 image_end[];

static struct {
    u64 next, end;
} region;

void memory_init(u64 top)
{
    region.next = (u64)image_end;
    region.end = top & ~(u64)PAGE_MASK;
}

u64 memory_free_bytes(void) { return region.end > region.next ? region.end - region.next : 0; }

void *host_alloc(size_t bytes)
{
    u64 size = ((u64)bytes + PAGE_MASK) & ~(u64)PAGE_MASK;
    if (size < bytes || size > memory_free_bytes())
        return NULL;
    void *memory = (void *)region.next;
    region.next += size;
    return memset(memory, 0, size);
}

void host_free(void *memory, size_t bytes)
{
    u64 size = ((u64)bytes + PAGE_MASK) & ~(u64)PAGE_MASK;
    if ((u64)memory + size == region.next) /* the last allocation is the only one that can be given back */
        region.next = (u64)memory;
}

/* Not before the hypervisor's own page tables exist. */
bool host_guard(void *memory, size_t bytes)
{
    (void)memory;
    (void)bytes;
    return false;
}

enum status host_exec_alloc(size_t bytes, struct host_exec *memory)
{
    u8 *at = host_alloc(bytes);
    if (!at)
        return STATUS_NO_MEMORY;
    memory->rw = at;
    memory->rx = at;
    memory->bytes = bytes;
    traps_set_thunks(memory->rx, bytes);
    return STATUS_OK;
}

void host_exec_free(struct host_exec *memory)
{
    traps_set_thunks(NULL, 0);
    host_free(memory->rw, memory->bytes);
}

bool host_fpu_volatile(void) { return false; }

bool host_stop_requested(void) { return false; }

void host_console_write(enum host_channel channel, u8 byte)
{
    if (channel == HOST_COM1)
        serial_put(byte);
}

void host_log(const char *message)
{
    serial_print(message);
    serial_print("\n");
}

void host_panic(const char *file, int line, const char *message)
{
    serial_print("\nreprise: PANIC at ");
    serial_print(file);
    serial_print(":");
    serial_print_decimal((u64)line);
    serial_print(": ");
    serial_print(message);
    serial_print("\n");
    power_off();
}
