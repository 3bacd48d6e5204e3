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
/*@ requires available <= INSN_MAX && mode <= CODE_64;
    requires available == 0 || \valid_read(bytes + (0 .. available - 1));
    requires \valid(insn);
    ensures dec_result: \result == DECODE_OK || \result == DECODE_TRUNCATED || \result == DECODE_INVALID ||
                        \result == DECODE_TOO_LONG;
    ensures dec_len: \result == DECODE_OK ==> 1 <= insn->length <= available;
    ensures dec_seg: \result == DECODE_OK ==> insn->seg < SEG_COUNT;
    ensures dec_base: \result == DECODE_OK ==>
        insn->base \in {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, REG_RIP, REG_NONE};
    ensures dec_index: \result == DECODE_OK ==>
        insn->index \in {0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, REG_NONE} && insn->scale <= 3;
    ensures dec_reg: \result == DECODE_OK ==> insn->reg < 16 && insn->rm < 16 && insn->reg_at < 128 && insn->rm_at < 128;
    ensures dec_vex: \result == DECODE_OK ==> insn->vvvv < 16 && insn->vex_l <= 1;
    ensures dec_opsize: \result == DECODE_OK ==> insn->opsize \in {1, 2, 4, 8} && insn->addrsize \in {2, 4, 8}; */
enum decode decode(const u8 *bytes, unsigned available, enum code_mode mode, struct insn *insn);

/* The row's mnemonic with operands is for people: sim/ shows disassembly through Zydis. */

#endif
