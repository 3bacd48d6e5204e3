/* Control, debug and extended control registers against the fault lists of SDM vol. 2, "MOV", "LMSW", "SMSW",
 * "XSETBV". */
#include "sbe/machine_for_tests.h"

static struct vm *vm;

static int create(void **state)
{
    (void)state;
    vm = machine_create("max");
    return 0;
}

static int destroy(void **state)
{
    (void)state;
    vm_destroy(vm);
    return 0;
}

#define MOV_CR0_EAX 0x0f, 0x22, 0xc0
#define MOV_CR2_EAX 0x0f, 0x22, 0xd0
#define MOV_CR3_EAX 0x0f, 0x22, 0xd8
#define MOV_CR4_EAX 0x0f, 0x22, 0xe0
#define MOV_EAX_CR0 0x0f, 0x20, 0xc0
#define MOV_CR8_RAX 0x44, 0x0f, 0x22, 0xc0
#define MOV_RAX_CR8 0x44, 0x0f, 0x20, 0xc0
#define LMSW_AX 0x0f, 0x01, 0xf0
#define SMSW_EAX 0x0f, 0x01, 0xe0
#define XSETBV 0x0f, 0x01, 0xd1
#define XGETBV 0x0f, 0x01, 0xd0

static void cr0_refuses_impossible_combinations(void **state)
{
    (void)state;
    struct vcpu *v = machine_enter(vm, PROTECTED, 0);
    v->cpu.gpr[RAX] = CR0_PG;
    assert_faults(v, VEC_GP, MOV_CR0_EAX);
    v->cpu.gpr[RAX] = CR0_PE | CR0_NW;
    assert_faults(v, VEC_GP, MOV_CR0_EAX);
    v = machine_enter(vm, LONG, 0);
    v->cpu.gpr[RAX] = v->cpu.cr0 | 1ull << 32;
    assert_faults(v, VEC_GP, MOV_CR0_EAX);
    v = machine_enter(vm, PROTECTED, 1);
    assert_faults(v, VEC_GP, MOV_CR0_EAX);
}

static void cr0_ignores_reserved_low_bits(void **state)
{
    (void)state;
    struct vcpu *v = machine_enter(vm, PROTECTED, 0);
    v->cpu.gpr[RAX] = 0x1ffaffd1; /* every undefined bit below 32 */
    assert_retires(v, MOV_CR0_EAX);
    assert_int_equal(v->cpu.cr0, CR0_PE | CR0_ET);
    assert_retires(v, MOV_EAX_CR0);
    assert_int_equal(v->cpu.gpr[RAX], CR0_PE | CR0_ET);
}

static void long_mode_activates_only_when_prepared(void **state)
{
    (void)state;
    struct vcpu *v = machine_enter(vm, PROTECTED, 0);
    machine_tables(vm);
    v->cpu.cr3 = MACHINE_PML4;
    v->cpu.efer = EFER_LME;
    v->cpu.gpr[RAX] = CR0_PG | CR0_PE | CR0_ET;
    assert_faults(v, VEC_GP, MOV_CR0_EAX); /* without PAE */
    v->cpu.cr4 |= CR4_PAE;
    v->cpu.tr.attributes = SEG_P | 3;
    assert_faults(v, VEC_GP, MOV_CR0_EAX); /* 16-bit TSS */
    v->cpu.tr.attributes = SEG_P | 11;
    v->cpu.seg[SEG_CS].attributes |= SEG_L;
    assert_faults(v, VEC_GP, MOV_CR0_EAX); /* CS.L */
    v->cpu.seg[SEG_CS].attributes &= (u16)~SEG_L;
    assert_retires(v, MOV_CR0_EAX);
    assert_int_equal(v->cpu.efer, EFER_LME | EFER_LMA);
    assert_int_equal(v->mode, CODE_32);
    v->cpu.gpr[RAX] = CR0_PE | CR0_ET;
    assert_retires(v, MOV_CR0_EAX);
    assert_int_equal(v->cpu.efer, EFER_LME);
}

static void paging_stays_on_in_64_bit_mode(void **state)
{
    (void)state;
    struct vcpu *v = machine_enter(vm, LONG, 0);
    v->cpu.gpr[RAX] = CR0_PE | CR0_ET;
    assert_faults(v, VEC_GP, MOV_CR0_EAX);
    v->cpu.gpr[RAX] = 0;
    assert_faults(v, VEC_GP, MOV_CR4_EAX); /* PAE */
}

