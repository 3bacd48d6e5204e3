/* Segment and far-transfer instructions as code: decoding, operand sizes, shadows, single-step. What the transfers do is
 * tested in core/exception_test.c and core/segment_test.c. */
#include "core/test_machine.h"
#include "sbe/interp.h"

enum { CODE = 0x6000, HANDLER = 0x4000, OPERAND = 0x7000 };

static int setup(void **state)
{
    struct machine *m = machine_new();
    assert_int_equal(engine_interp.create(&m->v), STATUS_OK);
    m->v.cpu.rip = CODE;
    m->v.stop_at = UINT64_MAX;
    m->v.cpu.gpr[RBX] = OPERAND;
    *state = m;
    return 0;
}

static int teardown(void **state)
{
    struct machine *m = *state;
    engine_interp.destroy(&m->v);
    machine_free(m);
    return 0;
}

static void code_put(struct machine *m, const u8 *bytes, unsigned count)
{
    phys_write(&m->vm, gpa(m->v.cpu.rip), bytes, count);
}
static void step(struct machine *m, const u8 *bytes, unsigned count)
{
    code_put(m, bytes, count);
    interp_step(&m->v);
}
#define STEP(m, ...) step((m), (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))
#define CODE_AT(m, ...) code_put((m), (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

/* Every vector leads to HANDLER + vector; the stack then shows what happened. */
static void gates(struct machine *m)
{
    for (unsigned n = 0; n < 64; n++)
        idt_set(m, (u8)n, make_gate(CODE0, HANDLER + n, SYS_INTERRUPT_GATE32, 3, 0));
}
static void assert_vector(struct machine *m, u8 vector) { assert_int_equal(m->v.cpu.rip, HANDLER + vector); }

static void mov_from_sreg(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    m->v.cpu.gpr[RAX] = 0x11223344;
    STEP(m, 0x66, 0x8c, 0xd8); /* mov ax, ds */
    assert_int_equal(m->v.cpu.gpr[RAX], 0x11220000 | DATA0);
    STEP(m, 0x8c, 0xc8); /* mov eax, cs */
    assert_int_equal(m->v.cpu.gpr[RAX], CODE0);
    put(m, OPERAND, 0xffffffff, 4);
    STEP(m, 0x8c, 0x03); /* mov [ebx], es: a word whatever the operand size */
    assert_int_equal(get(m, OPERAND, 4), 0xffff0000 | DATA0);
    assert_int_equal(m->v.cpu.icount, 3);
}

static void mov_to_cs_is_undefined(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    gates(m);
    STEP(m, 0x8e, 0xc8);
    assert_vector(m, VEC_UD);
}

static void mov_ss_shadow(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    gates(m);
    m->v.cpu.gpr[RAX] = DATA0;
    m->v.cpu.rflags |= FLAG_TF;
    vcpu_update_mode(&m->v);
    STEP(m, 0x8e, 0xd0); /* mov ss, eax: no single-step trap yet */
    assert_int_equal(m->v.cpu.rip, CODE + 2);
    assert_true(m->v.cpu.int_shadow && m->v.cpu.mov_ss_shadow);
    STEP(m, 0x90);
    assert_vector(m, VEC_DB);
    assert_int_equal(get(m, m->v.cpu.gpr[RSP], 4), CODE + 3);
    assert_false(m->v.cpu.int_shadow);
}

static void breakpoint_after_mov_ss(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    gates(m);
    m->v.cpu.dr[0] = CODE + 1;
    m->v.cpu.dr[7] |= 1;
    vcpu_update_mode(&m->v);
    put(m, KERNEL_STACK, DATA0, 4);
    STEP(m, 0x17); /* pop ss */
    STEP(m, 0x90);
    assert_int_equal(m->v.cpu.rip, CODE + 2);
    m->v.cpu.rip = CODE + 1;
    STEP(m, 0x90);
    assert_vector(m, VEC_DB);
    assert_int_equal(get(m, m->v.cpu.gpr[RSP], 4), CODE + 1);
}

