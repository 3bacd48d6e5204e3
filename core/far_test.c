/* Far transfers, returns and task switches. */
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

static void enter_user(struct machine *m)
{
    enter_segments(m, CODE3, DATA3);
    m->v.cpu.gpr[RSP] = USER_STACK;
}

/* ---- Call gates and far returns ----------------------------------------------------------------- */

static struct far_request far_call(u16 selector)
{
    return (struct far_request){.kind = FAR_CALL, .selector = selector, .opsize = 4, .next_rip = CALLER + 7};
}

static void call_gate_copies_parameters(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    gdt_set(m, GATE_SEL, make_gate(CODE0, HANDLER, SYS_CALL_GATE32, 3, 2));
    enter_user(m);
    put(m, USER_STACK, 0x11111111, 4);
    put(m, USER_STACK + 4, 0x22222222, 4);
    struct far_request r = far_call(GATE_SEL | 3);
    assert_int_equal(far_transfer(&m->v, &r), EXEC_JUMP);
    assert_at(m, CODE0, HANDLER);
    static const u32 frame[] = {CALLER + 7, CODE3, 0x11111111, 0x22222222, USER_STACK, DATA3};
    assert_int_equal(m->v.cpu.gpr[RSP], KERNEL_STACK - sizeof frame);
    assert_memory_equal(m->vm.memory.ram + KERNEL_STACK - sizeof frame, frame, sizeof frame);
    assert_int_equal(far_return(&m->v, 4, 8), EXEC_JUMP);
    assert_at(m, CODE3, CALLER + 7);
    assert_int_equal(m->v.cpu.gpr[RSP], USER_STACK + 8);
    assert_int_equal(m->v.cpu.cpl, 3);
}

static void call_gate_checks(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    enter_user(m);
    struct far_request r = far_call(GATE_SEL | 3);
    gdt_set(m, GATE_SEL, make_gate(CODE0, HANDLER, SYS_CALL_GATE32, 0, 0));
    assert_int_equal(far_transfer(&m->v, &r), EXEC_FAULT);
    assert_fault(m, VEC_GP, GATE_SEL);
    gdt_set(m, GATE_SEL, make_gate(0, HANDLER, SYS_CALL_GATE32, 3, 0));
    assert_int_equal(far_transfer(&m->v, &r), EXEC_FAULT);
    assert_fault(m, VEC_GP, 0);
    gdt_set(m, GATE_SEL, make_gate(DATA0, HANDLER, SYS_CALL_GATE32, 3, 0));
    assert_int_equal(far_transfer(&m->v, &r), EXEC_FAULT);
    assert_fault(m, VEC_GP, DATA0);
    gdt_set(m, GATE_SEL, make_gate(CODE0, HANDLER, SYS_CALL_GATE32, 3, 0));
    r.kind = FAR_JMP; /* may not change the level */
    assert_int_equal(far_transfer(&m->v, &r), EXEC_FAULT);
    assert_fault(m, VEC_GP, CODE0);
    gdt_set(m, GATE_SEL, make_gate(CODE3, HANDLER, SYS_CALL_GATE16, 3, 0));
    r.kind = FAR_CALL;
    assert_int_equal(far_transfer(&m->v, &r), EXEC_JUMP);
    assert_int_equal(m->v.cpu.gpr[RSP], USER_STACK - 4);
}

