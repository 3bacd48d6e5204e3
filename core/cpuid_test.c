/* Processor models against the SDM's feature positions, and against the instructions that really exist. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/cpu.h"
#include "core/cpuid.h"
#include "mmu/physmem.h"
#include "sbe/isa.h"

static struct cpu reset_cpu(const struct cpu_model *m)
{
    static struct cpu c;
    cpu_reset(&c, m);
    return c;
}

static struct cpuid_result leaf(const struct cpu_model *m, u32 number, u32 subleaf)
{
    struct cpu c = reset_cpu(m);
    return cpuid_leaf(m, &c, number, subleaf, 0);
}

static bool same(struct cpuid_result a, struct cpuid_result b) { return memcmp(&a, &b, sizeof a) == 0; }

static void models_have_unique_names_and_the_default_exists(void **state)
{
    (void)state;
    assert_non_null(cpu_model_find(CPU_MODEL_DEFAULT));
    assert_null(cpu_model_find("westmer"));
    assert_null(cpu_model_find("westmere2"));
    assert_null(cpu_model_find(""));
    for (unsigned i = 0; i < cpu_model_count; i++)
        assert_ptr_equal(cpu_model_find(cpu_models[i].name), &cpu_models[i]);
}

/* Bit positions written out by hand from SDM vol. 2, tables 3-10 and 3-11, for the default model. */
static void westmere_flags_stand_where_the_manual_puts_them(void **state)
{
    (void)state;
    const struct cpu_model *m = cpu_model_find("westmere");
    struct cpuid_result one = leaf(m, 1, 0);
    assert_int_equal(one.eax, 0x206c2);
    /* SSE3 PCLMULQDQ SSSE3 CX16 SSE4.1 SSE4.2 POPCNT TSC-deadline AES hypervisor */
    assert_int_equal(one.ecx, 1u << 0 | 1u << 1 | 1u << 9 | 1u << 13 | 1u << 19 | 1u << 20 | 1u << 23 | 1u << 24 |
                                  1u << 25 | 1u << 31);
    /* FPU VME DE PSE TSC MSR PAE MCE CX8 APIC, SEP MTRR PGE MCA CMOV PAT PSE36, CLFSH, MMX FXSR SSE SSE2 */
    assert_int_equal(one.edx, 0x3ffu | 0x3f800u | 1u << 19 | 0xfu << 23);
    assert_int_equal(one.ebx, 1u << 16 | 8u << 8);
    assert_int_equal(leaf(m, 0x80000001, 0).ecx, 1u);
    assert_int_equal(leaf(m, 0x80000001, 0).edx, 1u << 20 | 1u << 27 | 1u << 29);
    assert_int_equal(leaf(m, 0x80000007, 0).edx, 1u << 8);
    assert_int_equal(leaf(m, 0x80000008, 0).eax, 48u << 8 | PHYS_ADDRESS_BITS);
}

static void vendor_and_brand_spell_out(void **state)
{
    (void)state;
    for (unsigned i = 0; i < cpu_model_count; i++) {
        const struct cpu_model *m = &cpu_models[i];
        struct cpuid_result r = leaf(m, 0, 0);
        char vendor[13] = {0}, brand[49] = {0};
        memcpy(vendor, &r.ebx, 4);
        memcpy(vendor + 4, &r.edx, 4);
        memcpy(vendor + 8, &r.ecx, 4);
        assert_string_equal(vendor, "GenuineIntel");
        assert_int_equal(r.eax, m->max_basic);
        if (m->max_extended < 0x80000004)
            continue;
        for (u32 n = 0; n < 3; n++) {
            r = leaf(m, 0x80000002 + n, 0);
            memcpy(brand + 16 * n, &r, 16);
        }
        assert_string_equal(brand, m->brand);
    }
}

static void leaves_beyond_the_last_repeat_the_highest_basic_one(void **state)
{
    (void)state;
    for (unsigned i = 0; i < cpu_model_count; i++) {
        const struct cpu_model *m = &cpu_models[i];
        struct cpuid_result last = leaf(m, m->max_basic, 0);
        assert_true(same(leaf(m, m->max_basic + 1, 0), last));
        assert_true(same(leaf(m, 0x3fffffff, 0), last));
        assert_true(same(leaf(m, 0x80000000u + 0x1000, 0), last));
        assert_true(same(leaf(m, 0xffffffff, 0), last));
    }
}

static void flags_follow_the_processor_state(void **state)
{
    (void)state;
    const struct cpu_model *m = cpu_model_find("max");
    struct cpu c = reset_cpu(m);
    assert_int_equal(cpuid_leaf(m, &c, 1, 0, 0).ecx >> 27 & 1, 0);
    c.cr4 |= CR4_OSXSAVE;
    assert_int_equal(cpuid_leaf(m, &c, 1, 0, 0).ecx >> 27 & 1, 1);
    assert_int_equal(cpuid_leaf(m, &c, 1, 0, 0).edx >> 9 & 1, 1);
    c.apic_base &= ~0x800ull;
    assert_int_equal(cpuid_leaf(m, &c, 1, 0, 0).edx >> 9 & 1, 0);
    assert_int_equal(cpuid_leaf(m, &c, 0x80000001, 0, 0).edx >> 11 & 1, 0);
    c.efer = EFER_LME | EFER_LMA;
    c.seg[SEG_CS].attributes |= SEG_L;
    assert_int_equal(cpuid_leaf(m, &c, 0x80000001, 0, 0).edx >> 11 & 1, 1);
    assert_int_equal(cpuid_leaf(m, &c, 1, 0, 5).ebx >> 24, 5);
    assert_int_equal(cpuid_leaf(m, &c, 0xb, 0, 5).edx, 5);
}

