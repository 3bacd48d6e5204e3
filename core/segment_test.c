#include "core/test_machine.h"

static int setup(void **state) { *state = machine_new(); return 0; }
static int teardown(void **state) { machine_free(*state); return 0; }

static bool linear(struct machine *m, enum seg seg, u64 offset, unsigned size, enum access access)
{
    u64 at;
    return seg_linear(&m->v, seg, offset, size, access, &at);
}

static void real_mode_limit(void **state)
{
    struct machine *m = *state;
    mode_real(m);
    segment_load(&m->v, SEG_DS, 0x1234);
    u64 at;
    assert_true(seg_linear(&m->v, SEG_DS, 0xfffe, 2, ACCESS_WRITE, &at));
    assert_int_equal(at, 0x12340 + 0xfffe);
    assert_false(linear(m, SEG_DS, 0xffff, 2, ACCESS_READ));
    assert_int_equal(m->v.fault.vector, VEC_GP);
    assert_false(linear(m, SEG_SS, 0xffff, 2, ACCESS_READ));
    assert_int_equal(m->v.fault.vector, VEC_SS);
}

static void real_mode_keeps_limit(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    m->v.cpu.cr0 &= ~(u64)CR0_PE;
    vcpu_update_mode(&m->v);
    segment_load(&m->v, SEG_FS, 0x10);
    assert_int_equal(m->v.cpu.seg[SEG_FS].base, 0x100);
    assert_int_equal(m->v.cpu.seg[SEG_FS].limit, 0xffffffff);
    assert_true(linear(m, SEG_FS, 0x100000, 4, ACCESS_READ));
}

/* Compatibility-mode code at CPL 0 may find itself with a null SS: 64-bit code may load one. */
static void null_stack_segment(void **state)
{
    struct machine *m = *state;
    mode_long(m);
    assert_int_equal(segment_load(&m->v, SEG_SS, 0), EXEC_NEXT);
    m->v.cpu.seg[SEG_CS] = descriptor_segment(CODE0, gdt_get(m, CODE0));
    vcpu_update_mode(&m->v);
    assert_false(linear(m, SEG_SS, 0x100, 4, ACCESS_READ));
    assert_fault(m, VEC_SS, 0);
    assert_false(linear(m, SEG_SS, 0x100, 4, ACCESS_WRITE));
    assert_fault(m, VEC_SS, 0);
}

static void expand_down(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    assert_int_equal(segment_load(&m->v, SEG_ES, DOWN32), EXEC_NEXT);
    assert_false(linear(m, SEG_ES, 0xffff, 1, ACCESS_READ));
    assert_fault(m, VEC_GP, 0);
    assert_true(linear(m, SEG_ES, 0x10000, 4, ACCESS_WRITE));
    assert_false(linear(m, SEG_ES, 0xfffffffe, 4, ACCESS_READ));
    gdt_set(m, GATE_SEL, make_descriptor(0, 0xff, SEG_P | SEG_S | 0x6));
    assert_int_equal(segment_load(&m->v, SEG_ES, GATE_SEL), EXEC_NEXT);
    assert_true(linear(m, SEG_ES, 0xfffe, 2, ACCESS_WRITE));
    assert_false(linear(m, SEG_ES, 0xffff, 2, ACCESS_WRITE));
    assert_false(linear(m, SEG_ES, 0xff, 1, ACCESS_WRITE));
}

static void rights(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    assert_int_equal(segment_load(&m->v, SEG_ES, READ_ONLY), EXEC_NEXT);
    assert_true(linear(m, SEG_ES, 0, 4, ACCESS_READ));
    assert_false(linear(m, SEG_ES, 0, 4, ACCESS_WRITE));
    assert_fault(m, VEC_GP, 0);
    assert_false(linear(m, SEG_CS, 0, 4, ACCESS_WRITE));
    assert_int_equal(segment_load(&m->v, SEG_ES, 0), EXEC_NEXT);
    assert_false(linear(m, SEG_ES, 0, 1, ACCESS_READ));
    assert_fault(m, VEC_GP, 0);
    assert_int_equal(m->v.cpu.seg[SEG_ES].selector, 0);
}

static void linear_wraps(void **state)
{
    struct machine *m = *state;
    u64 at;
    mode_protected(m);
    m->v.cpu.seg[SEG_DS].base = 0xfffff000;
    vcpu_update_mode(&m->v);
    assert_true(seg_linear(&m->v, SEG_DS, 0x2004, 4, ACCESS_READ, &at));
    assert_int_equal(at, 0x1004);
}

