/* The decoder. Five steps, each a function below: prefixes; opcode and its map; the row, chosen by mode, mandatory
 * prefix and ModRM; the memory operand; immediates. Everything it knows of single instructions comes from the tables
 * that isa_index_tool.c derives from isa.def. Section numbers are those of SDM vol. 2. */
#include "sbe/decode.h"
#include "sbe/isa_form.h"

#include "sbe/isa_index.inc"

#define REX_B 1u
#define REX_X 2u
#define REX_R 4u
#define REX_W 8u
#define NO_SEGMENT 0xffu

/* Work in progress. `at` may run beyond `available`: bytes there read as zero, and finished() notices. */
struct parse {
    const u8 *bytes;
    unsigned at, available;
    enum code_mode mode;
    u8 map, opcode, state; /* enum isa_map, byte, STATE_* */
    u8 vex_wl;             /* bit number for isa_candidate.vex */
    u8 segment;            /* override, or NO_SEGMENT */
    const struct isa_slot *slot;
    const struct isa_form *form;
};

/* The first byte that is missing is the `at`-th. Fifteen bytes that are not enough are too many (2.3.11). */
static enum decode short_of_bytes(const struct parse *p)
{
    return p->available < INSN_MAX ? DECODE_TRUNCATED : DECODE_TOO_LONG;
}

/* 1, 2, 4 or 8 bytes, zero-extended; 0 if not all there. Both sides are little-endian. */
static u64 take(struct parse *p, unsigned bytes)
{
    //@ split bytes;
    u64 value = 0;
    unsigned at = p->at;
    p->at += bytes;
    if (at + bytes > p->available)
        return 0;
    const u8 *from = p->bytes + at;
    switch (bytes) {
    case 1: value = *from; break;
    case 2: __builtin_memcpy(&value, from, 2); break;
    case 4: __builtin_memcpy(&value, from, 4); break;
    default: __builtin_memcpy(&value, from, 8); break;
    }
    return value;
}

static s64 sign_extend(u64 value, unsigned bytes)
{
    unsigned unused = 64 - 8 * bytes;
    return (s64)(value << unused) >> unused;
}

static void override_segment(struct parse *p, struct insn *i, enum seg segment)
{
    /* 64-bit mode ignores all but FS and GS, as if they were not there (2.2.1, vol. 1, 3.3.7.1). */
    if (p->mode == CODE_64 && segment < SEG_FS)
        return;
    p->segment = (u8)segment;
    i->prefixes |= INSN_SEG;
}

/* False if `byte` is no legacy prefix (2.1.1). Of each group the last one counts. */
static bool take_legacy_prefix(struct parse *p, struct insn *i, u8 byte)
{
    switch (byte) {
    case 0x26: override_segment(p, i, SEG_ES); return true;
    case 0x2e: override_segment(p, i, SEG_CS); return true;
    case 0x36: override_segment(p, i, SEG_SS); return true;
    case 0x3e: override_segment(p, i, SEG_DS); return true;
    case 0x64: override_segment(p, i, SEG_FS); return true;
    case 0x65: override_segment(p, i, SEG_GS); return true;
    case 0x66: i->prefixes |= INSN_66; return true;
    case 0x67: i->prefixes |= INSN_67; return true;
    case 0xf0: i->prefixes |= INSN_LOCK; return true;
    case 0xf2: i->prefixes = (u8)((i->prefixes & ~INSN_REP) | INSN_REPNE); return true;
    case 0xf3: i->prefixes = (u8)((i->prefixes & ~INSN_REPNE) | INSN_REP); return true;
    default: return false;
    }
}

/* All prefixes and the first opcode byte. A REX prefix counts only right before the opcode (2.2.1). */
static enum decode take_prefixes(struct parse *p, struct insn *i)
{
    for (;;) {
        if (p->at >= p->available)
            return short_of_bytes(p);
        u8 byte = p->bytes[p->at++];
        if (p->mode == CODE_64 && (byte & 0xf0) == 0x40) {
            i->rex = byte;
            continue;
        }
        if (!take_legacy_prefix(p, i, byte)) {
            p->opcode = byte;
            break;
        }
        i->rex = 0;
    }
    if (i->rex)
        i->prefixes |= INSN_REX;
    p->state = i->prefixes & INSN_REP ? STATE_F3 : i->prefixes & INSN_REPNE ? STATE_F2 :
               i->prefixes & INSN_66 ? STATE_66 : STATE_NP;
    return DECODE_OK;
}

