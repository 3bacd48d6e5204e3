#include "core/test_machine.h"

enum { HANDLER = 0x4000, HANDLER_2 = 0x5000, CALLER = 0x6000, VECTOR = 0x40 };

static int setup(void **state)
{
    struct machine *m = machine_new();
    m->v.cpu.rip = CALLER;
    *state = m;
    return 0;
}
static int teardown(void **state) { machine_free(*state); return 0; }

static enum exec external(struct machine *m, u8 vector)
{
    return exception_deliver(&m->v, &(struct event){.vector = vector, .type = EVENT_EXTERNAL});
}

static enum exec fault(struct machine *m, u8 vector, u32 error)
{
    m->v.fault = (struct event){.vector = vector, .type = EVENT_EXCEPTION, .has_error = true, .error = error};
    exception_deliver_fault(&m->v);
    return EXEC_JUMP;
}

static void assert_at(struct machine *m, u16 cs, u64 rip)
{
    assert_int_equal(m->v.cpu.seg[SEG_CS].selector, cs);
    assert_int_equal(m->v.cpu.rip, rip);
    assert_int_equal(m->v.cpu.activity, ACTIVITY_RUNNING);
}

/* ---- Real-address mode -------------------------------------------------------------------------- */

static void real_mode(void **state)
{
    struct machine *m = *state;
    mode_real(m);
    put(m, VECTOR * 4, 0x02001234, 4);
    segment_load(&m->v, SEG_CS, 0x100);
    m->v.cpu.rflags |= FLAG_IF | FLAG_TF;
    m->v.cpu.aflags = FLAG_CF;
    external(m, VECTOR);
    assert_at(m, 0x200, 0x1234);
    assert_int_equal(m->v.cpu.gpr[RSP], KERNEL_STACK - 6);
    assert_int_equal(get(m, KERNEL_STACK - 6, 2), CALLER);
    assert_int_equal(get(m, KERNEL_STACK - 4, 2), 0x100);
    assert_int_equal(get(m, KERNEL_STACK - 2, 2), FLAG_IF | FLAG_TF | FLAG_CF | FLAG_FIXED);
    assert_int_equal(m->v.cpu.rflags & (FLAG_IF | FLAG_TF), 0);
    assert_int_equal(far_iret(&m->v, 2, 0), EXEC_JUMP);
    assert_at(m, 0x100, CALLER);
    assert_true(m->v.cpu.rflags & FLAG_IF);
}

/* A stack that has come down to the vectors: the frame is pushed, then the vector is read. */
static void real_mode_frame_over_vector(void **state)
{
    struct machine *m = *state;
    mode_real(m);
    put(m, VECTOR * 4, 0x02001234, 4);
    segment_load(&m->v, SEG_CS, 0x100);
    m->v.cpu.gpr[RSP] = VECTOR * 4 + 6;
    external(m, VECTOR);
    assert_at(m, 0x100, CALLER);
    assert_int_equal(m->v.cpu.gpr[RSP], VECTOR * 4);
}

static void real_mode_has_no_error_code(void **state)
{
    struct machine *m = *state;
    mode_real(m);
    put(m, VEC_GP * 4, HANDLER, 4);
    fault(m, VEC_GP, 0);
    assert_at(m, 0, HANDLER);
    assert_int_equal(m->v.cpu.gpr[RSP], KERNEL_STACK - 6);
}

static void real_mode_short_table_shuts_down(void **state)
{
    struct machine *m = *state;
    mode_real(m);
    m->v.cpu.idtr.limit = 0;
    external(m, VECTOR);
    assert_int_equal(m->v.cpu.activity, ACTIVITY_SHUTDOWN);
}

/* ---- Protected mode ----------------------------------------------------------------------------- */

