/* scan_total and scan_sens, by enumeration of the real decoder's answers.
 *
 * Every opcode byte of every map, with every ModRM byte, under every combination of prefixes that can choose a row, in
 * every code mode, goes through decode(). What it answers is either DECODE_INVALID, which the interpreter turns into
 * #UD and a translator into a trap, or a row; then:
 *   scan_total   the row exists in this mode and has one of the classes of sbe/isa.h;
 *   scan_sens    if the bytes are a sensitive instruction, the class is CLS_CALLOUT. What is sensitive is listed below
 * by its bytes,
 *                from the manual, without a look at isa.def;
 *   scan_priv    if the row is privileged (A_CPL0), the class is CLS_CALLOUT;
 *   scan_pure    a row of class CLS_IDENTITY has no memory operand, but for an address alone (LEA) or a hint (NOP).
 * Prints "goals PROVED TOTAL cases COUNT", and up to ten counterexamples of each. */
#include "sbe/decode.h"

#include <stdio.h>
#include <string.h>

/* A sensitive encoding: `map` as in isa.def; the opcode; which ModRM bytes: all, by /digit, and with which mod. */
enum { ANY_DIGIT = 8, MOD_ANY = 0, MOD_MEM = 1, MOD_REG = 2 };
enum { PREFIX_ANY = 0, PREFIX_F3 = 1, PREFIX_NONE = 2 };
struct sensitive {
    u8 map, first, last, digit, mod, prefix;
    const char *name;
};

/* SDM vol. 3, table 2-3 (privileged) and section 2.8; vol. 2 for those that read or load what a guest must not see:
 * descriptor-table registers, selectors and descriptors, the machine status word, IF and IOPL, counters,
 * identification. */