/* C4 or C5 in p->opcode, which is a VEX prefix: its payload, then the opcode (2.3.5). */
static enum decode take_vex(struct parse *p, struct insn *i)
{
    /* 2.3.2 to 2.3.4: LOCK, 66, F2, F3 or REX before VEX is #UD. */
    if (i->prefixes & (INSN_LOCK | INSN_66 | INSN_REP | INSN_REPNE | INSN_REX))
        return DECODE_INVALID;
    bool three = p->opcode == 0xc4;
    //@ split three;
    if (p->at + three >= p->available)
        return short_of_bytes(p);
    u8 first = three ? p->bytes[p->at++] : (u8)((p->bytes[p->at] & 0x80) | 0x61); /* R; X and B clear; map 0F */
    u8 last = p->bytes[p->at++];
    unsigned map = first & 0x1f;
    if (map < 1 || map > 3)
        return DECODE_INVALID;
    bool w = three && (last & 0x80);
    p->map = (u8)(MAP_VEX_0F + map - 1);
    p->state = (u8[]){STATE_NP, STATE_66, STATE_F3, STATE_F2}[last & 3];
    i->vex_l = last >> 2 & 1;
    i->vvvv = ~(last >> 3) & 0xf;
    p->vex_wl = (u8)(2 * w + i->vex_l);
    /* The bits are stored inverted. Outside 64-bit mode they name no register beyond 7, and W has no effect on sizes.
     * */
    if (p->mode == CODE_64)
        i->rex = (u8)(0x40 | (w ? REX_W : 0) | (first & 0x80 ? 0 : REX_R) | (first & 0x40 ? 0 : REX_X) |
                      (first & 0x20 ? 0 : REX_B));
    if (p->at >= p->available)
        return short_of_bytes(p);
    p->opcode = p->bytes[p->at++];
    return DECODE_OK;
}

/* Escapes to the other opcode maps, with the first byte in p->opcode. */
static enum decode take_opcode(struct parse *p, struct insn *i)
{
    p->map = MAP_1B;
    if (p->opcode == 0xc4 || p->opcode == 0xc5) {
        /* Outside 64-bit mode these are LES and LDS, which have no register form. */
        if (p->at >= p->available && p->mode != CODE_64)
            return short_of_bytes(p);
        if (p->mode == CODE_64 || p->bytes[p->at] >= 0xc0)
            return take_vex(p, i);
    }
    if (p->opcode != 0x0f)
        return DECODE_OK;
    if (p->at >= p->available)
        return short_of_bytes(p);
    p->map = MAP_0F;
    p->opcode = p->bytes[p->at++];
    if (p->opcode != 0x38 && p->opcode != 0x3a)
        return DECODE_OK;
    if (p->at >= p->available)
        return short_of_bytes(p);
    p->map = p->opcode == 0x38 ? MAP_0F38 : MAP_0F3A;
    p->opcode = p->bytes[p->at++];
    return DECODE_OK;
}

/* Chooses i->row among the rows that share the opcode. */
static enum decode choose_row(struct parse *p, struct insn *i)
{
    p->slot = &isa_slots[p->mode][p->map][p->opcode];
    if (!p->slot->count)
        return DECODE_INVALID;
    if (p->slot->modrm) {
        if (p->at >= p->available)
            return short_of_bytes(p);
        i->modrm = p->bytes[p->at++];
    }
    u8 mod = i->modrm >= 0xc0 ? FORM_REGISTER : FORM_MEMORY;
    for (unsigned n = 0; n < p->slot->count; n++) {
        const struct isa_candidate *c = &isa_candidates[p->slot->first + n];
        bool fits = (c->states >> p->state & 1) && (c->mods & mod) && (i->modrm & c->mask) == c->value &&
                    (c->vex >> p->vex_wl & 1) && (c->rex_b >> (i->rex & REX_B) & 1);
        if (!fits)
            continue;
        i->row = c->row;
        p->form = &isa_forms[c->row];
        return DECODE_OK;
    }
    return DECODE_INVALID;
}

