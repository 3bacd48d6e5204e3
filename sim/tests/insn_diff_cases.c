/* From a row of isa.def to an instruction with operands.
 *
 * Bytes come first: prefixes, opcode, ModRM, all random where the row leaves a choice. Our own decoder says which
 * registers the memory operand is made of; they (or the displacement) are then given values that make it lie in the
 * window. */
#include "sim/tests/insn_diff.h"

#include "sbe/decode.h"
#include "sbe/fpu_thunk.h"

#include <string.h>

enum { ATTEMPTS = 200, PREFIXES_MAX = 5 };

/* ---- Bytes ---------------------------------------------------------------------------------------- */

struct encoding {
    u8 bytes[INSN_MAX + 16];
    unsigned length;
};

static void put(struct encoding *e, u8 byte)
{
    if (e->length < sizeof(e->bytes))
        e->bytes[e->length++] = byte;
}

static bool is_string(const struct isa_row *row) { return row->attributes & (A_REP | A_REPCC); }

static bool has_memory_form(const struct isa_row *row)
{
    return row->modrm != RM_NONE && row->modrm != RM_R && (row->modrm & 0x3f0) != RM_DIGIT_R(0) && row->modrm < RM_X(0);
}

/* Segment overrides that leave the operand in the window in every mode, but for CS in 16-bit code. FS is left out: in
 * the host's process it is the C library's. */
static void put_prefixes(struct random *r, const struct isa_row *row, enum code_mode mode, struct encoding *e)
{
    static const u8 segments[] = {0x26, 0x36, 0x3e, 0x65, 0x2e};
    bool vex = row->map >= MAP_VEX_0F;
    if (row->prefix == PX_ANY && !vex && one_in(r, 4))
        put(e, 0x66);
    if (one_in(r, mode == CODE_32 ? 32 : 8)) /* 16-bit addresses do not reach the window */
        put(e, 0x67);
    if (one_in(r, 8))
        put(e, segments[random_below(r, mode == CODE_16 ? 4 : 5)]);
    if (is_string(row) && one_in(r, 2))
        put(e, one_in(r, 2) ? 0xf2 : 0xf3);
    else if (row->prefix == PX_ANY && !vex && one_in(r, 32))
        put(e, one_in(r, 2) ? 0xf2 : 0xf3);
    if (!vex && one_in(r, row->attributes & A_LOCK ? 4 : 64))
        put(e, 0xf0);
}

static void put_map(const struct isa_row *row, struct encoding *e)
{
    if (row->map != MAP_1B)
        put(e, 0x0f);
    if (row->map == MAP_0F38)
        put(e, 0x38);
    if (row->map == MAP_0F3A)
        put(e, 0x3a);
}

static bool uses_vvvv(const struct isa_row *row)
{
    for (unsigned n = 0; n < ISA_OPERANDS; n++)
        if (isa_operands[row->operands[n]].kind == OPK_GVVVV || isa_operands[row->operands[n]].kind == OPK_XVVVV)
            return true;
    return false;
}

static void put_vex(struct random *r, const struct isa_row *row, enum code_mode mode, struct encoding *e)
{
    static const u8 pp[] = {[PX_NP] = 0, [PX_66] = 1, [PX_F3] = 2, [PX_F2] = 3};
    u32 bits = (u32)random_next(r);
    put(e, 0xc4);
    put(e, (u8)((mode == CODE_64 ? bits & 0xe0 : 0xe0) | (row->map - MAP_VEX_0F + 1)));
    u8 vvvv = (u8)(uses_vvvv(row) ? bits >> 8 & 0x78 : 0x78);
    if (mode != CODE_64)
        vvvv |= 0x40;
    put(e, (u8)((mode == CODE_64 ? bits >> 16 & 0x80 : 0) | vvvv | pp[row->prefix]));
}

static u8 make_modrm(struct random *r, const struct isa_row *row)
{
    u8 modrm = (u8)random_next(r);
    if (row->modrm >= RM_X(0))
        return (u8)row->modrm;
    if (row->modrm >= RM_DIGIT(0))
        modrm = (u8)((modrm & ~0x38) | (row->modrm & 7) << 3);
    bool memory = row->modrm == RM_M || (row->modrm & 0x3f0) == RM_DIGIT_M(0);
    bool reg = row->modrm == RM_R || (row->modrm & 0x3f0) == RM_DIGIT_R(0);
    if (memory && modrm >= 0xc0)
        modrm ^= (u8)((1 + random_below(r, 3)) << 6);
    return reg || (!memory && one_in(r, 4)) ? modrm | 0xc0 : modrm;
}

