/* PUSHF, POPF, CLI, STI in every privilege situation: SDM vol. 2, tables 3-7, 4-16, 4-18; vol. 3, 20.3 and 20.4. */
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

#define IOPL(n) ((u32)(n) << FLAG_IOPL_SHIFT)
#define GP UINT32_MAX
#define ALL_SETTABLE (FLAGS_ARITH | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT)

/* One situation: flags before (besides FLAG_FIXED and VM) and after, or GP. */
struct situation {
    enum machine_mode mode;
    u8 cpl;
    u32 cr4, before, image, after;
};

static struct vcpu *enter(const struct situation *s)
{
    struct vcpu *v = machine_enter(vm, s->mode, s->cpl);
    v->cpu.cr4 |= s->cr4;
    cpu_set_rflags_raw(&v->cpu, s->before | (s->mode == V86 ? FLAG_VM : 0));
    vcpu_update_mode(v);
    return v;
}

static void check(const struct situation *s, unsigned n, struct vcpu *v, enum exec result)
{
    u32 flags = (u32)cpu_rflags(&v->cpu) & ~(FLAG_VM | FLAG_FIXED);
    if (s->after == GP ? result != EXEC_FAULT || v->fault.vector != VEC_GP : result != EXEC_NEXT || flags != s->after)
        fail_msg("situation %u: result %d, flags %#x, expected %#x", n, (int)result, flags, s->after);
}

static const struct situation popf_16[] = {
    {REAL, 0, 0, FLAG_RF | FLAG_VIF | FLAG_AC, 0xffff, ALL_SETTABLE | FLAG_VIF | FLAG_AC},
    {PROTECTED, 0, 0, FLAG_RF | FLAG_AC, 0xffff, ALL_SETTABLE | FLAG_AC},
    {PROTECTED, 3, 0, 0, 0xffff, ALL_SETTABLE & ~(FLAG_IF | FLAG_IOPL)},
    {PROTECTED, 3, 0, FLAG_IF, 0, FLAG_IF},
    {PROTECTED, 3, 0, IOPL(3) | FLAG_IF, 0, IOPL(3)},
    {PROTECTED, 2, 0, IOPL(2), 0xffff, (ALL_SETTABLE & ~FLAG_IOPL) | IOPL(2)},
    {V86, 3, 0, IOPL(3), 0xcfff, ALL_SETTABLE},
    {V86, 3, 0, IOPL(2), 0, GP},
    {V86, 3, CR4_VME, FLAG_IF, FLAG_IF | FLAG_CF, FLAG_IF | FLAG_VIF | FLAG_CF},
    {V86, 3, CR4_VME, FLAG_IF | FLAG_VIF, IOPL(3), FLAG_IF},
    {V86, 3, CR4_VME, FLAG_VIP, FLAG_IF, GP},
    {V86, 3, CR4_VME, FLAG_VIP, 0, FLAG_VIP},
    {V86, 3, CR4_VME, 0, FLAG_TF, GP},
};

static const struct situation popf_32[] = {
    {PROTECTED, 0, 0, FLAG_RF | FLAG_VIP, 0xffffffff, ALL_SETTABLE | FLAG_AC | FLAG_ID | FLAG_VIP},
    {PROTECTED, 3, 0, FLAG_VIF, 0xffffffff, (ALL_SETTABLE & ~(FLAG_IF | FLAG_IOPL)) | FLAG_AC | FLAG_ID | FLAG_VIF},
    {V86, 3, 0, IOPL(3), 0xffffffff, ALL_SETTABLE | FLAG_AC | FLAG_ID},
    {V86, 3, CR4_VME, 0, 0, GP},
};

static void popf_changes_what_privilege_allows(void **state)
{
    (void)state;
    for (unsigned n = 0; n < ARRAY_LEN(popf_16); n++) {
        struct vcpu *v = enter(&popf_16[n]);
        machine_poke(vm, MACHINE_STACK, &popf_16[n].image, 4);
        enum exec result = v->mode == CODE_16 ? RUN(v, 0x9d) : RUN(v, 0x66, 0x9d);
        check(&popf_16[n], n, v, result);
        assert_int_equal(v->cpu.gpr[RSP], MACHINE_STACK + (result == EXEC_NEXT ? 2 : 0));
    }
    for (unsigned n = 0; n < ARRAY_LEN(popf_32); n++) {
        struct vcpu *v = enter(&popf_32[n]);
        machine_poke(vm, MACHINE_STACK, &popf_32[n].image, 4);
        enum exec result = v->mode == CODE_16 ? RUN(v, 0x66, 0x9d) : RUN(v, 0x9d);
        check(&popf_32[n], n + 100, v, result);
    }
}

static void pushf_hides_vm_and_rf(void **state)
{
    (void)state;
    struct vcpu *v = machine_enter(vm, LONG, 3);
    cpu_set_rflags_raw(&v->cpu, FLAG_RF | FLAG_AC | FLAG_CF | FLAG_IF);
    assert_retires(v, 0x9c);
    assert_int_equal(v->cpu.gpr[RSP], MACHINE_STACK - 8);
    assert_int_equal(machine_peek(vm, MACHINE_STACK - 8, 8), FLAG_AC | FLAG_CF | FLAG_IF | FLAG_FIXED);
}

