/* What happens to a guest, told to whoever asked: for --trace. With no tracer a hook costs one predicted branch on paths
 * that are slow already (port and MMIO accesses, event delivery, TLB misses); nothing on the path of ordinary
 * instructions. A tracer of memory accesses keeps the TLB empty of data entries, so that all accesses take that path;
 * writes to single frames (phys_watch_writes() in mmu/access.h) cost the others nothing. */
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
    TRACE_READ,  /* of RAM by an instruction or a delivery: address: linear, physical, bytes; one event a page */
    TRACE_WRITE, /* before it happens */
    TRACE_FRAME_WRITE, /* before any write to a watched frame: physical, bytes; address: 0 */
    TRACE_FRAME_MARK,  /* the same by a page walk that sets A or D there */
    TRACE_KINDS,
};

struct trace_event {
    enum trace_kind kind;
    u8 vector;
    u8 size; /* bytes of an access */
    u64 address;
    u64 value;
    u64 physical;
    const u8 *bytes; /* the `size` bytes of a memory access; valid during the call */
};

#define TRACE_MEMORY (1u << TRACE_READ | 1u << TRACE_WRITE)

/* Owned by the caller who sets vm.tracer; outlives every vm_run() with it. `event` changes nothing in the guest. Whoever
 * begins or ends to trace memory flushes the TLB (mmu/access.h, tlb_forget()). */
struct tracer {
    u32 mask; /* 1 << enum trace_kind of each event wanted */
    void *context;
    void (*event)(void *context, struct vm *vm, const struct trace_event *event);
};

/* Parks the guest's FPU state (the tracer is host code), then calls the tracer if it wants this kind. */
void trace_emit(struct vm *vm, const struct trace_event *event);

#endif