static void direct_transfer_checks(void **state)
{
    struct machine *m = *state;
    static const struct { u16 selector; u64 offset; u8 vector; u32 error; } cases[] = {
        {0, 0, VEC_GP, 0},
        {DATA0, 0, VEC_GP, DATA0},
        {CODE3, 0, VEC_GP, CODE3 & ~3},
        {CODE0 | 3, 0, VEC_GP, CODE0},
        {ABSENT_CODE, 0, VEC_NP, ABSENT_CODE},
        {CODE16, 0x10000, VEC_GP, 0},
        {LDT_SEL, 0, VEC_GP, LDT_SEL},
        {TSS_A_SEL, 0, VEC_GP, TSS_A_SEL},
        {GDT_LIMIT + 1, 0, VEC_GP, GDT_LIMIT + 1},
    };
    mode_protected(m);
    struct cpu before = m->v.cpu;
    for (unsigned k = 0; k < ARRAY_LEN(cases); k++) {
        struct far_request r = {.kind = FAR_JMP, .selector = cases[k].selector, .offset = cases[k].offset, .opsize = 4};
        assert_int_equal(far_transfer(&m->v, &r), EXEC_FAULT);
        assert_fault(m, cases[k].vector, cases[k].error);
    }
    assert_memory_equal(&before, &m->v.cpu, sizeof before);
    struct far_request r = {.kind = FAR_JMP, .selector = CODE16, .offset = 0xffff, .opsize = 4};
    assert_int_equal(far_transfer(&m->v, &r), EXEC_JUMP);
    assert_int_equal(m->v.mode, CODE_16);
}

/* ---- Tasks -------------------------------------------------------------------------------------- */

static void task_b(struct machine *m)
{
    put(m, TSS_B + 0x20, HANDLER, 4);
    put(m, TSS_B + 0x24, FLAG_FIXED | FLAG_IF, 4);
    put(m, TSS_B + 0x28, 0xaaaa5555, 4); /* EAX */
    put(m, TSS_B + 0x38, 0x7800, 4);     /* ESP */
    for (unsigned k = 0; k < SEG_COUNT; k++)
        put(m, TSS_B + 0x48 + 4 * k, k == SEG_CS ? CODE0 : DATA0, 2);
}

static void task_call_and_return(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    task_b(m);
    m->v.cpu.gpr[RAX] = 0x12345678;
    m->v.cpu.dr[7] |= 1;
    struct far_request r = far_call(TSS_B_SEL);
    assert_int_equal(far_transfer(&m->v, &r), EXEC_JUMP);
    assert_at(m, CODE0, HANDLER);
    assert_int_equal(m->v.cpu.gpr[RAX], 0xaaaa5555);
    assert_int_equal(m->v.cpu.gpr[RSP], 0x7800);
    assert_int_equal(m->v.cpu.rflags, FLAG_NT | FLAG_IF | FLAG_FIXED);
    assert_int_equal(get(m, TSS_B, 2), TSS_A_SEL);
    assert_int_equal(m->v.cpu.tr.selector, TSS_B_SEL);
    assert_true(m->v.cpu.cr0 & CR0_TS);
    assert_int_equal(m->v.cpu.dr[7] & 1, 0);
    assert_int_equal(descriptor_type(gdt_get(m, TSS_A_SEL)), SYS_TSS32_BUSY);
    assert_int_equal(descriptor_type(gdt_get(m, TSS_B_SEL)), SYS_TSS32_BUSY);
    assert_int_equal(get(m, TSS_A + 0x20, 4), CALLER + 7);
    assert_int_equal(get(m, TSS_A + 0x28, 4), 0x12345678);
    assert_int_equal(get(m, TSS_A + 0x4c, 2), CODE0);

    assert_int_equal(far_iret(&m->v, 4, HANDLER + 1), EXEC_JUMP);
    assert_at(m, CODE0, CALLER + 7);
    assert_int_equal(m->v.cpu.gpr[RAX], 0x12345678);
    assert_int_equal(m->v.cpu.gpr[RSP], KERNEL_STACK);
    assert_int_equal(descriptor_type(gdt_get(m, TSS_B_SEL)), SYS_TSS32);
    assert_int_equal(get(m, TSS_B + 0x20, 4), HANDLER + 1);
    assert_int_equal(get(m, TSS_B + 0x24, 4) & FLAG_NT, 0);
    assert_int_equal(m->v.cpu.rflags & FLAG_NT, 0);
}

