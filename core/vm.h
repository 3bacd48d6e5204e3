/* A virtual machine: processors, memory, board, clock, and the run loop over them. */
#ifndef REPRISE_CORE_VM_H
#define REPRISE_CORE_VM_H

#include "core/chaos.h"
#include "core/clock.h"
#include "core/cpuid.h"
#include "core/engine.h"
#include "core/stops.h"
#include "core/trace.h"
#include "core/vcpu.h"
#include "devices/chipset_state.h"
#include "devices/device.h"
#include "mmu/physmem.h"
#include "replay/hash.h"

struct shadow;

enum { VCPU_MAX = 1 };

struct vm_config {
    u64 ram_bytes;                 /* multiple of 1 MiB, at least 1 MiB */
    const struct cpu_model *model; /* core/cpuid.h */
    const struct engine *engine;
    bool debug_exit; /* isa-debug-exit at 0xF4 present */
    struct chaos_config chaos; /* core/chaos.h */
    u64 shadow_bytes, code_bytes; /* capacities of shadow tables and translated code, in engines that have them; 0: default */
    u64 rtc_start;   /* seconds since 1970 at power-up; part of the initial state, never the host's clock by itself */
};

/* Why vm_run returned. */
enum vm_stop {
    VM_STOP_ICOUNT,     /* reached the icount asked for */
    VM_STOP_HOST,       /* host_stop_requested() */
    VM_STOP_POWER_OFF,
    VM_STOP_DEBUG_EXIT, /* vm.exit_value holds the value written */
    VM_STOP_TRIPLE_FAULT,
    VM_STOP_RESET,      /* the guest asked for a reset; the caller decides: vm_reset() and go on, or end */
    VM_STOP_IDLE,       /* halted with interrupts off: nothing can ever wake it */
    VM_STOP_DEBUG,      /* vm.stops->hit; clear it before going on */
    VM_STOP_WAIT_INPUT, /* halted with interrupts on: go on with vm_skip_to(vm_wake_time()), or deliver input */
};

struct recorder;

struct vm_stats {
    u64 io_reads, io_writes, mmio_reads, mmio_writes;
    u64 exceptions[32], interrupts, halts, tlb_misses, tlb_flushes, decodes, engine_exits;
    u64 translations, callouts, interpreted; /* engine sbe: blocks made, and instructions left to the interpreter */
    u64 evictions, code_kills; /* engine sbe: regions of the code cache emptied for want of space; blocks killed by writes */
};

struct vm {
    struct vcpu *vcpu[VCPU_MAX]; /* host_alloc-ed */
    unsigned vcpu_count;
    struct physmem memory;
    struct shadow *shadow; /* mmu/shadow.h; NULL unless the engine wants it */
    struct chipset chipset;
    struct clock clock;
    struct chaos chaos;
    struct vm_config config;
    bool timers_touched;         /* an access may have moved the time at which some device acts next */
    enum device_request request; /* raised during the current instruction */
    u32 exit_value;
    const struct tracer *tracer; /* core/trace.h; NULL: nobody asks */
    struct stops *stops; /* core/stops.h; NULL: nobody debugs */
    struct vm_stats stats;
    struct page_hashes page_hashes;
    struct recorder *recorder; /* replay/record.h; NULL: nobody records */
};

/* Allocates everything; on failure nothing stays allocated. The VM is in power-up state. */
enum status vm_create(struct vm **vm, const struct vm_config *config);
void vm_destroy(struct vm *vm);

/* Back to power-up state; memory keeps its contents. */
void vm_reset(struct vm *vm);

/* After something that a device or an instruction did: makes the engine return to vm_run() at the next instruction boundary
 * if there is something for it to do then: an interrupt to deliver, a request, or a timer that is due before vcpu.stop_at. */
void vm_attend(struct vm *vm);
/* The same after RFLAGS.IF has been set, or NMIs unblocked: neither timers nor requests can have come. */
void vm_attend_interrupts(struct vcpu *v);

/* Runs until cpu.icount == until, exactly, or until something in enum vm_stop happens first. */
enum vm_stop vm_run(struct vm *vm, u64 until);

/* After VM_STOP_WAIT_INPUT: the virtual time of the next device event, or CLOCK_NEVER if only input can wake the
 * guest. */
u64 vm_wake_time(struct vm *vm);
/* Advances virtual time to `ns` without executing. To vm_wake_time() it is deterministic; to any other time it is an
 * input, and belongs to replay/input.h. `ns` must lie in [vm_now(), vm_wake_time()]. */
void vm_skip_to(struct vm *vm, u64 ns);

static inline u64 vm_now(const struct vm *vm) { return clock_now(&vm->clock, vm->vcpu[0]->cpu.icount); }

/* The time stamp counter before tsc_offset: 1 GHz of virtual time. */
#define VM_TSC_HZ 1000000000ull
static inline u64 vm_tsc(const struct vm *vm) { return vm_now(vm); }

/* Instructions call these; they park the FPU and keep statistics. */
u32 vm_io_read(struct vcpu *v, u16 port, unsigned size);
void vm_io_write(struct vcpu *v, u16 port, u32 value, unsigned size);
u64 vm_mmio_read(struct vm *vm, gpa_t address, unsigned size);
void vm_mmio_write(struct vm *vm, gpa_t address, u64 value, unsigned size);

#endif
