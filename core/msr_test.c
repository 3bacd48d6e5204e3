/* The MSR policy table: every register's reserved bits, side effects, and the fault of those that do not exist. */
#include "core/msr.h"
#include "sbe/machine_for_tests.h"

static struct vm *vm, *old;
static struct vcpu *v;

static int create(void **state)
{
    (void)state;
    vm = machine_create("max");
    old = machine_create("pentium3");
    return 0;
}

static int destroy(void **state)
{
    (void)state;
    vm_destroy(vm);
    vm_destroy(old);
    return 0;
}

static int enter(void **state)
{
    (void)state;
    v = machine_enter(vm, PROTECTED, 0);
    return 0;
}

static u64 get(u32 index)
{
    u64 value = 0xbad;
    if (!msr_read(v, index, &value))
        fail_msg("MSR %#x cannot be read", index);
    return value;
}

static void refuses(u32 index, u64 value)
{
    u64 before, after;
    bool readable = msr_read(v, index, &before);
    if (msr_write(v, index, value))
        fail_msg("MSR %#x takes %#llx", index, (unsigned long long)value);
    if (readable && msr_read(v, index, &after) && index != MSR_TSC)
        assert_int_equal(before, after);
}

static void takes(u32 index, u64 value)
{
    if (!msr_write(v, index, value))
        fail_msg("MSR %#x refuses %#llx", index, (unsigned long long)value);
    assert_int_equal(get(index), value);
}

static void unknown_registers_fault(void **state)
{
    static const u32 unknown[] = {0x2, 0xce, 0x140, 0x186, 0x210, 0x251, 0x270, 0x400, 0x480, 0x6e1, 0x802, 0x1fffffff,
                                  0xbfffffff, 0xc0000000, 0xc0000085, 0xc0000104, 0xc0010015, 0xffffffff};
    u64 value;
    (void)state;
    for (unsigned n = 0; n < ARRAY_LEN(unknown); n++) {
        assert_false(msr_read(v, unknown[n], &value));
        assert_false(msr_write(v, unknown[n], 0));
    }
}

static void registers_of_missing_features_fault(void **state)
{
    static const u32 missing[] = {MSR_EFER, MSR_STAR, MSR_LSTAR, MSR_FS_BASE, MSR_KERNEL_GS_BASE, MSR_TSC_AUX,
                                  MSR_TSC_DEADLINE, MSR_TSC_ADJUST, 0x48, 0x10a};
    u64 value;
    (void)state;
    v = machine_enter(old, PROTECTED, 0);
    for (unsigned n = 0; n < ARRAY_LEN(missing); n++) {
        assert_false(msr_read(v, missing[n], &value));
        assert_false(msr_write(v, missing[n], 0));
    }
    takes(MSR_PAT, 0x0007040600070406);
    takes(MSR_SYSENTER_CS, 0x60);
}

static void constants_cannot_be_written(void **state)
{
    (void)state;
    assert_int_equal(get(MSR_MTRRCAP), 0x508);
    refuses(MSR_MTRRCAP, 0x508);
    refuses(MSR_PLATFORM_ID, 0);
    refuses(MSR_MCG_CAP, 0);
    refuses(0x10a, 0);
    assert_int_equal(get(0x10a) & 1, 1); /* RDCL_NO */
    assert_int_equal(get(MSR_FEATURE_CONTROL), 1);
    refuses(MSR_FEATURE_CONTROL, 5); /* locked */
    refuses(0x49 + 1, 0);
    u64 value;
    assert_false(msr_read(v, 0x49, &value)); /* IA32_PRED_CMD is write-only */
    assert_true(msr_write(v, 0x49, 1));
}

static void efer_guards_long_mode(void **state)
{
    (void)state;
    takes(MSR_EFER, EFER_SCE | EFER_LME | EFER_NXE);
    refuses(MSR_EFER, 1u << 1);
    refuses(MSR_EFER, 1u << 15);
    assert_true(msr_write(v, MSR_EFER, EFER_LMA)); /* LMA is read-only */
    assert_int_equal(get(MSR_EFER), 0);
    v = machine_enter(vm, LONG, 0);
    refuses(MSR_EFER, EFER_LMA);
    assert_true(msr_write(v, MSR_EFER, EFER_LME | EFER_NXE));
    assert_int_equal(get(MSR_EFER), EFER_LME | EFER_LMA | EFER_NXE);
}

static void addresses_must_be_canonical(void **state)
{
    static const u32 addresses[] = {MSR_LSTAR, MSR_CSTAR, MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
                                    MSR_SYSENTER_ESP, MSR_SYSENTER_EIP};
    (void)state;
    for (unsigned n = 0; n < ARRAY_LEN(addresses); n++) {
        takes(addresses[n], 0xffff800000000000);
        takes(addresses[n], 0x00007fffffffffff);
        refuses(addresses[n], 0x0000800000000000);
        refuses(addresses[n], 0xffff000000000000);
    }
    assert_int_equal(v->cpu.seg[SEG_FS].base, 0x00007fffffffffff);
    assert_int_equal(v->cpu.seg[SEG_GS].base, 0x00007fffffffffff);
    assert_int_equal(v->cpu.kernel_gs_base, 0x00007fffffffffff);
}

static void narrow_registers_refuse_high_bits(void **state)
{
    (void)state;
    takes(MSR_STAR, UINT64_MAX);
    takes(MSR_SFMASK, 0xffffffff);
    refuses(MSR_SFMASK, 1ull << 32);
    takes(MSR_TSC_AUX, 0xffffffff);
    refuses(MSR_TSC_AUX, 1ull << 32);
    takes(0x48, 7);
    refuses(0x48, 8);
    refuses(MSR_MCG_STATUS, 8);
}

