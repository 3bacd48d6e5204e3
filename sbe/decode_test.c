#include "sbe/decode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Bytes from hexadecimal text; returns their number. */
static unsigned parse_hex(const char *text, u8 *bytes)
{
    unsigned count = 0;
    for (char *end; *text; text = end) {
        bytes[count] = (u8)strtoul(text, &end, 16);
        if (end == text)
            break;
        count++;
    }
    return count;
}

static enum decode status(enum code_mode mode, const char *hex)
{
    u8 bytes[64];
    struct insn i;
    unsigned count = parse_hex(hex, bytes);
    return decode(bytes, count < INSN_MAX ? count : INSN_MAX, mode, &i);
}

/* Decodes a string that is exactly one instruction called `name`. */
static struct insn ok(enum code_mode mode, const char *name, const char *hex)
{
    u8 bytes[64];
    struct insn i;
    unsigned count = parse_hex(hex, bytes);
    if (decode(bytes, count, mode, &i) != DECODE_OK)
        fail_msg("%s: not decoded", hex);
    if (strcmp(isa_rows[i.row].mnemonic, name))
        fail_msg("%s: %s, expected %s", hex, isa_rows[i.row].mnemonic, name);
    if (i.length != count)
        fail_msg("%s: length %u, expected %u", hex, i.length, count);
    assert_null(i.handler);
    return i;
}

static void assert_memory(struct insn i, u8 base, u8 index, u8 scale, s64 disp, enum seg seg)
{
    assert_true(i.prefixes & INSN_MEM);
    assert_int_equal(i.base, base);
    assert_int_equal(i.index, index);
    assert_int_equal(i.scale, scale);
    assert_int_equal(i.disp, disp);
    assert_int_equal(i.seg, seg);
}

static void operand_size_by_mode_66_and_rex_w(void **state)
{
    (void)state;
    assert_int_equal(ok(CODE_16, "mov", "89 c3").opsize, 2);
    assert_int_equal(ok(CODE_16, "mov", "66 89 c3").opsize, 4);
    assert_int_equal(ok(CODE_32, "mov", "89 c3").opsize, 4);
    assert_int_equal(ok(CODE_32, "mov", "66 89 c3").opsize, 2);
    assert_int_equal(ok(CODE_64, "mov", "89 c3").opsize, 4);
    assert_int_equal(ok(CODE_64, "mov", "66 89 c3").opsize, 2);
    assert_int_equal(ok(CODE_64, "mov", "48 89 c3").opsize, 8);
    assert_int_equal(ok(CODE_64, "mov", "66 48 89 c3").opsize, 8); /* REX.W wins */
    assert_int_equal(ok(CODE_64, "mov", "48 88 c3").opsize, 1);
    assert_int_equal(ok(CODE_64, "push", "50").opsize, 8);
    assert_int_equal(ok(CODE_64, "push", "66 50").opsize, 2);
    assert_int_equal(ok(CODE_64, "push", "66 48 50").opsize, 8);
    assert_int_equal(ok(CODE_64, "pushf", "9c").opsize, 8);
    assert_int_equal(ok(CODE_64, "in", "48 ed").opsize, 4); /* never 64 bits wide */
    assert_int_equal(ok(CODE_64, "movs", "48 a5").opsize, 8);
    assert_int_equal(ok(CODE_16, "movnti", "0f c3 07").opsize, 4);
    assert_int_equal(ok(CODE_64, "mov", "0f 20 c0").opsize, 8);
    assert_int_equal(ok(CODE_64, "mov", "66 0f 20 c0").opsize, 8);
    assert_int_equal(ok(CODE_16, "mov", "0f 20 c0").opsize, 4);
}

static void address_size_by_mode_and_67(void **state)
{
    (void)state;
    assert_int_equal(ok(CODE_16, "mov", "8b 07").addrsize, 2);
    assert_int_equal(ok(CODE_16, "mov", "67 8b 07").addrsize, 4);
    assert_int_equal(ok(CODE_32, "mov", "8b 07").addrsize, 4);
    assert_int_equal(ok(CODE_32, "mov", "67 8b 07").addrsize, 2);
    assert_int_equal(ok(CODE_64, "mov", "8b 07").addrsize, 8);
    assert_int_equal(ok(CODE_64, "mov", "67 8b 07").addrsize, 4);
    assert_int_equal(ok(CODE_64, "mov", "67 67 8b 07").addrsize, 4); /* twice is once */
}

