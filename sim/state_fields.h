/* The registers of a processor by name: where each lies in struct cpu. */
#ifndef REPRISE_SIM_STATE_FIELDS_H
#define REPRISE_SIM_STATE_FIELDS_H

#include "core/cpu.h"

/* `count` registers of `bytes` bytes each, `stride` apart; with more than one, the name is followed by a number. */
struct state_field {
    const char *name;
    u16 offset;
    u8 bytes, count, stride;
};

extern const struct state_field state_fields[];
extern const unsigned state_field_count;

#endif
