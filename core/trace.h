/* What happens to a guest, told to whoever asked: for --trace. With no tracer a hook costs one predicted branch on paths
 * that are slow already (port and MMIO accesses, event delivery); nothing on the path of ordinary instructions. */
#ifndef REPRISE_CORE_TRACE_H
#define REPRISE_CORE_TRACE_H

#include "core/types.h"

struct vm;

enum trace_kind {
    TRACE_EXCEPTION, /* vector, error code (value), CR2 (address); software interrupts too */
    TRACE_INTERRUPT, /* vector */
    TRACE_IO_READ,   /* address: port */
    TRACE_IO_WRITE,
    TRACE_MMIO_READ, /* address: guest-physical */
    TRACE_MMIO_WRITE,
    TRACE_KINDS,
};

struct trace_event {
    enum trace_kind kind;
    u8 vector;
    u8 size; /* bytes of an access */
    u64 address;
    u64 value;
};

/* Owned by the caller who sets vm.tracer; outlives every vm_run() with it. `event` changes nothing in the guest. */
struct tracer {
    u32 mask; /* 1 << enum trace_kind of each event wanted */
    void *context;
    void (*event)(void *context, struct vm *vm, const struct trace_event *event);
};

/* Parks the guest's FPU state (the tracer is host code), then calls the tracer if it wants this kind. */
void trace_emit(struct vm *vm, const struct trace_event *event);

#endif