static bool relative_branch(const struct isa_row *row)
{
    return isa_operands[row->operands[0]].kind == OPK_REL;
}

/* SIB, displacement and immediates: more random bytes than any instruction needs. */
static void put_tail(struct random *r, const struct isa_row *row, struct encoding *e)
{
    unsigned start = e->length;
    while (e->length < sizeof(e->bytes))
        put(e, (u8)random_next(r));
    if (row->modrm == RM_NONE || one_in(r, 2)) { /* an immediate that is an edge case */
        u64 imm = relative_branch(row) && !one_in(r, 4) ? (u64)(s64)(s8)random_next(r) * 2 : random_operand(r);
        memcpy(e->bytes + start + (has_memory_form(row) ? random_below(r, 6) : 0), &imm, 8);
    }
}

static void make_bytes(struct random *r, const struct isa_row *row, enum code_mode mode, struct encoding *e)
{
    static const u8 mandatory[] = {[PX_66] = 0x66, [PX_F3] = 0xf3, [PX_F2] = 0xf2};
    e->length = 0;
    put_prefixes(r, row, mode, e);
    if (row->map >= MAP_VEX_0F) {
        put_vex(r, row, mode, e);
    } else {
        if (row->prefix >= PX_66 && row->prefix <= PX_F2)
            put(e, mandatory[row->prefix]);
        if (row->prefix == PX_NF && one_in(r, 4))
            put(e, 0x66);
        if (mode == CODE_64 && one_in(r, 2))
            put(e, (u8)(0x40 | random_below(r, 16)));
        put_map(row, e);
    }
    unsigned choices = row->attributes & A_PLUSR ? 8 : row->attributes & A_PLUSCC ? 16 : 1;
    put(e, (u8)(row->opcode | random_below(r, choices)));
    if (row->modrm != RM_NONE)
        put(e, make_modrm(r, row));
    put_tail(r, row, e);
}

/* What the interpreter makes of the bytes; a LOCK that is not allowed is kept: all must refuse it. */
static bool bytes_fit(struct encoding *e, unsigned row, enum code_mode mode, struct insn *insn, bool *refused)
{
    *refused = false;
    enum decode result = decode(e->bytes, INSN_MAX, mode, insn);
    if (result == DECODE_OK && insn->row == row)
        return true;
    u8 *lock = memchr(e->bytes, 0xf0, PREFIXES_MAX);
    if (result != DECODE_INVALID || !lock)
        return false;
    *lock = 0x3e; /* takes as much room */
    result = decode(e->bytes, INSN_MAX, mode, insn);
    *lock = 0xf0;
    return *refused = result == DECODE_OK && insn->row == row;
}

/* ---- Addresses ------------------------------------------------------------------------------------ */

/* Offset of the window in data segments. */
static u64 window_offset(enum code_mode mode) { return mode == CODE_16 ? 0 : WINDOW_BASE; }

/* Where operands lie: mostly inside, often misaligned, now and then across a page or beyond the end. */
static u64 choose_target(struct random *r, enum code_mode mode)
{
    u64 base = window_offset(mode);
    switch (random_below(r, 16)) {
    case 0: return base + 0x1000 - random_below(r, 64);
    case 1: return base + 64 + random_below(r, WINDOW_BYTES - 1024);
    case 2:
        if (mode != CODE_16 && one_in(r, 4))
            return base + WINDOW_BYTES - random_below(r, 48);
        return base + (WINDOW_BYTES / 2 + 16 * random_below(r, 64));
    case 3:
        if (mode != CODE_16 && one_in(r, 16))
            return base + WINDOW_BYTES + random_below(r, 0x800);
        if (mode == CODE_64 && one_in(r, 16))
            return 0x8000000000000000 + random_below(r, 0x1000);
        return base + 64 + 8 * random_below(r, 256);
    default: return base + 64 + 16 * random_below(r, 256);
    }
}

static void set_masked(u64 *reg, u64 value, unsigned bytes)
{
    u64 mask = bytes == 8 ? ~0ull : (1ull << 8 * bytes) - 1;
    *reg = (*reg & ~mask) | (value & mask);
}

/* A displacement or moffs of `bytes` bytes, all of them `mark`, as insn.disp has it: extended, or not. */
static bool is_marked(const struct insn *i, u8 mark, unsigned bytes)
{
    u64 wide = mark * 0x0101010101010101, mask = ~0ull >> (64 - 8 * bytes);
    s64 extended = (s64)(wide << (64 - 8 * bytes)) >> (64 - 8 * bytes);
    return i->disp == extended || (u64)i->disp == (wide & mask);
}

