/* What `reprise verify` has found, for people and for scripts. */
#ifndef REPRISE_SIM_VERIFY_REPORT_H
#define REPRISE_SIM_VERIFY_REPORT_H

#include "sim/disasm.h"
#include "sim/state_diff.h"
#include "sim/verify_pair.h"
#include "sbe/insn.h"

#include <stdio.h>

enum { VERIFY_DIFFERENCES = 64, VERIFY_MEMORY = 16, VERIFY_WINDOW = 32 };

/* An instruction of the believed engine on its way to the difference. */
struct verify_step {
    u64 icount; /* before it */
    u32 times;  /* in a row: iterations of a repeated instruction, or a jump to itself */
    u16 cs, row; /* row: ISA_INVALID if it does not decode */
    u64 rip;
    u8 length, bytes[INSN_MAX];
    char text[DISASM_MAX];
    bool involved; /* it changed a register or byte that differs later */
};

struct verify_memory {
    u64 address; /* guest-physical */
    u8 bytes, a[16], b[16];
};

struct verify_divergence {
    u64 equal_at;   /* icount of the last stop with equal states */
    u64 icount;     /* of the first with different ones, as the believed engine counts */
    bool cold;      /* seen again from a copy of the state with nothing translated yet; else only from power-on */
    bool located;   /* false: it did not show again, and the two icounts are just where it was seen */
    unsigned difference_count;
    struct state_difference difference[VERIFY_DIFFERENCES];
    unsigned memory_count; /* runs of bytes listed; more may differ */
    struct verify_memory memory[VERIFY_MEMORY];
    enum vm_stop stop[2];
    struct console_record console;
    struct cpu after;  /* the believed engine's, at the difference */
    struct cpu before; /* where the last instruction began */
    unsigned step_count;
    struct verify_step step[VERIFY_WINDOW]; /* oldest first; the last one led to the difference */
};

struct verify_result {
    const char *engines[2];
    enum vm_stop stop;
    bool complete; /* the guest has ended, or --max-insns is reached */
    bool diverged;
    u64 icount, cuts, memory_comparisons, second_looks;
    u64 host_ns;
    u64 explained[KNOWN_ROWS_MAX]; /* differences from a reference, by row of known_rows */
    struct verify_divergence divergence;
};

/* Fills in what differs between two machines that are at the difference. */
void verify_report_collect(struct verify_divergence *d, const struct verify_pair *p);

const char *verify_stop_name(enum vm_stop stop);

/* `pair` stands at the difference, or holds no machines. */
void verify_report_text(FILE *to, const struct verify_result *result, const struct verify_pair *pair);
void verify_report_json(FILE *to, const struct verify_result *result);

#endif
