/* Byte strings for zydis_diff: random ones, every opcode with every ModRM, and instances of isa.def rows. Seeded; the
 * same seed gives the same strings everywhere. */
#ifndef REPRISE_SIM_TESTS_ZYDIS_CASES_H
#define REPRISE_SIM_TESTS_ZYDIS_CASES_H

#include "sbe/insn.h"
#include "sim/tests/zydis_compare.h"

struct random { u64 state; };
u64 random_next(struct random *r);

/* Uniform bytes. */
void case_random(struct random *r, u8 bytes[CASE_BYTES]);

/* The `number`-th of CASES_SWEEP strings: each mandatory prefix × legacy map × opcode × ModRM once, with random bytes
 * after them, and in 64-bit mode a random REX prefix half of the time. */
enum { CASES_SWEEP = 4 * 4 * 256 * 256 };
void case_sweep(struct random *r, unsigned number, enum code_mode mode, u8 bytes[CASE_BYTES]);

/* An instance of a random row: random prefixes that mostly suit it, its opcode, a ModRM byte that mostly fits. */
void case_row(struct random *r, enum code_mode mode, u8 bytes[CASE_BYTES]);

/* A VEX prefix of either form, with random content, on any opcode. */
void case_vex(struct random *r, u8 bytes[CASE_BYTES]);

#endif
