/* Instructions that move the state of the unit as a whole: layouts, modes, virtual pointers, refusals. */
#include "sbe/fpu_harness.h"

enum { AREA = HARNESS_DATA + 0x1000, FILL = 0xa5 };

/* Both for registers that are live and for registers that are parked after each instruction. */
static bool live = false, parked = true;

static struct harness create(void **state)
{
    struct harness h = harness_create();
    h.v->thunks->is_volatile = *(const bool *)*state;
    RUN(&h, 0xdb, 0xe3); /* FNINIT */
    memset(harness_ram(&h, AREA), FILL, 0x1000);
    h.v->cpu.gpr[RDI] = AREA;
    return h;
}

static u8 *area(struct harness *h) { return harness_ram(h, AREA); }

static void assert_fault(struct harness *h, enum exec result, enum vector vector)
{
    assert_int_equal(result, EXEC_FAULT);
    assert_int_equal(h->v->fault.vector, vector);
}

/* Puts 1.0 and then m32 = 2.0 on the stack, the latter from a known place: FOP 107h, FIP `rip`, FDP HARNESS_DATA +
 * 4. */
static void load_two(struct harness *h, u64 rip)
{
    float two = 2.0f;
    memcpy(harness_ram(h, HARNESS_DATA + 4), &two, sizeof two);
    u64 rdi = h->v->cpu.gpr[RDI];
    RUN(h, 0xd9, 0xe8);
    h->v->cpu.rip = rip;
    h->v->cpu.gpr[RDI] = HARNESS_DATA + 4;
    assert_int_equal(RUN(h, 0xd9, 0x07), EXEC_NEXT); /* FLD dword [rdi] */
    h->v->cpu.gpr[RDI] = rdi;
}

/* ---- x87 environments ----------------------------------------------------------------------------- */

static void environment_32_protected(void **state)
{
    struct harness h = create(state);
    harness_set_mode(&h, CODE_32);
    load_two(&h, 0x12345678);
    RUN(&h, 0xd9, 0xee); /* FLDZ, tag "zero" */
    h.v->cpu.fpu.fop = 0x107; /* as a FLD [edi] would leave it; FLDZ changed it */
    h.v->cpu.rip = 0x99999999;
    assert_int_equal(RUN(&h, 0xd9, 0x37), EXEC_NEXT); /* FNSTENV [edi] */
    assert_int_equal(image_get_32(area(&h), 0), 0xffff037f);
    assert_int_equal(image_get_32(area(&h), 4), 0xffff2800); /* TOP = 5 */
    assert_int_equal(image_get_32(area(&h), 8), 0xffff07ff); /* 7 and 6 valid, 5 zero */
    assert_int_equal(image_get_32(area(&h), 12), 0x12345678);
    assert_int_equal(image_get_32(area(&h), 16), 0x01070010);
    assert_int_equal(image_get_32(area(&h), 20), HARNESS_DATA + 4);
    assert_int_equal(image_get_32(area(&h), 24), 0xffff0020);
    assert_int_equal(area(&h)[28], FILL);
    harness_destroy(&h);
}

static void environment_16_protected(void **state)
{
    struct harness h = create(state);
    harness_set_mode(&h, CODE_32);
    load_two(&h, 0x12345678);
    assert_int_equal(RUN(&h, 0x66, 0xd9, 0x37), EXEC_NEXT);
    const u16 expected[] = {0x37f, 0x3000, 0x0fff, 0x5678, 0x10, 0x0004, 0x20};
    assert_memory_equal(area(&h), expected, sizeof expected);
    assert_int_equal(area(&h)[14], FILL);
    harness_destroy(&h);
}

