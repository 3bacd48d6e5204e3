/* Where a reference differs from us, and that is explained: undefined results, choices that the manual leaves open, and the
 * reference's own faults. `reprise verify` does not stop at such a difference: the reference takes our values over, and the
 * row of the table (known_differences.c) is counted and named in the report. */
#ifndef REPRISE_SIM_KNOWN_DIFFERENCES_H
#define REPRISE_SIM_KNOWN_DIFFERENCES_H

#include "core/vm.h"

enum { KNOWN_ROWS_MAX = 48, KNOWN_BLOCK_MAX = 64 };

enum known_right {
    KNOWN_UNDEFINED, /* the manual leaves it undefined, or leaves a choice */
    KNOWN_OURS,      /* ours is right, the reference is not */
};

/* Instructions that both machines have executed since their states were last compared, and were the same. */
struct known_stretch {
    struct cpu before; /* of either */
    u64 faults;        /* that were delivered to the believed machine by then */
    u64 limit_faults;  /* #GP, #SS and #DF among them */
    bool faulted, limit_faulted; /* another one was on the way */
    bool faulted_again;          /* more than one */
    unsigned count;    /* 0: not known which */
    u16 rows[KNOWN_BLOCK_MAX]; /* of isa.def; ISA_INVALID where none is */
    u8 opsize, rex;            /* of the last one: in bytes, and its REX prefix's low bits */
    u32 disp;                  /* its displacement, cut off */
    bool shut_down;            /* the believed machine, at the end */
    bool unit_pending;         /* there, an x87 exception waits for the next x87 instruction */
};

struct known_row {
    const char *engine; /* of the reference */
    const char *insns;  /* mnemonics, separated by spaces; * at an end stands for any more. NULL: any */
    const char *fields; /* registers by the names of sim/state_fields.h, in the same way; or "memory" */
    bool (*holds)(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs); /* NULL: always */
    enum known_right right;
    const char *why;    /* one line, with what the manual says */
};

extern const struct known_row known_rows[];
extern const unsigned known_row_count;

/* Explains every difference between two processors after `stretch`; then *theirs takes ours over, `counts` (one per row) goes
 * up, and the answer is true. Else nothing has changed. */
bool known_differences_adopt(const struct engine *reference, const struct known_stretch *stretch, const struct cpu *ours,
                             struct cpu *theirs, u64 counts[KNOWN_ROWS_MAX]);

/* The same for RAM: true if a row says that what the stretch has written may differ. */
bool known_differences_in_memory(const struct engine *reference, const struct known_stretch *stretch,
                                 u64 counts[KNOWN_ROWS_MAX]);

#endif
