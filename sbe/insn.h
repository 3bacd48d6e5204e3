/* A decoded instruction. */
#ifndef REPRISE_SBE_INSN_H
#define REPRISE_SBE_INSN_H

#include "core/vcpu.h"
#include "sbe/isa.h"

struct insn;
typedef enum exec (*insn_handler)(struct vcpu *v, const struct insn *i);

#define INSN_LOCK 0x01u
#define INSN_REP 0x02u   /* F3 is the last of F2/F3 */
#define INSN_REPNE 0x04u /* F2 is the last of F2/F3 */
#define INSN_66 0x08u
#define INSN_67 0x10u
#define INSN_REX 0x20u   /* a REX prefix in effect */
#define INSN_MEM 0x40u   /* the ModRM r/m operand (or moffs) is memory */
#define INSN_SEG 0x80u   /* an explicit segment override in effect */

#define REG_NONE 0xffu
#define REG_RIP 0xfeu /* as `base`: RIP-relative; disp then is relative to the end of the instruction */

enum { INSN_MAX = 15 };

struct insn {
    insn_handler handler; /* set by the interpreter, not by the decoder */
    s64 disp;     /* sign-extended displacement, or the moffs address (base and index REG_NONE) */
    u64 imm;      /* immediate, sign-extended where the row says so; branch displacement, sign-extended */
    u16 imm2;     /* ENTER's second immediate; the selector of a direct far pointer (imm holds the offset) */
    u16 row;      /* index into isa_rows */
    u32 thunk;    /* set by the interpreter for rows that run natively: thunk_key(), or 0 */
    u8 length;    /* 1..15 */
    u8 opsize;    /* operand size in bytes: 1, 2, 4, 8 */
    u8 addrsize;  /* address size in bytes: 2, 4, 8 */
    u8 prefixes;  /* INSN_* */
    u8 rex;       /* REX byte in effect, or 0; for VEX: an equivalent REX */
    u8 opcode;    /* last opcode byte: condition codes, +r */
    u8 modrm;     /* raw byte, 0 if none */
    u8 reg;       /* ModRM.reg with REX.R: 0..15 */
    u8 rm;        /* ModRM.rm with REX.B, or the +r register: 0..15 */
    u8 reg_at;    /* byte offset of `reg` in cpu.gpr[] for its row's operand width: AH..BH without REX are odd */
    u8 rm_at;     /* the same for `rm` */
    u8 seg;       /* enum seg of the memory operand, defaults and overrides resolved; of a string instruction's
                   * source (ES if it has none); of the implicit operand of XLAT, MASKMOV, MONITOR */
    u8 base, index, scale; /* memory: register numbers or REG_NONE / REG_RIP; scale is a shift count 0..3 */
    u8 vvvv, vex_l;        /* VEX only */
};

_Static_assert(sizeof(struct insn) <= 56, "decoded instructions are cached by the ten thousand");

#endif
