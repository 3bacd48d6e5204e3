/* One instruction: bytes are put together from a row of isa.def, random where the row leaves a choice; our own decoder
 * says how long the result is, and whether it is the row. */
#include "fuzz/program.h"

#include "sbe/decode.h"

#include <string.h>

enum { ATTEMPTS = 8, BUFFER = INSN_MAX + 24 };

struct encoding {
    u8 bytes[BUFFER];
    unsigned length;
};

static void put(struct encoding *e, u8 byte)
{
    if (e->length < BUFFER)
        e->bytes[e->length++] = byte;
}

static void put_value(struct encoding *e, u64 value, unsigned bytes)
{
    for (unsigned n = 0; n < bytes; n++)
        put(e, (u8)(value >> 8 * n));
}

u64 program_value(struct random *r)
{
    static const u64 edges[] = {
        0, 1, 2, 3, 0x0f, 0x10, 0x1f, 0x20, 0x3f, 0x40, 0x7f, 0x80, 0x81, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000,
        0x7fffffff, 0x80000000, 0x80000001, 0xfffffff0, 0xffffffff, 0x100000000, 0x7fffffffffffffff, 0x8000000000000000,
        0x8000000000000001, 0xffffffffffffffff, 0xfffffffffffffffe, 0xffffffffffffff80, 0xffffffff80000000,
        0x9999999999999999, 0xaaaaaaaaaaaaaaaa, 0x5555555555555555};
    u64 x = random_next(r);
    switch (random_below(r, 8)) {
    case 0: case 1: case 2: return edges[random_below(r, ARRAY_LEN(edges))];
    case 3: return x & 0xff;
    case 4: return 1ull << (x & 63);
    case 5: return (u64)((s64)x >> (x & 63));
    default: return x;
    }
}

/* Pages of data: user programs may touch them in every mode. */
enum { DATA_PAGES = 6 };

u64 program_address(struct random *r, enum code_mode mode)
{
    u64 page = GUEST_DATA + PAGE_SIZE * (u64)random_below(r, DATA_PAGES);
    switch (random_below(r, 32)) {
    case 0: case 1: case 2: case 3: case 4: return page - random_below(r, 24); /* across the end of a page */
    case 5: return GUEST_CODE + random_below(r, PROGRAM_BYTES);
    case 6: return GUEST_CODE + 0x1000 - random_below(r, 32);
    case 7: return GUEST_STACK - random_below(r, 256);
    case 8: return 0x10000 - random_below(r, 16); /* the end of 16-bit segments */
    case 9: return one_in(r, 2) ? 0xfffffff0 + random_below(r, 16) : random_below(r, 16);
    case 10:
        if (mode == CODE_64 && one_in(r, 2))
            return 0x7ffffffffff8 + random_below(r, 16); /* the end of canonical addresses */
        return GUEST_GDT + random_below(r, 256);
    case 11: return one_in(r, 2) ? GUEST_TABLES + 8 * random_below(r, 0xa00) : 0xa0000 - random_below(r, 16);
    case 12: return one_in(r, 2) ? 0xfee00000 + 16 * random_below(r, 64) : 0x200000 - random_below(r, 16);
    case 13: return page + random_below(r, PAGE_SIZE);
    default: return page + 8 * random_below(r, 64);
    }
}

/* Registers that hold pointers most of the time. */
static unsigned pointer_register(struct random *r, enum code_mode mode)
{
    static const u8 wide[] = {RBX, RSI, RDI, RBP, R9, R12, R13, R14}, narrow[] = {RBX, RSI, RDI, RBP};
    if (one_in(r, 8))
        return random_below(r, mode == CODE_64 ? GPR_COUNT : 8);
    return mode == CODE_64 ? wide[random_below(r, ARRAY_LEN(wide))] : narrow[random_below(r, ARRAY_LEN(narrow))];
}

/* ---- Prefixes ------------------------------------------------------------------------------------- */

static bool is_string(const struct isa_row *row) { return row->attributes & (A_REP | A_REPCC); }