static void extended_state_leaf_matches_xcr0(void **state)
{
    (void)state;
    const struct cpu_model *m = cpu_model_find("max");
    struct cpuid_result r = leaf(m, 0xd, 0);
    assert_int_equal(r.eax, cpu_model_xcr0_mask(m));
    assert_int_equal(r.eax & 3, 3);
    assert_int_equal(r.ebx, 576);
    assert_int_equal(cpu_model_xcr0_mask(cpu_model_find("westmere")), 0);
}

static void control_bits_come_with_their_features(void **state)
{
    (void)state;
    u64 westmere = cpu_model_cr4_mask(cpu_model_find("westmere"));
    u64 max = cpu_model_cr4_mask(cpu_model_find("max"));
    assert_int_equal(westmere, 0x7ff);
    assert_int_equal(max, 0x7ff | CR4_UMIP | CR4_FSGSBASE | CR4_OSXSAVE | CR4_SMEP | CR4_SMAP);
    assert_int_equal(cpu_model_cr4_mask(cpu_model_find("pentium")),
                     CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_MCE);
    assert_int_equal(cpu_model_efer_mask(cpu_model_find("westmere")), EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE);
    assert_int_equal(cpu_model_efer_mask(cpu_model_find("pentium3")), 0);
}

/* A model may show a feature that stands for instructions only if isa.def has some of them. */
static void instruction_features_have_rows(void **state)
{
    static const enum feature instructions[] = {
        FEAT_FPU, FEAT_TSC, FEAT_MSR, FEAT_CX8, FEAT_SEP, FEAT_CMOV, FEAT_CLFSH, FEAT_MMX, FEAT_FXSR, FEAT_SSE,
        FEAT_SSE2,
        FEAT_SSE3, FEAT_PCLMULQDQ, FEAT_MONITOR, FEAT_SSSE3, FEAT_SSE41, FEAT_SSE42, FEAT_MOVBE, FEAT_POPCNT, FEAT_AES,
        FEAT_XSAVE, FEAT_RDRAND, FEAT_FSGSBASE, FEAT_SMAP, FEAT_SYSCALL, FEAT_RDTSCP, FEAT_CLFLUSHOPT, FEAT_XSAVEOPT,
        FEAT_AVX, FEAT_AVX2, FEAT_BMI1, FEAT_BMI2, FEAT_ADX,
    };
    (void)state;
    for (unsigned n = 0; n < ARRAY_LEN(instructions); n++) {
        bool shown = false, exists = false;
        for (unsigned i = 0; i < cpu_model_count; i++)
            shown |= model_has(&cpu_models[i], instructions[n]);
        for (unsigned row = 0; row < isa_row_count; row++)
            exists |= isa_rows[row].feature == instructions[n];
        if (shown && !exists)
            fail_msg("a model shows %s, but isa.def has no row for it", feature_name(instructions[n]));
    }
}

static void every_feature_has_a_name(void **state)
{
    (void)state;
    for (unsigned a = 0; a < FEAT_COUNT; a++) {
        assert_non_null(feature_name((enum feature)a));
        for (unsigned b = 0; b < a; b++)
            assert_string_not_equal(feature_name((enum feature)a), feature_name((enum feature)b));
    }
}

/* SDM vol. 3, table 9-1. */
static void reset_state_is_table_9_1(void **state)
{
    (void)state;
    struct cpu c;
    memset(&c, 0xaa, sizeof c);
    c.icount = 77;
    cpu_reset(&c, cpu_model_find("westmere"));
    assert_int_equal(cpu_rflags(&c), 2);
    assert_int_equal(c.rip, 0xfff0);
    assert_int_equal(c.cr0, 0x60000010);
    assert_int_equal(c.seg[SEG_CS].selector, 0xf000);
    assert_int_equal(c.seg[SEG_CS].base, 0xffff0000);
    assert_int_equal(c.seg[SEG_CS].attributes, 0x9b);
    assert_int_equal(c.seg[SEG_SS].attributes, 0x93);
    assert_int_equal(c.seg[SEG_SS].limit, 0xffff);
    assert_int_equal(c.gpr[RDX], 0x206c2);
    assert_int_equal(c.gpr[RAX], 0);
    assert_int_equal(c.dr[6], 0xffff0ff0);
    assert_int_equal(c.dr[7], 0x400);
    assert_int_equal(c.idtr.limit, 0xffff);
    assert_int_equal(c.xcr0, 1);
    assert_int_equal(c.pat, 0x0007040600070406);
    assert_int_equal(c.apic_base, 0xfee00900);
    assert_int_equal(c.icount, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_have_unique_names_and_the_default_exists),
        cmocka_unit_test(westmere_flags_stand_where_the_manual_puts_them),
        cmocka_unit_test(vendor_and_brand_spell_out),
        cmocka_unit_test(leaves_beyond_the_last_repeat_the_highest_basic_one),
        cmocka_unit_test(flags_follow_the_processor_state),
        cmocka_unit_test(extended_state_leaf_matches_xcr0),
        cmocka_unit_test(control_bits_come_with_their_features),
        cmocka_unit_test(instruction_features_have_rows),
        cmocka_unit_test(every_feature_has_a_name),
        cmocka_unit_test(reset_state_is_table_9_1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
