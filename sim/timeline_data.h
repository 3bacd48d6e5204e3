/* What the verb `timeline` draws: a recorded run cut into slices of virtual time (or of instructions), and what happened in
 * each. */
#ifndef REPRISE_SIM_TIMELINE_DATA_H
#define REPRISE_SIM_TIMELINE_DATA_H

#include "sim/visit.h"

enum { TIMELINE_SLICES_MAX = 1000, TIMELINE_TEXT_MAX = 120, TIMELINE_LABELS_MAX = 12, TIMELINE_ROWS_MAX = 6 };

/* Sums over a slice. Port and MMIO accesses and calls of the interpreter are what leaves translated code. */
enum measure { M_INSTRUCTIONS, M_IDLE, M_PORTS, M_MMIO, M_INTERPRETER, M_CONSOLE, M_INPUTS, MEASURES };

struct timeline_text {
    u64 icount, ns; /* of its first character */
    char text[TIMELINE_TEXT_MAX];
};

/* A row of its own: one vector's count in each slice. */
struct timeline_row {
    u8 vector;
    u64 total;
    const u32 *count;
};

struct timeline_data {
    struct visit *visit;
    bool by_icount;
    unsigned slices;
    u64 span;   /* length of the axis: nanoseconds or instructions */
    u64 value[MEASURES][TIMELINE_SLICES_MAX];
    u64 total[MEASURES];
    u32 interrupts[256][TIMELINE_SLICES_MAX], exceptions[32][TIMELINE_SLICES_MAX];
    struct timeline_row interrupt_row[TIMELINE_ROWS_MAX], exception_row[TIMELINE_ROWS_MAX]; /* the most frequent */
    unsigned interrupt_rows, exception_rows;
    struct timeline_text *line; /* console output, by lines */
    u64 lines, room;
    struct timeline_text pending;  /* the line that is being written */
    unsigned pending_length;
    bool in_escape, no_memory;
    u64 at_icount, at_ns;          /* accounted so far */
    u64 seen[MEASURES];            /* the machine's counters then */
};

/* Replays the whole run. Zero or an exit code, as visit_to(). `data` is zeroed but for visit, by_icount and slices; its lines are
 * the caller's to free. */
int timeline_collect(struct timeline_data *data);

/* Position on the axis, and the slice that holds it. */
u64 timeline_position(const struct timeline_data *d, u64 icount, u64 ns);
unsigned timeline_slice(const struct timeline_data *d, u64 position);

/* The lines that are shown: those that come after the longest silences, not too near to each other. */
unsigned timeline_labels(const struct timeline_data *d, unsigned wanted, const struct timeline_text **label);

extern const char *const timeline_measure_names[MEASURES]; /* for people */

void timeline_svg(FILE *to, const struct timeline_data *d, unsigned width);  /* sim/timeline_svg.c; width in pixels */
void timeline_terminal(FILE *to, const struct timeline_data *d);             /* sim/timeline_text.c */
void timeline_json(FILE *to, const struct timeline_data *d);

#endif