static void memory_types_are_checked(void **state)
{
    (void)state;
    takes(MSR_PAT, 0x0706050401000700);
    for (unsigned type = 0; type < 256; type++) {
        bool pat = type < 8 && type != 2 && type != 3, mtrr = pat && type != 7;
        for (unsigned byte = 0; byte < 8; byte++)
            assert_int_equal(msr_write(v, MSR_PAT, (u64)type << 8 * byte), pat);
        assert_int_equal(msr_write(v, MSR_MTRR_FIX64K, (u64)type << 56), mtrr);
        assert_int_equal(msr_write(v, MSR_MTRR_PHYSBASE0 + 2, type), mtrr);
        assert_int_equal(msr_write(v, MSR_MTRR_DEF_TYPE, type), mtrr);
    }
    takes(MSR_MTRR_DEF_TYPE, 0xc06);
    refuses(MSR_MTRR_DEF_TYPE, 0x1006);
    takes(MSR_MTRR_PHYSBASE0 + 15, (1ull << 40) - 0x800);
    refuses(MSR_MTRR_PHYSBASE0 + 15, 1ull << 40);
    refuses(MSR_MTRR_PHYSBASE0 + 15, 0x400);
    refuses(MSR_MTRR_PHYSBASE0 + 14, 0x106);
    refuses(MSR_MTRR_PHYSBASE0 + 14, 0x806);
    takes(0x268, 0x0606060606060606);
    takes(0x26f, 0x0505050505050505);
    assert_int_equal(v->cpu.mtrr_fixed[3], 0x0606060606060606);
    assert_int_equal(v->cpu.mtrr_fixed[10], 0x0505050505050505);
}

static void firmware_defaults_pass_the_same_checks(void **state)
{
    (void)state;
    mtrr_firmware_defaults(&v->cpu);
    struct cpu set = v->cpu;
    for (u32 n = 0; n < 2 * MTRR_VARIABLE_COUNT; n++)
        takes(MSR_MTRR_PHYSBASE0 + n, set.mtrr_variable[n]);
    takes(0x259, 0);
    takes(MSR_MTRR_DEF_TYPE, set.mtrr_def_type);
    assert_int_equal(set.mtrr_variable[1], 0xffc0000800);
}

static void the_tsc_and_its_adjustment_move_together(void **state)
{
    (void)state;
    u64 base = vm_tsc(vm);
    assert_true(msr_write(v, MSR_TSC, base + 1000));
    assert_int_equal(get(MSR_TSC), base + 1000);
    assert_int_equal(get(MSR_TSC_ADJUST), 1000);
    takes(MSR_TSC_ADJUST, (u64)-500);
    assert_int_equal(get(MSR_TSC), base - 500);
    vm->clock.skipped_ns += 70;
    assert_int_equal(get(MSR_TSC), base - 430);
    vm->clock.skipped_ns -= 70;
}

static void microcode_revision_appears_by_cpuid(void **state)
{
    (void)state;
    takes(MSR_BIOS_SIGN_ID, 0);
    v->cpu.gpr[RAX] = 1;
    assert_retires(v, 0x0f, 0xa2);
    assert_int_equal(get(MSR_BIOS_SIGN_ID), CPU_MICROCODE_REVISION << 32);
}

static void apic_base_keeps_reserved_bits_clear(void **state)
{
    (void)state;
    assert_int_equal(get(MSR_APIC_BASE), 0xfee00900);
    refuses(MSR_APIC_BASE, 0xfee00d00); /* x2APIC does not exist */
    refuses(MSR_APIC_BASE, 0xfee00901);
    refuses(MSR_APIC_BASE, 1ull << PHYS_ADDRESS_BITS | 0xfee00900);
    takes(MSR_APIC_BASE, 0xfee00900);
}

static void instructions_reach_the_table(void **state)
{
    (void)state;
    v->cpu.gpr[RCX] = 0xffffffff00000000 | MSR_STAR;
    v->cpu.gpr[RAX] = 0xffffffff11223344;
    v->cpu.gpr[RDX] = 0xffffffff55667788;
    assert_retires(v, 0x0f, 0x30);
    assert_int_equal(v->cpu.star, 0x5566778811223344);
    assert_retires(v, 0x0f, 0x32);
    assert_int_equal(v->cpu.gpr[RAX], 0x11223344);
    assert_int_equal(v->cpu.gpr[RDX], 0x55667788);
    v->cpu.gpr[RCX] = 2;
    assert_faults(v, VEC_GP, 0x0f, 0x30);
    assert_faults(v, VEC_GP, 0x0f, 0x32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(unknown_registers_fault, enter),
        cmocka_unit_test_setup(registers_of_missing_features_fault, enter),
        cmocka_unit_test_setup(constants_cannot_be_written, enter),
        cmocka_unit_test_setup(efer_guards_long_mode, enter),
        cmocka_unit_test_setup(addresses_must_be_canonical, enter),
        cmocka_unit_test_setup(narrow_registers_refuse_high_bits, enter),
        cmocka_unit_test_setup(memory_types_are_checked, enter),
        cmocka_unit_test_setup(firmware_defaults_pass_the_same_checks, enter),
        cmocka_unit_test_setup(the_tsc_and_its_adjustment_move_together, enter),
        cmocka_unit_test_setup(microcode_revision_appears_by_cpuid, enter),
        cmocka_unit_test_setup(apic_base_keeps_reserved_bits_clear, enter),
        cmocka_unit_test_setup(instructions_reach_the_table, enter),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
