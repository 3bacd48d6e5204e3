/* The reference processor as a plug-in: what reprise-bochs.so offers to the simulator, in C, with no header of either side.
 *
 * Bochs' CPU library is under the LGPL and in C++, with one processor in global variables; so it lives in a shared object of
 * its own, which sim/bochs_engine.c loads when somebody asks for the engine. Registers go over in struct bochs_state;
 * memory, ports and the clock are asked for through struct bochs_host. Calls of the host may come back
 * to forget_code() only. */
#ifndef REPRISE_SIM_BOCHS_CPU_H
#define REPRISE_SIM_BOCHS_CPU_H

#include <stdint.h>

#define BOCHS_ABI 1
#define BOCHS_ENTRY "reprise_bochs"

#ifdef __cplusplus
extern "C" {
#endif

/* A segment register as core/cpu.h has it, attributes and all. */
struct bochs_segment {
    uint16_t selector, attributes;
    uint32_t limit;
    uint64_t base;
};

/* What the two sides exchange. FXSAVE is the image of FXSAVE64; only registers and control words in it count. */
struct bochs_state {
    uint64_t gpr[16], rip;
    uint32_t rflags;
    uint32_t pending_db; /* bits of DR6 to be delivered before the next instruction */
    uint8_t int_shadow, mov_ss_shadow, nmi_blocked, cpl;
    uint8_t activity;    /* enum bochs_activity */
    uint32_t gdtr_limit, idtr_limit;
    uint64_t gdtr_base, idtr_base;
    struct bochs_segment seg[6], ldtr, tr;
    uint64_t cr0, cr2, cr3, cr4, efer, xcr0, dr[8], pdpte[4];
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip, star, lstar, cstar, sfmask, kernel_gs_base, tsc_aux;
    uint64_t icount;
    uint64_t fip, fdp;
    uint16_t fop, fcs, fds;
    uint8_t fxsave[512];
};

enum bochs_activity { BOCHS_RUNNING, BOCHS_HALTED, BOCHS_SHUTDOWN };
enum bochs_rights { BOCHS_READ, BOCHS_WRITE, BOCHS_FETCH };

/* What the processor asks its surroundings. Addresses are guest-physical; an access lies within one page. */
struct bochs_host {
    void *context;
    const uint64_t *stop_at; /* icount at which run() ends; read before each instruction */
    /* Host memory of the page at `address`, or NULL where accesses must go through read() and write(). */
    uint8_t *(*page)(void *context, uint64_t address, enum bochs_rights rights);
    void (*read)(void *context, uint64_t address, void *to, unsigned bytes);
    /* Nonzero if translations that were made from what stood there are void. */
    int (*write)(void *context, uint64_t address, const void *from, unsigned bytes);
    /* The page walk has read an entry at `address`. Nonzero if writes to its page may have been direct so far. */
    int (*walked)(void *context, uint64_t address);
    uint32_t (*in)(void *context, uint16_t port, unsigned bytes);
    void (*out)(void *context, uint16_t port, uint32_t value, unsigned bytes);
};

/* Instruction sets and control bits of a processor model; names are those of core/cpuid.h. */
struct bochs_model {
    int (*has)(void *context, const char *feature);
    void *context;
    uint64_t cr4_mask, efer_mask, xcr0_mask;
    unsigned linear_bits;
};

enum bochs_end {
    BOCHS_STOPPED,  /* icount has reached *stop_at, or the processor does not run any more */
    BOCHS_DELEGATED /* the next instruction is decided by the model, not by Bochs: CPUID, MSRs, TSC, CR8, MONITOR */
};

enum bochs_what { BOCHS_TRANSLATIONS = 1, BOCHS_CODE = 2 };

struct bochs_cpu {
    unsigned abi; /* BOCHS_ABI */
    /* Sets up the processor for a machine: its model, and whom to ask. Whatever was cached of another one is void. */
    void (*attach)(const struct bochs_host *host, const struct bochs_model *model);
    void (*load)(const struct bochs_state *state); /* does not empty the TLB */
    void (*set_flags)(uint32_t rflags); /* arithmetic flags differ from what was loaded or stored last, nothing else */
    void (*store)(struct bochs_state *state);
    uint64_t (*icount)(void);
    enum bochs_end (*run)(void);
    void (*interrupt)(uint8_t vector, int nmi);
    void (*forget)(unsigned what); /* a mask of enum bochs_what */
    void (*forget_code)(uint64_t address); /* instructions from this page */
};

__attribute__((visibility("default"))) const struct bochs_cpu *reprise_bochs(void);

#ifdef __cplusplus
}
#endif
#endif