static void addressing_with_16_bits(void **state)
{
    (void)state;
    assert_memory(ok(CODE_16, "mov", "8b 00"), RBX, RSI, 0, 0, SEG_DS);
    assert_memory(ok(CODE_16, "mov", "8b 01"), RBX, RDI, 0, 0, SEG_DS);
    assert_memory(ok(CODE_16, "mov", "8b 02"), RBP, RSI, 0, 0, SEG_SS);
    assert_memory(ok(CODE_16, "mov", "8b 03"), RBP, RDI, 0, 0, SEG_SS);
    assert_memory(ok(CODE_16, "mov", "8b 04"), RSI, REG_NONE, 0, 0, SEG_DS);
    assert_memory(ok(CODE_16, "mov", "8b 05"), RDI, REG_NONE, 0, 0, SEG_DS);
    assert_memory(ok(CODE_16, "mov", "8b 06 fe ff"), REG_NONE, REG_NONE, 0, -2, SEG_DS);
    assert_memory(ok(CODE_16, "mov", "8b 07"), RBX, REG_NONE, 0, 0, SEG_DS);
    assert_memory(ok(CODE_16, "mov", "8b 46 80"), RBP, REG_NONE, 0, -128, SEG_SS);
    assert_memory(ok(CODE_16, "mov", "8b 86 34 12"), RBP, REG_NONE, 0, 0x1234, SEG_SS);
    assert_memory(ok(CODE_16, "mov", "26 8b 46 00"), RBP, REG_NONE, 0, 0, SEG_ES);
    assert_memory(ok(CODE_32, "mov", "67 8b 40 01"), RBX, RSI, 0, 1, SEG_DS);
}

static void addressing_with_32_bits_and_sib(void **state)
{
    (void)state;
    assert_memory(ok(CODE_32, "mov", "8b 00"), RAX, REG_NONE, 0, 0, SEG_DS);
    assert_memory(ok(CODE_32, "mov", "8b 05 78 56 34 92"), REG_NONE, REG_NONE, 0, (s32)0x92345678, SEG_DS);
    assert_memory(ok(CODE_32, "mov", "8b 45 f0"), RBP, REG_NONE, 0, -16, SEG_SS);
    assert_memory(ok(CODE_32, "mov", "8b 85 00 01 00 00"), RBP, REG_NONE, 0, 256, SEG_SS);
    assert_memory(ok(CODE_32, "mov", "8b 04 24"), RSP, REG_NONE, 0, 0, SEG_SS);
    assert_memory(ok(CODE_32, "mov", "8b 04 e4"), RSP, REG_NONE, 0, 0, SEG_SS); /* no index: no scale */
    assert_memory(ok(CODE_32, "mov", "8b 04 cb"), RBX, RCX, 3, 0, SEG_DS);
    assert_memory(ok(CODE_32, "mov", "8b 04 68"), RAX, RBP, 1, 0, SEG_DS); /* rBP as index: DS */
    assert_memory(ok(CODE_32, "mov", "8b 04 8d 04 00 00 00"), REG_NONE, RCX, 2, 4, SEG_DS);
    assert_memory(ok(CODE_32, "mov", "8b 44 8d 04"), RBP, RCX, 2, 4, SEG_SS);
    assert_memory(ok(CODE_32, "mov", "8b 04 25 04 00 00 00"), REG_NONE, REG_NONE, 0, 4, SEG_DS);
    assert_memory(ok(CODE_16, "mov", "67 8b 04 24"), RSP, REG_NONE, 0, 0, SEG_SS);
}

static void addressing_with_64_bits(void **state)
{
    (void)state;
    assert_memory(ok(CODE_64, "mov", "8b 05 fc ff ff ff"), REG_RIP, REG_NONE, 0, -4, SEG_DS);
    assert_memory(ok(CODE_64, "mov", "41 8b 05 fc ff ff ff"), REG_RIP, REG_NONE, 0, -4, SEG_DS); /* REX.B ignored */
    assert_memory(ok(CODE_64, "mov", "67 8b 05 fc ff ff ff"), REG_RIP, REG_NONE, 0, -4, SEG_DS);
    assert_memory(ok(CODE_64, "mov", "8b 04 25 04 00 00 00"), REG_NONE, REG_NONE, 0, 4, SEG_DS);
    assert_memory(ok(CODE_64, "mov", "41 8b 04 24"), R12, REG_NONE, 0, 0, SEG_DS); /* SIB as for RSP, but not SS */
    assert_memory(ok(CODE_64, "mov", "41 8b 45 00"), R13, REG_NONE, 0, 0, SEG_DS);
    assert_memory(ok(CODE_64, "mov", "42 8b 04 20"), RAX, R12, 0, 0, SEG_DS); /* REX.X makes index 100b R12 */
    assert_memory(ok(CODE_64, "mov", "43 8b 04 25 04 00 00 00"), REG_NONE, R12, 0, 4, SEG_DS); /* REX.B ignored */
    assert_memory(ok(CODE_64, "mov", "43 8b 44 f5 7f"), R13, R14, 3, 127, SEG_DS);
    assert_memory(ok(CODE_64, "mov", "67 41 8b 04 25 04 00 00 00"), REG_NONE, REG_NONE, 0, 4, SEG_DS);
}

