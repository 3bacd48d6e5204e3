/* Integer instructions through decoder, handlers and memory: short byte sequences in flat 16-, 32- and 64-bit code. */
#include "sbe/test_code.h"

/* ---- Registers, widths, sources ----------------------------------------------------------------- */

static void widths(void **state)
{
    (void)state;
    enter(CODE_64);
    set(RAX, 0xffffffffffffffff);
    set(RBX, 1);
    OK(0x00, 0xd8); /* add al, bl */
    assert_reg(RAX, 0xffffffffffffff00);
    assert_flags(FLAGS_ARITH, FLAG_CF | FLAG_AF | FLAG_ZF | FLAG_PF);
    OK(0x66, 0x11, 0xd8); /* adc ax, bx */
    assert_reg(RAX, 0xffffffffffffff02);
    OK(0x83, 0xe8, 0xff); /* sub eax, -1 */
    assert_reg(RAX, 0xffffff03);
    OK(0x48, 0x0d, 0x00, 0x00, 0x00, 0x80); /* or rax, sign-extended imm32 */
    assert_reg(RAX, 0xffffffffffffff03);
    OK(0x88, 0xc7); /* mov bh, al */
    assert_reg(RBX, 0x301);
    OK(0x40, 0x88, 0xc7); /* mov dil, al */
    assert_reg(RDI, 0x03);
    OK(0x45, 0x31, 0xff); /* xor r15d, r15d */
    assert_flags(FLAG_ZF | FLAG_CF | FLAG_OF, FLAG_ZF);
}

static void memory_operands(void **state)
{
    (void)state;
    enter(CODE_64);
    store64(DATA, 0x1122334455667788);
    set(RBX, DATA);
    set(RCX, 2);
    OK(0x8b, 0x44, 0x4b, 0xfc); /* mov eax, [rbx+rcx*2-4] */
    assert_reg(RAX, 0x55667788);
    OK(0x48, 0xf7, 0x13); /* not qword [rbx] */
    assert_int_equal(load64(DATA), ~0x1122334455667788ull);
    OK(0xc6, 0x03, 0x7f); /* mov byte [rbx], 7f */
    OK(0xfe, 0x03);       /* inc byte [rbx] */
    assert_int_equal(*ram(DATA), 0x80);
    assert_flags(FLAG_OF | FLAG_SF | FLAG_ZF, FLAG_OF | FLAG_SF);
    OK(0x48, 0x8d, 0x05, 0x10, 0x00, 0x00, 0x00); /* lea rax, [rip+10h] */
    assert_reg(RAX, CODE + 7 + 0x10);
    OK(0x67, 0x8d, 0x43, 0xff); /* lea eax, [ebx-1] */
    assert_reg(RAX, DATA - 1);
    assert_fault(DO(0x8d, 0xc0), VEC_UD);                               /* lea eax, eax */
    assert_fault(DO(0xff, 0x04, 0x25, 0x00, 0x00, 0x10, 0x00), VEC_PF); /* inc dword [HOLE] */
    assert_int_equal(v->fault.cr2, HOLE);
}

static void extensions(void **state)
{
    (void)state;
    enter(CODE_64);
    set(RAX, 0x80);
    OK(0x66, 0x98); /* cbw */
    assert_reg(RAX, 0xff80);
    OK(0x98); /* cwde */
    assert_reg(RAX, 0xffffff80);
    OK(0x48, 0x98); /* cdqe */
    assert_reg(RAX, 0xffffffffffffff80);
    OK(0x48, 0x99); /* cqo */
    assert_reg(RDX, UINT64_MAX);
    OK(0x0f, 0xb6, 0xd4); /* movzx edx, ah */
    assert_reg(RDX, 0xff);
    OK(0x48, 0x0f, 0xbe, 0xc8); /* movsx rcx, al */
    assert_reg(RCX, 0xffffffffffffff80);
    OK(0x48, 0x63, 0xd8); /* movsxd rbx, eax */
    assert_reg(RBX, 0xffffffffffffff80);
    set(RDX, UINT64_MAX);
    v->cpu.aflags = 0;
    OK(0x0f, 0x44, 0xd0); /* cmove edx, eax: not taken, yet zero-extended */
    assert_reg(RDX, 0xffffffff);
}