static void task_jump(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    task_b(m);
    put(m, TSS_B + 0x64, 1, 2); /* debug trap */
    struct far_request r = {.kind = FAR_JMP, .selector = TSS_B_SEL, .opsize = 4, .next_rip = CALLER + 7};
    assert_int_equal(far_transfer(&m->v, &r), EXEC_JUMP);
    assert_at(m, CODE0, HANDLER);
    assert_int_equal(descriptor_type(gdt_get(m, TSS_A_SEL)), SYS_TSS32);
    assert_int_equal(m->v.cpu.rflags & FLAG_NT, 0);
    idt_set(m, VEC_DB, make_gate(CODE0, HANDLER_2, SYS_INTERRUPT_GATE32, 0, 0));
    assert_true(m->v.stepping);
    assert_true(debug_check_fetch(&m->v));
    exception_deliver_fault(&m->v);
    assert_at(m, CODE0, HANDLER_2);
    assert_int_equal(get(m, 0x7800 - 12, 4), HANDLER);
    assert_true(m->v.cpu.dr[6] & DR6_BT);
}

static void task_gate_takes_error_code(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    task_b(m);
    idt_set(m, VEC_DF, make_gate(TSS_B_SEL, 0, SYS_TASK_GATE, 0, 0));
    fault(m, VEC_GP, 0x18); /* no gate for #GP */
    assert_at(m, CODE0, HANDLER);
    assert_int_equal(m->v.cpu.gpr[RSP], 0x7800 - 4);
    assert_int_equal(get(m, 0x7800 - 4, 4), 0);
    assert_int_equal(get(m, TSS_A + 0x20, 4), CALLER);
}

static void fault_in_new_task(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    task_b(m);
    put(m, TSS_B + 0x54, EXECUTE_ONLY, 2); /* DS */
    idt_set(m, VEC_TS, make_gate(CODE0, HANDLER_2, SYS_INTERRUPT_GATE32, 0, 0));
    struct far_request r = far_call(TSS_B_SEL);
    assert_int_equal(far_transfer(&m->v, &r), EXEC_FAULT);
    assert_fault(m, VEC_TS, EXECUTE_ONLY);
    assert_int_equal(m->v.cpu.tr.selector, TSS_B_SEL);
    exception_deliver_fault(&m->v);
    assert_at(m, CODE0, HANDLER_2);
    assert_int_equal(get(m, 0x7800 - 16, 4), EXECUTE_ONLY);
    assert_int_equal(get(m, 0x7800 - 12, 4), HANDLER);
}

/* SDM vol. 3, table 7-1: the stack is checked before the code, the code before the data. */
static void order_of_checks_in_new_task(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    task_b(m);
    put(m, TSS_B + 0x4c, ABSENT_CODE, 2);
    put(m, TSS_B + 0x50, READ_ONLY, 2);
    put(m, TSS_B + 0x54, EXECUTE_ONLY, 2);
    struct cpu before = m->v.cpu;
    struct far_request r = far_call(TSS_B_SEL);
    assert_int_equal(far_transfer(&m->v, &r), EXEC_FAULT);
    assert_fault(m, VEC_TS, READ_ONLY);
    m->v.cpu = before;
    gdt_set(m, TSS_B_SEL, make_descriptor(TSS_B, 0x67, SEG_P | SYS_TSS32));
    put(m, TSS_B + 0x50, DATA0, 2);
    assert_int_equal(far_transfer(&m->v, &r), EXEC_FAULT);
    assert_fault(m, VEC_NP, ABSENT_CODE);
}

/* Identity-maps 2 MiB for PAE, but for one page that goes to `elsewhere`. The tables begin at `at`: PDPT, PD, PT. */
static void pae_tables(struct machine *m, u64 at, u64 page, u64 elsewhere)
{
    put(m, at, (at + 0x1000) | 1, 8);
    put(m, at + 0x1000, (at + 0x2000) | 7, 8);
    for (u64 n = 0; n < 512; n++)
        put(m, at + 0x2000 + 8 * n, (n << PAGE_SHIFT == page ? elsewhere : n << PAGE_SHIFT) | 7, 8);
}

