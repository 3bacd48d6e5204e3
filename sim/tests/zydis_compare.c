#include "sim/tests/zydis_compare.h"

#include <string.h>

void zydis_decoder(ZydisDecoder *decoder, enum code_mode mode)
{
    static const ZydisMachineMode machine[] = {
        ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_MACHINE_MODE_LONG_64};
    static const ZydisStackWidth stack[] = {ZYDIS_STACK_WIDTH_16, ZYDIS_STACK_WIDTH_32, ZYDIS_STACK_WIDTH_64};
    static const ZydisDecoderMode off[] = {
        ZYDIS_DECODER_MODE_AMD_BRANCHES, ZYDIS_DECODER_MODE_KNC, ZYDIS_DECODER_MODE_MPX, ZYDIS_DECODER_MODE_CET,
        ZYDIS_DECODER_MODE_LZCNT, ZYDIS_DECODER_MODE_TZCNT, ZYDIS_DECODER_MODE_WBNOINVD, ZYDIS_DECODER_MODE_CLDEMOTE};
    ZydisDecoderInit(decoder, machine[mode], stack[mode]);
    for (unsigned n = 0; n < ARRAY_LEN(off); n++)
        ZydisDecoderEnableMode(decoder, off[n], ZYAN_FALSE);
}

/* Bytes of an operand, 0 where Zydis has no opinion that could be compared. */
static unsigned operand_bytes(const struct insn *i, enum code_mode mode, enum isa_operand_size size)
{
    switch (size) {
    case OPZ_B: return 1;
    case OPZ_W: return 2;
    case OPZ_D: return 4;
    case OPZ_Q: return 8;
    case OPZ_T: return 10;
    case OPZ_DQ: return 16;
    case OPZ_V: return i->opsize;
    case OPZ_Z: return i->opsize == 8 ? 4 : i->opsize;
    case OPZ_Y: return i->rex & 8 ? 8 : 4;
    case OPZ_N: return mode == CODE_64 ? 8 : 4;
    case OPZ_P: return i->opsize + 2u;
    case OPZ_S: return mode == CODE_64 ? 10 : 6;
    case OPZ_A: return 2u * i->opsize;
    case OPZ_ENV: return i->opsize == 2 ? 14 : 28;
    case OPZ_SAVE: return i->opsize == 2 ? 94 : 108;
    case OPZ_FX: return 512;
    default: return 0;
    }
}

static ZydisRegister register_of(unsigned at, unsigned bytes)
{
    unsigned number = at / 8;
    if (bytes == 1 && at % 8 == 1)
        return (ZydisRegister)(ZYDIS_REGISTER_AH + number);
    if (bytes == 1)
        return (ZydisRegister)(number < 4 ? ZYDIS_REGISTER_AL + number : number < 8 ? ZYDIS_REGISTER_SPL + number - 4 :
                               ZYDIS_REGISTER_R8B + number - 8);
    ZydisRegister first = bytes == 2 ? ZYDIS_REGISTER_AX : bytes == 4 ? ZYDIS_REGISTER_EAX : ZYDIS_REGISTER_RAX;
    return (ZydisRegister)(first + number);
}

static ZydisRegister segment_of(unsigned segment)
{
    return (ZydisRegister)(ZYDIS_REGISTER_ES + segment);
}

static ZydisRegister address_register(const struct insn *i, u8 number)
{
    if (number == REG_NONE)
        return ZYDIS_REGISTER_NONE;
    if (number == REG_RIP)
        return i->addrsize == 8 ? ZYDIS_REGISTER_RIP : ZYDIS_REGISTER_EIP;
    return register_of(8u * number, i->addrsize);
}

static bool same_register(const ZydisDecodedOperand *z, ZydisRegister expected)
{
    return z->type == ZYDIS_OPERAND_TYPE_REGISTER && z->reg.value == expected;
}

static bool same_memory(const struct insn *i, const ZydisDecodedOperand *z)
{
    if (z->type != ZYDIS_OPERAND_TYPE_MEMORY || !(i->prefixes & INSN_MEM))
        return false;
    u64 mask = i->addrsize == 8 ? ~0ull : (1ull << 8 * i->addrsize) - 1;
    unsigned scale = i->index == REG_NONE ? 0 : 1u << i->scale;
    if (z->mem.type == ZYDIS_MEMOP_TYPE_MEM && z->mem.segment != segment_of(i->seg))
        return false;
    return z->mem.base == address_register(i, i->base) && z->mem.index == address_register(i, i->index) &&
           z->mem.scale == scale && (((u64)z->mem.disp.value ^ (u64)i->disp) & mask) == 0;
}

