/* The instruction table: types of its rows. The rows stand in sbe/isa.def.
 *
 * One table, many readers: the decoder, the interpreter's dispatch, the translator's classifier, the flags-liveness
 * pass, the generators of test instructions, and the coverage report. */
#ifndef REPRISE_SBE_ISA_H
#define REPRISE_SBE_ISA_H

#include "core/cpuid.h"
#include "core/types.h"
#include "core/x86.h"

/* Opcode maps. */
enum isa_map { MAP_1B, MAP_0F, MAP_0F38, MAP_0F3A, MAP_VEX_0F, MAP_VEX_0F38, MAP_VEX_0F3A, MAP_COUNT };

/* Mandatory prefix. PX_ANY: 66, F2 and F3 are ordinary modifiers of the row. PX_NP: none of 66, F2, F3 may be present.
 * PX_66, PX_F3, PX_F2: selects the row; the last of F2/F3 wins over 66 (SDM vol. 2, 2.1.2). Decoding takes the most
 * specific row. PX_NF: 66 allowed as operand size, F2/F3 not (CRC32 neighbours, MOVBE). */
enum isa_prefix { PX_ANY, PX_NP, PX_66, PX_F3, PX_F2, PX_NF };

/* What the ModRM byte must look like. RM_NONE: no ModRM. RM_ANY: /r. RM_M, RM_R: memory or register form only.
 * RM_0..7: /digit; RM_0_M, RM_0_R…: with memory or register form only. RM_X(byte): exactly this byte. */
#define RM_NONE 0x000
#define RM_ANY 0x100
#define RM_M 0x101
#define RM_R 0x102
#define RM_DIGIT(n) (0x110 | (n))
#define RM_DIGIT_M(n) (0x120 | (n))
#define RM_DIGIT_R(n) (0x130 | (n))
#define RM_X(byte) (0x200 | (byte))
#define RM_0 RM_DIGIT(0)
#define RM_1 RM_DIGIT(1)
#define RM_2 RM_DIGIT(2)
#define RM_3 RM_DIGIT(3)
#define RM_4 RM_DIGIT(4)
#define RM_5 RM_DIGIT(5)
#define RM_6 RM_DIGIT(6)
#define RM_7 RM_DIGIT(7)

/* Code modes in which the row exists. */
#define IN_16 1u
#define IN_32 2u
#define IN_64 4u
#define IN_ALL 7u
#define IN_LEGACY 3u /* not in 64-bit mode: #UD, or another row */

/* Operands in the manual's notation (SDM vol. 2, appendix A). The list with meanings: sbe/operands.def. */
enum isa_operand {
#define OPERAND(name, kind, size, text) OPD_##name,
#include "sbe/operands.def"
#undef OPERAND
    OPD_COUNT
};

enum { ISA_OPERANDS = 4 };

/* Where an operand is, and how wide: the columns of operands.def, explained there. */
enum isa_operand_kind {
    OPK_NONE, OPK_GREG, OPK_GRM, OPK_GREGONLY, OPK_MEM, OPK_OPREG, OPK_FIXED, OPK_IMM, OPK_SIMM, OPK_REL, OPK_FAR,
    OPK_MOFFS, OPK_SREG, OPK_CREG, OPK_DREG, OPK_SRC, OPK_DST, OPK_XREG, OPK_XRM, OPK_XRMREG, OPK_MREG, OPK_MRM,
    OPK_MRMREG, OPK_XVVVV, OPK_GVVVV, OPK_ST0, OPK_STI, OPK_ONE
};
enum isa_operand_size {
    OPZ_NONE, OPZ_B, OPZ_W, OPZ_D, OPZ_Q, OPZ_T, OPZ_DQ, OPZ_V, OPZ_Z, OPZ_Y, OPZ_P, OPZ_S, OPZ_A, OPZ_N, OPZ_ENV,
    OPZ_SAVE, OPZ_FX, OPZ_LINE, OPZ_ADDR
};
struct isa_operand_info {
    u8 kind, size; /* enum isa_operand_kind, enum isa_operand_size */
    const char *text;
};
extern const struct isa_operand_info isa_operands[OPD_COUNT];

