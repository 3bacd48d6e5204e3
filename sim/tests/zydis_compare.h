/* Compares our decoder with Zydis on one byte string: same refusal, or same length, instruction and operands. */
#ifndef REPRISE_SIM_TESTS_ZYDIS_COMPARE_H
#define REPRISE_SIM_TESTS_ZYDIS_COMPARE_H

#include "sbe/decode.h"

#include <Zydis/Zydis.h>

enum { CASE_BYTES = 24 }; /* longer than any instruction, so that Zydis meets the 15-byte limit and not the end */

enum verdict {
    VERDICT_BOTH_REFUSE,
    VERDICT_SAME,
    VERDICT_ONLY_OURS,  /* we decode it, Zydis refuses */
    VERDICT_ONLY_ZYDIS, /* Zydis decodes it, we refuse */
    VERDICT_DIFFERENT,  /* both decode it, not alike: `what` says in which respect */
};

struct comparison {
    enum verdict verdict;
    const char *what; /* for VERDICT_DIFFERENT */
    enum decode ours_status;
    ZyanStatus zydis_status;
    struct insn ours;
    ZydisDecodedInstruction zydis;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

/* A Zydis decoder for `mode` that knows no extension which older processors execute as something else: they must decode
 * as on our processor models (F3 0F BD is BSR without LZCNT, ENDBR64 is a NOP...). */
void zydis_decoder(ZydisDecoder *decoder, enum code_mode mode);

void compare(const ZydisDecoder *decoder, enum code_mode mode, const u8 bytes[CASE_BYTES], struct comparison *result);

#endif