static bool same_string(const struct insn *i, const ZydisDecodedOperand *z, enum gpr base, unsigned segment)
{
    return z->type == ZYDIS_OPERAND_TYPE_MEMORY && z->mem.segment == segment_of(segment) &&
           z->mem.base == address_register(i, (u8)base) && z->mem.index == ZYDIS_REGISTER_NONE &&
           z->mem.disp.value == 0;
}

static bool same_fixed(enum isa_operand operand, unsigned bytes, const ZydisDecodedOperand *z)
{
    switch (operand) {
    case OPD_CL: return same_register(z, ZYDIS_REGISTER_CL);
    case OPD_DX: return same_register(z, ZYDIS_REGISTER_DX);
    case OPD_XMM0: return same_register(z, ZYDIS_REGISTER_XMM0);
    case OPD_ES: return same_register(z, ZYDIS_REGISTER_ES);
    case OPD_CS: return same_register(z, ZYDIS_REGISTER_CS);
    case OPD_SS: return same_register(z, ZYDIS_REGISTER_SS);
    case OPD_DS: return same_register(z, ZYDIS_REGISTER_DS);
    case OPD_FS: return same_register(z, ZYDIS_REGISTER_FS);
    case OPD_GS: return same_register(z, ZYDIS_REGISTER_GS);
    default: return same_register(z, register_of(0, bytes));
    }
}

static bool same_immediate(u64 ours, unsigned bytes, bool exact, const ZydisDecodedOperand *z)
{
    u64 mask = exact || bytes >= 8 ? ~0ull : (1ull << 8 * bytes) - 1;
    return z->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && ((ours ^ z->imm.value.u) & mask) == 0;
}

static bool same_far(const struct insn *i, const ZydisDecodedOperand *z)
{
    return z->type == ZYDIS_OPERAND_TYPE_POINTER && z->ptr.segment == i->imm2 && z->ptr.offset == (u32)i->imm;
}

/* `second`: an immediate has been met before this one. */
static bool same_place(const struct insn *i, enum code_mode mode, enum isa_operand operand, bool second,
                       const ZydisDecodedOperand *z)
{
    const struct isa_operand_info *info = &isa_operands[operand];
    unsigned bytes = operand_bytes(i, mode, (enum isa_operand_size)info->size);
    bool memory = i->prefixes & INSN_MEM;
    switch ((enum isa_operand_kind)info->kind) {
    case OPK_GREG: return same_register(z, register_of(i->reg_at, bytes));
    case OPK_GRM: {
        bool wide = operand == OPD_EvW || operand == OPD_Edb || operand == OPD_Edw;
        if (memory)
            return same_memory(i, z);
        if (operand == OPD_Edb || operand == OPD_Edw) /* Zydis: r64 with REX.W; the same register either way */
            return same_register(z, register_of(i->rm_at, 4)) || same_register(z, register_of(i->rm_at, 8));
        return same_register(z, register_of(i->rm_at, wide ? i->opsize : bytes));
    }
    case OPK_GREGONLY: return same_register(z, register_of(i->rm_at, bytes));
    case OPK_MEM: case OPK_MOFFS: return same_memory(i, z);
    case OPK_OPREG: return same_register(z, register_of(i->rm_at, bytes));
    case OPK_FIXED: return same_fixed(operand, bytes, z);
    case OPK_IMM: return same_immediate(second ? i->imm2 : i->imm, bytes, false, z);
    case OPK_SIMM: case OPK_REL: return same_immediate(i->imm, bytes, true, z);
    case OPK_FAR: return same_far(i, z);
    case OPK_SREG: return same_register(z, segment_of(i->reg));
    case OPK_CREG: return same_register(z, (ZydisRegister)(ZYDIS_REGISTER_CR0 + i->reg));
    case OPK_DREG: return same_register(z, (ZydisRegister)(ZYDIS_REGISTER_DR0 + i->reg));
    case OPK_SRC: return same_string(i, z, RSI, i->seg);
    case OPK_DST: return same_string(i, z, RDI, SEG_ES);
    case OPK_XREG: return same_register(z, (ZydisRegister)(ZYDIS_REGISTER_XMM0 + i->reg));
    case OPK_XRM: if (memory) return same_memory(i, z); /* fall through */
    case OPK_XRMREG: return same_register(z, (ZydisRegister)(ZYDIS_REGISTER_XMM0 + i->rm));
    case OPK_MREG: return same_register(z, (ZydisRegister)(ZYDIS_REGISTER_MM0 + i->reg));
    case OPK_MRM: if (memory) return same_memory(i, z); /* fall through */
    case OPK_MRMREG: return same_register(z, (ZydisRegister)(ZYDIS_REGISTER_MM0 + i->rm));
    case OPK_XVVVV: return same_register(z, (ZydisRegister)(ZYDIS_REGISTER_XMM0 + i->vvvv));
    case OPK_GVVVV: return same_register(z, register_of(8u * i->vvvv, bytes));
    case OPK_ST0: return same_register(z, ZYDIS_REGISTER_ST0);
    case OPK_STI: return same_register(z, (ZydisRegister)(ZYDIS_REGISTER_ST0 + i->rm));
    case OPK_ONE: return z->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && z->imm.value.u == 1;
    case OPK_NONE: return false;
    }
    return false;
}