static void put_prefixes(struct random *r, const struct isa_row *row, enum code_mode mode, struct encoding *e)
{
    static const u8 segments[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
    bool vex = row->map >= MAP_VEX_0F;
    if (row->prefix == PX_ANY && !vex && one_in(r, mode == CODE_16 ? 2 : 4))
        put(e, 0x66);
    if (one_in(r, mode == CODE_16 ? 3 : 24))
        put(e, 0x67);
    if (one_in(r, 12))
        put(e, segments[random_below(r, ARRAY_LEN(segments))]);
    if (is_string(row) && !one_in(r, 3))
        put(e, one_in(r, 3) ? 0xf2 : 0xf3);
    else if (row->prefix == PX_ANY && !vex && one_in(r, 40))
        put(e, one_in(r, 2) ? 0xf2 : 0xf3);
    if (row->attributes & A_LOCK && one_in(r, 6))
        put(e, 0xf0);
}

struct rex {
    bool w, r, x, b;
};

static struct rex choose_rex(struct random *r, enum code_mode mode)
{
    u32 bits = (u32)random_next(r);
    if (mode != CODE_64)
        return (struct rex){false, false, false, false};
    return (struct rex){bits & 1, (bits & 6) == 2, (bits & 0x18) == 8, (bits & 0x60) == 0x20};
}

static bool uses_vvvv(const struct isa_row *row)
{
    for (unsigned n = 0; n < ISA_OPERANDS; n++)
        if (isa_operands[row->operands[n]].kind == OPK_GVVVV || isa_operands[row->operands[n]].kind == OPK_XVVVV)
            return true;
    return false;
}

static void put_opcode(struct random *r, const struct isa_row *row, enum code_mode mode, const struct rex *x,
                       struct encoding *e)
{
    static const u8 mandatory[] = {[PX_66] = 0x66, [PX_F3] = 0xf3, [PX_F2] = 0xf2};
    if (row->map >= MAP_VEX_0F) {
        u8 vvvv = (u8)(uses_vvvv(row) ? random_next(r) & 0x78 : 0x78);
        put(e, 0xc4);
        put(e, (u8)((x->r ? 0 : 0x80) | (x->x ? 0 : 0x40) | (x->b ? 0 : 0x20) | (row->map - MAP_VEX_0F + 1)));
        put(e, (u8)((x->w ? 0x80 : 0) | vvvv | (mode == CODE_64 ? 0 : 0x40) |
                    (row->prefix == PX_66 ? 1 : row->prefix == PX_F3 ? 2 : row->prefix == PX_F2 ? 3 : 0)));
    } else {
        if (row->prefix >= PX_66 && row->prefix <= PX_F2)
            put(e, mandatory[row->prefix]);
        u8 rex = (u8)(0x40 | x->w << 3 | x->r << 2 | x->x << 1 | x->b);
        if (mode == CODE_64 && (rex != 0x40 || one_in(r, 6)))
            put(e, rex);
        if (row->map != MAP_1B)
            put(e, 0x0f);
        if (row->map == MAP_0F38)
            put(e, 0x38);
        if (row->map == MAP_0F3A)
            put(e, 0x3a);
    }
    unsigned choices = row->attributes & A_PLUSR ? 8 : row->attributes & A_PLUSCC ? 16 : 1;
    put(e, (u8)(row->opcode | random_below(r, choices)));
}

/* ---- Operands ------------------------------------------------------------------------------------- */

static bool wants_memory(struct random *r, const struct isa_row *row)
{
    bool memory = row->modrm == RM_M || (row->modrm & 0x3f0) == RM_DIGIT_M(0);
    bool reg = row->modrm == RM_R || (row->modrm & 0x3f0) == RM_DIGIT_R(0) || row->modrm >= RM_X(0);
    return memory || (!reg && one_in(r, 2));
}

/* 16-bit addressing: SDM vol. 2, table 2-1. */
static void put_memory16(struct random *r, u8 reg, struct encoding *e)
{
    unsigned rm = random_below(r, 8), mod = random_below(r, 3);
    put(e, (u8)(mod << 6 | reg << 3 | rm));
    if (mod == 1)
        put(e, (u8)random_next(r));
    else if (mod == 2 || rm == 6)
        put_value(e, mod == 2 ? random_below(r, 64) : program_address(r, CODE_16), 2);
}

static void put_memory(struct random *r, enum code_mode mode, u8 reg, struct encoding *e)
{
    unsigned mod = random_below(r, 3), base = pointer_register(r, mode) & 7;
    if (one_in(r, 8)) { /* an absolute address; RIP-relative in 64-bit mode, now and then */
        bool sib = mode == CODE_64 && !one_in(r, 4);
        put(e, (u8)(reg << 3 | (sib ? 4 : 5)));
        if (sib)
            put(e, 0x25);
        put_value(e, !sib && mode == CODE_64 ? random_below(r, 0x200) - 0x100 : program_address(r, mode), 4);
        return;
    }
    if (base == RSP || one_in(r, 5)) {
        bool index = one_in(r, 2);
        put(e, (u8)(mod << 6 | reg << 3 | 4));
        put(e, (u8)(random_below(r, 4) << 6 | (index ? random_below(r, 8) : 4) << 3 | base));
    } else {
        put(e, (u8)(mod << 6 | reg << 3 | base));
    }
    bool no_base = base == RBP && mod == 0;
    if (mod == 1)
        put(e, (u8)(one_in(r, 2) ? random_below(r, 32) : random_next(r)));
    else if (mod == 2 || no_base)
        put_value(e, no_base ? program_address(r, mode) : random_below(r, 4096) - 2048, 4);
}

static void put_modrm(struct random *r, const struct isa_row *row, enum code_mode mode, struct encoding *e)
{
    u8 reg = (u8)(row->modrm >= RM_DIGIT(0) && row->modrm < RM_X(0) ? row->modrm & 7 : random_below(r, 8));
    bool other_size = memchr(e->bytes, 0x67, e->length < 4 ? e->length : 4);
    bool narrow = (mode == CODE_16 && !other_size) || (mode == CODE_32 && other_size);
    if (row->modrm >= RM_X(0))
        put(e, (u8)row->modrm);
    else if (!wants_memory(r, row))
        put(e, (u8)(0xc0 | reg << 3 | random_below(r, 8)));
    else if (narrow)
        put_memory16(r, reg, e);
    else
        put_memory(r, mode, reg, e);
}

static bool is_far(const struct isa_row *row) { return isa_operands[row->operands[0]].kind == OPK_FAR; }
static bool is_moffs(const struct isa_row *row)
{
    return isa_operands[row->operands[0]].kind == OPK_MOFFS || isa_operands[row->operands[1]].kind == OPK_MOFFS;
}

static void put_immediates(struct random *r, const struct isa_row *row, enum code_mode mode, struct encoding *e)
{
    if (is_moffs(row) || (row->attributes & A_PLUSR && one_in(r, 2))) /* MOV r, imm: a pointer, perhaps */
        put_value(e, program_address(r, mode), 8);
    else if (is_far(row))
        put_value(e, GUEST_CODE | (u64)(8 * random_below(r, 24)) << (mode == CODE_16 ? 16 : 32), 8);
    else
        put_value(e, program_value(r), 8);
    put_value(e, random_next(r), 8);
}

/* A relative branch: its displacement stands at the end. */
static void note_branch(struct program_insn *insn, const struct insn *decoded)
{
    const struct isa_operand_info *o = &isa_operands[isa_rows[decoded->row].operands[0]];
    if (o->kind != OPK_REL)
        return;
    insn->fixup = FIXUP_RELATIVE;
    insn->fix_size = o->size == OPZ_B ? 1 : decoded->opsize == 2 ? 2 : 4;
    insn->fix_at = (u8)(insn->length - insn->fix_size);
}

bool program_row(struct random *r, unsigned number, enum code_mode mode, struct program_insn *insn)
{
    const struct isa_row *row = &isa_rows[number];
    if (!(row->modes & 1u << mode))
        return false;
    for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
        struct encoding e = {.length = 0};
        struct insn decoded;
        struct rex x = choose_rex(r, mode);
        put_prefixes(r, row, mode, &e);
        put_opcode(r, row, mode, &x, &e);
        if (row->modrm != RM_NONE)
            put_modrm(r, row, mode, &e);
        put_immediates(r, row, mode, &e);
        if (decode(e.bytes, INSN_MAX, mode, &decoded) != DECODE_OK || decoded.row != number)
            continue;
        memset(insn, 0, sizeof *insn);
        memcpy(insn->bytes, e.bytes, decoded.length);
        insn->length = decoded.length;
        note_branch(insn, &decoded);
        return true;
    }
    return false;
}
