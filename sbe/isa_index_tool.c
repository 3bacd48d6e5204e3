/* Build-time program: reads isa.def through isa.c, checks that its rows make sense together, and prints the decoder's
 * index tables as C. A row that the decoder could not honour fails the build with its number and name. */
#include "sbe/isa.h"
#include "sbe/isa_form.h"

#include <stdio.h>
#include <stdlib.h>

enum { MODES = 3, SLOT_MAX = 255 };

static _Noreturn void row_error(unsigned number, const char *what)
{
    const struct isa_row *row = &isa_rows[number];
    fprintf(stderr, "isa.def: row %u (%s, map %u, opcode %02x): %s\n", number, row->mnemonic, row->map, row->opcode,
            what);
    exit(1);
}

static bool is_vex(const struct isa_row *row)
{
    return row->map >= MAP_VEX_0F;
}

static bool row_has_kind(const struct isa_row *row, enum isa_operand_kind kind)
{
    for (unsigned n = 0; n < ISA_OPERANDS; n++)
        if (isa_operands[row->operands[n]].kind == kind)
            return true;
    return false;
}

static bool row_has_size(const struct isa_row *row, enum isa_operand_size size)
{
    for (unsigned n = 0; n < ISA_OPERANDS; n++)
        if (isa_operands[row->operands[n]].size == size)
            return true;
    return false;
}

static bool kind_needs_modrm(enum isa_operand_kind kind)
{
    switch (kind) {
    case OPK_GREG: case OPK_GRM: case OPK_GREGONLY: case OPK_MEM: case OPK_SREG: case OPK_CREG: case OPK_DREG:
    case OPK_XREG: case OPK_XRM: case OPK_XRMREG: case OPK_MREG: case OPK_MRM: case OPK_MRMREG: case OPK_STI:
        return true;
    default:
        return false;
    }
}

/* Z operands other than immediates (INS, OUTS, IN, OUT) are never wider than 32 bits: neither is the operand size. */
static bool row_is_z(const struct isa_row *row)
{
    bool z = false;
    for (unsigned n = 0; n < ISA_OPERANDS; n++) {
        const struct isa_operand_info *operand = &isa_operands[row->operands[n]];
        bool place = operand->kind == OPK_SRC || operand->kind == OPK_DST || operand->kind == OPK_FIXED ||
                     operand->kind == OPK_GREG;
        if (operand->size == OPZ_V || operand->size == OPZ_Y)
            return false;
        z |= operand->size == OPZ_Z && place;
    }
    return z;
}

static enum form_opsize row_opsize(const struct isa_row *row)
{
    if (row->attributes & A_BYTE)
        return FORM_OPSIZE_BYTE;
    if (row->attributes & A_F64)
        return FORM_OPSIZE_F64;
    if (row->attributes & A_D64)
        return FORM_OPSIZE_D64;
    if (row->attributes & A_OS32)
        return FORM_OPSIZE_Y;
    if (row->attributes & A_IGN66)
        return FORM_OPSIZE_IGN66;
    if (row_has_size(row, OPZ_N))
        return FORM_OPSIZE_NATIVE;
    if (row_has_size(row, OPZ_Y) && !row_has_size(row, OPZ_V))
        return FORM_OPSIZE_Y;
    return row_is_z(row) ? FORM_OPSIZE_Z : FORM_OPSIZE_V;
}

static enum form_imm operand_imm(unsigned number, const struct isa_operand_info *operand)
{
    switch (operand->kind) {
    case OPK_FAR:
        return FORM_IMM_FAR;
    case OPK_MOFFS:
        return FORM_IMM_MOFFS;
    case OPK_IMM:
        switch (operand->size) {
        case OPZ_B: return FORM_IMM_U8;
        case OPZ_W: return FORM_IMM_U16;
        case OPZ_D: return FORM_IMM_U32;
        case OPZ_V: return FORM_IMM_V;
        default: row_error(number, "immediate of an unknown size");
        }
    case OPK_SIMM:
    case OPK_REL:
        return operand->size == OPZ_B ? FORM_IMM_S8 : FORM_IMM_SZ;
    default:
        return FORM_IMM_NONE;
    }
}

static u16 operand_flags(enum isa_operand name)
{
    const struct isa_operand_info *operand = &isa_operands[name];
    bool byte = operand->size == OPZ_B && name != OPD_Edb; /* whose register form has 32 bits */
    switch (operand->kind) {
    case OPK_GREG: return byte ? FORM_REG_BYTE : 0;
    case OPK_GRM: return byte ? FORM_RM_BYTE : 0;
    case OPK_OPREG: return FORM_OPREG | (byte ? FORM_RM_BYTE : 0);
    case OPK_SREG: case OPK_MREG: return FORM_REG_8;
    case OPK_MRM: case OPK_MRMREG: case OPK_STI: return FORM_RM_8;
    case OPK_CREG: case OPK_DREG: return FORM_MOD_IGNORED;
    case OPK_XVVVV: case OPK_GVVVV: return FORM_VVVV;
    default: return 0;
    }
}