/* Every condition against its formula in SDM vol. 2, "Jcc". */
static bool formula(unsigned cc, u32 f)
{
    bool cf = f & FLAG_CF, zf = f & FLAG_ZF, sf = f & FLAG_SF, of = f & FLAG_OF, pf = f & FLAG_PF;
    switch (cc) {
    case 0x0: return of;
    case 0x1: return !of;
    case 0x2: return cf;
    case 0x3: return !cf;
    case 0x4: return zf;
    case 0x5: return !zf;
    case 0x6: return cf || zf;
    case 0x7: return !cf && !zf;
    case 0x8: return sf;
    case 0x9: return !sf;
    case 0xa: return pf;
    case 0xb: return !pf;
    case 0xc: return sf != of;
    case 0xd: return sf == of;
    case 0xe: return zf || sf != of;
    default: return !zf && sf == of;
    }
}

static void conditions(void **state)
{
    (void)state;
    enter(CODE_32);
    for (unsigned n = 0; n < 16 * 64; n++) {
        u8 cc = n % 16;
        u32 f = (n >> 4 & 1 ? FLAG_CF : 0) | (n >> 5 & 1 ? FLAG_PF : 0) | (n >> 6 & 1 ? FLAG_ZF : 0) |
                (n >> 7 & 1 ? FLAG_SF : 0) | (n >> 8 & 1 ? FLAG_OF : 0) | (n >> 9 & 1 ? FLAG_AF : 0);
        v->cpu.aflags = f;
        assert_int_equal(condition(&v->cpu, cc), formula(cc, f));
        if (f & FLAG_AF)
            continue;
        OK(0x0f, 0x90 + cc, 0xc0); /* setcc al */
        assert_reg(RAX, formula(cc, f));
        assert_int_equal(DO(0x70 + cc, 0x10), formula(cc, f) ? EXEC_JUMP : EXEC_NEXT);
        assert_int_equal(v->cpu.rip, CODE + 2 + (formula(cc, f) ? 0x10 : 0));
    }
}

/* ---- Exchanges, bits ---------------------------------------------------------------------------- */

static void exchanges(void **state)
{
    (void)state;
    enter(CODE_64);
    set(RAX, 0xaaaaaaaa11111111);
    OK(0x90); /* nop, not xchg eax, eax */
    assert_reg(RAX, 0xaaaaaaaa11111111);
    set(R8, 5);
    OK(0x41, 0x90); /* xchg r8d, eax */
    assert_reg(RAX, 5);
    assert_reg(R8, 0x11111111);
    OK(0xf3, 0x90); /* pause */
    assert_reg(RAX, 5);
    OK(0xf3, 0x49, 0x90); /* xchg r8, rax */
    assert_reg(RAX, 0x11111111);
    set(RBX, DATA);
    set(RCX, 7);
    store64(DATA, 3);
    OK(0xf0, 0x48, 0x0f, 0xc1, 0x0b); /* lock xadd [rbx], rcx */
    assert_reg(RCX, 3);
    assert_int_equal(load64(DATA), 10);
    OK(0x48, 0x0f, 0xc1, 0xc9); /* xadd rcx, rcx */
    assert_reg(RCX, 6);
    OK(0x48, 0x87, 0x0b); /* xchg [rbx], rcx */
    assert_reg(RCX, 10);
    assert_int_equal(load64(DATA), 6);
}

static void compare_exchange(void **state)
{
    (void)state;
    enter(CODE_64);
    set(RBX, DATA);
    set(RCX, 9);
    set(RAX, 0xffffffff00000006);
    store64(DATA, 6);
    OK(0x0f, 0xb1, 0x0b); /* cmpxchg [rbx], ecx: equal */
    assert_reg(RAX, 0xffffffff00000006);
    assert_int_equal(load64(DATA), 9);
    assert_flags(FLAG_ZF, FLAG_ZF);
    OK(0x0f, 0xb1, 0x0b); /* not equal */
    assert_reg(RAX, 9);
    assert_flags(FLAG_ZF | FLAG_CF, FLAG_CF);
    set(RAX, 0x1200);
    set(RDX, 0x34);
    OK(0x0f, 0xb0, 0xd4); /* cmpxchg ah, dl: al = 0 differs from ah */
    assert_reg(RAX, 0x1212);
    OK(0x0f, 0xb0, 0xd4); /* now equal */
    assert_reg(RAX, 0x3412);
}

