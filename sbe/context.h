/* What translated code finds relative to its stack pointer: while it runs, RSP points at the vCPU, and its stack lies
 * below. Everything else of the vCPU can be reached the same way. */
#ifndef REPRISE_SBE_CONTEXT_H
#define REPRISE_SBE_CONTEXT_H

#include "core/types.h"

/* Bytes in front of each struct vcpu: the stack of translated code and of what it calls. */
enum { SBE_STACK_BYTES = 1 << 16 };

enum { JUMP_BITS = 12, JUMP_SLOTS = 1 << JUMP_BITS };
/* A table of jumps for each set of mode bits (block_key()) that blocks have been translated for; when there are more,
 * everything is thrown away. */
enum { JUMP_CLASSES = 16 };
/* Bits of a guest RIP that choose its slot; JUMP_BITS of them. */
#define JUMP_MASK 0xf3fcull

struct memtable;

/* What translated code accesses memory through. */
struct sbe_tables {
    u64 read, write;        /* mmu/memtable.h, with shift counts in their low bits */
    u64 window, window_end; /* mmu/window.h: where linear addresses 0 and 4 GiB stand; 0 if there are no windows */
};

struct sbe_context {
    u64 counter;  /* COUNTER_BIAS (sbe/translate.h) + instructions left until `limit`, as translated code left it */
    u64 limit;    /* vcpu.stop_at when it was entered */
    u64 flags;    /* the host's RFLAGS when it was left: the guest's arithmetic flags are in it */
    u64 host_rsp; /* stack pointer of the caller */
    u64 resume;   /* where to go on */
    u64 target;   /* guest RIP, if that is where indirect jumps enter */
    struct sbe_tables tables;    /* of the rights that data accesses have now */
    struct sbe_tables by_cpl[2]; /* of the supervisor and of the user in this address space (enum tlb_rights) */
    const struct memtable *tables_from; /* what by_cpl[] was made of */
    bool tables_wide;
    u64 fetches;                 /* tlb.fetches when translated code was entered, or changed its mode */
    u64 jump_mask;               /* JUMP_MASK */
    u64 page_mask, page_carry;   /* 0xfff and 0x1000 */
    u64 arithmetic, without_if;  /* FLAGS_ARITH; all but RFLAGS.IF */
    u64 alignment, not_by_sysret; /* RFLAGS.AC; flags that SYSRET leaves to the interpreter if they are set */
    u64 syscall_keeps;           /* the complement of IA32_FMASK, when translated code was entered */
    u64 tsc_base;                /* the guest's time stamp counter + what R12 would hold then */
    u64 scratch;
    u8 *coverage;                /* sbe/coverage.h; NULL: nobody asks */
    u32 site; /* of the last indirect jump */
    /* Indirect jumps: by slot, the indirect entry of some block at such a RIP, or the code that looks one up. */
    const u8 *jump[JUMP_CLASSES][JUMP_SLOTS];
};

#endif