/* Which values of ModRM.reg name something: SDM vol. 2, "MOV" for each kind of register. */
static u16 row_registers(const struct isa_row *row)
{
    if (row_has_kind(row, OPK_SREG)) /* CS cannot be loaded */
        return isa_operands[row->operands[0]].kind == OPK_SREG ? 0x3d : 0x3f;
    if (row_has_kind(row, OPK_CREG))
        return 1 << 0 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 8;
    return row_has_kind(row, OPK_DREG) ? 0xff : 0xffff;
}

static bool modrm_is_digit(u16 modrm)
{
    return modrm >= RM_DIGIT(0) && modrm <= RM_DIGIT_R(7);
}

static struct isa_form row_form(unsigned number)
{
    const struct isa_row *row = &isa_rows[number];
    struct isa_form form = {.opsize = (u8)row_opsize(row), .registers = row_registers(row)};
    for (unsigned n = 0; n < ISA_OPERANDS; n++) {
        const struct isa_operand_info *operand = &isa_operands[row->operands[n]];
        if (row->modrm == RM_NONE && kind_needs_modrm(operand->kind))
            row_error(number, "an operand needs a ModRM byte, the row has none");
        form.flags |= operand_flags((enum isa_operand)row->operands[n]);
        u8 imm = (u8)operand_imm(number, operand);
        if (imm && form.imm && imm != FORM_IMM_U8)
            row_error(number, "the second immediate must be a byte");
        if (imm && form.imm2)
            row_error(number, "three immediates");
        *(form.imm ? &form.imm2 : &form.imm) = imm ? imm : form.imm ? form.imm2 : 0;
    }
    if (modrm_is_digit(row->modrm) && !row_has_kind(row, OPK_CREG))
        form.flags |= FORM_REG_8; /* but REX.R and /0 make CR8 */
    if (row->prefix == PX_66)
        form.flags |= FORM_66_TAKEN;
    if (row->attributes & A_LOCK)
        form.flags |= FORM_LOCK;
    if (row_has_kind(row, OPK_DST) && !row_has_kind(row, OPK_SRC))
        form.flags |= FORM_STRING_ES;
    if (row->attributes & A_PLUSR && !row_has_kind(row, OPK_OPREG))
        row_error(number, "A_PLUSR without an operand in the opcode");
    return form;
}

static u8 prefix_states(unsigned number, bool vex)
{
    switch (isa_rows[number].prefix) {
    case PX_ANY: return vex ? 1 << STATE_NP : 0xf;
    case PX_NP: return 1 << STATE_NP;
    case PX_66: return 1 << STATE_66;
    case PX_F3: return 1 << STATE_F3;
    case PX_F2: return 1 << STATE_F2;
    case PX_NF: return 1 << STATE_NP | 1 << STATE_66;
    default: row_error(number, "unknown prefix rule");
    }
}

/* The ModRM column, narrowed by operands that exist only in memory or only in registers. */
static void candidate_modrm(unsigned number, struct isa_candidate *c)
{
    const struct isa_row *row = &isa_rows[number];
    c->mods = FORM_MEMORY | FORM_REGISTER;
    if (row->modrm & 0x200) {
        c->mask = 0xff;
        c->value = (u8)row->modrm;
    } else if (modrm_is_digit(row->modrm)) {
        c->mask = 0x38;
        c->value = (u8)((row->modrm & 7) << 3);
    }
    if (row->modrm == RM_M || (row->modrm & 0x3f0) == RM_DIGIT_M(0) || row_has_kind(row, OPK_MEM))
        c->mods &= FORM_MEMORY;
    bool mod_ignored = row_has_kind(row, OPK_CREG) || row_has_kind(row, OPK_DREG);
    bool register_only = row_has_kind(row, OPK_GREGONLY) || row_has_kind(row, OPK_XRMREG) ||
                         row_has_kind(row, OPK_MRMREG) || row->modrm == RM_R ||
                         (row->modrm & 0x3f0) == RM_DIGIT_R(0);
    if (register_only && !mod_ignored)
        c->mods &= FORM_REGISTER;
    if (!c->mods)
        row_error(number, "neither a memory nor a register form fits");
}

static u8 candidate_vex(const struct isa_row *row)
{
    if (!is_vex(row))
        return 1;
    u8 l = row->attributes & A_VEX_L0 ? 0x5 : row->attributes & A_VEX_L1 ? 0xa : 0xf;
    u8 w = row->attributes & A_VEX_W0 ? 0x3 : row->attributes & A_VEX_W1 ? 0xc : 0xf;
    return l & w;
}

