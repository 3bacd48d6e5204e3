/* What the decoder needs of isa.def, precomputed: isa_index_tool.c writes these tables at build time, decode.c includes
 * them. Nobody else needs this header. */
#ifndef REPRISE_SBE_ISA_FORM_H
#define REPRISE_SBE_ISA_FORM_H

#include "core/types.h"

/* How an instruction's operand size follows from mode, 66 and REX.W. */
enum form_opsize {
    FORM_OPSIZE_BYTE,   /* 1 */
    FORM_OPSIZE_V,      /* 2, 4, 8 */
    FORM_OPSIZE_Z,      /* the same, at most 4 */
    FORM_OPSIZE_D64,    /* 64-bit mode: 8, or 2 with 66 */
    FORM_OPSIZE_F64,    /* 64-bit mode: 8 */
    FORM_OPSIZE_Y,      /* 4, or 8 with REX.W */
    FORM_OPSIZE_IGN66,  /* the mode's default, or 8 with REX.W */
    FORM_OPSIZE_NATIVE, /* 4, 64-bit mode: 8 */
    FORM_OPSIZES
};

enum form_imm {
    FORM_IMM_NONE,
    FORM_IMM_U8,
    FORM_IMM_S8,
    FORM_IMM_U16,
    FORM_IMM_U32,
    FORM_IMM_SZ,    /* min(operand size, 4) bytes, sign-extended */
    FORM_IMM_V,     /* as wide as the operand size */
    FORM_IMM_FAR,   /* offset as wide as the operand size, then a selector */
    FORM_IMM_MOFFS, /* as wide as the address size; goes to insn.disp */
};

#define FORM_REG_BYTE 0x001u  /* ModRM.reg names a byte register */
#define FORM_RM_BYTE 0x002u   /* ModRM.rm, or the opcode, names a byte register */
#define FORM_REG_8 0x004u     /* REX.R does not apply: MMX and segment registers, opcode digits */
#define FORM_RM_8 0x008u      /* REX.B does not apply: MMX and x87 registers */
#define FORM_MOD_IGNORED 0x010u /* MOV CR, DR: r/m is a register whatever mod says (SDM vol. 2, "MOV") */
#define FORM_OPREG 0x020u     /* the opcode's low bits name a register */
#define FORM_66_TAKEN 0x040u  /* 66 selected the row and says nothing about the operand size */
#define FORM_LOCK 0x080u      /* LOCK allowed with a memory operand */
#define FORM_STRING_ES 0x100u /* the only memory operand is ES:rDI */
#define FORM_VVVV 0x200u      /* VEX.vvvv names an operand; otherwise it must be 1111b */

struct isa_form {
    u8 opsize, imm, imm2; /* enum form_opsize, enum form_imm */
    u16 flags;            /* FORM_* */
    u16 registers;        /* bit n: ModRM.reg = n (with REX.R) exists */
};

/* Prefix state, as a bit number: what of 66, F2, F3 selects the row. */
enum { STATE_NP, STATE_66, STATE_F3, STATE_F2 };
#define FORM_MEMORY 1u   /* mod != 3 */
#define FORM_REGISTER 2u /* mod == 3 */

/* A row that may be meant by an opcode; the first that fits is. */
struct isa_candidate {
    u16 row;
    u8 states;      /* bit per STATE_* */
    u8 mods;        /* FORM_MEMORY, FORM_REGISTER */
    u8 mask, value; /* of ModRM */
    u8 vex;         /* bit 2W + L: allowed combinations of VEX.W and VEX.L; legacy maps: bit 0 */
    u8 rex_b;       /* bit REX.B: allowed values (NOP, whose opcode with REX.B is XCHG r8) */
};

struct isa_slot {
    u16 first;
    u8 count;
    u8 modrm; /* a ModRM byte follows the opcode */
};

#endif