static void compare_exchange_pairs(void **state)
{
    (void)state;
    enter(CODE_64);
    set(RSI, DATA);
    store64(DATA, 0x2222222211111111);
    store64(DATA + 8, 0x44);
    OK(0x0f, 0xc7, 0x0e); /* cmpxchg8b [rsi]: not equal */
    assert_reg(RAX, 0x11111111);
    assert_reg(RDX, 0x22222222);
    assert_flags(FLAG_ZF, 0);
    set(RBX, 0x55);
    set(RCX, 0x66);
    OK(0x0f, 0xc7, 0x0e);
    assert_int_equal(load64(DATA), 0x0000006600000055);
    assert_flags(FLAG_ZF, FLAG_ZF);
    OK(0x48, 0x0f, 0xc7, 0x0e); /* cmpxchg16b [rsi] */
    assert_reg(RAX, 0x6600000055);
    assert_reg(RDX, 0x44);
    set(RSI, DATA + 8);
    assert_fault(DO(0x48, 0x0f, 0xc7, 0x0e), VEC_GP);
    set(RSI, HOLE);
    assert_fault(DO(0x0f, 0xc7, 0x0e), VEC_PF);
    assert_int_equal(v->fault.error, PF_WRITE);
}

static void bit_strings(void **state)
{
    (void)state;
    enter(CODE_64);
    set(RBX, DATA);
    set(RCX, (u64)-1);
    OK(0x48, 0x0f, 0xab, 0x0b); /* bts [rbx], rcx: bit -1 */
    assert_int_equal(load64(DATA - 8), 0x8000000000000000);
    assert_flags(FLAG_CF, 0);
    OK(0x0f, 0xa3, 0x0b); /* bt [rbx], ecx */
    assert_flags(FLAG_CF, FLAG_CF);
    set(RCX, 1000);
    OK(0xf0, 0x66, 0x0f, 0xbb, 0x0b); /* lock btc [rbx], cx */
    assert_int_equal(*ram(DATA + 1000 / 8), 1 << (1000 % 8));
    OK(0x0f, 0xba, 0x33, 100); /* btr dword [rbx], 100: bit 4 of this doubleword */
    assert_flags(FLAG_CF, 0);
    set(RAX, 0xffffffffffffffff);
    OK(0x0f, 0xb3, 0xc8); /* btr eax, ecx */
    assert_reg(RAX, 0xfffffeff);
    assert_fault(DO(0xf0, 0x0f, 0xa3, 0x0b), VEC_UD); /* lock bt */
}

static void scans(void **state)
{
    (void)state;
    enter(CODE_64);
    set(RCX, 0x00ff00);
    OK(0x0f, 0xbc, 0xc1); /* bsf eax, ecx */
    assert_reg(RAX, 8);
    OK(0x0f, 0xbd, 0xc1); /* bsr */
    assert_reg(RAX, 15);
    OK(0xf3, 0x0f, 0xbd, 0xc1); /* lzcnt: this model has none, so bsr */
    assert_reg(RAX, 15);
    OK(0xf3, 0x0f, 0xbc, 0xc1);
    assert_reg(RAX, 8);
    OK(0xf3, 0x48, 0x0f, 0xb8, 0xc1); /* popcnt rax, rcx */
    assert_reg(RAX, 8);
    OK(0x0f, 0xc9); /* bswap ecx */
    assert_reg(RCX, 0x00ff0000);
}

