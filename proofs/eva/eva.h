/* What the Eva drivers share. A driver calls the code under proof with every value that an attacker may choose:
 * any_*() below are values that Eva knows nothing of.
 *
 * REACHED(what) is the smoke test of a driver: ci/proofs fails unless Eva finds each of them reachable, so that no unit
 * is proved because its driver's assumptions contradict each other, or because the code under proof never returns. */
#ifndef REPRISE_PROOFS_EVA_H
#define REPRISE_PROOFS_EVA_H

#include "core/types.h"

#include <__fc_builtin.h>

#define REACHED(what) Frama_C_show_each_reached_##what()

static u8 any_u8(void) { return (u8)Frama_C_interval(0, 0xff); }
static u16 any_u16(void) { return (u16)Frama_C_interval(0, 0xffff); }
static u32 any_u32(void) { return (u32)Frama_C_unsigned_int_interval(0, 0xffffffffu); }
static u64 any_u64(void) { return Frama_C_unsigned_long_interval(0, ~0ul); }
static bool any_bool(void) { return Frama_C_interval(0, 1); }
static unsigned any_below(unsigned bound) { return (unsigned)Frama_C_interval(0, (int)bound - 1); }
static void any_bytes(void *to, unsigned long bytes) { Frama_C_make_unknown((char *)to, bytes); }

#endif
