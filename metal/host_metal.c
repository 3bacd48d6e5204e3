/* core/host.h on bare metal. */
#include "metal/host_metal.h"

#include "metal/areas.h"
#include "metal/crash.h"
#include "metal/power.h"
#include "metal/print.h"
#include "metal/processor.h"

static host_console_sink *console_sink;

void *host_alloc(size_t bytes) { return area_reserve(bytes); }

void host_free(void *memory, size_t bytes)
{
    (void)bytes;
    if (memory)
        area_release(memory);
}

bool host_guard(void *memory, size_t bytes) { return area_guard(memory, bytes); }

enum status host_exec_alloc(size_t bytes, struct host_exec *memory) { return area_reserve_exec(bytes, memory); }

void host_exec_free(struct host_exec *memory)
{
    area_release(memory->rw);
    memory->rw = NULL;
    memory->rx = NULL;
    memory->bytes = 0;
}

bool host_fpu_volatile(void) { return false; }

bool host_stop_requested(void) { return false; }

void host_set_console(host_console_sink *sink) { console_sink = sink; }

void host_console_write(enum host_channel channel, u8 byte)
{
    if (console_sink)
        console_sink(channel, byte);
}

void host_log(const char *message)
{
    print("reprise: ");
    print(message);
    print("\n");
}

void host_panic(const char *file, int line, const char *message)
{
    interrupts_off();
    print("\nreprise: a bug in reprise, at ");
    print(file);
    print(":");
    print_decimal((u64)line);
    print(": ");
    print(message);
    print("\n");
    crash_stack_trace((u64)__builtin_frame_address(0));
    power_off();
}
