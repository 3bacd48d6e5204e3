/* Where a debugger outside wants the machine to stop. Nothing of it is visible to the guest: no byte of memory and no
 * debug register changes, and the icounts at which things happen stay the same.
 *
 * vm.stops is NULL for a machine that nobody debugs, which then pays nothing. Engines look at execution stops while
 * vcpu.stepping is set, which a stop does; memory accesses reach stops_match() because no TLB entry is made for a
 * page that holds one. Either way vm_run() returns VM_STOP_DEBUG at the next boundary. */
#ifndef REPRISE_CORE_STOPS_H
#define REPRISE_CORE_STOPS_H

#include "core/types.h"

struct vm;
struct vcpu;

enum stop_kind { STOP_EXECUTE, STOP_WRITE, STOP_READ, STOP_ACCESS, STOP_KINDS };

enum { STOPS_MAX = 512, STOP_LENGTH_MAX = 4096 };

/* A stop at linear addresses [linear, linear + length). */
struct stop_point {
    u64 linear;
    u32 length; /* 1 for STOP_EXECUTE, else 1..STOP_LENGTH_MAX */
    enum stop_kind kind;
};

/* Owned by the debugger. */
struct stops {
    unsigned count;
    unsigned executions; /* of kind STOP_EXECUTE */
    struct stop_point point[STOPS_MAX];
    u64 passed, passed_linear; /* icount and address at which an execution stop does not count: stops_pass() */
    u64 delivered;    /* the icount at which an interrupt was last delivered; the debugger may set it to UINT64_MAX */
    bool at_delivery; /* stop at the next delivery of an interrupt, before its handler's first instruction */
    bool hit;         /* set by the machine, cleared by the debugger */
    u64 hit_icount;   /* of the boundary before what hit: execute from there, and it happens */
    struct stop_point hit_point; /* the point; `linear` of an access is where the access began if it lies inside */
};

/* Adds or removes a stop; equal ones are counted as often as they are added. False: no room, or no such. */
bool stops_add(struct vm *vm, struct stop_point point);
bool stops_remove(struct vm *vm, struct stop_point point);
void stops_clear(struct vm *vm);
/* The debugger has seen the present place: going on from here does not meet a stop at this very instruction. */
void stops_pass(struct vm *vm);
/* After vm->stops was set to other stops, or to none and back. */
void stops_renew(struct vm *vm);

/* For engines, before the instruction at CS:RIP while vcpu.stepping: is there an execution stop? Then it is recorded,
 * and the engine returns without executing. RF in the guest's flags passes over it, as over the processor's own
 * breakpoints. */
bool stops_before(struct vcpu *v);
/* Is there an execution stop at this linear address? */
bool stops_execution_at(const struct stops *s, u64 linear);

/* For the memory accesses of an instruction: records a hit and kicks the processor. */
void stops_match(struct vcpu *v, u64 linear, unsigned size, bool write);
/* Does a data stop touch the page of this linear address? */
bool stops_data_in_page(const struct stops *s, u64 linear);

#endif
