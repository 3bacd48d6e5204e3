/* Fast system calls in every mode: SDM vol. 2, "SYSENTER", "SYSEXIT", "SYSCALL", "SYSRET", "SWAPGS", "WRFSBASE". */
#include "core/exception.h"
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

#define SYSENTER 0x0f, 0x34
#define SYSEXIT 0x0f, 0x35
#define SYSEXIT_64 0x48, 0x0f, 0x35
#define SYSCALL 0x0f, 0x05
#define SYSRET 0x0f, 0x07
#define SYSRET_64 0x48, 0x0f, 0x07
#define NON_CANONICAL 0x800000000000ull

static void assert_flat(const struct vcpu *v, u16 cs, u16 ss, unsigned cpl, u16 code_size)
{
    const struct segment *code = &v->cpu.seg[SEG_CS], *stack = &v->cpu.seg[SEG_SS];
    assert_int_equal(code->selector, cs);
    assert_int_equal(code->attributes, 0x809b | cpl << 5 | code_size);
    assert_int_equal(stack->selector, ss);
    assert_int_equal(stack->attributes, 0xc093 | cpl << 5);
    assert_int_equal(code->base | stack->base, 0);
    assert_int_equal(code->limit & stack->limit, 0xffffffff);
    assert_int_equal(v->cpu.cpl, cpl);
}

static struct vcpu *enter(enum machine_mode mode, unsigned cpl)
{
    struct vcpu *v = machine_enter(vm, mode, cpl);
    v->cpu.sysenter_cs = 0x63;
    v->cpu.sysenter_esp = 0xffff800000001000;
    v->cpu.sysenter_eip = 0xffff800000002000;
    v->cpu.star = 0x0033004b00000000;
    v->cpu.lstar = 0xffff800000003000;
    v->cpu.sfmask = FLAG_IF | FLAG_TF | FLAG_CF | FLAG_AC;
    return v;
}

static void sysenter_loads_flat_ring_0(void **state)
{
    (void)state;
    struct vcpu *v = enter(PROTECTED, 3);
    v->cpu.rflags |= FLAG_IF;
    assert_int_equal(RUN(v, SYSENTER), EXEC_JUMP);
    assert_flat(v, 0x60, 0x68, 0, SEG_DB);
    assert_int_equal(v->cpu.rip, 0x2000);
    assert_int_equal(v->cpu.gpr[RSP], 0x1000);
    assert_int_equal(cpu_rflags(&v->cpu), FLAG_FIXED);
    v = enter(COMPATIBILITY, 3);
    assert_int_equal(RUN(v, SYSENTER), EXEC_JUMP);
    assert_flat(v, 0x60, 0x68, 0, SEG_L);
    assert_int_equal(v->cpu.rip, 0xffff800000002000);
    assert_int_equal(v->cpu.gpr[RSP], 0xffff800000001000);
    assert_int_equal(v->mode, CODE_64);
    v = enter(V86, 3);
    assert_int_equal(RUN(v, SYSENTER), EXEC_JUMP);
    assert_false(cpu_v86(&v->cpu));
    assert_int_equal(v->mode, CODE_32);
}

static void sysenter_needs_protection_and_a_selector(void **state)
{
    (void)state;
    assert_faults(enter(REAL, 0), VEC_GP, SYSENTER);
    struct vcpu *v = enter(PROTECTED, 3);
    v->cpu.sysenter_cs = 3;
    assert_faults(v, VEC_GP, SYSENTER);
}

