/* One virtual processor at run time: its architectural state plus everything derived from it.
 *
 * Faults are values: code that finds a guest fault calls fault_*() below, which records it and returns
 * EXEC_FAULT (or false from memory accessors, with the fault recorded the same way). The engine's run loop
 * then delivers it with exception_deliver() (core/exception.h). Nothing unwinds. */
#ifndef REPRISE_CORE_VCPU_H
#define REPRISE_CORE_VCPU_H

#include "core/cpu.h"
#include "mmu/tlb.h"
#include "sbe/context.h"

struct vm;
struct interp;
struct fpu_thunks;
struct memtable;
struct windows;
struct sbe;

/* What executing one instruction did. */
enum exec {
    EXEC_NEXT,   /* retired; the run loop advances RIP by the instruction's length */
    EXEC_JUMP,   /* retired; the handler has set RIP (and CS) */
    EXEC_REPEAT, /* a REP instruction stopped between iterations: RIP stays, the handler has counted them */
    EXEC_FAULT,  /* did not retire; vcpu.fault is recorded, no register has changed but for completed REP iterations */
};

enum event_type {
    EVENT_EXCEPTION,      /* fault or trap found by the processor */
    EVENT_SOFTWARE,       /* INT n */
    EVENT_SOFTWARE_TRAP,  /* INT3, INTO */
    EVENT_ICEBP,          /* INT1 */
    EVENT_EXTERNAL,       /* interrupt from the PIC or local APIC */
    EVENT_NMI,
};

struct event {
    u8 vector;
    u8 type; /* enum event_type */
    bool has_error;
    u32 error;
    u64 cr2; /* #PF: the faulting linear address */
    u32 dr6; /* #DB: bits to set in DR6 */
};

/* Width of code: 16, 32 or 64 bits, from CS.D, CS.L and EFER.LMA. Indexes decoder tables. */
enum code_mode { CODE_16, CODE_32, CODE_64 };

struct vcpu {
    struct cpu cpu;

    /* Derived from cpu; vcpu_update_mode() recomputes all of it. */
    u8 mode;        /* enum code_mode */
    bool stack64;   /* stack address size: 64 bits */
    bool stack32;   /* else 32 (SS.B) or 16 bits */
    u64 stack_mask; /* of SP: 0xffff, 0xffffffff or all ones */
    u64 rip_mask;   /* of IP after a near branch: by code_mode, CODE_16 and CODE_32: 0xffffffff; CODE_64: all ones */
    u8 seg_flat[SEG_COUNT]; /* base 0..., see core/segment.h: what needs no check. Bits: SEG_FLAT_READ, SEG_FLAT_WRITE */

    struct tlb tlb;          /* mmu/tlb.h */
    struct event fault;      /* valid after EXEC_FAULT or a false accessor */
    u64 interrupt_if;        /* RFLAGS.IF if an interrupt waits for it, else 0: chipset_interrupt_pending() as it is now */
    u64 stop_at;             /* engines return to the run loop once cpu.icount >= stop_at */
    bool fpu_live;           /* the processor's FPU registers belong to this guest right now */
    bool stepping;           /* vcpu_guest_steps(), or a debugger's execution stops: look before each instruction */
    u32 index;               /* position in vm.vcpu[]; the APIC id */

    struct vm *vm;
    struct interp *interp;       /* engine state: decoded-instruction cache */
    struct fpu_thunks *thunks;   /* native FPU/SSE execution, sbe/fpu.h */
    struct memtable *memtable;   /* translations as translated code looks them up, or NULL; mmu/memtable.h */
    struct memtable *memtables;  /* all: by address space */
    u32 memtable_count;
    struct windows *windows;     /* the same as windows of host memory, or NULL; mmu/window.h */
    struct sbe *sbe;             /* engine state: translated code, or NULL; sbe/codecache.h */
    struct sbe_context context;
};

static inline enum exec fault_vector(struct vcpu *v, enum vector vector)
{
    v->fault = (struct event){.vector = (u8)vector, .type = EVENT_EXCEPTION};
    return EXEC_FAULT;
}

static inline enum exec fault_error(struct vcpu *v, enum vector vector, u32 error)
{
    v->fault = (struct event){.vector = (u8)vector, .type = EVENT_EXCEPTION, .has_error = true, .error = error};
    return EXEC_FAULT;
}

static inline enum exec fault_gp(struct vcpu *v, u32 error) { return fault_error(v, VEC_GP, error); }
static inline enum exec fault_ud(struct vcpu *v) { return fault_vector(v, VEC_UD); }

static inline enum exec fault_page(struct vcpu *v, u64 linear, u32 error)
{
    v->fault = (struct event){
        .vector = VEC_PF, .type = EVENT_EXCEPTION, .has_error = true, .error = error, .cr2 = linear};
    return EXEC_FAULT;
}

/* Makes the engine return to the run loop at the next instruction boundary: after a change of IF, TPR, TF,
 * an interrupt line, a timer deadline, or a halt. */
static inline void vcpu_kick(struct vcpu *v) { v->stop_at = 0; }

/* TF, a shadow or the guest's own breakpoints need attention after (or before) every instruction. */
bool vcpu_guest_steps(const struct cpu *c);

/* Recomputes everything derived from v->cpu. Call after any change of CR0, CR4, EFER, CPL, CS, SS, a data
 * segment's hidden part, RFLAGS.{VM,TF,RF,AC}, DR7 or the interrupt shadow. Does not flush the TLB (tlb_flush). */
void vcpu_update_mode(struct vcpu *v);

#endif