/* The real-address formats hold linear pointers: selector * 16 + offset. */
static void environments_real(void **state)
{
    struct harness h = create(state);
    harness_set_mode(&h, CODE_16);
    h.v->cpu.cr0 &= ~(u64)CR0_PE;
    h.v->cpu.fpu.fcs = 0xf000;
    h.v->cpu.fpu.fip = 0x5678;
    h.v->cpu.fpu.fds = 0x2000;
    h.v->cpu.fpu.fdp = 0xabcd;
    h.v->cpu.fpu.fop = 0x7d6;
    assert_int_equal(RUN(&h, 0x67, 0x66, 0xd9, 0x37), EXEC_NEXT); /* 32-bit operand size */
    assert_int_equal(image_get_32(area(&h), 12), 0xffff5678);
    assert_int_equal(image_get_32(area(&h), 16), 0x0000f7d6);
    assert_int_equal(image_get_32(area(&h), 20), 0xffffabcd);
    assert_int_equal(image_get_32(area(&h), 24), 0x00002000);
    assert_int_equal(RUN(&h, 0x67, 0xd9, 0x37), EXEC_NEXT); /* 16-bit */
    const u16 expected[] = {0x37f, 0, 0xffff, 0x5678, 0xf7d6, 0xabcd, 0x2000};
    assert_memory_equal(area(&h), expected, sizeof expected);
    h.v->cpu.fpu.fip = h.v->cpu.fpu.fdp = 0;
    assert_int_equal(RUN(&h, 0x67, 0xd9, 0x27), EXEC_NEXT); /* FLDENV: pointers come back as linear ones */
    assert_int_equal(h.v->cpu.fpu.fip, 0xf5678);
    assert_int_equal(h.v->cpu.fpu.fdp, 0x2abcd);
    assert_int_equal(h.v->cpu.fpu.fcs, 0);
    assert_int_equal(h.v->cpu.fpu.fop, 0x7d6);
    harness_destroy(&h);
}

static void fnstenv_masks_and_fldenv_restores(void **state)
{
    struct harness h = create(state);
    harness_set_mode(&h, CODE_32);
    load_two(&h, 0x1000);
    u16 fcw = 0x340;
    memcpy(harness_ram(&h, HARNESS_DATA), &fcw, 2);
    h.v->cpu.gpr[RSI] = HARNESS_DATA;
    RUN(&h, 0xd9, 0x2e);                       /* FLDCW: nothing masked */
    RUN(&h, 0xd9, 0x37);                       /* FNSTENV */
    RUN(&h, 0xd9, 0x3e);                       /* FNSTCW [esi] */
    assert_int_equal(image_get_16(harness_ram(&h, HARNESS_DATA), 0), 0x37f);
    assert_int_equal(image_get_16(area(&h), 0), 0x340);
    image_set_16(area(&h), 4, 0x3004);         /* ZE, which is not masked in this image */
    image_set_32(area(&h), 12, 0xcafe0000);
    image_set_16(area(&h), 8, 0x3fff);         /* only register 7 is not empty */
    assert_int_equal(RUN(&h, 0xd9, 0x27), EXEC_NEXT);
    assert_int_equal(h.v->cpu.fpu.fip, 0xcafe0000);
    assert_int_equal(h.v->cpu.fpu.fcs, 0x10);
    harness_park(&h);
    assert_int_equal(h.v->cpu.fpu.fxsave[FXSAVE_FTW], 0x80);
    assert_fault(&h, RUN(&h, 0x9b), VEC_MF);
    assert_fault(&h, RUN(&h, 0xd9, 0x27), VEC_MF); /* FLDENV waits */
    assert_int_equal(h.v->cpu.fpu.fip, 0xcafe0000);
    harness_destroy(&h);
}

static void fnsave_and_frstor(void **state)
{
    for (unsigned bits = 0; bits < 2; bits++) {
        unsigned env = bits ? 28 : 14;
        struct harness h = create(state);
        load_two(&h, 0x2222);
        enum exec saved = bits ? RUN(&h, 0xdd, 0x37) : RUN(&h, 0x66, 0xdd, 0x37);
        assert_int_equal(saved, EXEC_NEXT);
        assert_int_equal(area(&h)[env + 80], FILL);
        assert_int_equal(image_get_64(area(&h), env), 1ull << 63); /* ST0 = 2.0 */
        assert_int_equal(image_get_16(area(&h), env + 8), 0x4000);
        assert_int_equal(image_get_16(area(&h), env + 18), 0x3fff); /* ST1 = 1.0 */
        assert_int_equal(h.v->cpu.fpu.fip | h.v->cpu.fpu.fdp | h.v->cpu.fpu.fop, 0);
        harness_park(&h);
        assert_int_equal(h.v->cpu.fpu.fxsave[FXSAVE_FTW], 0); /* ends as FNINIT does */
        enum exec restored = bits ? RUN(&h, 0xdd, 0x27) : RUN(&h, 0x66, 0xdd, 0x27);
        assert_int_equal(restored, EXEC_NEXT);
        assert_int_equal(h.v->cpu.fpu.fip, 0x2222);
        harness_park(&h);
        assert_int_equal(h.v->cpu.fpu.fxsave[FXSAVE_FTW], 0xc0);
        assert_int_equal(image_get_16(h.v->cpu.fpu.fxsave, FXSAVE_ST + 8), 0x4000);
        harness_destroy(&h);
    }
}