/* Do the bytes from `at` make up insn.disp? Two marks, lest one be there by chance. */
static bool is_displacement(const struct diff_case *c, const struct insn *insn, unsigned at, unsigned bytes)
{
    static const u8 marks[] = {0x5a, 0xa5};
    for (unsigned k = 0; k < ARRAY_LEN(marks); k++) {
        u8 copy[INSN_MAX + 1];
        struct insn probe;
        memcpy(copy, c->bytes, sizeof(copy));
        memset(copy + at, marks[k], bytes);
        if (decode(copy, insn->length, (enum code_mode)c->mode, &probe) != DECODE_OK || probe.row != insn->row ||
            !is_marked(&probe, marks[k], bytes))
            return false;
    }
    return true;
}

/* Gives an instruction without base register the displacement `wanted`, wherever that stands. */
static void patch_displacement(struct diff_case *c, struct insn *insn, u64 wanted)
{
    const struct isa_row *row = &isa_rows[insn->row];
    bool moffs = isa_operands[row->operands[0]].kind == OPK_MOFFS || isa_operands[row->operands[1]].kind == OPK_MOFFS;
    unsigned bytes = moffs || insn->addrsize == 2 ? insn->addrsize : 4;
    for (unsigned at = 1; at + bytes <= insn->length; at++)
        if (is_displacement(c, insn, at, bytes)) {
            memcpy(c->bytes + at, &wanted, bytes);
            decode(c->bytes, insn->length, (enum code_mode)c->mode, insn);
            return;
        }
}

static u64 offset_of(const struct diff_case *c, const struct insn *i)
{
    u64 offset = (u64)i->disp;
    if (i->base < GPR_COUNT)
        offset += c->in.gpr[i->base];
    else if (i->base == REG_RIP)
        offset += c->in.rip + i->length;
    if (i->index < GPR_COUNT)
        offset += c->in.gpr[i->index] << i->scale;
    return i->addrsize == 8 ? offset : i->addrsize == 4 ? (u32)offset : (u16)offset;
}

/* Makes the ModRM memory operand lie at `target`, as nearly as its registers allow. */
static void aim(struct random *r, struct diff_case *c, struct insn *i, u64 target)
{
    u64 *gpr = c->in.gpr;
    bool base = i->base < GPR_COUNT, index = i->index < GPR_COUNT;
    if (base && index && i->base == i->index) {
        set_masked(&gpr[i->base], (target - (u64)i->disp) / (1 + (1u << i->scale)), i->addrsize);
    } else if (base) {
        if (index && one_in(r, 2))
            set_masked(&gpr[i->index], random_below(r, 64), i->addrsize);
        gpr[i->base] = (i->addrsize == 8 ? 0 : gpr[i->base]);
        set_masked(&gpr[i->base], gpr[i->base] + target - offset_of(c, i), i->addrsize);
    } else {
        if (index)
            set_masked(&gpr[i->index], random_below(r, 0x4000), i->addrsize);
        u64 rest = offset_of(c, i) - (u64)i->disp;
        patch_displacement(c, i, target - rest);
    }
}

/* ---- Operands ------------------------------------------------------------------------------------- */

static void choose_registers(struct random *r, struct diff_case *c)
{
    for (unsigned n = 0; n < GPR_COUNT; n++) {
        c->in.gpr[n] = random_operand(r);
        if (c->mode != CODE_64)
            c->in.gpr[n] = n < R8 ? (u32)c->in.gpr[n] : 0;
    }
    c->in.gpr[RSP] = window_offset((enum code_mode)c->mode) + 0x800 + 8 * random_below(r, 64);
    if (one_in(r, 4))
        c->in.gpr[RSP] += random_below(r, 8);
    c->in.rflags = FLAG_FIXED | FLAG_IF | (random_next(r) & FLAGS_ARITH);
}

static bool mnemonic_is(const struct isa_row *row, const char *name) { return name_matches(name, row->mnemonic); }

/* Offsets in the code area where a branch may land without harm: nothing is executed there. */
static u64 branch_target(struct random *r, const struct diff_case *c)
{
    u64 base = c->mode == CODE_16 ? 0 : CODE_BASE;
    return one_in(r, 8) && c->mode == CODE_64 ? random_next(r) : base + CODE_BYTES - 0x200 + random_below(r, 0x100);
}

static void patch_at(struct diff_case *c, unsigned which, u64 offset, unsigned bytes)
{
    struct patch *p = &c->patch[which];
    u64 at = offset - window_offset((enum code_mode)c->mode);
    if (at >= WINDOW_BYTES)
        return;
    p->at = (u16)at;
    p->bytes = (u16)(WINDOW_BYTES - at < bytes ? WINDOW_BYTES - at : bytes);
}