static const struct sensitive sensitive[] = {
    {MAP_1B, 0x06, 0x07, ANY_DIGIT, MOD_ANY, PREFIX_ANY, "PUSH ES, POP ES"},
    {MAP_1B, 0x0e, 0x0e, ANY_DIGIT, MOD_ANY, PREFIX_ANY, "PUSH CS"},
    {MAP_1B, 0x16, 0x17, ANY_DIGIT, MOD_ANY, PREFIX_ANY, "PUSH SS, POP SS"},
    {MAP_1B, 0x1e, 0x1f, ANY_DIGIT, MOD_ANY, PREFIX_ANY, "PUSH DS, POP DS"},
    {MAP_1B, 0x6c, 0x6f, ANY_DIGIT, MOD_ANY, PREFIX_ANY, "INS, OUTS"},
    {MAP_1B, 0x8c, 0x8c, ANY_DIGIT, MOD_ANY, PREFIX_ANY, "MOV r/m, Sreg"},
    {MAP_1B, 0x8e, 0x8e, ANY_DIGIT, MOD_ANY, PREFIX_ANY, "MOV Sreg, r/m"},
    {MAP_1B, 0x9a, 0x9a, ANY_DIGIT, MOD_ANY, PREFIX_ANY, "CALL far"},
    {MAP_1B, 0x9c, 0x9d, ANY_DIGIT, MOD_ANY, PREFIX_ANY, "PUSHF, POPF"},
    {MAP_1B, 0xca, 0xcf, ANY_DIGIT, MOD_ANY, PREFIX_ANY, "RET far, INT3, INT, INTO, IRET"},
    {MAP_1B, 0xe4, 0xe7, ANY_DIGIT, MOD_ANY, PREFIX_ANY, "IN, OUT"},
    {MAP_1B, 0xea, 0xea, ANY_DIGIT, MOD_ANY, PREFIX_ANY, "JMP far"},
    {MAP_1B, 0xec, 0xef, ANY_DIGIT, MOD_ANY, PREFIX_ANY, "IN, OUT"},
    {MAP_1B, 0xf1, 0xf1, ANY_DIGIT, MOD_ANY, PREFIX_ANY, "INT1"},
    {MAP_1B, 0xf4, 0xf4, ANY_DIGIT, MOD_ANY, PREFIX_ANY, "HLT"},
    {MAP_1B, 0xfa, 0xfb, ANY_DIGIT, MOD_ANY, PREFIX_ANY, "CLI, STI"},
    {MAP_1B, 0xff, 0xff, 3, MOD_MEM, PREFIX_ANY, "CALL far"},
    {MAP_1B, 0xff, 0xff, 5, MOD_MEM, PREFIX_ANY, "JMP far"},
    /* LES, LDS with a memory operand (otherwise VEX), and ARPL outside 64-bit mode: below. */
    {MAP_0F, 0x00, 0x00, ANY_DIGIT, MOD_ANY, PREFIX_ANY, "SLDT, STR, LLDT, LTR, VERR, VERW"},
    {MAP_0F, 0x01, 0x01, ANY_DIGIT, MOD_ANY, PREFIX_ANY, "SGDT, SIDT, LGDT, LIDT, SMSW, LMSW, INVLPG, VMX, XGETBV, SWAPGS..."},
    {MAP_0F, 0x02, 0x03, ANY_DIGIT, MOD_ANY, PREFIX_ANY, "LAR, LSL"},
    {MAP_0F, 0x05, 0x09, ANY_DIGIT, MOD_ANY, PREFIX_ANY, "SYSCALL, CLTS, SYSRET, INVD, WBINVD"},
    {MAP_0F, 0x20, 0x23, ANY_DIGIT, MOD_ANY, PREFIX_ANY, "MOV CR, MOV DR"},
    {MAP_0F, 0x30, 0x35, ANY_DIGIT, MOD_ANY, PREFIX_ANY, "WRMSR, RDTSC, RDMSR, RDPMC, SYSENTER, SYSEXIT"},
    {MAP_0F, 0x37, 0x37, ANY_DIGIT, MOD_ANY, PREFIX_ANY, "GETSEC"},
    {MAP_0F, 0x78, 0x79, ANY_DIGIT, MOD_ANY, PREFIX_NONE, "VMREAD, VMWRITE"},
    {MAP_0F, 0xa0, 0xa2, ANY_DIGIT, MOD_ANY, PREFIX_ANY, "PUSH FS, POP FS, CPUID"},
    {MAP_0F, 0xa8, 0xaa, ANY_DIGIT, MOD_ANY, PREFIX_ANY, "PUSH GS, POP GS, RSM"},
    {MAP_0F, 0xae, 0xae, 4, MOD_MEM, PREFIX_NONE, "XSAVE"},
    {MAP_0F, 0xae, 0xae, 5, MOD_MEM, PREFIX_NONE, "XRSTOR"},
    {MAP_0F, 0xae, 0xae, 6, MOD_MEM, PREFIX_NONE, "XSAVEOPT"},
    {MAP_0F, 0xae, 0xae, 0, MOD_REG, PREFIX_F3, "RDFSBASE"},
    {MAP_0F, 0xae, 0xae, 1, MOD_REG, PREFIX_F3, "RDGSBASE"},
    {MAP_0F, 0xae, 0xae, 2, MOD_REG, PREFIX_F3, "WRFSBASE"},
    {MAP_0F, 0xae, 0xae, 3, MOD_REG, PREFIX_F3, "WRGSBASE"},
    {MAP_0F, 0xb2, 0xb2, ANY_DIGIT, MOD_MEM, PREFIX_ANY, "LSS"},
    {MAP_0F, 0xb4, 0xb5, ANY_DIGIT, MOD_MEM, PREFIX_ANY, "LFS, LGS"},
    {MAP_0F, 0xc7, 0xc7, 3, MOD_MEM, PREFIX_NONE, "XRSTORS"},
    {MAP_0F, 0xc7, 0xc7, 4, MOD_MEM, PREFIX_NONE, "XSAVEC"},
    {MAP_0F, 0xc7, 0xc7, 5, MOD_MEM, PREFIX_NONE, "XSAVES"},
    {MAP_0F, 0xc7, 0xc7, 6, MOD_ANY, PREFIX_ANY, "RDRAND, VMPTRLD, VMCLEAR, VMXON"},
    {MAP_0F, 0xc7, 0xc7, 7, MOD_ANY, PREFIX_ANY, "RDSEED, RDPID, VMPTRST"},
    {MAP_0F, 0xff, 0xff, ANY_DIGIT, MOD_ANY, PREFIX_ANY, "UD0"},
    {MAP_0F, 0x0b, 0x0b, ANY_DIGIT, MOD_ANY, PREFIX_ANY, "UD2"},
    {MAP_0F, 0xb9, 0xb9, ANY_DIGIT, MOD_ANY, PREFIX_ANY, "UD1"},
    {MAP_0F38, 0x80, 0x82, ANY_DIGIT, MOD_MEM, PREFIX_ANY, "INVEPT, INVVPID, INVPCID"},
};