static void same_level(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    idt_set(m, VEC_GP, make_gate(CODE0, HANDLER, SYS_TRAP_GATE32, 0, 0));
    m->v.cpu.rflags |= FLAG_IF | FLAG_NT;
    fault(m, VEC_GP, 0x1230);
    assert_at(m, CODE0, HANDLER);
    assert_int_equal(m->v.cpu.gpr[RSP], KERNEL_STACK - 16);
    assert_int_equal(get(m, KERNEL_STACK - 16, 4), 0x1230);
    assert_int_equal(get(m, KERNEL_STACK - 12, 4), CALLER);
    assert_int_equal(get(m, KERNEL_STACK - 8, 4), CODE0);
    assert_int_equal(get(m, KERNEL_STACK - 4, 4), FLAG_IF | FLAG_NT | FLAG_FIXED | FLAG_RF);
    assert_int_equal(m->v.cpu.rflags, FLAG_IF | FLAG_FIXED); /* a trap gate leaves IF */
}

static void gate_of_16_bits(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    idt_set(m, VEC_GP, make_gate(CODE0, 0x77770000 | HANDLER, SYS_INTERRUPT_GATE16, 0, 0));
    m->v.cpu.rip = 0x12345678;
    fault(m, VEC_GP, 0x1230);
    assert_at(m, CODE0, HANDLER);
    assert_int_equal(m->v.cpu.gpr[RSP], KERNEL_STACK - 8);
    assert_int_equal(get(m, KERNEL_STACK - 8, 2), 0x1230);
    assert_int_equal(get(m, KERNEL_STACK - 6, 2), 0x5678);
}

static void enter_user(struct machine *m)
{
    enter_segments(m, CODE3, DATA3);
    m->v.cpu.gpr[RSP] = USER_STACK;
}

static void inner_level_and_back(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    enter_user(m);
    m->v.cpu.rflags |= FLAG_IF;
    idt_set(m, VECTOR, make_gate(CODE0, HANDLER, SYS_INTERRUPT_GATE32, 3, 0));
    assert_int_equal(exception_software(&m->v, VECTOR, EVENT_SOFTWARE, CALLER + 2), EXEC_JUMP);
    assert_at(m, CODE0, HANDLER);
    assert_int_equal(m->v.cpu.cpl, 0);
    assert_int_equal(m->v.cpu.seg[SEG_SS].selector, DATA0);
    assert_int_equal(m->v.cpu.gpr[RSP], KERNEL_STACK - 20);
    assert_int_equal(get(m, KERNEL_STACK - 4, 4), DATA3);
    assert_int_equal(get(m, KERNEL_STACK - 8, 4), USER_STACK);
    assert_int_equal(get(m, KERNEL_STACK - 12, 4), FLAG_IF | FLAG_FIXED);
    assert_int_equal(get(m, KERNEL_STACK - 16, 4), CODE3);
    assert_int_equal(get(m, KERNEL_STACK - 20, 4), CALLER + 2);
    assert_int_equal(m->v.cpu.rflags & FLAG_IF, 0);
    assert_true(gdt_get(m, DATA0) >> 40 & SEG_ACCESSED);

    segment_load(&m->v, SEG_ES, DATA0);
    assert_int_equal(far_iret(&m->v, 4, 0), EXEC_JUMP);
    assert_at(m, CODE3, CALLER + 2);
    assert_int_equal(m->v.cpu.cpl, 3);
    assert_int_equal(m->v.cpu.gpr[RSP], USER_STACK);
    assert_int_equal(m->v.cpu.seg[SEG_SS].selector, DATA3);
    assert_int_equal(m->v.cpu.seg[SEG_DS].selector, DATA3);
    assert_int_equal(m->v.cpu.seg[SEG_ES].selector, 0); /* too privileged to keep */
    assert_true(m->v.cpu.seg[SEG_ES].attributes & SEG_UNUSABLE);
}

static void software_interrupt_needs_dpl(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    enter_user(m);
    struct cpu before = m->v.cpu;
    idt_set(m, VECTOR, make_gate(CODE0, HANDLER, SYS_INTERRUPT_GATE32, 0, 0));
    assert_int_equal(exception_software(&m->v, VECTOR, EVENT_SOFTWARE, CALLER + 2), EXEC_FAULT);
    assert_fault(m, VEC_GP, VECTOR * 8 + 2);
    assert_memory_equal(&before, &m->v.cpu, sizeof before);
    external(m, VECTOR); /* an external interrupt does not */
    assert_at(m, CODE0, HANDLER);
}