/* The check value of CRC-32C: that of "123456789" is E3069283. */
static void checksum(void **state)
{
    (void)state;
    enter(CODE_64);
    memcpy(ram(DATA), "123456789", 9);
    set(RAX, 0xffffffff);
    set(RBX, DATA);
    OK(0xf2, 0x48, 0x0f, 0x38, 0xf1, 0x03);       /* crc32 rax, qword [rbx] */
    OK(0xf2, 0x0f, 0x38, 0xf0, 0x43, 0x08);       /* crc32 eax, byte [rbx+8] */
    assert_reg(RAX, ~0xe3069283u);
}

/* ---- Multiplication, division, decimal ---------------------------------------------------------- */

static void divisions(void **state)
{
    (void)state;
    enter(CODE_64);
    set(RDX, 5);
    set(RCX, 5);
    assert_fault(DO(0x48, 0xf7, 0xf1), VEC_DE); /* div rcx: quotient 2^64 */
    set(RDX, 4);
    OK(0x48, 0xf7, 0xf1);
    assert_reg(RAX, 0xcccccccccccccccc);
    assert_reg(RDX, 4);
    set(RAX, 0x8000000000000000);
    set(RDX, UINT64_MAX);
    set(RCX, UINT64_MAX);
    assert_fault(DO(0x48, 0xf7, 0xf9), VEC_DE); /* idiv rcx: -2^63 / -1 */
    set(RCX, 1);
    OK(0x48, 0xf7, 0xf9);
    assert_reg(RAX, 0x8000000000000000);
    assert_reg(RDX, 0);
    set(RAX, 0x80000000);
    set(RDX, 0xffffffff);
    set(RCX, 0xffffffff);
    assert_fault(DO(0xf7, 0xf9), VEC_DE);
    set(RCX, 0);
    assert_fault(DO(0xf7, 0xf1), VEC_DE);
    set(RAX, 0x8001);
    set(RCX, 0xff);
    assert_fault(DO(0xf6, 0xf9), VEC_DE); /* idiv cl: -32767 / -1 */
    assert_reg(RAX, 0x8001);
}

/* Signed division of every word by every byte: #DE exactly when C's quotient does not fit. */
static void byte_divisions(void **state)
{
    (void)state;
    enter(CODE_32);
    load((const u8[]){0xf6, 0xf9}, 2); /* idiv cl */
    struct insn insn;
    assert_true(interp_fetch(v, &insn));
    for (unsigned n = 0; n < 1 << 24; n += 7) {
        s16 dividend = (s16)(n >> 8);
        s8 divisor = (s8)n;
        set(RAX, (u16)dividend);
        set(RCX, (u8)divisor);
        int quotient = divisor ? dividend / divisor : 1000;
        enum exec result = insn.handler(v, &insn);
        if (quotient < -128 || quotient > 127) {
            assert_int_equal(result, EXEC_FAULT);
            continue;
        }
        assert_int_equal(result, EXEC_NEXT);
        assert_reg(RAX, (u8)quotient | (u8)(dividend % divisor) << 8);
    }
}

static void products(void **state)
{
    (void)state;
    enter(CODE_64);
    set(RAX, 0xffffffffffffffff);
    set(RCX, 2);
    OK(0x48, 0xf7, 0xe1); /* mul rcx */
    assert_reg(RDX, 1);
    assert_reg(RAX, 0xfffffffffffffffe);
    assert_flags(FLAG_CF | FLAG_OF, FLAG_CF | FLAG_OF);
    OK(0x48, 0xf7, 0xe9); /* imul rcx */
    assert_reg(RDX, 0xffffffffffffffff);
    assert_flags(FLAG_CF | FLAG_OF, 0);
    OK(0x6b, 0xc1, 0xfd); /* imul eax, ecx, -3 */
    assert_reg(RAX, 0xfffffffa);
    OK(0xf6, 0xe1); /* mul cl: ax = fah × 2 */
    assert_reg(RAX, 0xffff01f4);
}

static u8 to_bcd(unsigned n) { return (u8)(n / 10 << 4 | n % 10); }

