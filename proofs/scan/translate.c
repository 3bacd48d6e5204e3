/* cpu_mon, tc_entry, tc_bounds, of what the translator writes: every opcode of the maps without VEX, with every ModRM byte, under
 * each of the prefixes below, in 32-bit and 64-bit code, for the supervisor and the user, is translated, and the block's host code
 * is decoded from its first byte to its last, by our own decoder (units `decode` and `scan`):
 *   cpu_mon    no instruction is privileged or sensitive, loads or reads a segment register, transfers far, traps, calls or
 *              returns; the one exception is PUSHFQ with its POP RCX. None has a segment prefix. RSP (the vCPU), R13 and R14
 *              (the tables) are never written, R12 (the counter) by LEA from itself alone;
 *   tc_entry   a direct jump leads to the beginning of an instruction of the same block, or to a fixed stub of its width; an
 *              indirect one goes through the table of the block's class;
 *   tc_bounds  instructions fill the block exactly, and sites begin and end where instructions do.
 * Nothing is executed. Prints "goals PROVED TOTAL cases COUNT". */
#include "proofs/scan/engine_host.h"

#include "sbe/codecache_audit.h"
#include "sbe/decode.h"
#include "sbe/translate.h"

enum { CODE_AT = 0x1000 };

static struct vcpu *v;
static u64 cases, blocks, instructions, failed;
static u8 guest[16];
static bool starts[BLOCK_BYTES_MAX + 1];

void host_panic(const char *file, int line, const char *message)
{
    printf("%s:%d: %s\n", file, line, message);
    exit(1);
}

static void fail(const char *what, const u8 *host)
{
    if (++failed > 10)
        return;
    printf("%s: guest", what);
    for (unsigned n = 0; n < 15; n++)
        printf(" %02x", guest[n]);
    printf(" mode %u, host", v->mode);
    for (unsigned n = 0; host && n < 12; n++)
        printf(" %02x", host[n]);
    printf("\n");
}

/* ---- One host instruction ------------------------------------------------------------------------- */

struct host_insn {
    const u8 *at;
    unsigned length;
    bool bmi2; /* SHLX, SARX, SHRX, PEXT, PDEP: not in isa.def; VEX.0F38, register or [base + disp] */
    struct insn insn;
};

/* C4, two bytes of prefix, F5 or F7, ModRM and what belongs to it. */
static bool decode_bmi2(const u8 *at, struct host_insn *i)
{
    if (at[0] != 0xc4 || (at[1] & 0x1f) != 2 || (at[3] != 0xf5 && at[3] != 0xf7) || !(at[2] & 3))
        return false;
    u8 mod = at[4] >> 6, rm = at[4] & 7;
    i->bmi2 = true;
    i->length = 5 + (mod != 3 && rm == 4) + (mod == 1 ? 1 : mod == 2 ? 4 : 0);
    return mod == 3 || rm == 4 ? true : mod != 0 || rm != 5;
}

static bool decode_host(const u8 *at, unsigned left, struct host_insn *i)
{
    *i = (struct host_insn){.at = at};
    if (left >= 6 && decode_bmi2(at, i))
        return i->length <= left;
    if (decode(at, left < INSN_MAX ? left : INSN_MAX, CODE_64, &i->insn) != DECODE_OK)
        return false;
    i->length = i->insn.length;
    return true;
}

/* The general register that operand n of the row names by its encoding, or HOST_NONE. */
static unsigned operand_register(const struct insn *i, unsigned n)
{
    const struct isa_operand_info *o = &isa_operands[isa_rows[i->row].operands[n]];
    bool high = o->size == OPZ_B && !i->rex; /* AH to BH, not RSP to RDI */
    unsigned reg = HOST_NONE;
    if (o->kind == OPK_GREG)
        reg = i->reg;
    else if (o->kind == OPK_OPREG || ((o->kind == OPK_GRM || o->kind == OPK_GREGONLY) && !(i->prefixes & INSN_MEM)))
        reg = i->rm;
    return high && reg < 8 ? reg & 3 : reg;
}