static bool row_covers(const struct isa_row *row, unsigned mode, unsigned map, unsigned opcode)
{
    unsigned low = row->attributes & A_PLUSR ? 7 : row->attributes & A_PLUSCC ? 15 : 0;
    return row->modes >> mode & 1 && row->map == map && row->opcode == (opcode & ~low);
}

/* Decoding takes the most specific row: by ModRM, then by prefix, then by opcode. */
static unsigned row_rank(const struct isa_row *row)
{
    unsigned modrm = row->modrm & 0x200 ? 4 : row->modrm >= RM_DIGIT_M(0) ? 3 : modrm_is_digit(row->modrm) ? 2 :
                     row->modrm == RM_M || row->modrm == RM_R ? 1 : 0;
    unsigned prefix = row->prefix == PX_ANY ? 0 : row->prefix == PX_NF ? 1 : 2;
    bool family = row->attributes & (A_PLUSR | A_PLUSCC);
    return modrm * 8 + prefix * 2 + !family;
}

static unsigned slot_rows(unsigned mode, unsigned map, unsigned opcode, u16 *rows)
{
    unsigned count = 0;
    for (unsigned number = 0; number < isa_row_count; number++) {
        if (!row_covers(&isa_rows[number], mode, map, opcode))
            continue;
        if (count == SLOT_MAX)
            row_error(number, "too many rows for one opcode");
        if (count && (isa_rows[rows[0]].modrm == RM_NONE) != (isa_rows[number].modrm == RM_NONE))
            row_error(number, "rows of this opcode disagree whether a ModRM byte follows");
        unsigned at = count++;
        for (; at && row_rank(&isa_rows[rows[at - 1]]) < row_rank(&isa_rows[number]); at--)
            rows[at] = rows[at - 1];
        rows[at] = (u16)number;
    }
    return count;
}

static bool any_plusr(const u16 *rows, unsigned count)
{
    for (unsigned n = 0; n < count; n++)
        if (isa_rows[rows[n]].attributes & A_PLUSR)
            return true;
    return false;
}

static void print_candidate(unsigned number, bool register_family)
{
    const struct isa_row *row = &isa_rows[number];
    struct isa_candidate c = {.row = (u16)number, .rex_b = 3, .vex = candidate_vex(row)};
    c.states = prefix_states(number, is_vex(row));
    candidate_modrm(number, &c);
    if (register_family && !(row->attributes & A_PLUSR))
        c.rex_b = 1;
    printf("    {%u, %u, %u, %u, %u, %u, %u},\n", c.row, c.states, c.mods, c.mask, c.value, c.vex, c.rex_b);
}

static struct isa_slot slots[MODES][MAP_COUNT][256];

static void print_candidates(void)
{
    u16 rows[SLOT_MAX];
    unsigned next = 0;
    printf("static const struct isa_candidate isa_candidates[] = {\n");
    for (unsigned at = 0; at < MODES * MAP_COUNT * 256; at++) {
        unsigned mode = at / (MAP_COUNT * 256), map = at / 256 % MAP_COUNT, opcode = at % 256;
        unsigned count = slot_rows(mode, map, opcode, rows);
        slots[mode][map][opcode] =
            (struct isa_slot){(u16)next, (u8)count, count && isa_rows[rows[0]].modrm != RM_NONE};
        for (unsigned n = 0; n < count; n++)
            print_candidate(rows[n], any_plusr(rows, count));
        next += count;
    }
    /* Any slot's `first` plus less than any slot's `count` stays inside: the decoder is proved without relating the two. */
    printf("    [%u] = {0, 0, 0, 0, 0, 0, 0},\n};\n\n", next + SLOT_MAX);
    if (next > UINT16_MAX) {
        fprintf(stderr, "isa.def: more candidates than isa_slot.first can number\n");
        exit(1);
    }
}

static void print_slots(void)
{
    printf("static const struct isa_slot isa_slots[%d][%d][256] = {\n", MODES, MAP_COUNT);
    for (unsigned at = 0; at < MODES * MAP_COUNT; at++) {
        unsigned mode = at / MAP_COUNT, map = at % MAP_COUNT;
        for (unsigned opcode = 0; opcode < 256; opcode++) {
            const struct isa_slot *slot = &slots[mode][map][opcode];
            if (slot->count)
                printf("    [%u][%u][0x%02x] = {%u, %u, %u},\n", mode, map, opcode, slot->first, slot->count,
                       slot->modrm);
        }
    }
    printf("};\n\n");
}

int main(void)
{
    printf("/* Generated from isa.def by isa_index_tool. */\n");
    print_candidates();
    print_slots();
    printf("static const struct isa_form isa_forms[] = {\n");
    for (unsigned number = 0; number < isa_row_count; number++) {
        struct isa_form form = row_form(number);
        printf("    {%u, %u, %u, 0x%x, 0x%x}, /* %s */\n", form.opsize, form.imm, form.imm2, form.flags, form.registers,
               isa_rows[number].mnemonic);
    }
    printf("};\n");
    return 0;
}