static void decimal(void **state)
{
    (void)state;
    enter(CODE_32);
    for (unsigned n = 0; n < 10000; n++) {
        unsigned a = n / 100, b = n % 100;
        set(RAX, to_bcd(a));
        set(RCX, to_bcd(b));
        OK(0x00, 0xc8); /* add al, cl */
        OK(0x27);       /* daa */
        assert_reg(RAX, to_bcd((a + b) % 100));
        assert_flags(FLAG_CF, a + b > 99);
        set(RAX, to_bcd(a));
        OK(0x28, 0xc8); /* sub al, cl */
        OK(0x2f);       /* das */
        assert_reg(RAX, to_bcd((a + 100 - b) % 100));
        assert_flags(FLAG_CF, a < b);
    }
    set(RAX, 0x0109);
    set(RCX, 8);
    OK(0x00, 0xc8);
    OK(0x37); /* aaa */
    assert_reg(RAX, 0x0207);
    OK(0x2c, 0x09);
    OK(0x3f); /* aas */
    assert_reg(RAX, 0x0108);
    set(RAX, 87);
    OK(0xd4, 0x0a); /* aam */
    assert_reg(RAX, 0x0807);
    OK(0xd5, 0x0a); /* aad */
    assert_reg(RAX, 87);
    assert_fault(DO(0xd4, 0x00), VEC_DE);
}

/* ---- Stack and branches ------------------------------------------------------------------------- */

static void push_and_pop(void **state)
{
    (void)state;
    enter(CODE_32);
    OK(0x54); /* push esp: the old one */
    assert_int_equal((u32)load64(STACK - 4), STACK);
    OK(0x8f, 0x44, 0x24, 0x04); /* pop [esp+4]: the new esp */
    assert_int_equal((u32)load64(STACK + 4), STACK);
    assert_reg(RSP, STACK);
    OK(0x6a, 0xff);
    OK(0x5c); /* pop esp */
    assert_reg(RSP, 0xffffffff);
    set(RSP, STACK);
    OK(0x66, 0x68, 0x34, 0x12); /* push word 1234h */
    assert_reg(RSP, STACK - 2);
    enter(CODE_64);
    set(RAX, 0x1122334455667788);
    OK(0x50);
    assert_reg(RSP, STACK - 8);
    OK(0x41, 0x5f); /* pop r15 */
    assert_reg(R15, 0x1122334455667788);
    OK(0x68, 0xff, 0xff, 0xff, 0xff);
    assert_int_equal(load64(STACK - 8), UINT64_MAX);
    assert_fault(DO(0x8f, 0x04, 0x25, 0x00, 0x00, 0x10, 0x00), VEC_PF); /* pop [HOLE] */
    assert_reg(RSP, STACK - 8);
    set(RSP, HOLE + 4);
    assert_fault(DO(0x50), VEC_PF);
    assert_reg(RSP, HOLE + 4);
}

static void push_all(void **state)
{
    (void)state;
    enter(CODE_16);
    for (unsigned n = 0; n < 8; n++)
        set((enum gpr)n, n == RSP ? 4 : 0x11 * n);
    OK(0x60); /* pusha: wraps around the segment */
    assert_reg(RSP, 0xfff4);
    assert_int_equal(load64(0xfffa) & 0xffffffffffff, 4 | 0x33ull << 16 | 0x22ull << 32); /* sp, bx, dx */
    assert_int_equal(load64(0) & 0xffffffff, 0x11);                                        /* cx, ax */
    for (unsigned n = 0; n < 8; n++)
        if (n != RSP)
            set((enum gpr)n, 0xdead);
    OK(0x61);
    for (unsigned n = 0; n < 8; n++)
        assert_reg(n, n == RSP ? 4 : 0x11 * n);
    set(RSP, 3); /* the first push would cross the end of the segment */
    assert_fault(DO(0x60), VEC_SS);
    assert_reg(RSP, 3);
}