static void push_writes_16_bits(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    put(m, KERNEL_STACK - 4, 0xffffffff, 4);
    STEP(m, 0x1e); /* push ds */
    assert_int_equal(m->v.cpu.gpr[RSP], KERNEL_STACK - 4);
    assert_int_equal(get(m, KERNEL_STACK - 4, 4), 0xffff0000 | DATA0);
    STEP(m, 0x0f, 0xa1); /* pop fs */
    assert_int_equal(m->v.cpu.gpr[RSP], KERNEL_STACK);
    STEP(m, 0x66, 0x0e); /* push cs, 16 bits */
    assert_int_equal(m->v.cpu.gpr[RSP], KERNEL_STACK - 2);
}

static void push_in_64_bit_mode(void **state)
{
    struct machine *m = *state;
    mode_long(m);
    put(m, KERNEL_STACK - 8, UINT64_MAX, 8);
    STEP(m, 0x0f, 0xa0); /* push fs */
    assert_int_equal(m->v.cpu.gpr[RSP], KERNEL_STACK - 8);
    assert_int_equal(get(m, KERNEL_STACK - 8, 8), DATA0);
}

static void pop_ss_moves_old_stack(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    put(m, 0xfffe, STACK16, 4);
    m->v.cpu.gpr[RSP] = 0xfffe;
    STEP(m, 0x17); /* pop ss: ESP moves as the old, 32-bit stack does */
    assert_int_equal(m->v.cpu.seg[SEG_SS].selector, STACK16);
    assert_int_equal(m->v.cpu.gpr[RSP], 0x10002);
    assert_int_equal(m->v.stack_mask, 0xffff);
}

static void failed_pop_changes_nothing(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    gates(m);
    put(m, KERNEL_STACK, ABSENT_DATA, 4);
    STEP(m, 0x07); /* pop es */
    assert_vector(m, VEC_NP);
    assert_int_equal(get(m, m->v.cpu.gpr[RSP], 4), ABSENT_DATA);
    assert_int_equal(m->v.cpu.gpr[RSP], KERNEL_STACK - 16);
    assert_int_equal(m->v.cpu.seg[SEG_ES].selector, DATA0);
}

static void load_far_pointer(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    put(m, OPERAND, 0x12345678, 4);
    put(m, OPERAND + 4, DATA3, 2);
    STEP(m, 0xc4, 0x0b); /* les ecx, [ebx] */
    assert_int_equal(m->v.cpu.gpr[RCX], 0x12345678);
    assert_int_equal(m->v.cpu.seg[SEG_ES].selector, DATA3);
    gates(m);
    put(m, OPERAND + 4, EXECUTE_ONLY, 2);
    m->v.cpu.gpr[RCX] = 5;
    STEP(m, 0x0f, 0xb5, 0x0b); /* lgs ecx, [ebx] */
    assert_vector(m, VEC_GP);
    assert_int_equal(m->v.cpu.gpr[RCX], 5);
}

static void inspect(struct machine *m, u8 opcode, u16 selector, bool zf, u32 result)
{
    m->v.cpu.gpr[RAX] = selector;
    m->v.cpu.gpr[RCX] = 0x77;
    m->v.cpu.aflags = zf ? 0 : FLAG_ZF;
    STEP(m, 0x0f, opcode, 0xc8); /* lar or lsl ecx, eax */
    assert_int_equal(m->v.cpu.aflags, zf ? FLAG_ZF : 0);
    assert_int_equal(m->v.cpu.gpr[RCX], zf ? result : 0x77);
}

static void lar_and_lsl(void **state)
{
    enum { LAR = 0x02, LSL = 0x03 };
    struct machine *m = *state;
    mode_protected(m);
    inspect(m, LAR, CODE0, true, 0x00cf9a00);
    inspect(m, LSL, CODE0, true, 0xffffffff);
    inspect(m, LSL, STACK16, true, 0xffff);
    inspect(m, LAR, TSS_B_SEL, true, 0x8900);
    inspect(m, LSL, TSS_B_SEL, true, 0x67);
    inspect(m, LAR, 0, false, 0);
    inspect(m, LAR, GDT_LIMIT + 1, false, 0);
    inspect(m, LAR, DATA0 | 3, false, 0);
    inspect(m, LAR, CONFORMING | 3, true, 0x00cf9e00);
    gdt_set(m, GATE_SEL, make_gate(CODE0, 0, SYS_CALL_GATE32, 0, 0));
    inspect(m, LAR, GATE_SEL, true, 0x8c00);
    inspect(m, LSL, GATE_SEL, false, 0);
    gdt_set(m, GATE_SEL, make_gate(CODE0, 0, SYS_INTERRUPT_GATE32, 0, 0));
    inspect(m, LAR, GATE_SEL, false, 0);
}