static void registers_and_rex_bits(void **state)
{
    (void)state;
    struct insn i = ok(CODE_64, "mov", "4d 89 c8"); /* mov r8, r9 */
    assert_int_equal(i.reg, R9);
    assert_int_equal(i.rm, R8);
    assert_int_equal(i.reg_at, 8 * R9);
    assert_int_equal(i.rm_at, 8 * R8);
    i = ok(CODE_64, "push", "41 57");
    assert_int_equal(i.rm, R15);
    i = ok(CODE_32, "mov", "bf 78 56 34 12");
    assert_int_equal(i.rm, RDI);
    i = ok(CODE_64, "mov", "4c 0f 20 c0"); /* mov rax, cr8 */
    assert_int_equal(i.reg, 8);
    i = ok(CODE_64, "add", "4f 83 c0 01"); /* REX.R means nothing to a digit */
    assert_int_equal(i.reg, 0);
    assert_int_equal(i.rm, R8);
    i = ok(CODE_64, "movq", "4d 0f 6f c1"); /* MMX registers are eight */
    assert_int_equal(i.reg, 0);
    assert_int_equal(i.rm, 1);
    i = ok(CODE_64, "mov", "4d 8c d8"); /* and so are segment registers: mov r8, ds */
    assert_int_equal(i.reg, SEG_DS);
    assert_int_equal(i.rm, R8);
}

static void high_byte_registers_without_rex(void **state)
{
    (void)state;
    struct insn i = ok(CODE_64, "mov", "88 e7"); /* mov bh, ah */
    assert_int_equal(i.reg_at, 8 * RAX + 1);
    assert_int_equal(i.rm_at, 8 * RBX + 1);
    i = ok(CODE_64, "mov", "40 88 e7"); /* mov dil, spl */
    assert_int_equal(i.reg_at, 8 * RSP);
    assert_int_equal(i.rm_at, 8 * RDI);
    i = ok(CODE_64, "mov", "44 88 e7"); /* mov dil, r12b */
    assert_int_equal(i.reg_at, 8 * R12);
    i = ok(CODE_32, "mov", "b4 01"); /* mov ah, 1 */
    assert_int_equal(i.rm_at, 1);
    i = ok(CODE_64, "mov", "40 b4 01"); /* mov spl, 1 */
    assert_int_equal(i.rm_at, 8 * RSP);
    i = ok(CODE_32, "movzx", "0f b6 e4"); /* movzx esp, ah: only the source is a byte */
    assert_int_equal(i.reg_at, 8 * RSP);
    assert_int_equal(i.rm_at, 1);
    i = ok(CODE_32, "pextrb", "66 0f 3a 14 c4 05"); /* to ESP */
    assert_int_equal(i.rm_at, 8 * RSP);
    assert_int_equal(ok(CODE_64, "set", "0f 94 c7").rm_at, 8 * RBX + 1);
}

static void rex_counts_only_before_the_opcode(void **state)
{
    (void)state;
    struct insn i = ok(CODE_64, "mov", "48 66 89 c3"); /* a prefix after REX cancels it */
    assert_int_equal(i.opsize, 2);
    assert_int_equal(i.rex, 0);
    assert_false(i.prefixes & INSN_REX);
    i = ok(CODE_64, "mov", "48 41 89 c3"); /* of two, the last */
    assert_int_equal(i.opsize, 4);
    assert_int_equal(i.rm, R11);
    i = ok(CODE_64, "cmpxchg8b", "f3 48 0f c7 08"); /* between a mandatory prefix and 0F */
    assert_int_equal(i.rex, 0x48);
    assert_int_equal(ok(CODE_32, "dec", "48").opsize, 4); /* no REX outside 64-bit mode */
    assert_int_equal(status(CODE_64, "f3 48 48"), DECODE_TRUNCATED);
}