static void absent_gate(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    idt_set(m, VECTOR, make_gate(CODE0, HANDLER, SYS_INTERRUPT_GATE32, 0, 0) & ~(1ull << 47));
    assert_int_equal(exception_software(&m->v, VECTOR, EVENT_SOFTWARE, CALLER + 2), EXEC_FAULT);
    assert_fault(m, VEC_NP, VECTOR * 8 + 2);
    idt_set(m, VECTOR, make_gate(ABSENT_CODE, HANDLER, SYS_INTERRUPT_GATE32, 0, 0));
    assert_int_equal(exception_software(&m->v, VECTOR, EVENT_SOFTWARE, CALLER + 2), EXEC_FAULT);
    assert_fault(m, VEC_NP, ABSENT_CODE);
    idt_set(m, VEC_NP, make_gate(CODE0, HANDLER_2, SYS_INTERRUPT_GATE32, 0, 0));
    external(m, VECTOR); /* the same, met by an interrupt: #NP with EXT */
    assert_at(m, CODE0, HANDLER_2);
    assert_int_equal(get(m, m->v.cpu.gpr[RSP], 4), ABSENT_CODE | 1);
}

static void bad_inner_stack(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    idt_set(m, VECTOR, make_gate(CODE0, HANDLER, SYS_INTERRUPT_GATE32, 3, 0));
    enter_user(m);
    struct cpu before = m->v.cpu;
    put(m, TSS_A + 8, DATA3, 2); /* RPL and DPL differ from the new CPL */
    assert_int_equal(exception_software(&m->v, VECTOR, EVENT_SOFTWARE, 0), EXEC_FAULT);
    assert_fault(m, VEC_TS, DATA3 & ~3);
    put(m, TSS_A + 8, ABSENT_DATA, 2);
    assert_int_equal(exception_software(&m->v, VECTOR, EVENT_SOFTWARE, 0), EXEC_FAULT);
    assert_fault(m, VEC_SS, ABSENT_DATA);
    put(m, TSS_A + 8, 0, 2);
    assert_int_equal(exception_software(&m->v, VECTOR, EVENT_SOFTWARE, 0), EXEC_FAULT);
    assert_fault(m, VEC_TS, 0);
    put(m, TSS_A + 8, STACK16, 2);
    put(m, TSS_A + 4, 6, 4); /* no room: wraps below zero into the limit */
    assert_int_equal(exception_software(&m->v, VECTOR, EVENT_SOFTWARE, 0), EXEC_FAULT);
    assert_fault(m, VEC_SS, STACK16);
    assert_memory_equal(&before, &m->v.cpu, sizeof before);
    m->v.cpu.tr.limit = 8;
    assert_int_equal(exception_software(&m->v, VECTOR, EVENT_SOFTWARE, 0), EXEC_FAULT);
    assert_fault(m, VEC_TS, TSS_A_SEL);
}

static void inner_stack_of_16_bits(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    idt_set(m, VECTOR, make_gate(CODE0, HANDLER, SYS_INTERRUPT_GATE32, 3, 0));
    put(m, TSS_A + 8, STACK16, 2);
    put(m, TSS_A + 4, 0xabcd0000, 4);
    enter_user(m);
    m->v.cpu.gpr[RSP] = 0x11229000;
    assert_int_equal(exception_software(&m->v, VECTOR, EVENT_SOFTWARE, 0), EXEC_JUMP);
    assert_int_equal(m->v.cpu.gpr[RSP], 0x1122ffec); /* SP wrapped; the upper half is the old ESP's */
    assert_int_equal(get(m, 0xffec + 12, 4), 0x11229000);
}