/* Sizes matter where an operand is read or written in memory; registers carry theirs in their name. */
static bool same_size(const struct insn *i, enum code_mode mode, enum isa_operand operand, const ZydisDecodedOperand *z)
{
    unsigned bytes = operand_bytes(i, mode, (enum isa_operand_size)isa_operands[operand].size);
    bool memory = z->type == ZYDIS_OPERAND_TYPE_MEMORY && z->mem.type == ZYDIS_MEMOP_TYPE_MEM;
    if (operand == OPD_EvW || operand == OPD_Edw)
        bytes = 2;
    if (operand == OPD_Edb)
        bytes = 1;
    return !memory || bytes == 0 || z->size == 8 * bytes;
}

static const char *compare_operands(const struct comparison *c, enum code_mode mode)
{
    const struct isa_row *row = &isa_rows[c->ours.row];
    unsigned visible = 0;
    bool immediate = false;
    for (unsigned n = 0; n < ISA_OPERANDS && row->operands[n] != OPD___; n++) {
        enum isa_operand operand = (enum isa_operand)row->operands[n];
        const ZydisDecodedOperand *z = &c->operands[visible];
        if (visible < c->zydis.operand_count_visible && same_place(&c->ours, mode, operand, immediate, z)) {
            visible++;
        } else { /* what we name may be hidden in Zydis' opinion: string operands, XMM0 */
            unsigned hidden = c->zydis.operand_count_visible;
            while (hidden < c->zydis.operand_count &&
                   !same_place(&c->ours, mode, operand, immediate, &c->operands[hidden]))
                hidden++;
            if (hidden == c->zydis.operand_count)
                return "operand";
            z = &c->operands[hidden];
        }
        if (!same_size(&c->ours, mode, operand, z))
            return "memory operand size";
        u8 kind = isa_operands[operand].kind;
        immediate |= kind == OPK_IMM || kind == OPK_SIMM;
    }
    return visible == c->zydis.operand_count_visible ? NULL : "an operand that the row lacks";
}

static const char *const conditions[16] = {
    "o", "no", "b", "nb", "z", "nz", "be", "nbe", "s", "ns", "p", "np", "l", "nl", "le", "nle"};

/* Names that differ although the instruction is the same: most of Zydis' tell the operand size. */
static const struct { const char *ours, *zydis; } aliases[] = {
    {"cbw", "cwde"}, {"cbw", "cdqe"}, {"cwd", "cdq"}, {"cwd", "cqo"},
    {"jcxz", "jecxz"}, {"jcxz", "jrcxz"},
    {"pusha", "pushad"}, {"popa", "popad"},
    {"pushf", "pushfd"}, {"pushf", "pushfq"}, {"popf", "popfd"}, {"popf", "popfq"},
    {"iret", "iretd"}, {"iret", "iretq"},
    {"movd", "movq"}, {"pinsrd", "pinsrq"}, {"pextrd", "pextrq"}, {"cmpxchg8b", "cmpxchg16b"},
    {"fxsave", "fxsave64"}, {"fxrstor", "fxrstor64"},
    {"xsave", "xsave64"}, {"xrstor", "xrstor64"}, {"xsaveopt", "xsaveopt64"},
    {"feni", "feni8087_nop"}, {"fdisi", "fdisi8087_nop"}, {"fsetpm", "fsetpm287_nop"},
    {"xchg", "nop"}, /* 90 */
    {"prefetch", "prefetchnta"}, {"prefetch", "prefetcht0"}, {"prefetch", "prefetcht1"}, {"prefetch", "prefetcht2"},
    {"prefetch", "nop"}, {"prefetchw", "prefetch"}, {"prefetchw", "prefetchwt1"}, {"prefetchw", "nop"},
};