static void last_prefix_of_a_group_counts(void **state)
{
    (void)state;
    struct insn i = ok(CODE_32, "mov", "26 64 2e 8b 00");
    assert_int_equal(i.seg, SEG_CS);
    i = ok(CODE_32, "movs", "f2 f3 a5");
    assert_true(i.prefixes & INSN_REP);
    assert_false(i.prefixes & INSN_REPNE);
    i = ok(CODE_32, "scas", "f3 f2 af");
    assert_true(i.prefixes & INSN_REPNE);
    assert_false(i.prefixes & INSN_REP);
    assert_int_equal(ok(CODE_32, "movss", "f2 f3 0f 10 00").opcode, 0x10);
    assert_int_equal(ok(CODE_32, "movsd", "f3 f2 0f 10 00").opcode, 0x10);
}

static void segment_overrides(void **state)
{
    (void)state;
    static const char *const override[] = {"26 8b 00", "2e 8b 00", "36 8b 00", "3e 8b 00", "64 8b 00", "65 8b 00"};
    for (unsigned seg = 0; seg < ARRAY_LEN(override); seg++) {
        struct insn i = ok(CODE_32, "mov", override[seg]);
        assert_int_equal(i.seg, seg);
        assert_true(i.prefixes & INSN_SEG);
        i = ok(CODE_64, "mov", override[seg]);
        assert_int_equal(i.seg, seg < SEG_FS ? SEG_DS : seg); /* 64-bit mode ignores ES, CS, SS, DS */
        assert_int_equal(!!(i.prefixes & INSN_SEG), seg >= SEG_FS);
    }
    assert_int_equal(ok(CODE_64, "mov", "64 3e 8b 00").seg, SEG_FS); /* what is ignored cancels nothing */
    assert_int_equal(ok(CODE_64, "mov", "2e 8b 04 24").seg, SEG_SS);
    assert_int_equal(ok(CODE_32, "movs", "a5").seg, SEG_DS);
    assert_int_equal(ok(CODE_32, "movs", "65 a5").seg, SEG_GS); /* the source */
    assert_int_equal(ok(CODE_32, "stos", "65 ab").seg, SEG_ES); /* no source: ES cannot be overridden */
    assert_int_equal(ok(CODE_32, "lods", "36 ad").seg, SEG_SS);
    assert_int_equal(ok(CODE_32, "xlat", "2e d7").seg, SEG_CS);
    assert_int_equal(ok(CODE_32, "maskmovq", "65 0f f7 c1").seg, SEG_GS);
}

static void mandatory_prefixes_select_rows(void **state)
{
    (void)state;
    static const struct { const char *name, *hex; } cases[] = {
        {"movups", "0f 10 00"}, {"movupd", "66 0f 10 00"}, {"movss", "f3 0f 10 00"}, {"movsd", "f2 0f 10 00"},
        {"movss", "66 f3 0f 10 00"}, {"movss", "f3 66 0f 10 00"}, {"movsd", "f2 66 0f 10 00"}, /* F2, F3 before 66 */
        {"popcnt", "f3 0f b8 c1"}, {"popcnt", "66 f3 0f b8 c1"}, {"crc32", "f2 0f 38 f1 c1"},
        {"crc32", "66 f2 0f 38 f1 c1"}, {"movbe", "0f 38 f0 00"}, {"movbe", "66 0f 38 f0 00"},
        {"pause", "f3 90"}, {"pshufb", "0f 38 00 c1"}, {"pshufb", "66 0f 38 00 c1"}, {"ud2", "f3 0f 0b"},
        {"movq", "f3 0f 7e c1"}, {"movd", "66 0f 7e c1"}, {"lddqu", "f2 0f f0 00"},
    };
    for (unsigned n = 0; n < ARRAY_LEN(cases); n++)
        ok(CODE_32, cases[n].name, cases[n].hex);
    assert_int_equal(ok(CODE_32, "popcnt", "66 f3 0f b8 c1").opsize, 2);
    assert_int_equal(ok(CODE_32, "movbe", "66 0f 38 f0 00").opsize, 2);
    assert_int_equal(ok(CODE_64, "movd", "66 48 0f 7e c1").opsize, 8); /* the 66 is spent on choosing the row */
    assert_int_equal(ok(CODE_64, "movd", "66 0f 7e c1").opsize, 4);
    assert_int_equal(status(CODE_32, "f3 0f 38 00 c1"), DECODE_INVALID); /* no F3 row of PSHUFB */
    assert_int_equal(status(CODE_32, "0f b8 c1"), DECODE_INVALID);       /* JMPE is no x86 instruction */
    assert_int_equal(status(CODE_32, "f2 0f 2b 00"), DECODE_INVALID);
    assert_int_equal(status(CODE_32, "66 0f 01 d0"), DECODE_INVALID); /* XGETBV: NP */
}