static void tss_of_16_bits(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    m->v.cpu.tr = (struct segment){.selector = TSS_A_SEL, .attributes = SEG_P | SYS_TSS16_BUSY, .limit = 0x2b, .base = TSS_A};
    put(m, TSS_A + 2, 0x7000, 2);
    put(m, TSS_A + 4, DATA0, 2);
    idt_set(m, VECTOR, make_gate(CODE0, HANDLER, SYS_INTERRUPT_GATE32, 3, 0));
    enter_user(m);
    assert_int_equal(exception_software(&m->v, VECTOR, EVENT_SOFTWARE, 0), EXEC_JUMP);
    assert_int_equal(m->v.cpu.gpr[RSP], 0x7000 - 20);
}

static void double_fault(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    idt_set(m, VEC_DF, make_gate(CODE0, HANDLER, SYS_INTERRUPT_GATE32, 0, 0));
    idt_set(m, VEC_GP, 0); /* not a gate: delivering #GP is #GP */
    m->v.cpu.gpr[RAX] = 0x55;
    fault(m, VEC_GP, 0x10);
    assert_at(m, CODE0, HANDLER);
    assert_int_equal(m->v.cpu.gpr[RSP], KERNEL_STACK - 16);
    assert_int_equal(get(m, KERNEL_STACK - 16, 4), 0);
    assert_int_equal(get(m, KERNEL_STACK - 12, 4), CALLER);
    assert_int_equal(m->v.cpu.gpr[RAX], 0x55);
}

static void benign_then_contributory_is_serial(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    idt_set(m, VEC_GP, make_gate(CODE0, HANDLER, SYS_INTERRUPT_GATE32, 0, 0));
    m->v.fault = (struct event){.vector = VEC_UD, .type = EVENT_EXCEPTION};
    exception_deliver_fault(&m->v);
    assert_at(m, CODE0, HANDLER);
    assert_int_equal(get(m, KERNEL_STACK - 16, 4), VEC_UD * 8 + 2 + 1);
}

static void triple_fault(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    fault(m, VEC_GP, 0);
    assert_int_equal(m->v.cpu.activity, ACTIVITY_SHUTDOWN);
    assert_int_equal(m->v.cpu.rip, CALLER);
    assert_int_equal(m->v.cpu.gpr[RSP], KERNEL_STACK);
}

/* In a user program that checks alignment, with ESP misaligned. */
static void enter_misaligned(struct machine *m)
{
    m->v.cpu.cr0 |= CR0_AM;
    m->v.cpu.rflags |= FLAG_AC;
    enter_user(m);
    m->v.cpu.gpr[RSP] = USER_STACK + 1;
}

static void alignment_check_in_its_own_delivery_shuts_down(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    idt_set(m, VEC_AC, make_gate(CODE3, HANDLER, SYS_INTERRUPT_GATE32, 0, 0));
    enter_misaligned(m);
    fault(m, VEC_AC, 0);
    assert_int_equal(m->v.cpu.activity, ACTIVITY_SHUTDOWN);
}

/* #PF: its handler has the misaligned user stack. #AC: its handler's stack is not there. */
static void faults_that_take_turns_shut_down(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    put(m, PML4, 0x87, 4); /* a directory of one 4 MiB page */
    m->v.cpu.cr3 = PML4;
    m->v.cpu.cr4 |= CR4_PSE;
    m->v.cpu.cr0 |= CR0_PG;
    put(m, TSS_A + 4, 0x500000, 4);
    idt_set(m, VEC_PF, make_gate(CODE3, HANDLER, SYS_INTERRUPT_GATE32, 0, 0));
    idt_set(m, VEC_AC, make_gate(CODE0, HANDLER, SYS_INTERRUPT_GATE32, 0, 0));
    enter_misaligned(m);
    fault(m, VEC_PF, 4);
    assert_int_equal(m->v.cpu.activity, ACTIVITY_SHUTDOWN);
}

/* Or a handler that faults at its first instruction for ever stops the clock. */
static void fault_takes_time(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    idt_set(m, VEC_GP, make_gate(CODE0, HANDLER, SYS_INTERRUPT_GATE32, 0, 0));
    fault(m, VEC_GP, 0);
    fault(m, VEC_GP, 0);
    external(m, VEC_GP);
    assert_int_equal(m->v.cpu.icount, 2);
}

