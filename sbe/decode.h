/* The decoder: bytes to struct insn, by isa.def alone. Pure: no guest state, no allocation, any input. */
#ifndef REPRISE_SBE_DECODE_H
#define REPRISE_SBE_DECODE_H

#include "sbe/insn.h"

enum decode {
    DECODE_OK,
    DECODE_TRUNCATED, /* all `available` bytes are a proper prefix of an instruction: fetch more */
    DECODE_INVALID,   /* #UD: no row, LOCK not allowed, wrong mode... `length` bytes were examined */
    DECODE_TOO_LONG,  /* more than 15 bytes: #GP(0) */
};

/* Decodes one instruction from bytes[0..available), available 0..15. Writes *insn only on DECODE_OK. Features and
 * privilege are not looked at: those are run-time checks. */
enum decode decode(const u8 *bytes, unsigned available, enum code_mode mode, struct insn *insn);

/* The row's mnemonic with operands is for people: sim/ shows disassembly through Zydis. */

#endif