static void nop_and_xchg_share_90(void **state)
{
    (void)state;
    assert_int_equal(ok(CODE_64, "xchg", "41 90").rm, R8);
    assert_int_equal(ok(CODE_64, "xchg", "f3 41 90").rm, R8);
    assert_int_equal(ok(CODE_64, "xchg", "93").rm, RBX);
    ok(CODE_64, "pause", "f3 48 90");
    assert_int_equal(ok(CODE_64, "bswap", "49 0f c9").rm, R9);
}

static void immediates(void **state)
{
    (void)state;
    assert_int_equal(ok(CODE_32, "add", "83 c0 ff").imm, ~0ull);
    assert_int_equal(ok(CODE_32, "int", "cd 80").imm, 0x80);
    assert_int_equal(ok(CODE_16, "mov", "b8 34 92").imm, 0x9234);
    assert_int_equal(ok(CODE_64, "mov", "48 b8 08 07 06 05 04 03 02 81").imm, 0x8102030405060708ull);
    assert_int_equal(ok(CODE_64, "mov", "48 c7 c0 00 00 00 80").imm, 0xffffffff80000000ull);
    assert_int_equal(ok(CODE_64, "push", "68 00 00 00 80").imm, 0xffffffff80000000ull);
    assert_int_equal(ok(CODE_64, "push", "66 68 00 80").imm, 0xffffffffffff8000ull);
    assert_int_equal(ok(CODE_64, "push", "6a fe").imm, ~1ull);
    assert_int_equal(ok(CODE_32, "ret", "c2 00 80").imm, 0x8000);
    assert_int_equal(ok(CODE_32, "test", "f7 00 01 00 00 00").imm, 1); /* group rows differ in their immediates */
    assert_int_equal(ok(CODE_32, "not", "f7 10").imm, 0);
    assert_int_equal(ok(CODE_32, "shl", "c1 e0 1f").imm, 31);
    struct insn i = ok(CODE_64, "enter", "c8 34 12 1f");
    assert_int_equal(i.imm, 0x1234);
    assert_int_equal(i.imm2, 0x1f);
    i = ok(CODE_64, "cmp", "81 3d 04 03 02 01 78 56 34 12"); /* displacement, then immediate */
    assert_int_equal(i.disp, 0x01020304);
    assert_int_equal(i.imm, 0x12345678);
}

static void branches(void **state)
{
    (void)state;
    assert_int_equal(ok(CODE_32, "j", "74 fe").imm, ~1ull);
    assert_int_equal(ok(CODE_32, "j", "74 fe").opcode & 15, 4);
    assert_int_equal(ok(CODE_32, "j", "0f 8f 00 00 00 80").imm, 0xffffffff80000000ull);
    assert_int_equal(ok(CODE_16, "call", "e8 fe ff").imm, ~1ull);
    assert_int_equal(ok(CODE_32, "jmp", "66 e9 fe ff").opsize, 2);
    struct insn i = ok(CODE_64, "jmp", "66 e9 fe ff ff ff"); /* Intel: 66 is ignored on near branches in 64-bit mode */
    assert_int_equal(i.opsize, 8);
    assert_int_equal(i.imm, ~1ull);
    assert_int_equal(ok(CODE_64, "ret", "66 c3").opsize, 8);
    assert_int_equal(ok(CODE_64, "call", "66 ff d0").opsize, 8);
    assert_int_equal(ok(CODE_64, "loop", "67 e2 00").addrsize, 4);
}

static void far_pointers_and_absolute_offsets(void **state)
{
    (void)state;
    struct insn i = ok(CODE_16, "jmp", "ea 34 12 78 56");
    assert_int_equal(i.imm, 0x1234);
    assert_int_equal(i.imm2, 0x5678);
    i = ok(CODE_16, "call", "66 9a 78 56 34 92 cd ab");
    assert_int_equal(i.imm, 0x92345678);
    assert_int_equal(i.imm2, 0xabcd);
    assert_int_equal(status(CODE_64, "ea 34 12 78 56 00 00"), DECODE_INVALID);
    assert_memory(ok(CODE_16, "mov", "a1 fe ff"), REG_NONE, REG_NONE, 0, 0xfffe, SEG_DS);
    assert_memory(ok(CODE_32, "mov", "64 a3 fc ff ff ff"), REG_NONE, REG_NONE, 0, 0xfffffffc, SEG_FS);
    i = ok(CODE_64, "mov", "a2 08 07 06 05 04 03 02 81");
    assert_memory(i, REG_NONE, REG_NONE, 0, (s64)0x8102030405060708, SEG_DS);
    i = ok(CODE_64, "mov", "67 48 a1 08 07 06 05");
    assert_memory(i, REG_NONE, REG_NONE, 0, 0x05060708, SEG_DS);
    assert_int_equal(i.opsize, 8);
    assert_int_equal(ok(CODE_64, "jmp", "48 ff 28").opsize, 8); /* m16:64 */
}