/* The old task is saved through its own page tables, the new one's count from then on. */
static void task_switch_changes_pdptes_last(void **state)
{
    enum { SPACE_A = 0x20000, SPACE_B = 0x30000, ELSEWHERE = 0x40000, TSS_A_MOVED = 0x41000 };
    struct machine *m = *state;
    struct cpu *c = &m->v.cpu;
    mode_protected(m);
    task_b(m);
    gdt_set(m, TSS_A_SEL, make_descriptor(TSS_A_MOVED, 0x1ff, SEG_P | SYS_TSS32_BUSY));
    c->tr = descriptor_segment(TSS_A_SEL, gdt_get(m, TSS_A_SEL));
    pae_tables(m, SPACE_A, 0, 0);
    pae_tables(m, SPACE_B, TSS_A_MOVED, ELSEWHERE);
    put(m, TSS_B + 0x1c, SPACE_B, 4);
    c->cr4 |= CR4_PAE;
    c->cr3 = SPACE_A;
    c->pdpte[0] = get(m, SPACE_A, 8);
    c->cr0 |= CR0_PG;
    c->dr[7] |= 1u | 3u << 16; /* armed breakpoints keep translations out of the TLB: each access walks */
    c->dr[0] = 0x1000000;
    tlb_flush(&m->v);
    struct far_request r = far_call(TSS_B_SEL);
    assert_int_equal(far_transfer(&m->v, &r), EXEC_JUMP);
    assert_int_equal(get(m, TSS_A_MOVED + 0x20, 4), CALLER + 7);
    assert_int_equal(get(m, ELSEWHERE + 0x20, 4), 0);
    assert_int_equal(c->cr3, SPACE_B);
    assert_int_equal(c->pdpte[0], get(m, SPACE_B, 8));
}

static void short_tss_changes_nothing(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    task_b(m);
    gdt_set(m, TSS_B_SEL, make_descriptor(TSS_B, 0x66, SEG_P | SYS_TSS32));
    struct cpu before = m->v.cpu;
    struct far_request r = far_call(TSS_B_SEL);
    assert_int_equal(far_transfer(&m->v, &r), EXEC_FAULT);
    assert_fault(m, VEC_TS, TSS_B_SEL);
    assert_memory_equal(&before, &m->v.cpu, sizeof before);
    assert_int_equal(descriptor_type(gdt_get(m, TSS_B_SEL)), SYS_TSS32);
}

/* Room on the stack and the target are checked before the first push: a frame is written whole or not at all. */
static void faults_leave_no_frame(void **state)
{
    struct machine *m = *state;
    mode_protected(m);
    memset(m->vm.memory.ram + KERNEL_STACK - 64, 0xee, 64);
    const u64 untouched = 0xeeeeeeeeeeeeeeee;
    gdt_set(m, GATE_SEL, make_gate(CODE16, 0x12345, SYS_CALL_GATE32, 3, 1)); /* beyond the limit */
    idt_set(m, 0x40, make_gate(CODE16, 0x12345, SYS_INTERRUPT_GATE32, 3, 0));
    struct far_request r = {.kind = FAR_CALL, .selector = CODE16, .offset = 0x10000, .opsize = 4};
    assert_int_equal(far_transfer(&m->v, &r), EXEC_FAULT);
    assert_fault(m, VEC_GP, 0);
    assert_int_equal(exception_software(&m->v, 0x40, EVENT_SOFTWARE, CALLER), EXEC_FAULT);
    assert_fault(m, VEC_GP, 0);
    assert_int_equal(get(m, KERNEL_STACK - 8, 8), untouched);
    enter_user(m);
    r = far_call(GATE_SEL | 3);
    assert_int_equal(far_transfer(&m->v, &r), EXEC_FAULT);
    assert_fault(m, VEC_GP, 0);
    assert_int_equal(exception_software(&m->v, 0x40, EVENT_SOFTWARE, CALLER), EXEC_FAULT);
    assert_int_equal(get(m, KERNEL_STACK - 8, 8), untouched);
    /* Both wrong: the stack comes first. It has room for all but the last of five values. */
    gdt_set(m, DATA0, make_descriptor(0, KERNEL_STACK - 17, SEG_DB | SEG_P | SEG_S | 0x6));
    assert_int_equal(exception_software(&m->v, 0x40, EVENT_SOFTWARE, CALLER), EXEC_FAULT);
    assert_fault(m, VEC_SS, DATA0);
    assert_int_equal(get(m, KERNEL_STACK - 8, 8), untouched);

    m->v.cpu.cr0 &= ~(u64)CR0_PE;
    m->v.cpu.cpl = 0;
    mode_real(m);
    m->v.cpu.gpr[RSP] = KERNEL_STACK;
    r = (struct far_request){.kind = FAR_CALL, .selector = 0, .offset = 0x10000, .opsize = 4};
    assert_int_equal(far_transfer(&m->v, &r), EXEC_FAULT);
    assert_fault(m, VEC_GP, 0);
    assert_int_equal(get(m, KERNEL_STACK - 8, 8), untouched);
}