static void canonical_long(void **state)
{
    struct machine *m = *state;
    u64 at;
    mode_long(m);
    m->v.cpu.seg[SEG_DS].base = 0x1000;
    m->v.cpu.seg[SEG_GS].base = 0xffff800000001000;
    assert_true(seg_linear(&m->v, SEG_DS, 0x10, 4, ACCESS_READ, &at));
    assert_int_equal(at, 0x10);
    assert_true(seg_linear(&m->v, SEG_GS, 0x10, 4, ACCESS_READ, &at));
    assert_true(at == 0xffff800000001010);
    assert_false(linear(m, SEG_DS, 0x7ffffffffffe, 4, ACCESS_READ));
    assert_fault(m, VEC_GP, 0);
    assert_false(linear(m, SEG_SS, 0x800000000000, 8, ACCESS_WRITE));
    assert_fault(m, VEC_SS, 0);
}

struct load_case {
    u8 seg;
    u16 selector;
    u8 vector; /* 0: success */
    u32 error;
};

static void check_loads(struct machine *m, const struct load_case *cases, unsigned count)
{
    for (unsigned k = 0; k < count; k++) {
        struct segment before = m->v.cpu.seg[cases[k].seg];
        enum exec result = segment_load(&m->v, cases[k].seg, cases[k].selector);
        if (!cases[k].vector) {
            assert_int_equal(result, EXEC_NEXT);
            assert_int_equal(m->v.cpu.seg[cases[k].seg].selector, cases[k].selector);
            continue;
        }
        assert_int_equal(result, EXEC_FAULT);
        assert_fault(m, cases[k].vector, cases[k].error);
        assert_memory_equal(&before, &m->v.cpu.seg[cases[k].seg], sizeof before);
    }
}

static void loads_at_level_0(void **state)
{
    static const struct load_case cases[] = {
        {SEG_DS, DATA0, 0, 0},
        {SEG_DS, DATA0 | 3, VEC_GP, DATA0},
        {SEG_DS, DATA3, 0, 0},
        {SEG_DS, CODE0, 0, 0},
        {SEG_DS, EXECUTE_ONLY, VEC_GP, EXECUTE_ONLY},
        {SEG_DS, CONFORMING | 3, 0, 0},
        {SEG_DS, ABSENT_DATA, VEC_NP, ABSENT_DATA},
        {SEG_DS, TSS_A_SEL, VEC_GP, TSS_A_SEL},
        {SEG_DS, GDT_LIMIT + 1, VEC_GP, GDT_LIMIT + 1},
        {SEG_DS, 0x0c, VEC_GP, 0x0c}, /* no LDT */
        {SEG_DS, 3, 0, 0},
        {SEG_SS, 0, VEC_GP, 0},
        {SEG_SS, DATA0, 0, 0},
        {SEG_SS, DATA0 | 1, VEC_GP, DATA0},
        {SEG_SS, DATA3, VEC_GP, DATA3 & ~3},
        {SEG_SS, CODE0, VEC_GP, CODE0},
        {SEG_SS, READ_ONLY, VEC_GP, READ_ONLY},
        {SEG_SS, ABSENT_DATA, VEC_SS, ABSENT_DATA},
    };
    mode_protected(*state);
    check_loads(*state, cases, ARRAY_LEN(cases));
}

static void loads_at_level_3(void **state)
{
    static const struct load_case cases[] = {
        {SEG_ES, DATA0, VEC_GP, DATA0},
        {SEG_ES, DATA3, 0, 0},
        {SEG_ES, CONFORMING, 0, 0},
        {SEG_SS, DATA3, 0, 0},
        {SEG_SS, DATA3 & ~3, VEC_GP, DATA3 & ~3},
    };
    struct machine *m = *state;
    mode_protected(m);
    enter_segments(m, CODE3, DATA3);
    check_loads(m, cases, ARRAY_LEN(cases));
}

static void accessed_bit(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    u64 before = gdt_get(m, DATA3);
    assert_int_equal(before >> 40 & 1, 0);
    assert_int_equal(segment_load(&m->v, SEG_GS, DATA3), EXEC_NEXT);
    assert_true(gdt_get(m, DATA3) == (before | 1ull << 40));
    assert_true(m->v.cpu.seg[SEG_GS].attributes & SEG_ACCESSED);
}

static void null_ss_in_long_mode(void **state)
{
    struct machine *m = *state;
    mode_long(m);
    assert_int_equal(segment_load(&m->v, SEG_SS, 0), EXEC_NEXT);
    assert_int_equal(segment_load(&m->v, SEG_SS, 3), EXEC_FAULT);
    assert_fault(m, VEC_GP, 0);
    assert_true(stack_push(&m->v, 0x1122334455667788, 8));
    assert_true(get(m, KERNEL_STACK - 8, 8) == 0x1122334455667788);
    enter_segments(m, CODE3_64, DATA3);
    assert_int_equal(segment_load(&m->v, SEG_SS, 3), EXEC_FAULT);
}