/* What an encoding is made of, before it becomes bytes. */
struct encoding {
    enum code_mode mode;
    u8 map, opcode, modrm;
    u8 prefix; /* index into prefixes[] */
    u8 rex;
    u8 vex[3], vex_bytes; /* VEX prefix, or none */
};

static const struct { u8 bytes[2], count; } prefixes[] = {
    {{0}, 0}, {{0x66}, 1}, {{0xf2}, 1}, {{0xf3}, 1}, {{0x66, 0xf2}, 2}, {{0x66, 0xf3}, 2}, {{0x67}, 1}, {{0xf0}, 1}, {{0x2e}, 1},
};

enum property { SCAN_TOTAL, SCAN_SENS, SCAN_PRIV, SCAN_PURE, PROPERTIES };
static const char *const property_names[PROPERTIES] = {"scan_total", "scan_sens", "scan_priv", "scan_pure"};
static u64 cases, failed[PROPERTIES];

static void fail(const struct encoding *e, enum property property, const char *which)
{
    const char *what = property_names[property];
    if (++failed[property] > 10)
        return;
    printf("%s: mode %d map %u opcode %02x modrm %02x prefix %u rex %02x vex %u: %s\n", what, e->mode, e->map, e->opcode, e->modrm,
           e->prefix, e->rex, e->vex_bytes, which);
}

static bool matches(const struct sensitive *s, const struct encoding *e)
{
    if (s->map != e->map || e->opcode < s->first || e->opcode > s->last)
        return false;
    if (s->digit != ANY_DIGIT && s->digit != (e->modrm >> 3 & 7))
        return false;
    if ((s->mod == MOD_MEM && e->modrm >= 0xc0) || (s->mod == MOD_REG && e->modrm < 0xc0))
        return false;
    u8 count = prefixes[e->prefix].count, last = count ? prefixes[e->prefix].bytes[count - 1] : 0;
    if (s->prefix == PREFIX_F3)
        return last == 0xf3;
    return s->prefix == PREFIX_ANY || (last != 0x66 && last != 0xf2 && last != 0xf3);
}

/* The name of the sensitive instruction that the bytes are, or NULL. */
static const char *is_sensitive(const struct encoding *e)
{
    if (e->vex_bytes)
        return NULL; /* no VEX instruction reads or changes privileged state */
    if (e->map == MAP_1B && e->mode != CODE_64) {
        if ((e->opcode == 0xc4 || e->opcode == 0xc5) && e->modrm < 0xc0)
            return "LES, LDS";
        if (e->opcode == 0x63)
            return "ARPL";
    }
    for (unsigned n = 0; n < ARRAY_LEN(sensitive); n++)
        if (matches(&sensitive[n], e))
            return sensitive[n].name;
    return NULL;
}

/* LEA computes an address; PREFETCH and the NOPs around it (SDM vol. 2, "PREFETCHh", "NOP") neither fault nor load. */
static bool address_alone(const struct encoding *e)
{
    return (e->map == MAP_1B && e->opcode == 0x8d) ||
           (e->map == MAP_0F && (e->opcode == 0x0d || (e->opcode >= 0x18 && e->opcode <= 0x1f)));
}

static bool touches_memory(const struct encoding *e, const struct insn *i)
{
    if ((i->prefixes & INSN_MEM) && !address_alone(e))
        return true;
    for (unsigned n = 0; n < ISA_OPERANDS; n++) {
        u8 kind = isa_operands[isa_rows[i->row].operands[n]].kind;
        if (kind == OPK_MOFFS || kind == OPK_SRC || kind == OPK_DST)
            return true;
    }
    return false;
}

static void check_row(const struct encoding *e, const struct insn *i)
{
    const struct isa_row *row = &isa_rows[i->row];
    if (i->row == ISA_INVALID || i->row >= isa_row_count || !(row->modes >> e->mode & 1) || row->cls > CLS_CALLOUT) {
        fail(e, SCAN_TOTAL, "no row, a row of another mode, or no class");
        return;
    }
    const char *name = is_sensitive(e);
    if (name && row->cls != CLS_CALLOUT)
        fail(e, SCAN_SENS, name);
    if ((row->attributes & A_CPL0) && row->cls != CLS_CALLOUT)
        fail(e, SCAN_PRIV, row->mnemonic);
    if (row->cls == CLS_IDENTITY && touches_memory(e, i))
        fail(e, SCAN_PURE, row->mnemonic);
}