static void frames(void **state)
{
    (void)state;
    enter(CODE_32);
    set(RBP, DATA + 0x100);
    for (u64 n = 1; n < 4; n++)
        *ram(DATA + 0x100 - 4 * n) = (u8)(0xf0 + n);
    OK(0xc8, 0x10, 0x00, 0x03); /* enter 10h, 3 */
    assert_reg(RBP, STACK - 4);
    assert_reg(RSP, STACK - 16 - 0x10);
    assert_int_equal((u32)load64(STACK - 4), DATA + 0x100);
    assert_int_equal((u32)load64(STACK - 8), 0xf1);
    assert_int_equal((u32)load64(STACK - 12), 0xf2);
    assert_int_equal((u32)load64(STACK - 16), STACK - 4);
    OK(0xc9); /* leave */
    assert_reg(RSP, STACK);
    assert_reg(RBP, DATA + 0x100);
    enter(CODE_64);
    set(RSP, HOLE - 0x1000 + 0x20);
    OK(0xc8, 0x00, 0x00, 0x00);
    assert_reg(RBP, HOLE - 0x1000 + 0x18);
    set(RSP, HOLE + 8); /* the push succeeds nowhere */
    assert_fault(DO(0xc8, 0x00, 0x00, 0x00), VEC_PF);
    assert_reg(RSP, HOLE + 8);
    enter(CODE_16); /* on a 16-bit stack EBP takes all of ESP */
    set(RSP, 0x12348000);
    set(RBP, 0xaaaabbbb);
    OK(0x66, 0xc8, 0x00, 0x00, 0x00);
    assert_reg(RSP, 0x12347ffc);
    assert_reg(RBP, 0x12347ffc);
    assert_int_equal((u32)load64(0x7ffc), 0xaaaabbbb);
}

static void calls(void **state)
{
    (void)state;
    enter(CODE_64);
    assert_int_equal(DO(0xe8, 0x00, 0x01, 0x00, 0x00), EXEC_JUMP);
    assert_int_equal(v->cpu.rip, CODE + 5 + 0x100);
    assert_int_equal(load64(STACK - 8), CODE + 5);
    assert_int_equal(DO(0xc2, 0x10, 0x00), EXEC_JUMP); /* ret 10h */
    assert_int_equal(v->cpu.rip, CODE + 5);
    assert_reg(RSP, STACK + 0x10);
    store64(STACK + 0x10, 0x0000800000000000);
    assert_fault(DO(0xc3), VEC_GP); /* not canonical */
    assert_reg(RSP, STACK + 0x10);
    set(RAX, 0x0000800000000000);
    assert_fault(DO(0xff, 0xd0), VEC_GP); /* call rax */
    assert_reg(RSP, STACK + 0x10);
    enter(CODE_32);
    v->cpu.seg[SEG_CS].limit = 0x1fff;
    vcpu_update_mode(v);
    assert_fault(DO(0xe9, 0x00, 0x10, 0x00, 0x00), VEC_GP); /* beyond the limit */
    set(RAX, 0x12341800);
    assert_int_equal(DO(0x66, 0xff, 0xe0), EXEC_JUMP); /* jmp ax */
    assert_int_equal(v->cpu.rip, 0x1800);
    set(RSP, 0);
    v->cpu.seg[SEG_SS].limit = 0xffff;
    vcpu_update_mode(v);
    assert_fault(DO(0xe8, 0, 0, 0, 0), VEC_SS);
    assert_reg(RSP, 0);
}

static void loops(void **state)
{
    (void)state;
    enter(CODE_32);
    set(RCX, 0x10001);
    assert_int_equal(DO(0x67, 0xe2, 0x10), EXEC_NEXT); /* loop by cx */
    assert_reg(RCX, 0x10000);
    assert_int_equal(DO(0x67, 0xe3, 0x10), EXEC_JUMP); /* jcxz */
    assert_int_equal(DO(0xe3, 0x10), EXEC_NEXT);       /* jecxz */
    v->cpu.aflags = FLAG_ZF;
    assert_int_equal(DO(0xe1, 0xf0), EXEC_JUMP); /* loope */
    assert_int_equal(v->cpu.rip, CODE + 2 - 0x10);
    assert_int_equal(DO(0xe0, 0xf0), EXEC_NEXT); /* loopne */
    assert_reg(RCX, 0xfffe);
    v->cpu.seg[SEG_CS].limit = CODE + 0x10;
    vcpu_update_mode(v);
    assert_fault(DO(0xe2, 0x7f), VEC_GP);
    assert_reg(RCX, 0xfffe);
    enter(CODE_64);
    set(RCX, 0xffffffff00000001);
    assert_int_equal(DO(0x67, 0xe2, 0x10), EXEC_NEXT); /* loop by ecx */
    assert_reg(RCX, 0);
    assert_int_equal(DO(0xe2, 0x10), EXEC_JUMP);
    assert_reg(RCX, UINT64_MAX);
}

