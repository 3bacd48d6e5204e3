/* x87, MMX and SSE: results that are exact, state that is saved and restored, lazy switching by CR0.TS, exceptions, and
 * the pointers that FSTENV shows (SDM vol. 1, chapters 8 to 11; vol. 3, 2.5 and 13). */
#include "guests/lib/guest.h"

#define AX R("ax")
#define BX R("bx")
PROBE(add, "fninit; fld1; fld1", "faddp; fistpl (" BX ")")
PROBE(pi, "fninit", "fldpi; fstpt (" BX ")")
PROBE(round_down, "fninit; push $0x77f; fldcw (" R("sp") "); fldl2e", "fistpl (" BX ")")
PROBE(round_near, "fninit; fldl2e", "fistpl (" BX ")")
PROBE(status, "fninit; fld1; fldz; fcompp", "fnstsw %ax")
PROBE(overflow_stack, "fninit; fld1; fld1; fld1; fld1; fld1; fld1; fld1; fld1", "fld1; fnstsw %ax")
PROBE(masked_divide, "fninit; fld1; fldz", ".byte 0xde,0xf9; fnstsw %ax; fstpt (" BX ")")
PROBE(invalid_integer, "fninit; fldl2e; fld1; fldz; .byte 0xde,0xf9", "fistpl (" BX ")")
PROBE(environment, "fninit; mov $0x3c,%eax; fldl (" BX ")", "fnstenv 16(" BX ")")
PROBE(tags, "fninit; fld1; fldz", "fnstenv (" BX ")")
PROBE(save_clears, "fninit; fld1", "fnsave (" BX "); fnstsw %ax")
PROBE(restore, "fninit; fldpi; fnsave (" BX "); fninit", "frstor (" BX "); fstpt 128(" BX ")")
PROBE(mmx_alias, "fninit; mov $0x11223344,%eax; movd %eax,%mm0", "fnstenv (" BX "); emms; fnstenv 32(" BX ")")
PROBE(mmx_exponent, "fninit; mov $0x11223344,%eax; movd %eax,%mm3", "fnsave (" BX ")")
PROBE(mmx_add, "movq (" BX "),%mm1", "paddusb 8(" BX "),%mm1; movq %mm1,16(" BX "); emms")
PROBE(sse_add, "movups (" BX "),%xmm0", "addps 16(" BX "),%xmm0; movups %xmm0,32(" BX ")")
PROBE(sse_convert, "movsd (" BX "),%xmm1", "cvttsd2si %xmm1,%eax; cvtsd2si %xmm1,%ecx")
PROBE(sse_flags, "xorps %xmm0,%xmm0; pcmpeqd %xmm1,%xmm1; pslld $25,%xmm1; psrld $2,%xmm1",
      "divss %xmm0,%xmm1; stmxcsr (" BX ")")
PROBE(sse_shuffle, "movdqu (" BX "),%xmm2", "pshufd $0x1b,%xmm2,%xmm3; movdqu %xmm3,16(" BX ")")
PROBE(sse_compare, "movsd (" BX "),%xmm1", "ucomisd 8(" BX "),%xmm1")
PROBE(fx_round_trip, "fninit; fldpi; pcmpeqd %xmm7,%xmm7; fxsave (" BX "); fninit; xorps %xmm7,%xmm7",
      "fxrstor (" BX "); fstpt 512(" BX "); movups %xmm7,528(" BX ")")
PROBE(fx_save, "", "fxsave (" BX ")")
PROBE(fx_restore, "", "fxrstor (" BX ")")
PROBE(load_mxcsr, "", "ldmxcsr (" BX ")")
PROBE(touch_sse, "", "movaps %xmm0,%xmm1")
PROBE(touch_x87, "", "fld1")
PROBE(touch_mmx, "", "movd %eax,%mm0")
PROBE(wait_pending, "fninit; push $0x37b; fldcw (" R("sp") "); fld1; fldz; .byte 0xde,0xf9", "fwait")
PROBE(clear_pending, "fninit; push $0x37b; fldcw (" R("sp") "); fld1; fldz; .byte 0xde,0xf9", "fnclex; fld1")
PROBE(mmx_pending, "fninit; push $0x37b; fldcw (" R("sp") "); fld1; fldz; .byte 0xde,0xf9", "movd %eax,%mm0")