static bool writes_first(const struct isa_row *row)
{
    return strcmp(row->mnemonic, "cmp") && strcmp(row->mnemonic, "test") && strcmp(row->mnemonic, "bt") &&
           strcmp(row->mnemonic, "push");
}

static void check_registers(const struct host_insn *i)
{
    if (i->bmi2) {
        unsigned to = (i->at[4] >> 3 & 7) | (i->at[1] & 0x80 ? 0 : 8);
        if (to == RSP || (to >= R12 && to <= R14))
            fail("a register of ours is written", i->at);
        return;
    }
    const struct isa_row *row = &isa_rows[i->insn.row];
    for (unsigned n = 0; n < ISA_OPERANDS; n++) {
        unsigned reg = operand_register(&i->insn, n);
        bool written = n == 0 ? writes_first(row) : !strcmp(row->mnemonic, "xchg") || !strcmp(row->mnemonic, "xadd");
        bool counts = reg == R12 && !strcmp(row->mnemonic, "lea") && i->insn.base == R12;
        if (written && (reg == RSP || (reg >= R12 && reg <= R14)) && !counts)
            fail("a register of ours is written", i->at);
    }
}

/* ---- Transfers ------------------------------------------------------------------------------------ */

static bool is_stub(const struct sbe *s, const u8 *to, bool wide)
{
    return to == s->site_exit[wide] || to == s->link_exit[wide] || to == s->budget_exit[wide] || to == s->indirect_exit[wide];
}

static void check_direct(const struct host_insn *i, const u8 *begin, const u8 *end)
{
    const u8 *to = i->at + i->length + (s64)i->insn.imm;
    bool inside = to >= begin && to < end && starts[to - begin];
    if (!inside && !is_stub(v->sbe, to, v->mode == CODE_64))
        fail("a jump leads out of the block", i->at);
}

static void check_indirect(const struct host_insn *i, const struct block *b)
{
    s64 table = (s64)offsetof(struct vcpu, context.jump) + b->class * (s64)sizeof v->context.jump[0];
    s64 slot = i->insn.disp - table;
    bool chosen = i->insn.index == RCX && i->insn.scale == 3 && slot == 0;
    bool known = i->insn.index == REG_NONE && slot >= 0 && slot < (s64)sizeof v->context.jump[0] && slot % 8 == 0;
    if (!(i->insn.prefixes & INSN_MEM) || i->insn.base != RSP || (!chosen && !known))
        fail("an indirect jump beside the table", i->at);
}

static void check_insn(const struct host_insn *i, const struct block *b, const u8 *begin, const u8 *end)
{
    instructions++;
    check_registers(i);
    if (i->bmi2)
        return;
    const struct isa_row *row = &isa_rows[i->insn.row];
    bool own = i->at[0] == 0x9c && i->at[1] == 0x59; /* PUSHFQ, POP RCX */
    bool pop = i->at[0] == 0x59 && i->at > begin && i->at[-1] == 0x9c;
    if ((row->attributes & A_CPL0) || (row->cls == CLS_CALLOUT && !own))
        fail("a sensitive instruction", i->at);
    if ((row->cls == CLS_STACK && !own && !pop) || row->cls == CLS_STRING)
        fail("an implicit memory access", i->at);
    if (i->insn.prefixes & INSN_SEG)
        fail("a segment prefix", i->at);
    if (row->cls != CLS_BRANCH)
        return;
    if (isa_operands[row->operands[0]].kind == OPK_REL && strcmp(row->mnemonic, "call"))
        check_direct(i, begin, end);
    else if (i->at[i->at[0] == 0x40 || i->at[0] == 0x41] == 0xff && (i->insn.modrm >> 3 & 7) == 4)
        check_indirect(i, b);
    else
        fail("a call or a return", i->at);
}

/* ---- A block -------------------------------------------------------------------------------------- */