static void lock_needs_a_memory_destination(void **state)
{
    (void)state;
    assert_true(ok(CODE_32, "add", "f0 01 00").prefixes & INSN_LOCK);
    ok(CODE_32, "xchg", "f0 87 00");
    ok(CODE_32, "cmpxchg8b", "f0 0f c7 08");
    ok(CODE_32, "bts", "f0 0f ab 00");
    ok(CODE_32, "inc", "f2 f0 ff 00");
    assert_int_equal(status(CODE_32, "f0 01 c0"), DECODE_INVALID);       /* register destination */
    assert_int_equal(status(CODE_32, "f0 03 00"), DECODE_INVALID);       /* memory source */
    assert_int_equal(status(CODE_32, "f0 39 00"), DECODE_INVALID);       /* CMP */
    assert_int_equal(status(CODE_32, "f0 0f a3 00"), DECODE_INVALID);    /* BT */
    assert_int_equal(status(CODE_32, "f0 90"), DECODE_INVALID);
    assert_int_equal(status(CODE_32, "f0 a4"), DECODE_INVALID);
    assert_int_equal(status(CODE_64, "f0 44 0f 20 c0"), DECODE_INVALID); /* AMD's way to CR8 */
    assert_int_equal(status(CODE_32, "f0 8f 00"), DECODE_INVALID);
}

static void fifteen_bytes_and_no_more(void **state)
{
    (void)state;
    ok(CODE_32, "add", "66 66 66 66 66 66 66 66 66 66 66 66 66 01 c0");
    assert_int_equal(status(CODE_32, "66 66 66 66 66 66 66 66 66 66 66 66 66 66 01 c0"), DECODE_TOO_LONG);
    assert_int_equal(status(CODE_32, "66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 66"), DECODE_TOO_LONG);
    ok(CODE_64, "mov", "2e 2e 2e 2e 2e 48 b8 01 02 03 04 05 06 07 08");
    assert_int_equal(status(CODE_64, "2e 2e 2e 2e 2e 2e 48 b8 01 02 03 04 05 06 07 08"), DECODE_TOO_LONG);
    /* The length is known before the illegal LOCK is looked at. */
    assert_int_equal(status(CODE_32, "f0 66 66 66 66 66 66 66 66 66 66 66 66 66 03 c0"), DECODE_TOO_LONG);
    assert_int_equal(status(CODE_32, "66 66 66 66 66 66 66 66 66 66 66 66 66 66"), DECODE_TRUNCATED); /* 14 */
}

static void mode_decides_what_exists(void **state)
{
    (void)state;
    static const char *const legacy_only[] = {
        "06", "0e", "27", "2f", "37", "3f", "60", "61", "62 00", "82 c0 01", "9a 00 00 00 00 00 00", "c4 00", "c5 00",
        "ce", "d4 0a", "d5 0a", "d6"};
    for (unsigned n = 0; n < ARRAY_LEN(legacy_only); n++) {
        assert_int_equal(status(CODE_32, legacy_only[n]), DECODE_OK);
        if (strncmp(legacy_only[n], "c", 1) || legacy_only[n][1] == 'e') /* C4, C5 are VEX there */
            assert_int_equal(status(CODE_64, legacy_only[n]), DECODE_INVALID);
    }
    ok(CODE_32, "arpl", "63 c0");
    ok(CODE_64, "movsxd", "63 c0");
    ok(CODE_64, "swapgs", "0f 01 f8");
    assert_int_equal(status(CODE_32, "0f 01 f8"), DECODE_INVALID);
    ok(CODE_32, "bound", "62 00");
    assert_int_equal(status(CODE_32, "62 c0"), DECODE_INVALID);
}

