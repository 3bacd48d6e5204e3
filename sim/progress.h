/* A line on the terminal about how far long work is. Shown on standard error if that is a terminal and standard
 * output, where a guest may be speaking, is not. */
#ifndef REPRISE_SIM_PROGRESS_H
#define REPRISE_SIM_PROGRESS_H

#include "core/types.h"

struct progress {
    const char *what;
    u64 total;    /* 0: not known */
    u64 shown_at; /* host time */
    bool on, drawn;
};

void progress_start(struct progress *p, const char *what, u64 total);
/* Draws at most a few times a second. */
void progress_show(struct progress *p, u64 done);
void progress_clear(struct progress *p);

#endif
