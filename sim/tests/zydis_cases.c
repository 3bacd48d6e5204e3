#include "sim/tests/zydis_cases.h"

/* SplitMix64: any seed is as good as any other. */
u64 random_next(struct random *r)
{
    u64 z = r->state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static unsigned below(struct random *r, unsigned limit)
{
    return (unsigned)((random_next(r) >> 32) * limit >> 32);
}

void case_random(struct random *r, u8 bytes[CASE_BYTES])
{
    for (unsigned n = 0; n < CASE_BYTES; n += 8) {
        u64 word = random_next(r);
        __builtin_memcpy(bytes + n, &word, 8);
    }
}

static const u8 map_bytes[4][2] = {[MAP_0F] = {0x0f}, [MAP_0F38] = {0x0f, 0x38}, [MAP_0F3A] = {0x0f, 0x3a}};
static const u8 map_lengths[4] = {0, 1, 2, 2};
static const u8 mandatory[4] = {0, 0x66, 0xf3, 0xf2};

static unsigned put_map(u8 *bytes, unsigned at, unsigned map)
{
    for (unsigned n = 0; n < map_lengths[map]; n++)
        bytes[at++] = map_bytes[map][n];
    return at;
}

void case_sweep(struct random *r, unsigned number, enum code_mode mode, u8 bytes[CASE_BYTES])
{
    case_random(r, bytes);
    unsigned at = 0, prefix = number >> 18;
    if (prefix)
        bytes[at++] = mandatory[prefix];
    if (mode == CODE_64 && below(r, 2))
        bytes[at++] = (u8)(0x40 | below(r, 16));
    at = put_map(bytes, at, number >> 16 & 3);
    bytes[at++] = (u8)(number >> 8);
    bytes[at] = (u8)number;
}

static unsigned put_random_prefixes(struct random *r, u8 *bytes, unsigned at)
{
    static const u8 prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x67, 0x66, 0x48};
    /* Seldom as many as the 15-byte limit forbids. */
    unsigned count = below(r, 64) == 0 ? below(r, 15) : below(r, 4);
    while (count--)
        bytes[at++] = prefixes[below(r, ARRAY_LEN(prefixes))];
    return at;
}

static u8 fitting_modrm(struct random *r, const struct isa_row *row)
{
    u8 modrm = (u8)random_next(r);
    if (row->modrm & 0x200)
        return (u8)row->modrm;
    if (row->modrm >= RM_DIGIT(0))
        modrm = (u8)((modrm & ~0x38) | (row->modrm & 7) << 3);
    bool memory = row->modrm == RM_M || (row->modrm & 0x3f0) == RM_DIGIT_M(0);
    bool reg = row->modrm == RM_R || (row->modrm & 0x3f0) == RM_DIGIT_R(0);
    if (memory && modrm >= 0xc0)
        modrm ^= (u8)((1 + below(r, 3)) << 6);
    return reg ? modrm | 0xc0 : modrm;
}

static unsigned put_vex(struct random *r, const struct isa_row *row, u8 *bytes, unsigned at)
{
    static const u8 pp[] = {[PX_ANY] = 0, [PX_NP] = 0, [PX_66] = 1, [PX_F3] = 2, [PX_F2] = 3, [PX_NF] = 0};
    unsigned random = (unsigned)random_next(r);
    bool two = row->map == MAP_VEX_0F && random & 0x100;
    u8 last = (u8)((random & 0xfc) | pp[row->prefix]);
    bytes[at++] = two ? 0xc5 : 0xc4;
    if (!two)
        bytes[at++] = (u8)((random >> 16 & 0xe0) | (row->map - MAP_VEX_0F + 1));
    bytes[at++] = last;
    return at;
}

static unsigned put_opcode(struct random *r, const struct isa_row *row, enum code_mode mode, u8 *bytes, unsigned at)
{
    if (row->map >= MAP_VEX_0F)
        return put_vex(r, row, bytes, at);
    if (row->prefix >= PX_66 && row->prefix <= PX_F2)
        bytes[at++] = mandatory[row->prefix - PX_NP];
    if (mode == CODE_64 && below(r, 2))
        bytes[at++] = (u8)(0x40 | below(r, 16));
    return put_map(bytes, at, row->map);
}

void case_row(struct random *r, enum code_mode mode, u8 bytes[CASE_BYTES])
{
    const struct isa_row *row = &isa_rows[1 + below(r, isa_row_count - 1)];
    u8 string[2 * CASE_BYTES];
    case_random(r, string);
    case_random(r, string + CASE_BYTES);
    /* Prefixes before VEX are #UD: not every time. */
    unsigned at = row->map >= MAP_VEX_0F && below(r, 8) ? 0 : put_random_prefixes(r, string, 0);
    at = put_opcode(r, row, mode, string, at);
    unsigned low = row->attributes & A_PLUSR ? 7 : row->attributes & A_PLUSCC ? 15 : 0;
    string[at++] = (u8)(row->opcode | below(r, low + 1));
    if (row->modrm != RM_NONE && below(r, 16))
        string[at] = fitting_modrm(r, row);
    __builtin_memcpy(bytes, string, CASE_BYTES);
}

void case_vex(struct random *r, u8 bytes[CASE_BYTES])
{
    case_random(r, bytes);
    unsigned at = 0;
    if (below(r, 16) == 0)
        at = put_random_prefixes(r, bytes, at);
    bytes[at] = below(r, 2) ? 0xc5 : 0xc4;
    if (bytes[at++] == 0xc4)
        bytes[at] = (u8)((bytes[at] & 0xe0) | (1 + below(r, 3)));
}