/* Operand size by rule, mode and 2 * REX.W + (66 present); REX.W wins (2.2.1.2). */
static const u8 operand_sizes[FORM_OPSIZES][3][4] = {
    [FORM_OPSIZE_BYTE] = {{1, 1, 1, 1}, {1, 1, 1, 1}, {1, 1, 1, 1}},
    [FORM_OPSIZE_V] = {{2, 4}, {4, 2}, {4, 2, 8, 8}},
    [FORM_OPSIZE_Z] = {{2, 4}, {4, 2}, {4, 2, 4, 4}},
    [FORM_OPSIZE_D64] = {{2, 4}, {4, 2}, {8, 2, 8, 8}},
    [FORM_OPSIZE_F64] = {{2, 4}, {4, 2}, {8, 8, 8, 8}},
    [FORM_OPSIZE_Y] = {{4, 4}, {4, 4}, {4, 4, 8, 8}},
    [FORM_OPSIZE_IGN66] = {{2, 2}, {4, 4}, {4, 4, 8, 8}},
    [FORM_OPSIZE_NATIVE] = {{4, 4}, {4, 4}, {8, 8, 8, 8}},
};

static void set_sizes(const struct parse *p, struct insn *i)
{
    unsigned w = i->rex & REX_W ? 2 : 0;
    unsigned o = (i->prefixes & INSN_66) && !(p->form->flags & FORM_66_TAKEN);
    i->opsize = operand_sizes[p->form->opsize][p->mode][w + o];
    i->addrsize = (u8[3][2]){{2, 4}, {4, 2}, {8, 4}}[p->mode][(i->prefixes & INSN_67) != 0];
}

/* Where register `number` begins in cpu.gpr: without REX, byte registers 4..7 are AH, CH, DH, BH (2.2.1.2). */
static u8 register_at(const struct insn *i, unsigned number, bool byte)
{
    return (u8)(byte && !i->rex && number >= 4 ? 8 * (number - 4) + 1 : 8 * number);
}

static void set_registers(const struct parse *p, struct insn *i)
{
    unsigned flags = p->form->flags;
    i->reg = (u8)((i->modrm >> 3 & 7) | (i->rex & REX_R && !(flags & FORM_REG_8) ? 8 : 0));
    unsigned rm = flags & FORM_OPREG ? i->opcode : i->modrm;
    i->rm = (u8)((rm & 7) | (i->rex & REX_B && !(flags & FORM_RM_8) ? 8 : 0));
    i->reg_at = register_at(i, i->reg, flags & FORM_REG_BYTE);
    i->rm_at = register_at(i, i->rm, flags & FORM_RM_BYTE);
}

/* 16-bit addressing (table 2-1). */
static void take_memory_16(struct parse *p, struct insn *i)
{
    static const u8 bases[8] = {RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX};
    static const u8 indexes[4] = {RSI, RDI, RSI, RDI};
    unsigned mod = i->modrm >> 6, rm = i->modrm & 7;
    if (mod == 0 && rm == 6) {
        i->disp = sign_extend(take(p, 2), 2);
        return;
    }
    i->base = bases[rm];
    if (rm < 4)
        i->index = indexes[rm];
    if (mod == 1)
        i->disp = sign_extend(take(p, 1), 1);
    else if (mod == 2)
        i->disp = sign_extend(take(p, 2), 2);
}

/* SIB (table 2-3). Index 100b means none, but REX.X makes it R12; base 101b with mod 0 means disp32 alone. */
static void take_sib(struct parse *p, struct insn *i, unsigned mod)
{
    u8 sib = (u8)take(p, 1);
    u8 index = (u8)((sib >> 3 & 7) | (i->rex & REX_X ? 8 : 0));
    if (index != RSP) {
        i->index = index;
        i->scale = sib >> 6;
    }
    if ((sib & 7) == RBP && mod == 0)
        i->disp = sign_extend(take(p, 4), 4);
    else
        i->base = (u8)((sib & 7) | (i->rex & REX_B ? 8 : 0));
}