static void long_call_gate(void **state)
{
    struct machine *m = *state;
    mode_long(m);
    gdt_set(m, GATE_SEL, make_gate(CODE0_64, HANDLER, SYS_CALL_GATE32, 3, 5));
    gdt_set(m, GATE_SEL + 8, 0);
    enter_segments(m, CODE3_64, DATA3);
    m->v.cpu.gpr[RSP] = USER_STACK;
    struct far_request r = far_call(GATE_SEL | 3);
    assert_int_equal(far_transfer(&m->v, &r), EXEC_JUMP);
    assert_at(m, CODE0_64, HANDLER);
    assert_int_equal(m->v.cpu.gpr[RSP], KERNEL_STACK - 32);
    assert_int_equal(get(m, KERNEL_STACK - 8, 8), DATA3);
    assert_int_equal(get(m, KERNEL_STACK - 16, 8), USER_STACK);
    assert_int_equal(get(m, KERNEL_STACK - 32, 8), CALLER + 7);
    assert_int_equal(far_return(&m->v, 8, 0), EXEC_JUMP);
    assert_at(m, CODE3_64, CALLER + 7);
    assert_int_equal(m->v.cpu.gpr[RSP], USER_STACK);
}

/* ---- Any tables --------------------------------------------------------------------------------- */

static u64 seed;
static u32 pick(u32 bound)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (u32)(seed >> 33) % bound;
}

/* Selectors and gates that are right often enough to get past the first checks. */
static u16 any_selector(void)
{
    static const u16 good[] = {CODE0, DATA0, CODE3, DATA3, CODE0_64, CODE3_64, GATE_SEL | 3, TSS_B_SEL};
    if (pick(2))
        return good[pick(ARRAY_LEN(good))];
    return pick(8) ? (u16)(pick(GDT_LIMIT / 8 + 2) * 8 + pick(4)) : (u16)pick(0x10000);
}
static u64 any_gate(void)
{
    static const u8 types[] = {SYS_CALL_GATE16, SYS_CALL_GATE32, SYS_TASK_GATE, SYS_INTERRUPT_GATE16,
                               SYS_INTERRUPT_GATE32, SYS_TRAP_GATE32};
    u64 gate = make_gate(any_selector(), pick(0x10000), types[pick(ARRAY_LEN(types))], pick(4), pick(32));
    return pick(8) ? gate : gate ^ 1ull << (32 + pick(32));
}

static void any_tables(struct machine *m)
{
    machine_tables(m);
    m->v.cpu.seg[SEG_CS].limit = 0xffffffff;
    for (unsigned n = pick(4); n > 0; n--) {
        u16 selector = (u16)((1 + pick(GDT_LIMIT / 8)) * 8);
        gdt_set(m, selector, gdt_get(m, selector) ^ 1ull << pick(64));
    }
    gdt_set(m, GATE_SEL, any_gate());
    for (unsigned n = 0; n < 8; n++)
        put(m, IDT + 8 * n, any_gate(), 8);
    for (unsigned n = 0; n < 8; n++) {
        put(m, KERNEL_STACK + 4 * n, n & 1 ? any_selector() : pick(0x10000), 4);
        put(m, USER_STACK + 4 * n, n & 1 ? any_selector() : pick(0x10000), 4);
    }
    put(m, TSS_A + 8, pick(2) ? DATA0 : any_selector(), 2);
    put(m, TSS_A, any_selector(), 2);
    task_b(m);
    put(m, TSS_B + 0x48 + 4 * pick(6), any_selector(), 2);
}