static void pushf_in_v86_shows_the_virtual_flag(void **state)
{
    (void)state;
    struct vcpu *v = machine_enter(vm, V86, 3);
    assert_faults(v, VEC_GP, 0x9c);
    v->cpu.cr4 |= CR4_VME;
    v->cpu.rflags |= FLAG_IF;
    assert_retires(v, 0x9c);
    assert_int_equal(machine_peek(vm, MACHINE_STACK - 2, 2), IOPL(3) | FLAG_FIXED);
    v->cpu.rflags |= FLAG_VIF;
    assert_retires(v, 0x9c);
    assert_int_equal(machine_peek(vm, MACHINE_STACK - 4, 2), IOPL(3) | FLAG_FIXED | FLAG_IF);
    assert_faults(v, VEC_GP, 0x66, 0x9c);
}

static const struct situation sti[] = {
    {REAL, 0, 0, 0, 0, FLAG_IF},
    {PROTECTED, 0, 0, 0, 0, FLAG_IF},
    {PROTECTED, 3, 0, IOPL(3), 0, IOPL(3) | FLAG_IF},
    {PROTECTED, 3, 0, IOPL(2), 0, GP},
    {PROTECTED, 3, CR4_PVI, IOPL(2), 0, IOPL(2) | FLAG_VIF},
    {PROTECTED, 3, CR4_PVI, FLAG_VIP, 0, GP},
    {PROTECTED, 2, CR4_PVI, IOPL(1), 0, GP},
    {PROTECTED, 3, CR4_VME, 0, 0, GP},
    {V86, 3, 0, IOPL(3), 0, IOPL(3) | FLAG_IF},
    {V86, 3, 0, 0, 0, GP},
    {V86, 3, CR4_VME, 0, 0, FLAG_VIF},
    {V86, 3, CR4_VME, FLAG_VIP, 0, GP},
    {V86, 3, CR4_PVI, 0, 0, GP},
};

static void sti_and_cli_obey_iopl_and_the_virtual_flag(void **state)
{
    (void)state;
    for (unsigned n = 0; n < ARRAY_LEN(sti); n++) {
        struct vcpu *v = enter(&sti[n]);
        check(&sti[n], n, v, RUN(v, 0xfb));
    }
    for (unsigned n = 0; n < ARRAY_LEN(sti); n++) {
        /* CLI undoes it, and does not mind VIP. */
        struct situation s = sti[n];
        bool vip = s.before & FLAG_VIP;
        s.after = vip || s.after != GP ? s.before : GP;
        s.before |= vip ? FLAG_VIF : (s.after == GP ? 0 : sti[n].after);
        struct vcpu *v = enter(&s);
        check(&s, n + 100, v, RUN(v, 0xfa));
    }
}

static void sti_holds_interrupts_off_for_one_instruction(void **state)
{
    (void)state;
    struct vcpu *v = machine_enter(vm, PROTECTED, 0);
    assert_retires(v, 0xfb);
    assert_true(v->cpu.int_shadow && v->stepping);
    assert_int_not_equal(v->stop_at, 0); /* nothing waits */
    v->cpu.int_shadow = 0;
    assert_retires(v, 0xfb); /* IF was set already: no shadow */
    assert_false(v->cpu.int_shadow);
}

static void popf_asks_for_attention(void **state)
{
    u32 image = FLAG_IF | FLAG_TF;
    (void)state;
    struct vcpu *v = machine_enter(vm, PROTECTED, 0);
    v->cpu.nmi_pending = 1;
    machine_poke(vm, MACHINE_STACK, &image, 4);
    assert_retires(v, 0x9d);
    assert_int_equal(v->stop_at, 0);
    assert_true(v->stepping);
    assert_false(v->cpu.int_shadow);
}

static void ac_instructions_need_privilege(void **state)
{
    (void)state;
    struct vcpu *v = machine_enter(vm, LONG, 0);
    v->cpu.cr4 |= CR4_SMAP;
    assert_retires(v, 0x0f, 0x01, 0xcb);
    assert_true(v->cpu.rflags & FLAG_AC);
    assert_int_equal(v->tlb.rights, TLB_SUPERVISOR_AC);
    assert_retires(v, 0x0f, 0x01, 0xca);
    assert_false(v->cpu.rflags & FLAG_AC);
    assert_int_equal(v->tlb.rights, TLB_SUPERVISOR);
    v = machine_enter(vm, LONG, 3);
    assert_faults(v, VEC_UD, 0x0f, 0x01, 0xcb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(popf_changes_what_privilege_allows),
        cmocka_unit_test(pushf_hides_vm_and_rf),
        cmocka_unit_test(pushf_in_v86_shows_the_virtual_flag),
        cmocka_unit_test(sti_and_cli_obey_iopl_and_the_virtual_flag),
        cmocka_unit_test(sti_holds_interrupts_off_for_one_instruction),
        cmocka_unit_test(popf_asks_for_attention),
        cmocka_unit_test(ac_instructions_need_privilege),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