/* 32- and 64-bit addressing (table 2-2; RIP-relative: 2.2.1.6). */
static void take_memory_32(struct parse *p, struct insn *i)
{
    unsigned mod = i->modrm >> 6, rm = i->modrm & 7;
    if (rm == RSP) {
        take_sib(p, i, mod);
    } else if (rm == RBP && mod == 0) {
        i->disp = sign_extend(take(p, 4), 4);
        i->base = p->mode == CODE_64 ? REG_RIP : REG_NONE;
    } else {
        i->base = (u8)(rm | (i->rex & REX_B ? 8 : 0));
    }
    if (mod == 1)
        i->disp = sign_extend(take(p, 1), 1);
    else if (mod == 2)
        i->disp = sign_extend(take(p, 4), 4);
}

/* The memory operand's address and segment: SS with rBP or rSP as base, DS otherwise (vol. 1, table 3-5). */
static void take_memory(struct parse *p, struct insn *i)
{
    bool by_modrm = p->slot->modrm && i->modrm < 0xc0 && !(p->form->flags & FORM_MOD_IGNORED);
    i->base = REG_NONE;
    i->index = REG_NONE;
    if (by_modrm) {
        i->prefixes |= INSN_MEM;
        if (i->addrsize == 2)
            take_memory_16(p, i);
        else
            take_memory_32(p, i);
    }
    bool stack = i->base == RSP || i->base == RBP;
    i->seg = p->segment != NO_SEGMENT ? p->segment : stack ? SEG_SS : SEG_DS;
    if (p->form->flags & FORM_STRING_ES)
        i->seg = SEG_ES;
}

static void take_immediates(struct parse *p, struct insn *i)
{
    unsigned z = i->opsize == 8 ? 4 : i->opsize;
    switch (p->form->imm) {
    case FORM_IMM_NONE: break;
    case FORM_IMM_U8: i->imm = take(p, 1); break;
    case FORM_IMM_S8: i->imm = (u64)sign_extend(take(p, 1), 1); break;
    case FORM_IMM_U16: i->imm = take(p, 2); break;
    case FORM_IMM_U32: i->imm = take(p, 4); break;
    case FORM_IMM_SZ: i->imm = (u64)sign_extend(take(p, z), z); break;
    case FORM_IMM_V: i->imm = take(p, i->opsize); break;
    case FORM_IMM_FAR:
        i->imm = take(p, i->opsize);
        i->imm2 = (u16)take(p, 2);
        break;
    case FORM_IMM_MOFFS:
        i->disp = (s64)take(p, i->addrsize);
        i->prefixes |= INSN_MEM;
        break;
    }
    if (p->form->imm2)
        i->imm2 = (u16)take(p, 1);
}

/* What makes a complete instruction with a row undefined all the same. */
static bool legal(const struct parse *p, const struct insn *i)
{
    unsigned flags = p->form->flags;
    if ((i->prefixes & INSN_LOCK) && (!(flags & FORM_LOCK) || !(i->prefixes & INSN_MEM)))
        return false;
    if (!(p->form->registers >> i->reg & 1))
        return false;
    return (flags & FORM_VVVV) || i->vvvv == 0;
}

enum decode decode(const u8 *bytes, unsigned available, enum code_mode mode, struct insn *insn)
{
    struct parse p = {.bytes = bytes, .available = available, .mode = mode, .segment = NO_SEGMENT,
                      .slot = &isa_slots[0][0][0], .form = isa_forms};
    struct insn i = {.handler = NULL};
    enum decode result = take_prefixes(&p, &i);
    if (result == DECODE_OK)
        result = take_opcode(&p, &i);
    if (result == DECODE_OK)
        result = choose_row(&p, &i);
    if (result != DECODE_OK)
        return result;
    i.opcode = p.opcode;
    set_sizes(&p, &i);
    set_registers(&p, &i);
    take_memory(&p, &i);
    take_immediates(&p, &i);
    if (p.at > p.available)
        return short_of_bytes(&p);
    if (!legal(&p, &i))
        return DECODE_INVALID;
    if (mode != CODE_64)
        i.vvvv &= 7; /* VEX.vvvv bit 3 names no register outside 64-bit mode */
    i.length = (u8)p.at;
    *insn = i;
    return DECODE_OK;
}