/* ---- FXSAVE --------------------------------------------------------------------------------------- */

static void fill_xmm(struct harness *h)
{
    harness_park(h);
    for (unsigned n = 0; n < 256; n++)
        h->v->cpu.fpu.fxsave[FXSAVE_XMM + n] = (u8)(n * 7 + 1);
}

static void fxsave_of_64_bit_mode(void **state)
{
    struct harness h = create(state);
    load_two(&h, 0xffffffff81234567);
    fill_xmm(&h);
    u8 expected[FXSAVE_BYTES];
    memcpy(expected, h.v->cpu.fpu.fxsave, sizeof expected);
    assert_int_equal(RUN(&h, 0x48, 0x0f, 0xae, 0x07), EXEC_NEXT); /* FXSAVE64 [rdi] */
    image_set_16(expected, FXSAVE_FOP, 0x107);
    image_set_64(expected, FXSAVE_FIP, 0xffffffff81234567);
    image_set_64(expected, FXSAVE_FDP, HARNESS_DATA + 4);
    assert_memory_equal(area(&h), expected, FXSAVE_RESERVED);
    assert_int_equal(area(&h)[FXSAVE_RESERVED], FILL);
    assert_int_equal(RUN(&h, 0x0f, 0xae, 0x07), EXEC_NEXT); /* FXSAVE [rdi] */
    assert_int_equal(image_get_32(area(&h), FXSAVE_FIP), 0x81234567);
    assert_int_equal(image_get_32(area(&h), FXSAVE_FCS), 0);
    assert_int_equal(image_get_32(area(&h), FXSAVE_FDP), HARNESS_DATA + 4);
    harness_destroy(&h);
}

static void fxsave_of_legacy_modes(void **state)
{
    struct harness h = create(state);
    harness_set_mode(&h, CODE_32);
    load_two(&h, 0x8000);
    fill_xmm(&h);
    assert_int_equal(RUN(&h, 0x0f, 0xae, 0x07), EXEC_NEXT);
    assert_int_equal(image_get_32(area(&h), FXSAVE_FIP), 0x8000);
    assert_int_equal(image_get_32(area(&h), FXSAVE_FCS), 0x10);
    assert_int_equal(image_get_32(area(&h), FXSAVE_FDS), 0x20);
    assert_int_equal(area(&h)[FXSAVE_XMM8 - 1], (u8)(127 * 7 + 1));
    assert_int_equal(area(&h)[FXSAVE_XMM8], FILL);
    /* FXRSTOR leaves XMM8 and up alone too. */
    memset(area(&h) + FXSAVE_XMM, 0x11, 256);
    assert_int_equal(RUN(&h, 0x0f, 0xae, 0x0f), EXEC_NEXT);
    harness_park(&h);
    assert_int_equal(h.v->cpu.fpu.fxsave[FXSAVE_XMM8 - 1], 0x11);
    assert_int_equal(h.v->cpu.fpu.fxsave[FXSAVE_XMM8], (u8)(128 * 7 + 1));
    assert_int_equal(h.v->cpu.fpu.fcs, 0x10);
    harness_destroy(&h);
}

