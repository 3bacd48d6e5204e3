/* What the run loop checks in front of x87, MMX and SSE instructions, and what it decides once, when it decodes. */
#include "sbe/test_code.h"

#include "sbe/decode.h"
#include "sbe/fpu_thunk.h"

#define FNOP 0xd9, 0xd0
#define FWAIT 0x9b
#define PXOR_MM0 0x0f, 0xef, 0xc0
#define XORPS 0x0f, 0x57, 0xc0

enum { NONE = 0xff };

static struct insn fetched(const u8 *bytes, size_t count)
{
    struct insn insn;
    load(bytes, count);
    assert_true(interp_fetch(v, &insn));
    return insn;
}
#define FETCH(...) fetched((const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

static void outcome(const struct insn *insn, u8 vector)
{
    enum exec result = insn->handler(v, insn);
    if (vector == NONE)
        assert_int_equal(result, EXEC_NEXT);
    else
        assert_fault(result, vector);
}

/* Decoded once, executed while CR0 and CR4 change: SDM vol. 3, tables 9-3 and 12-1, 13.1. */
static void decoded_instructions_obey_cr0_and_cr4(void **state)
{
    static const struct { u32 cr0, cr4; u8 x87, wait, mmx, sse; } cases[] = {
        {0, CR4_OSFXSR, NONE, NONE, NONE, NONE},
        {CR0_TS, CR4_OSFXSR, VEC_NM, NONE, VEC_NM, VEC_NM},
        {CR0_TS | CR0_MP, CR4_OSFXSR, VEC_NM, VEC_NM, VEC_NM, VEC_NM},
        {CR0_EM, CR4_OSFXSR, VEC_NM, NONE, VEC_UD, VEC_UD},
        {CR0_EM | CR0_TS, CR4_OSFXSR, VEC_NM, NONE, VEC_UD, VEC_UD},
        {0, 0, NONE, NONE, NONE, VEC_UD},
        {CR0_TS, 0, VEC_NM, NONE, VEC_NM, VEC_UD},
        {0, CR4_OSFXSR, NONE, NONE, NONE, NONE},
    };
    (void)state;
    enter(CODE_32);
    struct insn x87 = FETCH(FNOP), wait = FETCH(FWAIT), mmx = FETCH(PXOR_MM0), sse = FETCH(XORPS);
    u64 cr0 = v->cpu.cr0;
    for (unsigned n = 0; n < ARRAY_LEN(cases); n++) {
        v->cpu.cr0 = cr0 | cases[n].cr0;
        v->cpu.cr4 = cases[n].cr4;
        outcome(&x87, cases[n].x87);
        outcome(&wait, cases[n].wait);
        outcome(&mmx, cases[n].mmx);
        outcome(&sse, cases[n].sse);
    }
}

/* A row without other conditions needs none at run time; without the feature it is #UD. */
static void features_are_checked_when_decoding(void **state)
{
    (void)state;
    enter(CODE_32);
    struct insn cmov = FETCH(0x0f, 0x44, 0xc1); /* cmovz eax, ecx */
    struct insn known = FETCH(0x0f, 0x38, 0xf1, 0x03); /* movbe [ebx], eax */
    bool has_movbe = model_has(vm->config.model, FEAT_MOVBE);
    set(RCX, 5);
    v->cpu.aflags = FLAG_ZF;
    outcome(&cmov, NONE);
    assert_reg(RAX, 5);
    set(RBX, DATA);
    outcome(&known, has_movbe ? NONE : VEC_UD);
}

/* The key that the loop computes in advance names the same thunk for the same code, another one for other code. */
static void thunks_are_named_in_advance(void **state)
{
    (void)state;
    enter(CODE_64);
    struct insn a = FETCH(0x66, 0x0f, 0x6e, 0xc1), b = FETCH(0x66, 0x0f, 0x6e, 0xc2); /* movd xmm0, ecx; edx */
    struct insn wide = FETCH(0x66, 0x48, 0x0f, 0x6e, 0xc1), memory = FETCH(0x66, 0x0f, 0x6e, 0x03);
    struct insn to = FETCH(0x66, 0x0f, 0x7e, 0xc1), other = FETCH(0x66, 0x0f, 0x6e, 0xc9); /* movd xmm1, ecx */
    struct insn integer = FETCH(0x01, 0xc8);
    assert_int_not_equal(a.thunk, 0);
    assert_int_equal(a.thunk, thunk_key(&a));
    assert_int_equal(a.thunk, b.thunk); /* both are movd xmm0, eax */
    assert_int_not_equal(a.thunk, wide.thunk);
    assert_int_not_equal(a.thunk, memory.thunk);
    assert_int_not_equal(a.thunk, to.thunk);
    assert_int_not_equal(a.thunk, other.thunk);
    assert_int_equal(integer.thunk, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(decoded_instructions_obey_cr0_and_cr4, create, destroy),
        cmocka_unit_test_setup_teardown(features_are_checked_when_decoding, create, destroy),
        cmocka_unit_test_setup_teardown(thunks_are_named_in_advance, create, destroy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
