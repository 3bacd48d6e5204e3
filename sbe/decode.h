/* The decoder: bytes to struct insn, by isa.def alone. Pure: no guest state, no allocation, any input. */
#ifndef REPRISE_SBE_DECODE_H
#define REPRISE_SBE_DECODE_H

#include "sbe/insn.h"

enum decode {
    DECODE_OK,
    DECODE_TRUNCATED, /* all `available` bytes are a proper prefix of an instruction: fetch more */
    DECODE_INVALID,   /* #UD: no row, LOCK not allowed, wrong mode...: no further byte can change that */
    DECODE_TOO_LONG,  /* more than 15 bytes: #GP(0) */
};

/* Decodes one instruction from bytes[0..available), available 0..15. Writes *insn only on DECODE_OK; insn->handler is
 * NULL then. Features and privilege are not looked at: those are run-time checks. Bytes that are all there are decoded
 * the same whatever follows them, so a caller may pass what is left of a page and fetch more on DECODE_TRUNCATED: a page
 * fault on the fetch then comes before #UD, as SDM vol. 3, table 6-2 orders them, wherever the length is known. */
enum decode decode(const u8 *bytes, unsigned available, enum code_mode mode, struct insn *insn);

/* The row's mnemonic with operands is for people: sim/ shows disassembly through Zydis. */

#endif