static void nmi_blocks_until_iret(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    idt_set(m, VEC_NMI, make_gate(CODE0, HANDLER, SYS_INTERRUPT_GATE32, 0, 0));
    exception_deliver(&m->v, &(struct event){.vector = VEC_NMI, .type = EVENT_NMI});
    assert_true(m->v.cpu.nmi_blocked);
    assert_int_equal(far_iret(&m->v, 4, 0), EXEC_JUMP);
    assert_false(m->v.cpu.nmi_blocked);
}

static void conforming_handler_keeps_level(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    idt_set(m, VECTOR, make_gate(CONFORMING, HANDLER, SYS_INTERRUPT_GATE32, 3, 0));
    enter_user(m);
    assert_int_equal(exception_software(&m->v, VECTOR, EVENT_SOFTWARE, 0), EXEC_JUMP);
    assert_at(m, CONFORMING | 3, HANDLER);
    assert_int_equal(m->v.cpu.gpr[RSP], USER_STACK - 12);
}

/* ---- Virtual-8086 mode -------------------------------------------------------------------------- */

static void push32(struct machine *m, u32 value) { assert_true(stack_push(&m->v, value, 4)); }

static void enter_v86(struct machine *m, u32 flags)
{
    mode_protected(m);
    static const u16 selectors[] = {0x500, 0x400, 0x300, 0x200, 0x100}; /* GS FS DS ES SS */
    for (unsigned k = 0; k < 4; k++)
        push32(m, selectors[k]);
    push32(m, selectors[4]);
    push32(m, 0x7000);
    push32(m, FLAG_VM | FLAG_FIXED | flags);
    push32(m, 0x600);
    push32(m, 0x20);
    assert_int_equal(far_iret(&m->v, 4, 0), EXEC_JUMP);
}

static void to_v86_and_back(void **state)
{
    struct machine *m = *state;
    enter_v86(m, FLAG_IF);
    assert_at(m, 0x600, 0x20);
    assert_int_equal(m->v.cpu.cpl, 3);
    assert_int_equal(m->v.mode, CODE_16);
    assert_int_equal(m->v.cpu.seg[SEG_CS].base, 0x6000);
    assert_int_equal(m->v.cpu.seg[SEG_DS].base, 0x3000);
    assert_int_equal(m->v.cpu.seg[SEG_GS].limit, 0xffff);
    idt_set(m, VEC_GP, make_gate(CODE0, HANDLER, SYS_INTERRUPT_GATE32, 0, 0));
    fault(m, VEC_GP, 0);
    assert_at(m, CODE0, HANDLER);
    assert_int_equal(m->v.cpu.cpl, 0);
    assert_int_equal(m->v.cpu.rflags & FLAG_VM, 0);
    assert_int_equal(m->v.cpu.gpr[RSP], KERNEL_STACK - 40);
    static const u32 frame[] = {0, 0x20, 0x600, FLAG_VM | FLAG_IF | FLAG_FIXED | FLAG_RF, 0x7000, 0x100, 0x200, 0x300, 0x400, 0x500};
    assert_memory_equal(m->vm.memory.ram + KERNEL_STACK - 40, frame, sizeof frame);
    for (unsigned k = SEG_DS; k <= SEG_GS; k++)
        assert_true(m->v.cpu.seg[k].attributes & SEG_UNUSABLE);
    stack_adjust(&m->v, 4); /* the error code */
    assert_int_equal(far_iret(&m->v, 4, 0), EXEC_JUMP);
    assert_at(m, 0x600, 0x20);
    assert_true(m->v.cpu.rflags & FLAG_RF);
}

static void v86_software_interrupt_by_iopl(void **state)
{
    struct machine *m = *state;
    idt_set(m, VECTOR, make_gate(CODE0, HANDLER, SYS_INTERRUPT_GATE32, 3, 0));
    enter_v86(m, 0);
    assert_int_equal(exception_software(&m->v, VECTOR, EVENT_SOFTWARE, 0x22), EXEC_FAULT);
    assert_fault(m, VEC_GP, 0);
    assert_int_equal(far_iret(&m->v, 2, 0), EXEC_FAULT);
    assert_fault(m, VEC_GP, 0);
    m->v.cpu.rflags |= FLAG_IOPL;
    assert_int_equal(exception_software(&m->v, VECTOR, EVENT_SOFTWARE, 0x22), EXEC_JUMP);
    assert_at(m, CODE0, HANDLER);
}

