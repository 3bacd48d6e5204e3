/* Differential test of single instructions: the interpreter against Unicorn and against the host processor.
 *
 * A case is one instruction and the complete state in front of it; an outcome is the state behind it, or the exception.
 * All engines see the same linear addresses: code at CODE_BASE, a window of readable and writable memory at
 * WINDOW_BASE, nothing else. In 16-bit code CS starts at CODE_BASE and the other segments at WINDOW_BASE, so that
 * offsets are small. */
#ifndef REPRISE_SIM_TESTS_INSN_DIFF_H
#define REPRISE_SIM_TESTS_INSN_DIFF_H

#include "core/random.h"
#include "core/x86.h"
#include "sbe/insn.h"

enum {
    CODE_BASE = 0x10000,
    CODE_BYTES = 0x8000,
    WINDOW_BASE = 0x20000,
    WINDOW_BYTES = 0x2000,
    SLOT_BYTES = 64,   /* each case of a batch has its own piece of the code area */
    BATCH_CASES = 256,
    WRITTEN_MAX = 1024,
    PATCH_BYTES = 64,
    FXSAVE_IMAGE = 512,
};
_Static_assert(BATCH_CASES * SLOT_BYTES <= CODE_BYTES, "the code area holds a batch");

enum reference { REF_UNICORN, REF_HOST, REF_COUNT };

struct diff_state {
    u64 gpr[GPR_COUNT];
    u64 rip; /* offset in CS */
    u64 rflags;
    _Alignas(16) u8 fxsave[FXSAVE_IMAGE]; /* FXSAVE64 layout */
};

/* Bytes to put into the window before the instruction. */
struct patch {
    u16 at, bytes;
    u8 data[PATCH_BYTES];
};

struct diff_case {
    u16 row;
    u8 mode; /* enum code_mode */
    u8 length;
    u8 bytes[INSN_MAX + 1];
    bool uses_unit; /* x87, MMX or SSE state matters */
    bool branches;
    bool lock_refused; /* LOCK where it is not allowed: #UD */
    struct patch patch[2];
    struct diff_state in;
};

/* What happened, beside vectors 0..31. */
enum { OUTCOME_NONE = -1, OUTCOME_NOT_RUN = -2, OUTCOME_CRASHED = -3, OUTCOME_UNMAPPED = -4, OUTCOME_CANARY = -5 };

struct outcome {
    s16 vector; /* exception vector or OUTCOME_* */
    bool has_error;
    bool has_cr2;
    u32 error;
    u64 cr2;
    u32 written_at, written_bytes; /* the smallest range of the window that holds all changed bytes */
    struct diff_state out;
    u8 written[WRITTEN_MAX];
};

/* ---- The window ----------------------------------------------------------------------------------- */

/* What the window holds where a case says nothing; the same in every process. */
extern u8 window_pattern[WINDOW_BYTES];
void window_seed(u64 seed);
/* `live` is the engine's window. Before the first case it must hold window_pattern. */
void window_prepare(u8 *live, const struct diff_case *c);
void window_collect(u8 *live, const struct diff_case *c, struct outcome *o);

/* ---- Cases ---------------------------------------------------------------------------------------- */

/* Values with their bits where instructions change their minds. */
u64 random_operand(struct random *r);
/* x87, MMX and SSE registers; `row` decides how often exceptions are unmasked. */
void random_unit(struct random *r, const struct isa_row *row, u8 fxsave[FXSAVE_IMAGE]);
/* Fills `to` with floating-point numbers of one format, or with integers. */
void random_data(struct random *r, u8 *to, unsigned bytes);

/* Makes a case of `row` in `mode` for code slot `slot`. False if no encoding was found in a few attempts. */
bool case_make(struct random *r, unsigned row, enum code_mode mode, unsigned slot, struct diff_case *c);

/* ---- Which rows run where ------------------------------------------------------------------------- */

/* NULL if `ref` can execute instances of the row in `mode`; otherwise why not. */
const char *row_excluded(unsigned row, enum code_mode mode, enum reference ref);
/* True if all that `ref` can show of the row is its refusal at CPL 3. */
bool row_only_refused(unsigned row, enum reference ref);

/* ---- Engines -------------------------------------------------------------------------------------- */

struct batch {
    unsigned count;
    struct diff_case cases[BATCH_CASES];
};

bool interp_open(void);
void interp_close(void);
/* Executes the case in the machine that `ref` sees: privilege, selectors and paging are the reference's. */
void interp_execute(const struct diff_case *c, enum reference ref, struct outcome *o);

/* A reference in a process of its own. */
struct backend {
    const char *name;
    enum reference ref;
    bool (*open)(void);                                           /* in the child */
    void (*execute)(const struct diff_case *c, struct outcome *o); /* in the child */
    /* NULL if this machine has the reference and it can run `mode`; otherwise why not. In the parent. */
    const char *(*missing)(enum code_mode mode);
};
extern const struct backend backend_unicorn, backend_host;

struct worker;
struct worker *worker_open(const struct backend *backend, const struct batch *shared_batch);
void worker_close(struct worker *w);
/* Starts on the shared batch, and waits for it. A case that kills the child gets OUTCOME_CRASHED, and a new child
 * goes on with the next one. */
void worker_start(struct worker *w);
const struct outcome *worker_wait(struct worker *w);
struct batch *batch_shared(void);

/* ---- Comparison ----------------------------------------------------------------------------------- */

enum { DIFFERENCE_TEXT = 200, DIFFERENCES_MAX = 16 };

struct difference {
    const struct diff_case *c;
    const struct insn *insn; /* NULL if the bytes are no instruction (LOCK where it is not allowed) */
    enum reference ref;
    const struct outcome *ours, *theirs;
    const char *what; /* "vector", "error", "cr2", "gpr", "rip", "flags", "memory", "fcw", "fsw", "ftw", "fop", "fip",
                       * "fdp", "mxcsr", "st", "xmm" */
    u64 bits;         /* "gpr", "st", "xmm": a bit per register; "flags", "fsw", "mxcsr": the bits that differ */
    char text[DIFFERENCE_TEXT]; /* both values */
};
/* All that differs and that `ref` can be asked about; returns how many. A different vector comes alone. */
unsigned outcome_compare(const struct diff_case *c, enum reference ref, const struct outcome *ours,
                         const struct outcome *theirs, struct difference d[DIFFERENCES_MAX]);

struct exception {
    int ref;            /* enum reference, or -1 for any */
    const char *name;   /* mnemonic, with * at its end as a wildcard; NULL: any */
    const char *what;   /* of struct difference, or a list of such with spaces; NULL: any */
    bool (*applies)(const struct difference *d);
    const char *reason;
};
extern const struct exception exceptions[];
extern const unsigned exception_count;
const struct exception *exception_find(const struct difference *d);
bool name_matches(const char *pattern, const char *name);

#endif