static void check_block(u32 n)
{
    const struct sbe *s = v->sbe;
    const struct block *b = &s->blocks[n];
    const u8 *begin = s->code.rw + s->code_start, *end = s->code.rw + b->end;
    struct host_insn i;
    memset(starts, 0, (size_t)(end - begin) + 1);
    blocks++;
    for (const u8 *at = begin; at < end; at += i.length) {
        if (!decode_host(at, (unsigned)(end - at), &i)) {
            fail("host code that is none", at);
            return;
        }
        starts[at - begin] = true;
    }
    starts[end - begin] = true;
    for (const u8 *at = begin; at < end; at += i.length) {
        decode_host(at, (unsigned)(end - at), &i);
        check_insn(&i, b, begin, end);
    }
    if (!starts[b->code - s->code_start] || !starts[b->indirect - s->code_start])
        fail("an entry within an instruction", NULL);
    for (u32 site = b->first_site; site < b->first_site + b->sites; site++)
        if (s->sites[site].resume && !starts[s->sites[site].resume - s->code_start])
            fail("a site's end within an instruction", NULL);
}

static void translate(u32 key)
{
    codecache_forget_all(v);
    memcpy(physmem_host(&vm->memory, CODE_AT), guest, sizeof guest);
    v->cpu.rip = CODE_AT;
    u32 block = translate_block(v, CODE_AT, key);
    cases++;
    if (block)
        check_block(block);
}

/* ---- All encodings -------------------------------------------------------------------------------- */

static const u8 escapes[][2] = {{0}, {0x0f}, {0x0f, 0x38}, {0x0f, 0x3a}};
static const u8 escape_bytes[] = {0, 1, 2, 2};
/* None, operand size, address size, F2, F3, FS, LOCK; in 64-bit code REX.W, REX.RXB, REX. */
static const u8 prefixes[] = {0, 0x66, 0x67, 0xf2, 0xf3, 0x64, 0xf0, 0x48, 0x47, 0x40};

static void encodings(unsigned prefix, unsigned map, u32 key, bool wide)
{
    static const u8 rest[] = {0x8c, 0x34, 0x12, 0x00, 0x00, 0xc3, 0xc3, 0xc3, 0xc3}; /* SIB, displacement, immediate; then on */
    for (unsigned opcode = 0; opcode < 256; opcode++)
        for (unsigned modrm = 0; modrm < 256; modrm++) {
            unsigned at = 0;
            if (prefix)
                guest[at++] = prefixes[prefix];
            memcpy(guest + at, escapes[map], escape_bytes[map]);
            at += escape_bytes[map];
            guest[at++] = (u8)opcode;
            guest[at++] = (u8)modrm;
            memset(guest + at, 0x90, sizeof guest - at);
            memcpy(guest + at, rest, sizeof guest - at < sizeof rest ? sizeof guest - at : sizeof rest);
            struct insn i;
            enum decode decoded = decode(guest, INSN_MAX, wide ? CODE_64 : CODE_32, &i);
            if (decoded == DECODE_OK)
                translate(key);
            if (decoded == DECODE_OK && isa_rows[i.row].modrm == RM_NONE && modrm >= 3)
                break; /* the byte is an immediate, or another instruction */
        }
}

int main(void)
{
    machine_create();
    v = vm->vcpu[0];
    for (unsigned state = 0; state < 4; state++) {
        bool wide = state & 1;
        machine_enter(v, wide, state & 2 ? 3 : 0);
        u32 key = block_key(v);
        if (key == KEY_NONE)
            return 2;
        for (unsigned prefix = 0; prefix < (wide ? ARRAY_LEN(prefixes) : 7); prefix++)
            for (unsigned map = 0; map < ARRAY_LEN(escapes); map++)
                encodings(prefix, map, key, wide);
    }
    if (blocks < 100000 || instructions < 1000000) {
        printf("too few: %llu blocks, %llu host instructions\n", (unsigned long long)blocks, (unsigned long long)instructions);
        return 1;
    }
    printf("goals %u 3 cases %llu blocks, %llu host instructions\n", failed ? 0 : 3, (unsigned long long)blocks,
           (unsigned long long)instructions);
    return failed != 0;
}