static void pae_pointers_are_loaded_and_checked(void **state)
{
    (void)state;
    struct vcpu *v = machine_enter(vm, PROTECTED, 0);
    u64 pdpte[4] = {MACHINE_PD | 1, 0, 1ull << 50, 0};
    v->cpu.cr4 |= CR4_PAE;
    v->cpu.cr3 = MACHINE_PDPTES;
    machine_tables(vm);
    machine_poke(vm, MACHINE_PDPTES, pdpte, sizeof pdpte);
    v->cpu.gpr[RAX] = CR0_PG | CR0_PE;
    assert_retires(v, MOV_CR0_EAX); /* entry 2 is not present: its other bits are free */
    assert_int_equal(v->cpu.pdpte[0], MACHINE_PD | 1);
    pdpte[2] |= 1;
    machine_poke(vm, MACHINE_PDPTES, pdpte, sizeof pdpte);
    v->cpu.gpr[RAX] = MACHINE_PDPTES;
    assert_faults(v, VEC_GP, MOV_CR3_EAX);
    v->cpu.gpr[RAX] = v->cpu.cr4 | CR4_PGE;
    assert_faults(v, VEC_GP, MOV_CR4_EAX);
    v->cpu.gpr[RAX] = v->cpu.cr4 | CR4_TSD; /* does not reload them */
    assert_retires(v, MOV_CR4_EAX);
}

static void cr3_and_cr4_check_reserved_bits(void **state)
{
    (void)state;
    struct vcpu *v = machine_enter(vm, LONG, 0);
    v->cpu.gpr[RAX] = 1ull << PHYS_ADDRESS_BITS | MACHINE_PML4;
    assert_faults(v, VEC_GP, MOV_CR3_EAX);
    v->cpu.gpr[RAX] = MACHINE_PML4 | 0x18;
    assert_retires(v, MOV_CR3_EAX);
    assert_int_equal(v->cpu.cr3, MACHINE_PML4 | 0x18);
    v->cpu.gpr[RAX] = v->cpu.cr4 | CR4_PCIDE;
    assert_faults(v, VEC_GP, MOV_CR4_EAX);
    v->cpu.gpr[RAX] = v->cpu.cr4 | 1ull << 32;
    assert_faults(v, VEC_GP, MOV_CR4_EAX);
    v->cpu.gpr[RAX] = 1ull << 63 | 5;
    assert_retires(v, MOV_CR2_EAX);
    assert_int_equal(v->cpu.cr2, 1ull << 63 | 5);
}

static void cr8_holds_four_bits(void **state)
{
    (void)state;
    struct vcpu *v = machine_enter(vm, LONG, 0);
    v->cpu.gpr[RAX] = 9;
    assert_retires(v, MOV_CR8_RAX);
    v->cpu.gpr[RAX] = 0;
    assert_retires(v, MOV_RAX_CR8);
    assert_int_equal(v->cpu.gpr[RAX], 9);
    v->cpu.gpr[RAX] = 0x10;
    assert_faults(v, VEC_GP, MOV_CR8_RAX);
}

static void lmsw_sets_but_never_clears_pe(void **state)
{
    (void)state;
    struct vcpu *v = machine_enter(vm, PROTECTED, 0);
    v->cpu.cr0 |= CR0_WP;
    v->cpu.gpr[RAX] = 0xfffa;
    assert_retires(v, LMSW_AX);
    assert_int_equal(v->cpu.cr0, CR0_PE | CR0_MP | CR0_TS | CR0_ET | CR0_WP);
    assert_retires(v, 0x0f, 0x06); /* CLTS */
    assert_int_equal(v->cpu.cr0, CR0_PE | CR0_MP | CR0_ET | CR0_WP);
    v = machine_enter(vm, REAL, 0);
    v->cpu.gpr[RAX] = 1;
    assert_retires(v, LMSW_AX);
    assert_int_equal(v->cpu.cr0, CR0_PE | CR0_ET);
}

static void smsw_obeys_operand_size_and_umip(void **state)
{
    (void)state;
    struct vcpu *v = machine_enter(vm, PROTECTED, 3);
    v->cpu.cr0 |= CR0_CD;
    v->cpu.gpr[RAX] = UINT64_MAX;
    assert_retires(v, 0x66, SMSW_EAX);
    assert_int_equal(v->cpu.gpr[RAX], 0xffffffffffff0011);
    assert_retires(v, SMSW_EAX);
    assert_int_equal(v->cpu.gpr[RAX], CR0_CD | CR0_PE | CR0_ET);
    v->cpu.cr4 |= CR4_UMIP;
    assert_faults(v, VEC_GP, SMSW_EAX);
}

#define MOV_DR4_EAX 0x0f, 0x23, 0xe0
#define MOV_DR6_EAX 0x0f, 0x23, 0xf0
#define MOV_DR7_EAX 0x0f, 0x23, 0xf8
#define MOV_EAX_DR5 0x0f, 0x21, 0xe8
#define MOV_EAX_DR6 0x0f, 0x21, 0xf0