static void patch_value(struct diff_case *c, unsigned which, u64 offset, u64 value)
{
    patch_at(c, which, offset, 8);
    memcpy(c->patch[which].data, &value, 8);
}

static void prepare_strings(struct random *r, struct diff_case *c, const struct insn *i)
{
    enum code_mode mode = (enum code_mode)c->mode;
    u64 source = choose_target(r, mode), destination = choose_target(r, mode);
    if (one_in(r, 4))
        destination = source + random_below(r, 17) - 8;
    c->in.gpr[RSI] = i->addrsize == 8 ? 0 : c->in.gpr[RSI];
    c->in.gpr[RDI] = i->addrsize == 8 ? 0 : c->in.gpr[RDI];
    set_masked(&c->in.gpr[RSI], source, i->addrsize);
    set_masked(&c->in.gpr[RDI], destination, i->addrsize);
    set_masked(&c->in.gpr[RCX], random_below(r, 24), i->addrsize);
    if (one_in(r, 3))
        c->in.rflags |= FLAG_DF;
    patch_at(c, 0, source & ~31ull, PATCH_BYTES);
    patch_at(c, 1, destination & ~31ull, PATCH_BYTES);
    random_data(r, c->patch[0].data, PATCH_BYTES);
    if (one_in(r, 3)) { /* runs of equal elements, for CMPS and SCAS */
        memset(c->patch[0].data, (u8)c->in.gpr[RAX], PATCH_BYTES);
        c->in.gpr[RAX] = (u8)c->in.gpr[RAX] * (mode == CODE_64 ? 0x0101010101010101 : 0x01010101);
        c->patch[0].data[random_below(r, PATCH_BYTES)] ^= (u8)random_below(r, 2);
    }
    memcpy(c->patch[1].data, c->patch[0].data, PATCH_BYTES);
    if (one_in(r, 3))
        random_data(r, c->patch[1].data, PATCH_BYTES);
}

/* CMPXCHG: both outcomes. */
static void prepare_exchange(struct random *r, struct diff_case *c, const struct insn *i)
{
    if (one_in(r, 2))
        return;
    if (!(i->prefixes & INSN_MEM)) {
        c->in.gpr[RAX] = c->in.gpr[i->rm];
        return;
    }
    u64 low = 0, high = 0;
    memcpy(&low, c->patch[0].data, i->opsize);
    memcpy(&high, c->patch[0].data + i->opsize, i->opsize);
    bool addresses = i->base == RAX || i->index == RAX || i->base == RDX || i->index == RDX;
    if (addresses)
        return;
    set_masked(&c->in.gpr[RAX], low, i->opsize);
    if (mnemonic_is(&isa_rows[i->row], "cmpxchg8b"))
        set_masked(&c->in.gpr[RDX], high, i->opsize);
}

/* Divisions: random dividends nearly always overflow. */
static void prepare_division(struct random *r, struct diff_case *c, const struct insn *i)
{
    if (one_in(r, 4) || i->base == RDX || i->index == RDX || i->base == RAX || i->index == RAX)
        return;
    u64 high = one_in(r, 2) ? random_below(r, 3) : 0 - (u64)random_below(r, 2);
    if (i->opsize == 1)
        set_masked(&c->in.gpr[RAX], (high << 8) | (u8)c->in.gpr[RAX], 2);
    else
        set_masked(&c->in.gpr[RDX], high, i->opsize);
}

/* Indirect branches and RET go where nothing is executed. */
static void prepare_branch(struct random *r, struct diff_case *c, const struct insn *i)
{
    u64 target = branch_target(r, c);
    if (isa_rows[i->row].modrm == RM_NONE)
        patch_value(c, 0, c->in.gpr[RSP], target);
    else if (i->prefixes & INSN_MEM)
        patch_value(c, 0, offset_of(c, i), target);
    else if (i->rm != RSP)
        c->in.gpr[i->rm] = c->mode == CODE_64 ? target : (u32)target;
    if (mnemonic_is(&isa_rows[i->row], "loop*") || mnemonic_is(&isa_rows[i->row], "jcxz"))
        set_masked(&c->in.gpr[RCX], random_below(r, 3), i->addrsize);
}

static void prepare_frame(struct random *r, struct diff_case *c)
{
    u64 target = window_offset((enum code_mode)c->mode) + 0x400 + 8 * random_below(r, 128);
    c->in.gpr[RBP] = target;
    patch_at(c, 1, target, PATCH_BYTES);
    random_data(r, c->patch[1].data, PATCH_BYTES);
}