static void any_state(struct machine *m)
{
    struct cpu *c = &m->v.cpu;
    bool user = pick(2), long_mode = c->efer & EFER_LMA;
    c->rflags = FLAG_FIXED | (pick(8) ? 0 : FLAG_NT) | (pick(2) ? FLAG_IF : 0) | pick(4) << FLAG_IOPL_SHIFT;
    c->tr = descriptor_segment(TSS_A_SEL, gdt_get(m, TSS_A_SEL));
    c->tr.base = TSS_A;
    c->tr.limit = pick(4) ? 0x1ff : pick(0x70);
    c->cr0 &= ~(u64)CR0_TS;
    c->activity = ACTIVITY_RUNNING;
    c->gpr[RSP] = (user ? USER_STACK : KERNEL_STACK) + (pick(4) ? 0 : pick(64));
    c->rip = CALLER;
    if (!long_mode)
        enter_segments(m, user ? CODE3 : CODE0, user ? DATA3 : DATA0);
    else
        enter_segments(m, user ? (pick(2) ? CODE3 : CODE3_64) : CODE0_64, user ? DATA3 : DATA0);
    c->seg[SEG_CS].attributes |= SEG_P;
}

static enum exec any_transfer(struct machine *m)
{
    unsigned opsize = 2u << pick(m->v.mode == CODE_64 ? 3 : 2);
    struct far_request r = {.kind = pick(2) ? FAR_JMP : FAR_CALL, .selector = any_selector(), .opsize = (u8)opsize,
                            .offset = pick(0x10000), .next_rip = CALLER + 7};
    switch (pick(4)) {
    case 0: return far_transfer(&m->v, &r);
    case 1: return far_return(&m->v, opsize, (u16)pick(32));
    case 2: return far_iret(&m->v, opsize, CALLER + 1);
    default: return exception_software(&m->v, (u8)pick(9), EVENT_SOFTWARE, CALLER + 2);
    }
}

/* A transfer either completes or leaves every register as it was, unless a new task has already been entered; and what
 * it leaves can be delivered, or shuts the processor down. */
static void faults_change_nothing(void **state)
{
    struct machine *m = *state;
    unsigned faults = 0, jumps = 0;
    for (unsigned n = 0; n < 100000; n++) {
        if (n == 0)
            mode_protected(m);
        else if (n == 50000)
            mode_long(m);
        any_tables(m);
        any_state(m);
        struct cpu before = m->v.cpu;
        enum exec result = any_transfer(m);
        jumps += result == EXEC_JUMP;
        if (result == EXEC_JUMP)
            continue;
        faults++;
        assert_int_equal(result, EXEC_FAULT);
        before.nmi_blocked = m->v.cpu.nmi_blocked;
        if (!(m->v.cpu.cr0 & CR0_TS)) /* no task switch */
            assert_memory_equal(&before, &m->v.cpu, sizeof before);
        exception_deliver_fault(&m->v);
        m->v.cpu.efer = before.efer;
        m->v.cpu.cr3 = before.cr3;
    }
    assert_true(faults > 10000 && jumps > 3000);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(call_gate_copies_parameters), T(call_gate_checks), T(direct_transfer_checks), T(long_call_gate),
        T(task_call_and_return), T(task_jump), T(task_gate_takes_error_code), T(fault_in_new_task),
        T(order_of_checks_in_new_task),
        T(task_switch_changes_pdptes_last), T(short_tss_changes_nothing), T(faults_leave_no_frame), T(faults_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