static void debug_registers_alias_unless_de(void **state)
{
    (void)state;
    struct vcpu *v = machine_enter(vm, PROTECTED, 0);
    v->cpu.gpr[RAX] = 0xffffffff;
    assert_retires(v, MOV_DR4_EAX);
    assert_int_equal(v->cpu.dr[6], 0xffffefff);
    v->cpu.gpr[RAX] = 0;
    assert_retires(v, MOV_DR6_EAX);
    assert_int_equal(v->cpu.dr[6], 0xffff0ff0);
    assert_retires(v, MOV_EAX_DR5);
    assert_int_equal(v->cpu.gpr[RAX], 0x400);
    v->cpu.cr4 |= CR4_DE;
    assert_faults(v, VEC_UD, MOV_EAX_DR5);
    assert_faults(v, VEC_UD, MOV_DR4_EAX);
}

static void dr7_keeps_its_fixed_bits_and_arms_stepping(void **state)
{
    (void)state;
    struct vcpu *v = machine_enter(vm, LONG, 0);
    v->cpu.gpr[RAX] = 0xffffdc00;
    assert_retires(v, MOV_DR7_EAX);
    assert_int_equal(v->cpu.dr[7], 0xffff0400);
    assert_false(v->stepping);
    v->cpu.gpr[RAX] = 1;
    assert_retires(v, MOV_DR7_EAX);
    assert_true(v->stepping);
    v->cpu.gpr[RAX] = 0;
    assert_retires(v, MOV_DR7_EAX);
    assert_false(v->stepping);
    v->cpu.gpr[RAX] = 1ull << 32;
    assert_faults(v, VEC_GP, MOV_DR7_EAX);
    assert_faults(v, VEC_GP, MOV_DR6_EAX);
}

static void general_detect_traps_debug_register_access(void **state)
{
    (void)state;
    struct vcpu *v = machine_enter(vm, PROTECTED, 0);
    v->cpu.dr[7] = DR7_FIXED | DR7_GD;
    assert_faults(v, VEC_DB, MOV_EAX_DR6);
    assert_int_equal(v->fault.dr6, DR6_BD);
    v = machine_enter(vm, PROTECTED, 3);
    assert_faults(v, VEC_GP, MOV_EAX_DR6);
    v = machine_enter(vm, V86, 3);
    assert_faults(v, VEC_GP, MOV_EAX_DR6);
}

static void xcr0_takes_only_supported_sets(void **state)
{
    (void)state;
    struct vcpu *v = machine_enter(vm, PROTECTED, 0);
    v->cpu.gpr[RAX] = 3;
    v->cpu.gpr[RDX] = 0;
    assert_faults(v, VEC_UD, XSETBV);
    assert_faults(v, VEC_UD, XGETBV);
    v->cpu.cr4 |= CR4_OSXSAVE;
    assert_retires(v, XSETBV);
    assert_int_equal(v->cpu.xcr0, 3);
    v->cpu.gpr[RAX] = 2;
    assert_faults(v, VEC_GP, XSETBV);
    v->cpu.gpr[RAX] = 1 | 1u << 31;
    assert_faults(v, VEC_GP, XSETBV);
    v->cpu.gpr[RAX] = 1;
    v->cpu.gpr[RCX] = 1;
    assert_faults(v, VEC_GP, XSETBV);
    assert_faults(v, VEC_GP, XGETBV);
    v->cpu.gpr[RCX] = 0;
    assert_retires(v, XGETBV);
    assert_int_equal(v->cpu.gpr[RAX], 3);
    v->cpu.cpl = 3;
    assert_faults(v, VEC_GP, XSETBV);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cr0_refuses_impossible_combinations),
        cmocka_unit_test(cr0_ignores_reserved_low_bits),
        cmocka_unit_test(long_mode_activates_only_when_prepared),
        cmocka_unit_test(paging_stays_on_in_64_bit_mode),
        cmocka_unit_test(pae_pointers_are_loaded_and_checked),
        cmocka_unit_test(cr3_and_cr4_check_reserved_bits),
        cmocka_unit_test(cr8_holds_four_bits),
        cmocka_unit_test(lmsw_sets_but_never_clears_pe),
        cmocka_unit_test(smsw_obeys_operand_size_and_umip),
        cmocka_unit_test(debug_registers_alias_unless_de),
        cmocka_unit_test(dr7_keeps_its_fixed_bits_and_arms_stepping),
        cmocka_unit_test(general_detect_traps_debug_register_access),
        cmocka_unit_test(xcr0_takes_only_supported_sets),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