/* Escape bytes of a map, in order. */
static unsigned put_map(u8 map, u8 *to)
{
    if (map == MAP_1B)
        return 0;
    to[0] = 0x0f;
    if (map == MAP_0F)
        return 1;
    to[1] = map == MAP_0F38 ? 0x38 : 0x3a;
    return 2;
}

/* Is the byte, at the place of a one-byte opcode, something else: a prefix, an escape, or VEX? */
static bool not_an_opcode(const struct encoding *e)
{
    if (e->map != MAP_1B)
        return e->map == MAP_0F && (e->opcode == 0x38 || e->opcode == 0x3a);
    switch (e->opcode) {
    case 0x0f: case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65: case 0x66: case 0x67: case 0xf0: case 0xf2: case 0xf3:
        return true;
    case 0xc4: case 0xc5:
        return e->mode == CODE_64 || e->modrm >= 0xc0;
    default:
        return e->mode == CODE_64 && (e->opcode & 0xf0) == 0x40;
    }
}

static void check(const struct encoding *e)
{
    u8 bytes[INSN_MAX] = {0};
    unsigned at = prefixes[e->prefix].count;
    memcpy(bytes, prefixes[e->prefix].bytes, at);
    if (e->rex)
        bytes[at++] = e->rex;
    memcpy(bytes + at, e->vex, e->vex_bytes);
    at += e->vex_bytes;
    if (!e->vex_bytes)
        at += put_map(e->map, bytes + at);
    bytes[at++] = e->opcode;
    bytes[at] = e->modrm;
    struct insn i;
    cases++;
    enum decode result = decode(bytes, INSN_MAX, e->mode, &i);
    if (result == DECODE_OK)
        check_row(e, &i);
    else if (result != DECODE_INVALID)
        fail(e, SCAN_TOTAL, "fifteen bytes are neither an instruction nor invalid");
}

static void all_opcodes(struct encoding e)
{
    for (unsigned at = 0; at < 0x10000; at++) {
        e.opcode = (u8)(at >> 8);
        e.modrm = (u8)at;
        if (e.vex_bytes || !not_an_opcode(&e))
            check(&e);
    }
}

static void legacy(enum code_mode mode)
{
    static const u8 rexes[] = {0, 0x40, 0x41, 0x42, 0x44, 0x48, 0x49, 0x4c, 0x4f};
    for (u8 map = MAP_1B; map <= MAP_0F3A; map++)
        for (u8 prefix = 0; prefix < ARRAY_LEN(prefixes); prefix++)
            for (unsigned rex = 0; rex < (mode == CODE_64 ? ARRAY_LEN(rexes) : 1); rex++)
                all_opcodes((struct encoding){.mode = mode, .map = map, .prefix = prefix, .rex = rexes[rex]});
}

/* Both forms, every map, pp, L, W, R and B; vvvv names a register or none. Outside 64-bit mode R and X are stored as
 * ones. */
static void vex(enum code_mode mode)
{
    for (u8 map = 1; map <= 3; map++)
        for (unsigned bits = 0; bits < 0x80; bits++) {
            u8 vvvv = bits & 0x10 ? 0x78 : 0x30, w = bits & 8 ? 0x80 : 0, rb = mode == CODE_64 ? (u8)(bits & 0x60) << 1 : 0xc0;
            struct encoding e = {.mode = mode, .map = (u8)(MAP_VEX_0F + map - 1), .vex_bytes = 3};
            e.vex[0] = 0xc4;
            e.vex[1] = (u8)(rb | 0x20 | map);
            e.vex[2] = (u8)(w | vvvv | (bits & 7));
            all_opcodes(e);
        }
}

int main(void)
{
    for (enum code_mode mode = CODE_16; mode <= CODE_64; mode++) {
        legacy(mode);
        vex(mode);
    }
    unsigned proved = 0;
    for (unsigned n = 0; n < PROPERTIES; n++)
        proved += !failed[n];
    printf("goals %u %u cases %llu\n", proved, PROPERTIES, (unsigned long long)cases);
    return proved != PROPERTIES;
}