/* Attributes. */
#define A_LOCK 0x00001u   /* LOCK allowed when the destination is memory; without this: #UD */
#define A_REP 0x00002u    /* F3 and F2 repeat (INS, OUTS, MOVS, STOS, LODS) */
#define A_REPCC 0x00004u  /* F3 is REPE, F2 is REPNE (CMPS, SCAS) */
#define A_BYTE 0x00008u   /* operand size is one byte */
#define A_D64 0x00010u    /* 64-bit mode: operand size defaults to 64, 66 gives 16 (PUSH, POP…) */
#define A_F64 0x00020u    /* 64-bit mode: operand size is 64 whatever the prefixes (near branches; Intel) */
#define A_CPL0 0x00040u   /* #GP(0) unless CPL = 0 */
#define A_PROT 0x00080u   /* #UD in real-address and v86 mode */
#define A_X87 0x00100u    /* #NM if CR0.EM or CR0.TS */
#define A_WAITING 0x00200u /* x87: pending unmasked exceptions are raised first */
#define A_MMX 0x00400u    /* #UD if CR0.EM, #NM if CR0.TS; puts the x87 tags to valid */
#define A_SSE 0x00800u    /* #UD if CR0.EM or not CR4.OSFXSR, #NM if CR0.TS */
#define A_ALIGN 0x01000u  /* memory operand must be aligned to its size: #GP(0) */
#define A_PLUSR 0x02000u  /* eight opcodes: the low three bits (with REX.B) name a register */
#define A_XM 0x04000u     /* can raise SIMD floating-point exceptions */
#define A_OS32 0x08000u   /* operand size ignores 66; it is 32, or 64 with REX.W (rows with y operands do without it) */
#define A_NATIVE 0x10000u /* interpreter executes it on the host unit by sbe/fpu.h */
#define A_PLUSCC 0x20000u /* sixteen opcodes: the low four bits are a condition */
#define A_IGN66 0x40000u  /* 66 is ignored */
#define A_VEX_L0 0x80000u  /* VEX rows: VEX.L must be 0; neither this nor A_VEX_L1: L is ignored */
#define A_VEX_L1 0x100000u /* VEX rows: VEX.L must be 1 */
#define A_VEX_W0 0x200000u /* VEX rows: VEX.W must be 0; neither this nor A_VEX_W1: W is ignored, or an operand size */
#define A_VEX_W1 0x400000u /* VEX rows: VEX.W must be 1 */

/* Flags read, written (including left undefined), and left undefined. */
#define F_NONE 0u
#define F_CF FLAG_CF
#define F_PF FLAG_PF
#define F_AF FLAG_AF
#define F_ZF FLAG_ZF
#define F_SF FLAG_SF
#define F_OF FLAG_OF
#define F_ALL FLAGS_ARITH

/* What the translator does with the row (it reads this later; be exact now). */
enum isa_class {
    CLS_IDENTITY, /* innocuous, registers only */
    CLS_MEMORY,   /* innocuous but for its memory operand */
    CLS_STACK,    /* implicit stack access */
    CLS_BRANCH,   /* near control transfer */
    CLS_STRING,   /* string instruction */
    CLS_FPU,      /* x87, MMX, SSE: native, memory operand redirected */
    CLS_CALLOUT,  /* sensitive or privileged: the interpreter's handler */
};

struct isa_row {
    u16 map, opcode, prefix, modrm;
    u8 modes;
    u8 feature; /* enum feature the CPU model must have; else #UD */
    u8 cls;
    u8 operands[ISA_OPERANDS]; /* enum isa_operand */
    u32 attributes;
    u32 flags_read, flags_written, flags_undefined;
    const char *mnemonic; /* lower case, as the SDM; for +cc rows the stem ("j", "set", "cmov") */
};

/* Row identifiers are positions in isa.def, counted from 1. isa_rows[ISA_INVALID] exists and matches nothing. */
#define ISA_INVALID 0u
extern const struct isa_row isa_rows[];
extern const unsigned isa_row_count;

#endif