static void sysexit_returns_to_ring_3(void **state)
{
    (void)state;
    struct vcpu *v = enter(LONG, 0);
    v->cpu.gpr[RCX] = 0x1111000022220000;
    v->cpu.gpr[RDX] = 0x3333000044440000;
    assert_faults(v, VEC_GP, SYSEXIT_64);
    assert_int_equal(RUN(v, SYSEXIT), EXEC_JUMP);
    assert_flat(v, 0x73, 0x7b, 3, SEG_DB);
    assert_int_equal(v->cpu.gpr[RSP], 0x22220000);
    assert_int_equal(v->cpu.rip, 0x44440000);
    assert_int_equal(v->mode, CODE_32);
    v = enter(LONG, 0);
    v->cpu.gpr[RCX] = 0x00007ffffffff000;
    v->cpu.gpr[RDX] = 0xffff800000000000;
    assert_int_equal(RUN(v, SYSEXIT_64), EXEC_JUMP);
    assert_flat(v, 0x83, 0x8b, 3, SEG_L);
    assert_int_equal(v->cpu.rip, 0xffff800000000000);
    assert_faults(enter(PROTECTED, 3), VEC_GP, SYSEXIT);
    assert_faults(enter(REAL, 0), VEC_GP, SYSEXIT);
}

static void syscall_saves_and_masks(void **state)
{
    (void)state;
    struct vcpu *v = enter(LONG, 3);
    cpu_set_rflags_raw(&v->cpu, FLAG_IF | FLAG_CF | FLAG_ZF | FLAG_RF | FLAG_DF);
    assert_int_equal(RUN(v, SYSCALL), EXEC_JUMP);
    assert_flat(v, 0x48, 0x53, 0, SEG_L);
    assert_int_equal(v->cpu.gpr[RCX], MACHINE_CODE + 2);
    assert_int_equal(v->cpu.gpr[R11], FLAG_IF | FLAG_CF | FLAG_ZF | FLAG_DF | FLAG_FIXED);
    assert_int_equal(cpu_rflags(&v->cpu), FLAG_ZF | FLAG_DF | FLAG_FIXED);
    assert_int_equal(v->cpu.rip, 0xffff800000003000);
}

static void syscall_exists_in_64_bit_mode_only(void **state)
{
    (void)state;
    assert_faults(enter(COMPATIBILITY, 3), VEC_UD, SYSCALL);
    assert_faults(enter(PROTECTED, 3), VEC_UD, SYSCALL);
    assert_faults(enter(COMPATIBILITY, 0), VEC_UD, SYSRET);
    struct vcpu *v = enter(LONG, 3);
    v->cpu.efer &= ~(u64)EFER_SCE;
    assert_faults(v, VEC_UD, SYSCALL);
    assert_faults(v, VEC_UD, SYSRET);
}

static void sysret_checks_at_ring_0(void **state)
{
    (void)state;
    struct vcpu *v = enter(LONG, 0);
    v->cpu.gpr[RCX] = NON_CANONICAL;
    assert_faults(v, VEC_GP, SYSRET_64);
    assert_int_equal(v->cpu.cpl, 0);
    assert_faults(enter(LONG, 3), VEC_GP, SYSRET_64);
    v = enter(LONG, 0);
    v->cpu.gpr[RCX] = 0x7ffffffff000;
    v->cpu.gpr[R11] = UINT64_MAX;
    assert_int_equal(RUN(v, SYSRET_64), EXEC_JUMP);
    assert_flat(v, 0x43, 0x3b, 3, SEG_L);
    assert_int_equal(v->cpu.rip, 0x7ffffffff000);
    assert_int_equal(cpu_rflags(&v->cpu), 0x3c7fd7);
    v = enter(LONG, 0);
    v->cpu.gpr[RCX] = 0xffffffff00001000;
    assert_int_equal(RUN(v, SYSRET), EXEC_JUMP);
    assert_flat(v, 0x33, 0x3b, 3, SEG_DB);
    assert_int_equal(v->cpu.rip, 0x1000);
    assert_int_equal(cpu_rflags(&v->cpu), FLAG_FIXED);
}