/* ---- The rest ----------------------------------------------------------------------------------- */

static void odds_and_ends(void **state)
{
    (void)state;
    enter(CODE_32);
    set(RBX, DATA);
    set(RAX, 0x1205);
    *ram(DATA + 5) = 0x77;
    OK(0xd7); /* xlat */
    assert_reg(RAX, 0x1277);
    v->cpu.aflags = FLAGS_ARITH;
    OK(0x9f); /* lahf */
    assert_reg(RAX, 0xd777);
    set(RAX, 0x0077);
    OK(0x9e); /* sahf */
    assert_flags(FLAGS_ARITH, FLAG_OF);
    OK(0xf9);
    OK(0xd6); /* salc */
    assert_reg(RAX, 0x00ff);
    OK(0xf5);
    assert_flags(FLAG_CF, 0);
    store64(DATA, 0x0000000afffffff6); /* -10..10 */
    set(RAX, (u32)-10);
    OK(0x62, 0x03); /* bound eax, [ebx] */
    set(RAX, 11);
    assert_fault(DO(0x62, 0x03), VEC_BR);
    assert_fault(DO(0x0f, 0x0b), VEC_UD);
    assert_fault(DO(0x0f, 0xb9, 0xc0), VEC_UD);
    assert_fault(DO(0x0f, 0xff, 0xc0), VEC_UD);
    assert_fault(DO(0xf0, 0x90), VEC_UD); /* lock nop */
    OK(0x0f, 0x1f, 0x44, 0x00, 0x00);
    OK(0x0f, 0x18, 0x0b);
    OK(0xf3, 0x0f, 0x1e, 0xfb); /* endbr32 */
    OK(0x0f, 0xae, 0xf0);       /* mfence */
    OK(0x0f, 0xae, 0x3b);       /* clflush [ebx] */
    enter(CODE_64);
    set(RBX, HOLE);
    assert_fault(DO(0x0f, 0xae, 0x3b), VEC_PF);
    assert_fault(DO(0x27), VEC_UD); /* daa */
}

/* A program through the engine's own loop: exact stop, exact count. */
static void program(void **state)
{
    (void)state;
    enter(CODE_64);
    /* xor eax, eax; mov ecx, 100; again: add eax, ecx; dec ecx; jnz again; jmp $ */
    static const u8 sum[] = {0x31, 0xc0, 0xb9, 100, 0, 0, 0, 0x01, 0xc8, 0xff, 0xc9, 0x75, 0xfa, 0xeb, 0xfe};
    load(sum, sizeof sum);
    u64 start = v->cpu.icount;
    for (u64 n = 1; n <= 302; n += 43) {
        v->stop_at = start + n;
        engine_interp.run(v);
        assert_int_equal(v->cpu.icount, start + n);
    }
    v->stop_at = start + 302;
    engine_interp.run(v);
    assert_reg(RAX, 5050);
    assert_int_equal(v->cpu.rip, CODE + 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(widths),
        cmocka_unit_test(memory_operands),
        cmocka_unit_test(extensions),
        cmocka_unit_test(conditions),
        cmocka_unit_test(exchanges),
        cmocka_unit_test(compare_exchange),
        cmocka_unit_test(compare_exchange_pairs),
        cmocka_unit_test(bit_strings),
        cmocka_unit_test(scans),
        cmocka_unit_test(checksum),
        cmocka_unit_test(divisions),
        cmocka_unit_test(byte_divisions),
        cmocka_unit_test(products),
        cmocka_unit_test(decimal),
        cmocka_unit_test(push_and_pop),
        cmocka_unit_test(push_all),
        cmocka_unit_test(frames),
        cmocka_unit_test(calls),
        cmocka_unit_test(loops),
        cmocka_unit_test(odds_and_ends),
        cmocka_unit_test(program),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