static void v86_extensions_redirect(void **state)
{
    struct machine *m = *state;
    enter_v86(m, FLAG_VIF);
    m->v.cpu.cr4 |= CR4_VME;
    put(m, TSS_A + 0x66, 0x100, 2); /* bitmap of the vectors at 0xe0: all redirected */
    put(m, VECTOR * 4, 0x07000123, 4);
    assert_int_equal(exception_software(&m->v, VECTOR, EVENT_SOFTWARE, 0x22), EXEC_JUMP);
    assert_at(m, 0x700, 0x123);
    assert_true(cpu_v86(&m->v.cpu));
    assert_int_equal(m->v.cpu.rflags & FLAG_VIF, 0);
    assert_int_equal(get(m, 0x1000 + 0x7000 - 6, 2), 0x22);
    assert_int_equal(get(m, 0x1000 + 0x7000 - 2, 2), FLAG_IOPL | FLAG_IF | FLAG_FIXED);
    assert_int_equal(far_iret(&m->v, 2, 0), EXEC_JUMP);
    assert_at(m, 0x600, 0x22);
    assert_true(m->v.cpu.rflags & FLAG_VIF);
    assert_int_equal(cpu_iopl(&m->v.cpu), 0);
    put(m, TSS_A + 0xe0 + VECTOR / 8, 1, 1); /* not redirected: IOPL decides */
    assert_int_equal(exception_software(&m->v, VECTOR, EVENT_SOFTWARE, 0x22), EXEC_FAULT);
    assert_fault(m, VEC_GP, 0);
}

/* ---- Long mode ---------------------------------------------------------------------------------- */

static void long_same_level_aligns(void **state)
{
    struct machine *m = *state;
    mode_long(m);
    idt_set_long(m, VEC_GP, make_gate(CODE0_64, HANDLER, SYS_INTERRUPT_GATE32, 0, 0), 0);
    m->v.cpu.gpr[RSP] = KERNEL_STACK - 3;
    fault(m, VEC_GP, 0x1230);
    assert_at(m, CODE0_64, HANDLER);
    u64 top = KERNEL_STACK - 16;
    assert_int_equal(m->v.cpu.gpr[RSP], top - 48);
    assert_int_equal(get(m, top - 8, 8), DATA0);
    assert_int_equal(get(m, top - 16, 8), KERNEL_STACK - 3);
    assert_int_equal(get(m, top - 32, 8), CODE0_64);
    assert_int_equal(get(m, top - 40, 8), CALLER);
    assert_int_equal(get(m, top - 48, 8), 0x1230);
    m->v.cpu.gpr[RSP] += 8;
    assert_int_equal(far_iret(&m->v, 8, 0), EXEC_JUMP);
    assert_at(m, CODE0_64, CALLER);
    assert_int_equal(m->v.cpu.gpr[RSP], KERNEL_STACK - 3);
}

static void long_interrupt_stack_table(void **state)
{
    struct machine *m = *state;
    mode_long(m);
    idt_set_long(m, VEC_NMI, make_gate(CODE0_64, HANDLER, SYS_INTERRUPT_GATE32, 0, 1), 0xffff8000);
    enter_segments(m, CODE3_64, DATA3);
    m->v.cpu.gpr[RSP] = USER_STACK;
    exception_deliver(&m->v, &(struct event){.vector = VEC_NMI, .type = EVENT_NMI});
    assert_true(m->v.cpu.rip == (0xffff800000000000 | HANDLER));
    assert_int_equal(m->v.cpu.gpr[RSP], IST_STACK - 40);
    assert_int_equal(m->v.cpu.seg[SEG_SS].selector, 0);
    assert_int_equal(m->v.cpu.cpl, 0);
    assert_int_equal(get(m, IST_STACK - 8, 8), DATA3);
    assert_int_equal(far_iret(&m->v, 8, 0), EXEC_JUMP);
    assert_at(m, CODE3_64, CALLER);
    assert_int_equal(m->v.cpu.gpr[RSP], USER_STACK);
    assert_int_equal(m->v.cpu.cpl, 3);
}