/* TF counts as SYSCALL and SYSRET leave it. */
static void single_steps_go_by_the_new_flags(void **state)
{
    (void)state;
    struct vcpu *v = enter(LONG, 3);
    v->cpu.rflags |= FLAG_TF; /* which SFMASK clears */
    assert_int_equal(RUN(v, SYSCALL), EXEC_JUMP);
    debug_deliver_traps(v, true);
    assert_int_equal(v->cpu.rip, v->cpu.lstar);
    assert_int_equal(v->cpu.dr[6], DR6_FIXED);
    v->cpu.gpr[RCX] = MACHINE_CODE;
    assert_int_equal(RUN(v, SYSRET_64), EXEC_JUMP);
    assert_true(cpu_rflags(&v->cpu) & FLAG_TF);
    assert_true(v->stepping);
    assert_true(debug_check_fetch(v));
    assert_int_equal(v->fault.vector, VEC_DB);
    assert_int_equal(v->fault.dr6, DR6_BS);

    v = enter(LONG, 0); /* a system that steps itself leaves by SYSRET to a program that nobody steps */
    v->cpu.rflags |= FLAG_TF;
    assert_int_equal(RUN(v, SYSRET_64), EXEC_JUMP);
    debug_deliver_traps(v, true);
    assert_int_equal(v->cpu.dr[6], DR6_FIXED);

    v = enter(LONG, 3); /* TF that is not masked goes on */
    v->cpu.sfmask = 0;
    v->cpu.rflags |= FLAG_TF;
    assert_int_equal(RUN(v, SYSCALL), EXEC_JUMP);
    debug_deliver_traps(v, true);
    assert_int_equal(v->cpu.dr[6], DR6_FIXED | DR6_BS);
}

static void segment_bases_move_by_their_instructions(void **state)
{
    (void)state;
    struct vcpu *v = enter(LONG, 0);
    v->cpu.seg[SEG_GS].base = 1;
    v->cpu.kernel_gs_base = 2;
    assert_retires(v, 0x0f, 0x01, 0xf8);
    assert_int_equal(v->cpu.seg[SEG_GS].base, 2);
    assert_int_equal(v->cpu.kernel_gs_base, 1);
    assert_faults(enter(LONG, 3), VEC_GP, 0x0f, 0x01, 0xf8);

    v = enter(LONG, 3);
    assert_faults(v, VEC_UD, 0xf3, 0x48, 0x0f, 0xae, 0xd1); /* WRFSBASE RCX */
    v->cpu.cr4 |= CR4_FSGSBASE;
    v->cpu.gpr[RCX] = NON_CANONICAL;
    assert_faults(v, VEC_GP, 0xf3, 0x48, 0x0f, 0xae, 0xd1);
    v->cpu.gpr[RCX] = 0xffff8000deadbeef;
    assert_retires(v, 0xf3, 0x48, 0x0f, 0xae, 0xd1);
    assert_int_equal(v->cpu.seg[SEG_FS].base, 0xffff8000deadbeef);
    assert_retires(v, 0xf3, 0x0f, 0xae, 0xc2); /* RDFSBASE EDX */
    assert_int_equal(v->cpu.gpr[RDX], 0xdeadbeef);
    assert_retires(v, 0xf3, 0x0f, 0xae, 0xd9); /* WRGSBASE ECX */
    assert_retires(v, 0xf3, 0x48, 0x0f, 0xae, 0xca); /* RDGSBASE RDX */
    assert_int_equal(v->cpu.gpr[RDX], 0xdeadbeef);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sysenter_loads_flat_ring_0),
        cmocka_unit_test(sysenter_needs_protection_and_a_selector),
        cmocka_unit_test(sysexit_returns_to_ring_3),
        cmocka_unit_test(syscall_saves_and_masks),
        cmocka_unit_test(syscall_exists_in_64_bit_mode_only),
        cmocka_unit_test(sysret_checks_at_ring_0),
        cmocka_unit_test(single_steps_go_by_the_new_flags),
        cmocka_unit_test(segment_bases_move_by_their_instructions),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