static bool same_name(const struct comparison *c)
{
    const struct isa_row *row = &isa_rows[c->ours.row];
    const char *zydis = ZydisMnemonicGetString(c->zydis.mnemonic);
    size_t stem = strlen(row->mnemonic);
    if (row->attributes & A_PLUSCC)
        return !strncmp(zydis, row->mnemonic, stem) && !strcmp(zydis + stem, conditions[c->ours.opcode & 15]);
    if (!strcmp(zydis, row->mnemonic))
        return true;
    if (row->attributes & (A_REP | A_REPCC))
        return !strncmp(zydis, row->mnemonic, stem);
    for (unsigned n = 0; n < ARRAY_LEN(aliases); n++)
        if (!strcmp(aliases[n].ours, row->mnemonic) && !strcmp(aliases[n].zydis, zydis))
            return true;
    return false;
}

static bool same_repeat(const struct comparison *c)
{
    u32 attributes = isa_rows[c->ours.row].attributes;
    if (!(attributes & (A_REP | A_REPCC)))
        return true;
    bool zydis = c->zydis.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE);
    return zydis == !!(c->ours.prefixes & INSN_REP);
}

/* Zydis states an operand size for every instruction; it means something where an operand or a stack access has it, not
 * where it is a byte, where REX.W alone decides, or where there is none. */
static bool operand_size_matters(const struct isa_row *row)
{
    bool sized = row->attributes & (A_D64 | A_F64 | A_REP | A_REPCC);
    for (unsigned n = 0; n < ISA_OPERANDS; n++) {
        u8 size = isa_operands[row->operands[n]].size;
        sized |= size == OPZ_V || size == OPZ_Z || size == OPZ_P || size == OPZ_A;
    }
    return sized && !(row->attributes & (A_BYTE | A_OS32)) && row->cls != CLS_FPU;
}

static const char *compare_decoded(const struct comparison *c, enum code_mode mode)
{
    if (c->ours.length != c->zydis.length)
        return "length";
    if (!same_name(c))
        return "name";
    const char *operands = compare_operands(c, mode);
    if (operands)
        return operands;
    if (c->zydis.address_width != 8 * c->ours.addrsize)
        return "address size";
    if (operand_size_matters(&isa_rows[c->ours.row]) && c->zydis.operand_width != 8 * c->ours.opsize)
        return "operand size";
    if (!(c->ours.prefixes & INSN_LOCK) != !(c->zydis.attributes & ZYDIS_ATTRIB_HAS_LOCK))
        return "LOCK";
    return same_repeat(c) ? NULL : "repeat prefix";
}

void compare(const ZydisDecoder *decoder, enum code_mode mode, const u8 bytes[CASE_BYTES], struct comparison *result)
{
    result->what = NULL;
    result->zydis_status = ZydisDecoderDecodeFull(decoder, bytes, CASE_BYTES, &result->zydis, result->operands);
    result->ours_status = decode(bytes, INSN_MAX, mode, &result->ours);
    bool ours = result->ours_status == DECODE_OK, zydis = ZYAN_SUCCESS(result->zydis_status);
    if (ours && zydis) {
        result->what = compare_decoded(result, mode);
        result->verdict = result->what ? VERDICT_DIFFERENT : VERDICT_SAME;
    } else {
        result->verdict = ours ? VERDICT_ONLY_OURS : zydis ? VERDICT_ONLY_ZYDIS : VERDICT_BOTH_REFUSE;
        bool too_long = result->zydis_status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG;
        if (!ours && !zydis && (result->ours_status == DECODE_TOO_LONG) != too_long)
            result->what = "refusal";
    }
}