static void fxrstor_restores_everything(void **state)
{
    struct harness h = create(state);
    load_two(&h, 0x123456789abcdef0 & 0x7fffffffffff);
    fill_xmm(&h);
    struct fpu before = h.v->cpu.fpu;
    RUN(&h, 0x48, 0x0f, 0xae, 0x07);
    RUN(&h, 0xdb, 0xe3);
    RUN(&h, 0x0f, 0x57, 0xc0);
    assert_int_equal(RUN(&h, 0x48, 0x0f, 0xae, 0x0f), EXEC_NEXT);
    harness_park(&h);
    assert_memory_equal(h.v->cpu.fpu.fxsave, before.fxsave, FXSAVE_BYTES);
    assert_int_equal(h.v->cpu.fpu.fip, before.fip);
    assert_int_equal(h.v->cpu.fpu.fdp, before.fdp);
    assert_int_equal(h.v->cpu.fpu.fop, before.fop);
    harness_destroy(&h);
}

static void fxsave_refusals(void **state)
{
    struct harness h = create(state);
    RUN(&h, 0x0f, 0xae, 0x07);
    image_set_32(area(&h), FXSAVE_MXCSR, 0x11f80);
    assert_fault(&h, RUN(&h, 0x0f, 0xae, 0x0f), VEC_GP);
    image_set_32(area(&h), FXSAVE_MXCSR, 0x1f80);
    assert_int_equal(RUN(&h, 0x0f, 0xae, 0x0f), EXEC_NEXT);
    h.v->cpu.gpr[RDI] = AREA + 8;
    assert_fault(&h, RUN(&h, 0x0f, 0xae, 0x07), VEC_GP);
    assert_fault(&h, RUN(&h, 0x0f, 0xae, 0x0f), VEC_GP);
    h.v->cpu.cr0 |= CR0_TS;
    assert_fault(&h, RUN(&h, 0x0f, 0xae, 0x07), VEC_NM);
    h.v->cpu.cr0 |= CR0_EM;
    assert_fault(&h, RUN(&h, 0x0f, 0xae, 0x0f), VEC_UD);
    harness_destroy(&h);
}

/* ---- XSAVE ---------------------------------------------------------------------------------------- */

static void request(struct harness *h, u64 components)
{
    h->v->cpu.gpr[RAX] = (u32)components;
    h->v->cpu.gpr[RDX] = components >> 32;
}

static void xsave_writes_what_is_asked(void **state)
{
    struct harness h = create(state);
    fill_xmm(&h);
    image_set_64(area(&h), 512, 0x8000000000000001); /* old XSTATE_BV: bits not asked for stay */
    request(&h, ~0ull << 1);
    assert_int_equal(RUN(&h, 0x48, 0x0f, 0xae, 0x27), EXEC_NEXT); /* XSAVE64 [rdi] */
    assert_int_equal(image_get_64(area(&h), 512), 0x8000000000000003);
    assert_int_equal(area(&h)[520], FILL);
    assert_int_equal(area(&h)[0], FILL);
    assert_int_equal(image_get_32(area(&h), FXSAVE_MXCSR), 0x1f80);
    assert_int_equal(area(&h)[FXSAVE_XMM + 255], (u8)(255 * 7 + 1));
    request(&h, 1);
    assert_int_equal(RUN(&h, 0x48, 0x0f, 0xae, 0x27), EXEC_NEXT);
    assert_int_equal(image_get_16(area(&h), 0), 0x37f);
    assert_int_equal(image_get_64(area(&h), 512), 0x8000000000000002); /* x87 is in its initial state… */
    load_two(&h, 0x5000);
    assert_int_equal(RUN(&h, 0x48, 0x0f, 0xae, 0x27), EXEC_NEXT);
    assert_int_equal(image_get_64(area(&h), 512), 0x8000000000000003); /* …and now is not */
    assert_int_equal(image_get_64(area(&h), FXSAVE_FIP), 0x5000);
    harness_destroy(&h);
}

static void xsaveopt_leaves_initial_components_out(void **state)
{
    struct harness h = create(state);
    harness_park(&h);
    memset(h.v->cpu.fpu.fxsave + FXSAVE_XMM, 0, 256);
    image_set_64(area(&h), 512, 0);
    load_two(&h, 0x5000);
    request(&h, 3);
    assert_int_equal(RUN(&h, 0x48, 0x0f, 0xae, 0x37), EXEC_NEXT);
    assert_int_equal(image_get_64(area(&h), 512), 1);
    assert_int_equal(area(&h)[FXSAVE_XMM], FILL);
    assert_int_equal(area(&h)[FXSAVE_ST + 7], 0x80);
    harness_destroy(&h);
}

