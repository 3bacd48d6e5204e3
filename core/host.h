/* The only door from the portable modules to the world.
 *
 * sim/ and metal/ each implement this interface; the linker picks one. The portable modules keep the
 * guest's FPU and SSE registers in the processor (core/fpu.h), so a caller that may have guest FPU state
 * live calls fpu_park() before any host_* function not marked "FPU-safe". */
#ifndef REPRISE_CORE_HOST_H
#define REPRISE_CORE_HOST_H

#include "core/status.h"
#include "core/types.h"

/* Zeroed, page-aligned memory, backed lazily where the host can. For VM creation only, never on the hot
 * path. Returns NULL when the host refuses. Owned by the caller until host_free with the same size. */
/*@ assigns \nothing; */
void *host_alloc(size_t bytes);
/*@ assigns \nothing; */
void host_free(void *memory, size_t bytes);

/* Makes every access to a piece of host_alloc-ed memory fault. False if the host cannot. FPU-safe. */
bool host_guard(void *memory, size_t bytes);

/* Memory like host_alloc()'s, for VM creation only, whose pages can be mapped at further addresses. */
struct host_frames {
    u8 *memory;
    size_t bytes;
    s64 handle; /* the host's own */
};
/* STATUS_NO_MEMORY if the host refuses, STATUS_UNSUPPORTED if it has no such memory. */
enum status host_frames_alloc(size_t bytes, struct host_frames *frames);
void host_frames_free(struct host_frames *frames);

/* Address space where every access faults until frames are mapped there; host_free() gives it back. NULL if the host
 * refuses, or has no such thing. */
u8 *host_window_alloc(size_t bytes);
/* Maps [offset, offset + bytes) of the frames at `at`, in the place of what was there; whole pages. False with nothing
 * mapped there if the host refuses. FPU-safe. */
bool host_window_map(u8 *at, const struct host_frames *frames, u64 offset, size_t bytes, bool writable);
/* Takes the right to write, or the mapping, away. False if the host refuses, which it may do when mappings are many: unmapping
 * all of a window takes none. FPU-safe. */
bool host_window_protect(u8 *at, size_t bytes);
bool host_window_unmap(u8 *at, size_t bytes);
/* The linear address of the page fault that last led to a landing (below); UINT64_MAX if the exception was another. FPU-safe. */
u64 host_fault_address(void);

/* Where to go on after a processor exception in translated code, and what RCX holds there. All other registers stay. */
struct host_landing {
    const u8 *code;
    u64 rcx;
};

/* Executable memory, mapped twice: written through rw, executed through rx.
 *
 * A processor exception raised by an instruction inside rx is offered to `landing`, which may be called from a signal or
 * trap handler: it looks the place up (an offset in rx) and changes nothing. False: a bug of ours. Without `landing`, vectors
 * 16 and 19 resume at fpu_thunk_fault (sbe/fpu.h) with the vector in EAX. The FPU registers are as the instruction left them. */
struct host_exec {
    u8 *rw;
    const u8 *rx;
    size_t bytes;
    bool (*landing)(const void *context, u64 offset, struct host_landing *to);
    const void *context;
};
/* `landing` and `context` are the caller's, and set before; the rest is the result. */
enum status host_exec_alloc(size_t bytes, struct host_exec *memory);
void host_exec_free(struct host_exec *memory);

/* True if this host may clobber FPU registers between any two portable instructions (sanitizer builds do):
 * the guest's FPU state is then parked after every use. FPU-safe. */
bool host_fpu_volatile(void);

/* True when someone outside asks the machine to stop soon (time limit, Ctrl-A x). The run loop polls it.
 * It ends a run; it never influences guest-visible state. FPU-safe. */
bool host_stop_requested(void);

/* Output channels of guest devices. */
enum host_channel { HOST_COM1, HOST_COM2, HOST_COM3, HOST_COM4, HOST_DEBUG_CONSOLE, HOST_CHANNELS };

/* Output of a guest's serial port or debug console. May block; the guest stalls meanwhile. */
void host_console_write(enum host_channel channel, u8 byte);

/* A diagnostic line about the guest or ourselves, without newline. */
void host_log(const char *message);

/* A bug of ours. Prints and ends everything. FPU-safe. */
_Noreturn void host_panic(const char *file, int line, const char *message);

#endif