static void forms_that_do_not_exist(void **state)
{
    (void)state;
    static const char *const invalid[] = {
        "8d c0" /* LEA of a register */, "8e c8" /* MOV CS */, "8e f0", "8c f0" /* segment register 6 */, "8f c8",
        "c6 c8", "fe d0", "ff f8", "0f 01 c5", "0f c7 c8" /* CMPXCHG8B register */, "0f 20 c8" /* CR1 */,
        "0f 20 e8" /* CR5 */, "0f 24 c0" /* test registers */, "0f 04", "0f 3a 00 c0 00",
        "0f ba c0 01", "d9 d1", "df f8"};
    for (unsigned n = 0; n < ARRAY_LEN(invalid); n++)
        assert_int_equal(status(CODE_32, invalid[n]), DECODE_INVALID);
    assert_int_equal(status(CODE_64, "44 0f 20 d0"), DECODE_INVALID); /* CR10 */
    assert_int_equal(status(CODE_64, "44 0f 21 c0"), DECODE_INVALID); /* DR8 */
}

static void mov_to_and_from_control_registers_ignores_mod(void **state)
{
    (void)state;
    static const char *const forms[] = {"0f 22 04", "0f 22 44", "0f 22 84", "0f 22 c4"};
    for (unsigned n = 0; n < ARRAY_LEN(forms); n++) {
        struct insn i = ok(CODE_32, "mov", forms[n]); /* mov cr0, esp: no SIB, no displacement */
        assert_int_equal(i.rm, RSP);
        assert_false(i.prefixes & INSN_MEM);
    }
    assert_int_equal(ok(CODE_64, "mov", "41 0f 23 3d").rm, R13); /* mov dr7, r13 */
}

static void vex_prefixes(void **state)
{
    (void)state;
    struct insn i = ok(CODE_64, "andn", "c4 62 e0 f2 c1"); /* andn r8, rbx, rcx */
    assert_int_equal(i.reg, R8);
    assert_int_equal(i.vvvv, RBX);
    assert_int_equal(i.rm, RCX);
    assert_int_equal(i.opsize, 8);
    i = ok(CODE_64, "rorx", "c4 c3 7b f0 04 24 05"); /* rorx eax, [r12], 5 */
    assert_memory(i, R12, REG_NONE, 0, 0, SEG_DS);
    assert_int_equal(i.imm, 5);
    assert_int_equal(i.opsize, 4);
    i = ok(CODE_32, "shlx", "c4 e2 f9 f7 c1"); /* VEX.W means nothing outside 64-bit mode */
    assert_int_equal(i.opsize, 4);
    ok(CODE_64, "sarx", "c4 e2 7a f7 c1");
    ok(CODE_64, "blsi", "c4 e2 78 f3 d9");
    assert_int_equal(status(CODE_64, "c4 e2 7c f2 c1"), DECODE_INVALID);    /* ANDN needs VEX.L = 0 */
    assert_int_equal(status(CODE_64, "c4 e3 73 f0 c1 05"), DECODE_INVALID); /* RORX needs vvvv = 1111b */
    assert_int_equal(status(CODE_64, "66 c4 e2 78 f2 c1"), DECODE_INVALID);
    assert_int_equal(status(CODE_64, "f0 c4 e2 78 f2 01"), DECODE_INVALID);
    assert_int_equal(status(CODE_64, "48 c4 e2 78 f2 c1"), DECODE_INVALID);
    assert_int_equal(status(CODE_64, "c4 e4 78 f2 c1"), DECODE_INVALID); /* map 4 */
    ok(CODE_32, "les", "c4 00");
    ok(CODE_32, "lds", "c5 40 01");
    ok(CODE_16, "andn", "c4 e2 78 f2 c1");
    assert_int_equal(status(CODE_32, "c4"), DECODE_TRUNCATED); /* LES or VEX */
    assert_int_equal(status(CODE_64, "64 67 c5 f8"), DECODE_TRUNCATED);
}

/* ---- Properties of all rows ---- */

static const u8 mandatory_bytes[] = {[PX_66] = 0x66, [PX_F3] = 0xf3, [PX_F2] = 0xf2};