static bool verify(struct machine *m, u8 modrm, u16 selector)
{
    m->v.cpu.gpr[RAX] = selector;
    STEP(m, 0x0f, 0x00, modrm);
    return m->v.cpu.aflags & FLAG_ZF;
}

static void verr_and_verw(void **state)
{
    enum { VERR_AX = 0xe0, VERW_AX = 0xe8 };
    struct machine *m = *state;
    mode_protected(m);
    assert_true(verify(m, VERR_AX, READ_ONLY));
    assert_false(verify(m, VERW_AX, READ_ONLY));
    assert_true(verify(m, VERW_AX, DATA0));
    assert_false(verify(m, VERW_AX, DATA0 | 1));
    assert_false(verify(m, VERR_AX, EXECUTE_ONLY));
    assert_true(verify(m, VERR_AX, CODE0));
    assert_false(verify(m, VERR_AX, TSS_B_SEL));
    assert_false(verify(m, VERR_AX, 0));
}

static void arpl(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    m->v.cpu.gpr[RAX] = 0x10;
    m->v.cpu.gpr[RCX] = 0x1b;
    STEP(m, 0x63, 0xc8); /* arpl ax, cx */
    assert_int_equal(m->v.cpu.gpr[RAX], 0x13);
    assert_int_equal(m->v.cpu.aflags, FLAG_ZF);
    STEP(m, 0x63, 0xc8);
    assert_int_equal(m->v.cpu.aflags, 0);
}

static void system_registers(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    m->v.cpu.gpr[RAX] = LDT_SEL;
    STEP(m, 0x0f, 0x00, 0xd0); /* lldt ax */
    STEP(m, 0x0f, 0x00, 0xc1); /* sldt ecx */
    assert_int_equal(m->v.cpu.gpr[RCX], LDT_SEL);
    m->v.cpu.gpr[RAX] = TSS_B_SEL;
    STEP(m, 0x0f, 0x00, 0xd8); /* ltr ax */
    STEP(m, 0x0f, 0x00, 0x0b); /* str [ebx] */
    assert_int_equal(get(m, OPERAND, 4), TSS_B_SEL);
    gates(m);
    enter_segments(m, CODE3, DATA3);
    m->v.cpu.gpr[RSP] = USER_STACK;
    m->v.cpu.tr = descriptor_segment(TSS_A_SEL, gdt_get(m, TSS_A_SEL));
    STEP(m, 0x0f, 0x00, 0xd8);
    assert_vector(m, VEC_GP);
}

static void far_transfers(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    STEP(m, 0x9a, 0x00, 0x62, 0x00, 0x00, CODE0, 0x00); /* call CODE0:0x6200 */
    assert_int_equal(m->v.cpu.rip, 0x6200);
    assert_int_equal(get(m, KERNEL_STACK - 8, 4), CODE + 7);
    put(m, OPERAND, 0x6400, 4);
    put(m, OPERAND + 4, CODE16, 2);
    STEP(m, 0xff, 0x2b); /* jmp far [ebx] */
    assert_int_equal(m->v.cpu.rip, 0x6400);
    assert_int_equal(m->v.mode, CODE_16);
    STEP(m, 0x66, 0xca, 0x04, 0x00); /* retf 4, 32 bits */
    assert_int_equal(m->v.cpu.rip, CODE + 7);
    assert_int_equal(m->v.mode, CODE_32);
    assert_int_equal(m->v.cpu.gpr[RSP], KERNEL_STACK + 4);
    assert_int_equal(m->v.cpu.icount, 3);
}