/* A bit offset in a register reaches beyond the operand, but not out of the window. */
static void prepare_bits(struct random *r, struct diff_case *c, const struct insn *i)
{
    if (i->reg == i->base || i->reg == i->index || !(i->prefixes & INSN_MEM))
        return;
    s64 bit = (s64)random_below(r, 1024) - 512;
    set_masked(&c->in.gpr[i->reg], (u64)bit, i->opsize);
}

static void prepare_special(struct random *r, struct diff_case *c, const struct insn *i)
{
    const struct isa_row *row = &isa_rows[i->row];
    if (is_string(row))
        prepare_strings(r, c, i);
    else if (mnemonic_is(row, "cmpxchg*"))
        prepare_exchange(r, c, i);
    else if (mnemonic_is(row, "div") || mnemonic_is(row, "idiv"))
        prepare_division(r, c, i);
    else if (row->cls == CLS_BRANCH && !relative_branch(row))
        prepare_branch(r, c, i);
    else if (row->cls == CLS_BRANCH)
        set_masked(&c->in.gpr[RCX], one_in(r, 2) ? random_below(r, 3) : c->in.gpr[RCX], 8);
    else if (mnemonic_is(row, "enter") || mnemonic_is(row, "leave"))
        prepare_frame(r, c);
    else if (mnemonic_is(row, "bt*") && row->modrm == RM_M)
        prepare_bits(r, c, i);
    else if (mnemonic_is(row, "maskmov*"))
        set_masked(&c->in.gpr[RDI], choose_target(r, (enum code_mode)c->mode), c->mode == CODE_64 ? 8 : 4);
    else if (mnemonic_is(row, "xlat"))
        set_masked(&c->in.gpr[RBX], choose_target(r, (enum code_mode)c->mode), c->mode == CODE_64 ? 8 : 4);
}

/* What is left out: branches into the bytes of the instruction itself; in 16-bit code, bit strings that begin anywhere,
 * and anything above SP, which the host cannot have there (insn_diff_host.c). */
static bool unwanted(const struct diff_case *c, const struct insn *i)
{
    const struct isa_row *row = &isa_rows[c->row];
    if (relative_branch(row) && (s64)i->imm < 0 && (s64)i->imm > -(s64)i->length)
        return true;
    if (c->mode != CODE_16)
        return false;
    bool addresses = i->reg == i->base || i->reg == i->index;
    return c->in.gpr[RSP] > 0xffff || (addresses && mnemonic_is(row, "bt*") && row->modrm == RM_M);
}

/* One attempt. False if the bytes are another row's, or no instruction. */
static bool try_make(struct random *r, unsigned row_number, enum code_mode mode, unsigned slot, struct diff_case *c)
{
    const struct isa_row *row = &isa_rows[row_number];
    struct encoding e;
    struct insn insn;
    memset(c, 0, sizeof(*c));
    make_bytes(r, row, mode, &e);
    if (!bytes_fit(&e, row_number, mode, &insn, &c->lock_refused))
        return false;
    c->row = (u16)row_number;
    c->mode = (u8)mode;
    c->length = insn.length;
    memcpy(c->bytes, e.bytes, sizeof(c->bytes));
    c->uses_unit = (row->attributes & (A_X87 | A_WAITING | A_MMX | A_SSE)) || mnemonic_is(row, "fx*");
    c->branches = row->cls == CLS_BRANCH;
    c->in.rip = (mode == CODE_16 ? 0 : CODE_BASE) + slot * SLOT_BYTES + random_below(r, SLOT_BYTES - 2 * INSN_MAX);
    choose_registers(r, c);
    random_unit(r, row, c->in.fxsave);
    patch_at(c, 1, c->in.gpr[RSP], PATCH_BYTES);
    random_data(r, c->patch[1].data, PATCH_BYTES);
    if (insn.prefixes & INSN_MEM) {
        u64 target = choose_target(r, mode);
        aim(r, c, &insn, target);
        patch_at(c, 0, offset_of(c, &insn), PATCH_BYTES);
        random_data(r, c->patch[0].data, PATCH_BYTES);
    }
    prepare_special(r, c, &insn);
    return !unwanted(c, &insn);
}

bool case_make(struct random *r, unsigned row, enum code_mode mode, unsigned slot, struct diff_case *c)
{
    for (unsigned n = 0; n < ATTEMPTS; n++)
        if (try_make(r, row, mode, slot, c))
            return true;
    return false;
}