/* The shortest instance of a row: registers where it can, zeros after it. Returns false for VEX rows. */
static bool instance(const struct isa_row *row, u8 bytes[INSN_MAX])
{
    unsigned at = 0;
    memset(bytes, 0, INSN_MAX);
    if (row->map >= MAP_VEX_0F)
        return false;
    if (row->prefix >= PX_66 && row->prefix <= PX_F2)
        bytes[at++] = mandatory_bytes[row->prefix];
    if (row->map != MAP_1B)
        bytes[at++] = 0x0f;
    if (row->map == MAP_0F38 || row->map == MAP_0F3A)
        bytes[at++] = row->map == MAP_0F38 ? 0x38 : 0x3a;
    bytes[at++] = (u8)row->opcode;
    if (row->modrm & 0x200)
        bytes[at] = (u8)row->modrm;
    else if (row->modrm >= RM_DIGIT(0))
        bytes[at] = (u8)((row->modrm & 7) << 3);
    bool register_form = row->modrm == RM_R || (row->modrm & 0x3f0) == RM_DIGIT_R(0);
    for (unsigned n = 0; n < ISA_OPERANDS; n++) {
        u8 kind = isa_operands[row->operands[n]].kind;
        register_form |= kind == OPK_GREGONLY || kind == OPK_XRMREG || kind == OPK_MRMREG;
    }
    if (register_form)
        bytes[at] |= 0xc0;
    return true;
}

/* No row is hidden behind another, and every mode in which it exists decodes it. */
static void every_row_is_reachable(void **state)
{
    (void)state;
    u8 bytes[INSN_MAX];
    for (unsigned row = 1; row < isa_row_count; row++) {
        if (!instance(&isa_rows[row], bytes))
            continue;
        for (enum code_mode mode = CODE_16; mode <= CODE_64; mode++) {
            struct insn i;
            bool exists = isa_rows[row].modes >> mode & 1;
            enum decode result = decode(bytes, INSN_MAX, mode, &i);
            if (exists && (result != DECODE_OK || i.row != row))
                fail_msg("row %u (%s, opcode %02x) in mode %d: %s", row, isa_rows[row].mnemonic, isa_rows[row].opcode,
                         mode, result == DECODE_OK ? isa_rows[i.row].mnemonic : "not decoded");
            if (!exists && result == DECODE_OK && i.row == row)
                fail_msg("row %u (%s) decodes in mode %d", row, isa_rows[row].mnemonic, mode);
        }
    }
}

static u64 next_random(u64 *seed)
{
    *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
    return *seed ^ *seed >> 29;
}

/* A refusal stands whatever bytes follow, and a decoded instruction does not look beyond its own end. */
static void verdicts_do_not_depend_on_later_bytes(void **state)
{
    (void)state;
    u64 seed = 1;
    for (unsigned n = 0; n < 300000; n++) {
        u8 bytes[16], other[16];
        struct insn a, b;
        u64 random[4] = {next_random(&seed), next_random(&seed), next_random(&seed), next_random(&seed)};
        memcpy(bytes, random, 16);
        memcpy(other, random + 2, 16);
        enum code_mode mode = (enum code_mode)(n % 3);
        unsigned available = n / 3 % 16;
        enum decode first = decode(bytes, available, mode, &a);
        memcpy(other, bytes, first == DECODE_OK ? a.length : available);
        enum decode second = decode(other, INSN_MAX, mode, &b);
        if (first == DECODE_OK || first == DECODE_INVALID)
            assert_int_equal(second, first);
        if (first == DECODE_OK)
            assert_memory_equal(&a, &b, offsetof(struct insn, vex_l) + 1);
        if (first == DECODE_TRUNCATED && second == DECODE_OK)
            assert_true(b.length > available);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operand_size_by_mode_66_and_rex_w),
        cmocka_unit_test(address_size_by_mode_and_67),
        cmocka_unit_test(addressing_with_16_bits),
        cmocka_unit_test(addressing_with_32_bits_and_sib),
        cmocka_unit_test(addressing_with_64_bits),
        cmocka_unit_test(registers_and_rex_bits),
        cmocka_unit_test(high_byte_registers_without_rex),
        cmocka_unit_test(rex_counts_only_before_the_opcode),
        cmocka_unit_test(last_prefix_of_a_group_counts),
        cmocka_unit_test(segment_overrides),
        cmocka_unit_test(mandatory_prefixes_select_rows),
        cmocka_unit_test(nop_and_xchg_share_90),
        cmocka_unit_test(immediates),
        cmocka_unit_test(branches),
        cmocka_unit_test(far_pointers_and_absolute_offsets),
        cmocka_unit_test(lock_needs_a_memory_destination),
        cmocka_unit_test(fifteen_bytes_and_no_more),
        cmocka_unit_test(mode_decides_what_exists),
        cmocka_unit_test(forms_that_do_not_exist),
        cmocka_unit_test(mov_to_and_from_control_registers_ignores_mod),
        cmocka_unit_test(vex_prefixes),
        cmocka_unit_test(every_row_is_reachable),
        cmocka_unit_test(verdicts_do_not_depend_on_later_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