static u8 area[1024] __attribute__((aligned(64)));

static u32 word_at(unsigned at) { return *(u32 *)(area + at); }
static u64 quad_at(unsigned at) { return *(u64 *)(area + at); }

static const struct trap *compute(const char *code)
{
    in.r.bx = (word)area;
    return run(code, 3);
}

static void x87(void)
{
    compute(add);
    promise("1 + 1", 2, word_at(0));
    compute(pi);
    promise("FLDPI: significand", 0xc90fdaa22168c235, quad_at(0));
    promise("FLDPI: exponent", 0x4000, word_at(8) & 0xffff);
    compute(round_near);
    promise("log2(e) rounds to 1", 1, word_at(0));
    compute(round_down);
    promise("log2(e) rounds down to 1", 1, word_at(0));
    promise("FCOM of 0 with 1 sets C0", 0x0100, compute(status)->r.ax & 0x4700);
    promise("the ninth load overflows the stack: IE, SF, C1", 0x0241, compute(overflow_stack)->r.ax & 0x02ff);
    const struct trap *t = compute(masked_divide);
    promise("a masked division by zero sets ZE", 0x04, t->r.ax & 0xff);
    promise("and gives infinity", 0x7fff, word_at(8));
    compute(invalid_integer);
    promise("infinity as an integer is the indefinite", 0x80000000, word_at(0));
}

static void environment_of_32_bits(void)
{
    *(u64 *)area = 0x3ff0000000000000;
    memset(area + 16, 0, 28);
    compute(environment);
    promise("FSTENV: control word", 0x037f, word_at(16) & 0xffff);
    promise("FSTENV: status word, top 7", 0x3800, word_at(20) & 0xffff);
    promise("FSTENV: tag word, one valid", 0x3fff, word_at(24) & 0xffff);
    promise("FSTENV: the instruction pointer is that of FLD", (word)environment_at - 2, word_at(28));
    promise("FSTENV: the operand's address", (word)area, word_at(36));
    compute(tags);
    promise("tags: valid, zero, empty", 0x1fff, word_at(8) & 0xffff);
    const struct trap *t = compute(save_clears);
    promise("FNSAVE initializes", 0, t->r.ax & 0xffff);
    compute(restore);
    promise("FRSTOR brings the registers back", 0xc90fdaa22168c235, quad_at(128));
}

static void mmx(void)
{
    compute(mmx_alias);
    promise("MMX leaves no register empty", 0, word_at(8) & word_at(8) >> 1 & 0x5555);
    promise("MMX sets TOP to 0", 0, word_at(4) & 0x3800);
    promise("EMMS makes all empty", 0xffff, word_at(40) & 0xffff);
    compute(mmx_exponent);
    promise("MMX registers are significands", 0x11223344, word_at(28 + 3 * 10));
    promise("with an exponent of ones", 0xffff, word_at(28 + 3 * 10 + 8) & 0xffff);
    *(u64 *)area = 0xff01807f10203040;
    *(u64 *)(area + 8) = 0x0101808010203040;
    compute(mmx_add);
    promise("PADDUSB saturates", 0xff02ffff20406080, quad_at(16));
}