static void xrstor_loads_or_initialises(void **state)
{
    struct harness h = create(state);
    memset(area(&h), 0, 576);
    fill_xmm(&h);
    load_two(&h, 0x5000);
    request(&h, 3);
    RUN(&h, 0x48, 0x0f, 0xae, 0x27);
    harness_park(&h);
    struct fpu before = h.v->cpu.fpu;
    RUN(&h, 0xdb, 0xe3);
    RUN(&h, 0x0f, 0x57, 0xc9);
    assert_int_equal(RUN(&h, 0x48, 0x0f, 0xae, 0x2f), EXEC_NEXT); /* XRSTOR64 [rdi] */
    harness_park(&h);
    assert_memory_equal(h.v->cpu.fpu.fxsave, before.fxsave, FXSAVE_BYTES);
    assert_int_equal(h.v->cpu.fpu.fip, 0x5000);
    image_set_64(area(&h), 512, 0); /* nothing present: both become initial, but MXCSR is loaded */
    image_set_32(area(&h), FXSAVE_MXCSR, 0x9f80);
    assert_int_equal(RUN(&h, 0x48, 0x0f, 0xae, 0x2f), EXEC_NEXT);
    harness_park(&h);
    assert_int_equal(image_get_16(h.v->cpu.fpu.fxsave, FXSAVE_FCW), 0x37f);
    assert_int_equal(h.v->cpu.fpu.fxsave[FXSAVE_FTW], 0);
    assert_int_equal(h.v->cpu.fpu.fip, 0);
    assert_int_equal(image_get_64(h.v->cpu.fpu.fxsave, FXSAVE_XMM + 16), 0);
    assert_int_equal(image_get_32(h.v->cpu.fpu.fxsave, FXSAVE_MXCSR), 0x9f80);
    harness_destroy(&h);
}

static void xrstor_refusals(void **state)
{
    struct harness h = create(state);
    memset(area(&h), 0, 576);
    image_set_32(area(&h), FXSAVE_MXCSR, 0x1f80);
    request(&h, 3);
    assert_int_equal(RUN(&h, 0x0f, 0xae, 0x2f), EXEC_NEXT);
    static const struct {
        u16 at;
        u8 value;
    } bad[] = {{512, 4}, {519, 0x80}, {527, 0x80}, {535, 1}, {FXSAVE_MXCSR + 2, 1}};
    for (unsigned n = 0; n < ARRAY_LEN(bad); n++) {
        u8 good = area(&h)[bad[n].at];
        area(&h)[bad[n].at] = bad[n].value;
        assert_fault(&h, RUN(&h, 0x0f, 0xae, 0x2f), VEC_GP);
        area(&h)[bad[n].at] = good;
    }
    h.v->cpu.gpr[RDI] = AREA + 32;
    assert_fault(&h, RUN(&h, 0x0f, 0xae, 0x2f), VEC_GP);
    assert_fault(&h, RUN(&h, 0x0f, 0xae, 0x27), VEC_GP);
    h.v->cpu.cr0 |= CR0_TS;
    assert_fault(&h, RUN(&h, 0x0f, 0xae, 0x27), VEC_NM);
    h.v->cpu.cr4 &= ~(u64)CR4_OSXSAVE;
    assert_fault(&h, RUN(&h, 0x0f, 0xae, 0x37), VEC_UD);
    harness_destroy(&h);
}

#define BOTH(test)                                                          \
    {#test " (live)", test, NULL, NULL, &live}, {#test " (parked)", test, NULL, NULL, &parked}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(environment_32_protected),
        BOTH(environment_16_protected),
        BOTH(environments_real),
        BOTH(fnstenv_masks_and_fldenv_restores),
        BOTH(fnsave_and_frstor),
        BOTH(fxsave_of_64_bit_mode),
        BOTH(fxsave_of_legacy_modes),
        BOTH(fxrstor_restores_everything),
        BOTH(fxsave_refusals),
        BOTH(xsave_writes_what_is_asked),
        BOTH(xsaveopt_leaves_initial_components_out),
        BOTH(xrstor_loads_or_initialises),
        BOTH(xrstor_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