static void interrupts(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    gates(m);
    STEP(m, 0xcd, 0x20);
    assert_vector(m, 0x20);
    assert_int_equal(get(m, m->v.cpu.gpr[RSP], 4), CODE + 2);
    STEP(m, 0xcf);
    assert_int_equal(m->v.cpu.rip, CODE + 2);
    STEP(m, 0xce); /* into without OF */
    assert_int_equal(m->v.cpu.rip, CODE + 3);
    assert_int_equal(m->v.cpu.icount, 3);
    m->v.cpu.aflags |= FLAG_OF;
    STEP(m, 0xce);
    assert_vector(m, VEC_OF);
    m->v.cpu.rip = CODE;
    STEP(m, 0xf1);
    assert_vector(m, VEC_DB);
    assert_int_equal(m->v.cpu.dr[6], DR6_FIXED);
    m->v.cpu.rip = CODE;
    STEP(m, 0xcd, 0x80); /* beyond the gates */
    assert_vector(m, VEC_GP);
    assert_int_equal(get(m, m->v.cpu.gpr[RSP], 4), 0x80 * 8 + 2);
    assert_int_equal(get(m, m->v.cpu.gpr[RSP] + 4, 4), CODE);
}

static void iret_restores_rf_for_one_instruction(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    gates(m);
    m->v.cpu.dr[0] = CODE + 0x100;
    m->v.cpu.dr[7] |= 1;
    vcpu_update_mode(&m->v);
    stack_push(&m->v, FLAG_RF | FLAG_FIXED, 4);
    stack_push(&m->v, CODE0, 4);
    stack_push(&m->v, CODE + 0x100, 4);
    STEP(m, 0xcf);
    assert_int_equal(m->v.cpu.rip, CODE + 0x100);
    STEP(m, 0xeb, 0xfe); /* jmp to itself */
    assert_int_equal(m->v.cpu.rip, CODE + 0x100);
    interp_step(&m->v);
    assert_vector(m, VEC_DB);
}

static void stepping_through_rep(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    gates(m);
    m->v.cpu.gpr[RCX] = 2;
    m->v.cpu.gpr[RDI] = OPERAND;
    m->v.cpu.rflags |= FLAG_TF;
    vcpu_update_mode(&m->v);
    STEP(m, 0xf3, 0xaa);
    assert_vector(m, VEC_DB);
    assert_int_equal(m->v.cpu.gpr[RCX], 1);
    assert_int_equal(get(m, KERNEL_STACK - 12, 4), CODE);
    assert_int_equal(get(m, KERNEL_STACK - 4, 4) & FLAG_RF, FLAG_RF);
    STEP(m, 0xcf);
    interp_step(&m->v);
    assert_vector(m, VEC_DB);
    assert_int_equal(get(m, KERNEL_STACK - 12, 4), CODE + 2);
    assert_int_equal(get(m, KERNEL_STACK - 4, 4) & FLAG_RF, 0);
}

static void real_mode_code(void **state)
{
    struct machine *m = *state;
    mode_real(m);
    put(m, 0x21 * 4, 0x05000010, 4); /* 0500:0010 */
    STEP(m, 0xcd, 0x21);
    assert_int_equal(m->v.cpu.seg[SEG_CS].base, 0x5000);
    assert_int_equal(m->v.cpu.rip, 0x10);
    phys_write(&m->vm, gpa(0x5010), (const u8[]){0xcf}, 1);
    interp_step(&m->v);
    assert_int_equal(m->v.cpu.seg[SEG_CS].base, 0);
    assert_int_equal(m->v.cpu.rip, CODE + 2);
    CODE_AT(m, 0xea, 0x34, 0x12, 0x00, 0x10); /* jmp 1000:1234 */
    interp_step(&m->v);
    assert_int_equal(m->v.cpu.seg[SEG_CS].selector, 0x1000);
    assert_int_equal(m->v.cpu.rip, 0x1234);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(mov_from_sreg), T(mov_to_cs_is_undefined), T(mov_ss_shadow), T(breakpoint_after_mov_ss),
        T(push_writes_16_bits), T(push_in_64_bit_mode), T(pop_ss_moves_old_stack), T(failed_pop_changes_nothing),
        T(load_far_pointer), T(lar_and_lsl), T(verr_and_verw), T(arpl), T(system_registers), T(far_transfers),
        T(interrupts), T(iret_restores_rf_for_one_instruction), T(stepping_through_rep), T(real_mode_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