static void sse(void)
{
    static const u32 floats[8] = {0x3f800000, 0x40000000, 0x40400000, 0x40800000,
                                  0x3f000000, 0x3f000000, 0,          0xc0800000};
    memcpy(area, floats, sizeof floats);
    compute(sse_add);
    promise("ADDPS, low half", 0x402000003fc00000, quad_at(32));
    promise("ADDPS, high half", 0x40400000, quad_at(40));
    *(u64 *)area = 0x4004000000000000; /* 2.5 */
    *(u64 *)(area + 8) = 0x4008000000000000;
    const struct trap *t = compute(sse_convert);
    promise("CVTTSD2SI truncates", 2, t->r.ax);
    promise("CVTSD2SI rounds to even", 2, t->r.cx);
    t = compute(sse_compare);
    promise("UCOMISD: less", FL_CF, t->flags & (FL_CF | FL_ZF | FL_PF));
    *(u64 *)(area + 8) = 0x7ff8000000000000;
    t = compute(sse_compare);
    promise("UCOMISD: unordered", FL_CF | FL_ZF | FL_PF, t->flags & (FL_CF | FL_ZF | FL_PF));
    compute(sse_flags);
    promise("a masked SIMD division by zero sets MXCSR.ZE", 4, word_at(0) & 4);
    for (u32 i = 0; i < 4; i++)
        *(u32 *)(area + 4 * i) = i;
    compute(sse_shuffle);
    promise("PSHUFD reverses, low half", 0x0000000200000003, quad_at(16));
    *(u32 *)area = 0x1f80;
    compute(load_mxcsr);
    *(u32 *)area = 0x80001f80;
    in.r.bx = (word)area;
    FAULTS("#GP(0) by a reserved bit of MXCSR", load_mxcsr, 3, VEC_GP, 0);
}

static void saved_state(void)
{
    memset(area, 0, sizeof area);
    compute(fx_round_trip);
    promise("FXSAVE: abridged tags", 0x80, area[4]);
    promise("FXSAVE: status, top 7", 0x3800, *(u16 *)(area + 2));
    promise("FXSAVE: ST0", 0xc90fdaa22168c235, quad_at(32));
    promise("FXRSTOR: ST0", 0xc90fdaa22168c235, quad_at(512));
    promise("FXRSTOR: XMM7", ~0ull, quad_at(528));
    in.r.bx = (word)area + 8;
    FAULTS("#GP(0) by FXSAVE to an address that is no multiple of 16", fx_save, 3, VEC_GP, 0);
    *(u32 *)(area + 24) = 0xffff0000;
    in.r.bx = (word)area;
    FAULTS("#GP(0) by FXRSTOR of reserved bits of MXCSR", fx_restore, 3, VEC_GP, 0);
}

static bool give_fpu(const struct trap *t, struct frame *f)
{
    (void)f;
    if (t->vector != VEC_NM)
        return false;
    __asm__ volatile("clts");
    return true;
}

/* SDM vol. 3, table 2-2 and 13.4: each family traps while TS is set, and goes on after CLTS. */
static void lazy(void)
{
    static const struct { const char *name, *code, *at; } cases[] = {
        {"TS: x87 traps, and goes on after CLTS", touch_x87, touch_x87_at},
        {"TS: MMX traps, and goes on after CLTS", touch_mmx, touch_mmx_at},
        {"TS: SSE traps, and goes on after CLTS", touch_sse, touch_sse_at},
        {"TS: FXSAVE traps, and goes on after CLTS", fx_save, fx_save_at},
    };
    trap_hook = give_fpu;
    for (unsigned i = 0; i < 4; i++) {
        write_cr0(read_cr0() | CR0_TS);
        const struct trap *t = compute(cases[i].code);
        bool once = trap_count == 2 && trap_log[0].ip == (word)cases[i].at && t->vector == VEC_DONE;
        promise(cases[i].name, true, once);
    }
    trap_hook = NULL;
    word cr0 = read_cr0();
    write_cr0(cr0 | CR0_EM);
    FAULTS("EM: #UD by SSE", touch_sse, 3, VEC_UD, 0);
    FAULTS("EM: #UD by MMX", touch_mmx, 3, VEC_UD, 0);
    write_cr0(cr0);
}

static void pending(void)
{
    FAULTS("#MF at FWAIT", wait_pending, 3, VEC_MF, 0);
    PASSES("FNCLEX drops a pending exception", clear_pending, 3);
    FAULTS("#MF at an MMX instruction", mmx_pending, 3, VEC_MF, 0);
    __asm__ volatile("fninit");
}

int main(void)
{
    write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT);
    x87();
    environment_of_32_bits();
    mmx();
    sse();
    saved_state();
    lazy();
    pending();
    return 0;
}