static void long_inner_level(void **state)
{
    struct machine *m = *state;
    mode_long(m);
    idt_set_long(m, VECTOR, make_gate(CODE0_64, HANDLER, SYS_TRAP_GATE32, 3, 0), 0);
    enter_segments(m, CODE3, DATA3); /* compatibility mode */
    m->v.cpu.gpr[RSP] = USER_STACK;
    assert_int_equal(m->v.mode, CODE_32);
    assert_int_equal(exception_software(&m->v, VECTOR, EVENT_SOFTWARE, CALLER + 2), EXEC_JUMP);
    assert_at(m, CODE0_64, HANDLER);
    assert_int_equal(m->v.mode, CODE_64);
    assert_int_equal(m->v.cpu.gpr[RSP], KERNEL_STACK - 40);
    assert_int_equal(far_iret(&m->v, 8, 0), EXEC_JUMP);
    assert_at(m, CODE3, CALLER + 2);
    assert_int_equal(m->v.mode, CODE_32);
    assert_int_equal(m->v.cpu.gpr[RSP], USER_STACK);
}

static void long_checks(void **state)
{
    struct machine *m = *state;
    mode_long(m);
    idt_set_long(m, VECTOR, make_gate(CODE0, HANDLER, SYS_INTERRUPT_GATE32, 0, 0), 0);
    assert_int_equal(exception_software(&m->v, VECTOR, EVENT_SOFTWARE, 0), EXEC_FAULT);
    assert_fault(m, VEC_GP, CODE0); /* not 64-bit code */
    idt_set_long(m, VECTOR, make_gate(CODE0_64, HANDLER, SYS_INTERRUPT_GATE32, 0, 0), 0x8000);
    assert_int_equal(exception_software(&m->v, VECTOR, EVENT_SOFTWARE, 0), EXEC_FAULT);
    assert_fault(m, VEC_GP, 0); /* offset not canonical */
    idt_set_long(m, VECTOR, make_gate(TSS_B_SEL, 0, SYS_TASK_GATE, 0, 0), 0);
    assert_int_equal(exception_software(&m->v, VECTOR, EVENT_SOFTWARE, 0), EXEC_FAULT);
    assert_fault(m, VEC_GP, VECTOR * 8 + 2);
    m->v.cpu.gpr[RSP] = 0x0000800000000000;
    idt_set_long(m, VECTOR, make_gate(CODE0_64, HANDLER, SYS_INTERRUPT_GATE32, 0, 0), 0);
    assert_int_equal(exception_software(&m->v, VECTOR, EVENT_SOFTWARE, 0), EXEC_FAULT);
    assert_fault(m, VEC_PF, PF_WRITE); /* the top slot is canonical */
    m->v.cpu.gpr[RSP] = 0x0000800000000010;
    assert_int_equal(exception_software(&m->v, VECTOR, EVENT_SOFTWARE, 0), EXEC_FAULT);
    assert_fault(m, VEC_SS, 0);
    m->v.cpu.rflags |= FLAG_NT;
    assert_int_equal(far_iret(&m->v, 8, 0), EXEC_FAULT);
    assert_fault(m, VEC_GP, 0);
}

static void page_fault_while_delivering(void **state)
{
    struct machine *m = *state;
    mode_long(m);
    put(m, TSS_A + 4, 0x40000000, 8); /* RSP0 is not mapped */
    put(m, TSS_A + 0x24, IST_STACK, 8);
    idt_set_long(m, VEC_PF, make_gate(CODE0_64, HANDLER, SYS_INTERRUPT_GATE32, 0, 0), 0);
    idt_set_long(m, VEC_DF, make_gate(CODE0_64, HANDLER_2, SYS_INTERRUPT_GATE32, 0, 1), 0);
    enter_segments(m, CODE3_64, DATA3);
    fault_page(&m->v, 0x12345678, PF_USER);
    exception_deliver_fault(&m->v);
    assert_at(m, CODE0_64, HANDLER_2);
    assert_int_equal(m->v.cpu.cr2, 0x40000000 - 8);
    assert_int_equal(m->v.cpu.gpr[RSP], IST_STACK - 48);
}

