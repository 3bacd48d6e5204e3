/* An engine executes guest instructions. All engines obey one contract (ARCHITECTURE.md, "exactness"). */
#ifndef REPRISE_CORE_ENGINE_H
#define REPRISE_CORE_ENGINE_H

#include "core/status.h"
#include "core/vcpu.h"
#include "mmu/physmem.h"

/* Host code that stands for guest code, for people who debug an engine. */
struct engine_code {
    const u8 *host; /* readable; valid until the engine runs again */
    u32 bytes;
    u64 rip;        /* of the first guest instruction, relative to CS */
    u32 insns;      /* guest instructions that it stands for, at most ENGINE_CODE_INSNS */
    u32 start[64];  /* offset in `host` where each of them begins, ascending */
};
enum { ENGINE_CODE_INSNS = 64 };

struct engine {
    const char *name;
    const char *summary; /* one line for --help */
    enum physmem_layout layout; /* of RAM in the host, as the engine wants it */
    enum status (*create)(struct vcpu *v);
    void (*destroy)(struct vcpu *v);
    /* Executes until v->cpu.icount >= v->stop_at, delivering the guest's own exceptions on the way. vcpu_kick() makes it end
     * at the next boundary, and is called for all that the run loop must look at: halts, shutdown, devices. On return the
     * complete state is in v->cpu, at an instruction boundary; cpu.activity says whether there is more to execute. While
     * v->stepping, stops_before() (core/stops.h) is asked before each instruction, and ends the run if it says so. */
    void (*run)(struct vcpu *v);
    /* If not NULL: what was derived from instructions in `size` bytes at `offset` in one page of RAM, or with FORGET_ALL in any,
     * is void. The engine may be in the middle of executing one of them. Returns the 64-byte lines of the page, as bits, in
     * which it still has others. */
    u64 (*forget)(struct vcpu *v, u64 offset, unsigned size);
    /* Optional: finds the host code that holds the guest instruction at CS:`rip` in the present mode, if there is any. Changes
     * nothing. */
    bool (*explain)(struct vcpu *v, u64 rip, struct engine_code *code);
    /* Optional: delivers an interrupt (EVENT_EXTERNAL, EVENT_NMI) in the engine's own way; else exception_deliver() does. */
    void (*deliver)(struct vcpu *v, const struct event *event);
    bool reference; /* written by others: undefined flags are its own, and some differences are known */
};
#define FORGET_ALL UINT64_MAX

extern const struct engine engine_sbe, engine_sbe_window, engine_sbe_auto; /* sbe/engine_sbe.c */
extern const struct engine engine_interp; /* sbe/interp.h */
extern const struct engine engine_interp_shadow; /* sbe/interp_shadow.c */

#endif