/* SDM vol. 2, RET: on a return to an outer level. */
static void data_segments_of_an_outer_level(void **state)
{
    struct machine *m = *state;
    mode_long(m);
    struct cpu *c = &m->v.cpu;
    assert_int_equal(segment_load(&m->v, SEG_DS, DATA0), EXEC_NEXT);
    assert_int_equal(segment_load(&m->v, SEG_ES, DATA3), EXEC_NEXT);
    assert_int_equal(segment_load(&m->v, SEG_FS, CONFORMING), EXEC_NEXT);
    assert_int_equal(segment_load(&m->v, SEG_GS, 3), EXEC_NEXT);
    c->seg[SEG_GS].base = 0x123456789000;
    segments_drop(&m->v, 3);
    assert_int_equal(c->seg[SEG_DS].selector, 0);
    assert_true(c->seg[SEG_DS].attributes & SEG_UNUSABLE);
    assert_int_equal(c->seg[SEG_ES].selector, DATA3);
    assert_int_equal(c->seg[SEG_FS].selector, CONFORMING);
    assert_int_equal(c->seg[SEG_GS].selector, 0); /* a null selector loses its RPL, not its base */
    assert_int_equal(c->seg[SEG_GS].base, 0x123456789000);
}

static void local_descriptor_table(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    assert_false(ldtr_load(&m->v, DATA0, VEC_GP, VEC_NP));
    assert_fault(m, VEC_GP, DATA0);
    assert_false(ldtr_load(&m->v, 0x0c, VEC_GP, VEC_NP));
    assert_fault(m, VEC_GP, 0x0c);
    assert_true(ldtr_load(&m->v, LDT_SEL, VEC_GP, VEC_NP));
    put(m, LDT + 8, make_descriptor(0x5000, 0xfff, SEG_P | SEG_S | 2), 8);
    assert_int_equal(segment_load(&m->v, SEG_ES, 0x0c), EXEC_NEXT);
    assert_int_equal(m->v.cpu.seg[SEG_ES].base, 0x5000);
    assert_int_equal(segment_load(&m->v, SEG_ES, 0x24), EXEC_FAULT);
    assert_fault(m, VEC_GP, 0x24);
}

static void task_register(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    assert_false(tr_load(&m->v, 0));
    assert_fault(m, VEC_GP, 0);
    assert_false(tr_load(&m->v, TSS_A_SEL)); /* busy */
    assert_fault(m, VEC_GP, TSS_A_SEL);
    assert_true(tr_load(&m->v, TSS_B_SEL));
    assert_int_equal(descriptor_type(gdt_get(m, TSS_B_SEL)), SYS_TSS32_BUSY);
    assert_int_equal(m->v.cpu.tr.base, TSS_B);
}

static void task_register_long(void **state)
{
    struct machine *m = *state;
    mode_long(m);
    gdt_set(m, GATE_SEL, make_descriptor(TSS_B, 0x67, SEG_P | SYS_TSS32));
    gdt_set(m, GATE_SEL + 8, 0xffff8000);
    assert_true(tr_load(&m->v, GATE_SEL));
    assert_true(m->v.cpu.tr.base == (0xffff800000000000 | TSS_B));
    gdt_set(m, GATE_SEL, make_descriptor(TSS_B, 0x67, SEG_P | SYS_TSS32));
    gdt_set(m, GATE_SEL + 8, 0x00008000); /* not canonical */
    assert_false(tr_load(&m->v, GATE_SEL));
    assert_fault(m, VEC_GP, GATE_SEL);
    gdt_set(m, GATE_SEL + 8, 1ull << 40); /* a type where there must be none */
    assert_false(tr_load(&m->v, GATE_SEL));
    assert_fault(m, VEC_GP, GATE_SEL);
}

static void stack_16_wraps(void **state)
{
    struct machine *m = *state;
    u64 value;
    mode_protected(m);
    assert_int_equal(segment_load(&m->v, SEG_SS, STACK16), EXEC_NEXT);
    m->v.cpu.gpr[RSP] = 0x12340000;
    assert_true(stack_push(&m->v, 0xabcd, 2));
    assert_int_equal(m->v.cpu.gpr[RSP], 0x1234fffe);
    assert_int_equal(get(m, 0xfffe, 2), 0xabcd);
    assert_true(stack_pop(&m->v, &value, 2));
    assert_int_equal(value, 0xabcd);
    assert_int_equal(m->v.cpu.gpr[RSP], 0x12340000);
    m->v.cpu.gpr[RSP] = 1;
    assert_false(stack_push(&m->v, 0, 2));
    assert_fault(m, VEC_SS, 0);
    assert_int_equal(m->v.cpu.gpr[RSP], 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(real_mode_limit), T(real_mode_keeps_limit), T(null_stack_segment), T(expand_down), T(rights),
        T(linear_wraps), T(canonical_long),
        T(loads_at_level_0), T(loads_at_level_3), T(accessed_bit), T(null_ss_in_long_mode),
        T(data_segments_of_an_outer_level), T(local_descriptor_table),
        T(task_register), T(task_register_long), T(stack_16_wraps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