/* ---- Debug exceptions --------------------------------------------------------------------------- */

static void single_step(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    idt_set(m, VEC_DB, make_gate(CODE0, HANDLER, SYS_INTERRUPT_GATE32, 0, 0));
    m->v.cpu.rflags |= FLAG_TF;
    debug_deliver_traps(&m->v, true);
    assert_at(m, CODE0, HANDLER);
    assert_int_equal(m->v.cpu.dr[6], DR6_FIXED | DR6_BS);
    assert_int_equal(m->v.cpu.rflags & FLAG_TF, 0);
    assert_int_equal(get(m, KERNEL_STACK - 4, 4), FLAG_TF | FLAG_FIXED);
}

static void software_interrupt_is_not_stepped(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    idt_set(m, VEC_BP, make_gate(CODE0, HANDLER, SYS_INTERRUPT_GATE32, 0, 0));
    m->v.cpu.rflags |= FLAG_TF;
    assert_int_equal(exception_software(&m->v, VEC_BP, EVENT_SOFTWARE_TRAP, CALLER + 1), EXEC_JUMP);
    debug_deliver_traps(&m->v, true);
    assert_at(m, CODE0, HANDLER);
    assert_int_equal(m->v.cpu.pending_db, 0);
}

static void breakpoints(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    m->v.cpu.dr[0] = CALLER;
    m->v.cpu.dr[1] = 0x7002;
    m->v.cpu.dr[7] |= 1 | 1 << 2 | 1u << 20 | 1u << 22; /* 0: execution; 1: write, 2 bytes */
    assert_true(debug_check_fetch(&m->v));
    assert_int_equal(m->v.fault.vector, VEC_DB);
    assert_int_equal(m->v.fault.dr6, 1);
    m->v.cpu.rflags |= FLAG_RF;
    assert_false(debug_check_fetch(&m->v));
    debug_match_data(&m->v, 0x7003, 4, false);
    debug_match_data(&m->v, 0x7004, 4, true);
    debug_match_data(&m->v, 0x7000, 2, true);
    assert_int_equal(m->v.cpu.pending_db, 0);
    debug_match_data(&m->v, 0x7000, 3, true);
    assert_int_equal(m->v.cpu.pending_db, 2);
    idt_set(m, VEC_DB, make_gate(CODE0, HANDLER, SYS_INTERRUPT_GATE32, 0, 0));
    m->v.cpu.mov_ss_shadow = 1;
    debug_deliver_traps(&m->v, false);
    assert_int_equal(m->v.cpu.rip, CALLER);
    m->v.cpu.mov_ss_shadow = 0;
    debug_deliver_traps(&m->v, false);
    assert_at(m, CODE0, HANDLER);
    assert_int_equal(m->v.cpu.dr[6], DR6_FIXED | 2);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(real_mode), T(real_mode_frame_over_vector), T(real_mode_has_no_error_code), T(real_mode_short_table_shuts_down),
        T(same_level), T(gate_of_16_bits), T(inner_level_and_back), T(software_interrupt_needs_dpl), T(absent_gate),
        T(bad_inner_stack), T(inner_stack_of_16_bits), T(tss_of_16_bits), T(double_fault),
        T(benign_then_contributory_is_serial), T(triple_fault), T(nmi_blocks_until_iret),
        T(alignment_check_in_its_own_delivery_shuts_down), T(faults_that_take_turns_shut_down), T(fault_takes_time),
        T(conforming_handler_keeps_level),
        T(to_v86_and_back), T(v86_software_interrupt_by_iopl), T(v86_extensions_redirect),
        T(long_same_level_aligns), T(long_interrupt_stack_table), T(long_inner_level), T(long_checks),
        T(page_fault_while_delivering),
        T(single_step), T(software_interrupt_is_not_stepped), T(breakpoints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
