/* The machine's run loop: interrupts at exact icounts, shadows, halts, every reason to stop, resets. */
#include "devices/chipset.h"
#include "sbe/test_code.h"
#include "sim/host_linux.h"

enum { IDT_AT = 0x3000, GDT_AT = 0x4000, HANDLER = 0x5000, NMI_HANDLER = 0x6000, VECTOR = 0x40, PIC_VECTOR = 0x20 };
enum { LAPIC_EOI = 0xb0, LAPIC_ICR = 0x300, LAPIC_LVT_TIMER = 0x320, LAPIC_COUNT = 0x380, LAPIC_DIVIDE = 0x3e0 };
#define LAPIC 0xfee00000ull

static void gate(u8 vector, u32 handler, u16 attributes)
{
    u64 raw = (handler & 0xffff) | 8ull << 16 | (u64)attributes << 32 | (u64)(handler >> 16) << 48;
    phys_write(vm, gpa(IDT_AT + 8 * vector), &raw, 8);
}

static void lapic(unsigned reg, u32 value) { vm_mmio_write(vm, gpa(LAPIC + reg), value, 4); }

/* Flat 32-bit code of NOPs with interrupts on; handlers are NOPs too. */
static void begin(void)
{
    enter(CODE_32);
    vm->config.debug_exit = true;
    u64 code = 0x00cf9a000000ffff, data = 0x00cf92000000ffff;
    phys_write(vm, gpa(GDT_AT + 8), &code, 8);
    phys_write(vm, gpa(GDT_AT + 16), &data, 8);
    v->cpu.gdtr = (struct table_register){.base = GDT_AT, .limit = 23};
    v->cpu.idtr = (struct table_register){.base = IDT_AT, .limit = 0x7ff};
    v->cpu.seg[SEG_CS].selector = 8;
    v->cpu.seg[SEG_SS].selector = 16;
    gate(VECTOR, HANDLER, 0x8e00);
    gate(PIC_VECTOR, HANDLER, 0x8e00);
    gate(VEC_NMI, NMI_HANDLER, 0x8e00);
    u8 nops[PAGE_SIZE];
    memset(nops, 0x90, sizeof nops);
    put_bytes(CODE, nops, sizeof nops);
    put_bytes(HANDLER, nops, sizeof nops);
    put_bytes(NMI_HANDLER, nops, sizeof nops);
    v->cpu.rflags |= FLAG_IF;
    vcpu_update_mode(v);
    lapic(LAPIC_DIVIDE, 0xb); /* by 1 */
}

static u64 saved_eip(void)
{
    u32 eip;
    memcpy(&eip, ram(v->cpu.gpr[RSP]), 4);
    return eip;
}

static bool in_handler(void) { return v->cpu.rip >= HANDLER && v->cpu.rip < HANDLER + PAGE_SIZE; }
static bool in_nmi_handler(void) { return v->cpu.rip >= NMI_HANDLER && v->cpu.rip < NMI_HANDLER + PAGE_SIZE; }

/* Runs `count` instructions; nothing else may end it. */
static void run(u64 count)
{
    u64 until = v->cpu.icount + count;
    assert_int_equal(vm_run(vm, until), VM_STOP_ICOUNT);
    assert_int_equal(v->cpu.icount, until);
}

static void assert_stops(enum vm_stop stop, u64 after)
{
    u64 from = v->cpu.icount;
    assert_int_equal(vm_run(vm, from + 1000), stop);
    assert_int_equal(v->cpu.icount, from + after);
}

/* Asks the local APIC for an interrupt by a message to itself. */
static void interrupt_now(void) { lapic(LAPIC_ICR, 0x44000 | VECTOR); }
/* By its number: NMI to "self" is no valid message (SDM vol. 3, table 10-3). */
static void nmi_now(void) { lapic(LAPIC_ICR, 0x4400); }

/* ---- Interrupts --------------------------------------------------------------------------------- */

static void a_timer_interrupts_at_its_icount(void **state)
{
    (void)state;
    for (u32 count = 1; count < 60; count++)
        for (unsigned slice = 1; slice < 64; slice += 9) {
            begin();
            lapic(LAPIC_LVT_TIMER, VECTOR);
            lapic(LAPIC_COUNT, count);
            u64 start = v->cpu.icount;
            assert_int_equal(vm_wake_time(vm), vm_now(vm) + count);
            while (!in_handler()) {
                assert_in_range(v->cpu.icount, start, start + count);
                run(slice);
            }
            assert_int_equal(saved_eip(), CODE + count);
            assert_int_equal(v->cpu.rip - HANDLER, v->cpu.icount - start - count);
        }
}

static void the_pit_interrupts_at_its_icount(void **state)
{
    (void)state;
    static const u16 setup[][2] = {
        {0x20, 0x11}, {0x21, PIC_VECTOR}, {0x21, 4}, {0x21, 1}, {0x21, 0xfe}, {0x43, 0x30}, {0x40, 3}, {0x40, 0},
    };
    begin();
    v->cpu.rip = CODE;
    for (size_t n = 0; n < ARRAY_LEN(setup); n++)
        vm_io_write(v, setup[n][0], setup[n][1], 1);
    u64 start = v->cpu.icount, due = vm_wake_time(vm) - vm_now(vm);
    assert_in_range(due, 1000, 4096); /* some ticks of 838 ns */
    run(due);
    assert_int_equal(v->cpu.rip, CODE + due);
    run(1);
    assert_int_equal(v->cpu.rip, HANDLER + 1);
    assert_int_equal(saved_eip(), CODE + due);
    assert_int_equal(v->cpu.icount, start + due + 1);
}

/* An interrupt that is due when a run ends belongs to the next run, and is delivered once. */
static void a_boundary_serves_once(void **state)
{
    (void)state;
    begin();
    run(3);
    interrupt_now();
    for (unsigned n = 0; n < 3; n++)
        run(0);
    assert_int_equal(v->cpu.rip, CODE + 3);
    run(1);
    assert_int_equal(v->cpu.rip, HANDLER + 1);
    assert_int_equal(v->cpu.gpr[RSP], STACK - 12);
    run(5);
    assert_int_equal(v->cpu.gpr[RSP], STACK - 12);
}

/* Where an interrupt is taken that has waited since before the first instruction; 0: not within 8. */
static u64 taken_at(bool interrupts_on, const u8 *code, unsigned bytes)
{
    begin();
    put_bytes(CODE, code, bytes);
    v->cpu.rflags &= ~FLAG_IF;
    v->cpu.gpr[RAX] = 16;
    u32 image = FLAG_FIXED | FLAG_IF;
    memcpy(ram(STACK), &image, 4);
    vcpu_update_mode(v);
    run(0);
    interrupt_now();
    if (interrupts_on)
        v->cpu.rflags |= FLAG_IF;
    for (unsigned n = 0; n < 8 && !in_handler(); n++)
        run(1);
    return in_handler() ? saved_eip() : 0;
}
#define TAKEN_AT(on, ...) taken_at(on, (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

/* SDM vol. 2, STI and MOV; vol. 3, 6.8.3. */
static void shadows_delay_by_one_instruction(void **state)
{
    (void)state;
    assert_int_equal(TAKEN_AT(true, 0x90), CODE);
    assert_int_equal(TAKEN_AT(false, 0x90, 0x90), 0);
    assert_int_equal(TAKEN_AT(false, 0xfb, 0x90, 0x90), CODE + 2);             /* sti; nop */
    assert_int_equal(TAKEN_AT(false, 0xfb, 0xfa, 0x90), 0);                    /* sti; cli */
    assert_int_equal(TAKEN_AT(false, 0xfb, 0xfb, 0x90), CODE + 2);             /* sti; sti: IF was set already */
    assert_int_equal(TAKEN_AT(false, 0x9d, 0x90), CODE + 1);                   /* popf: no shadow */
    assert_int_equal(TAKEN_AT(false, 0xfb, 0x8e, 0xd0, 0x90, 0x90), CODE + 4); /* sti; mov ss, ax; nop */
    assert_int_equal(TAKEN_AT(false, 0xfb, 0xeb, 0x02, 0x90, 0x90), CODE + 5); /* sti; jmp */
}

/* A shadow is there at the boundary when the interrupt comes, by a timer; it passes in the middle of a long run. */
static void a_timer_in_a_shadow(void **state)
{
    (void)state;
    for (unsigned nmi = 0; nmi < 2; nmi++) {
        begin();
        PUT(CODE, 0x90, 0x8e, 0xd0, 0x90, 0x90); /* nop; mov ss, ax; nop */
        v->cpu.gpr[RAX] = 16;
        lapic(LAPIC_LVT_TIMER, VECTOR);
        if (nmi) {
            run(2);
            nmi_now();
        } else {
            lapic(LAPIC_COUNT, 2);
        }
        run(nmi ? 100 : 102);
        assert_true(nmi ? in_nmi_handler() : in_handler());
        assert_int_equal(saved_eip(), CODE + 4);
    }
}

/* SDM vol. 3, table 6-2: the T flag's trap, then NMI, then external interrupts. */
static void debug_traps_come_before_interrupts(void **state)
{
    (void)state;
    for (unsigned nmi = 0; nmi < 2; nmi++) {
        begin();
        PUT(HANDLER + 0x800, 0xcf); /* iret */
        gate(VEC_DB, HANDLER + 0x800, 0x8e00);
        if (nmi)
            nmi_now();
        else
            interrupt_now();
        v->cpu.pending_db = DR6_BT;
        vcpu_update_mode(v);
        run(1);
        assert_int_equal(v->cpu.rip, HANDLER + 0x800);
        assert_int_equal(saved_eip(), CODE);
        assert_true(v->cpu.dr[6] & DR6_BT);
        run(2);
        assert_int_equal(v->cpu.rip, nmi ? NMI_HANDLER + 2 : HANDLER + 1);
        assert_int_equal(saved_eip(), nmi ? HANDLER + 0x800 : CODE);
    }
}

static void nmi_comes_first_and_blocks_itself(void **state)
{
    (void)state;
    begin();
    interrupt_now();
    nmi_now();
    run(1);
    assert_int_equal(v->cpu.rip, NMI_HANDLER + 1);
    assert_int_equal(v->cpu.gpr[RSP], STACK - 12);
    nmi_now();
    run(10);
    assert_int_equal(v->cpu.rip, NMI_HANDLER + 11);
    PUT(NMI_HANDLER + 11, 0xcf); /* iret: now the second one, at once */
    run(2);
    assert_int_equal(v->cpu.rip, NMI_HANDLER + 1);
    assert_int_equal(saved_eip(), CODE);
    /* And with interrupts off. */
    begin();
    v->cpu.rflags &= ~FLAG_IF;
    nmi_now();
    run(1);
    assert_int_equal(v->cpu.rip, NMI_HANDLER + 1);
}

/* Two interrupts through a trap gate, which leaves IF set: the handler's first instruction comes before the second. */
static void one_interrupt_at_a_boundary(void **state)
{
    (void)state;
    begin();
    gate(VECTOR, HANDLER, 0x8f00);
    gate(VECTOR + 0x10, HANDLER, 0x8f00);
    interrupt_now();
    lapic(LAPIC_ICR, 0x44000 | (VECTOR + 0x10));
    run(1);
    assert_int_equal(v->cpu.gpr[RSP], STACK - 12);
    lapic(LAPIC_EOI, 0); /* of the higher one */
    run(1);
    assert_int_equal(v->cpu.gpr[RSP], STACK - 24);
    assert_int_equal(saved_eip(), HANDLER + 1);
    /* The same in one run: one from the local APIC, one from the 8259A. */
    static const u16 setup[][2] = {{0x20, 0x11}, {0x21, PIC_VECTOR}, {0x21, 4}, {0x21, 1}, {0x21, 0xdf}};
    begin();
    gate(VECTOR, HANDLER, 0x8f00);
    gate(PIC_VECTOR + 5, HANDLER, 0x8f00);
    for (size_t n = 0; n < ARRAY_LEN(setup); n++)
        vm_io_write(v, setup[n][0], setup[n][1], 1);
    vm_io_write(v, SELFTEST_PORT + 0x14, 1, 4); /* raises IRQ 5 */
    interrupt_now();
    run(4);
    assert_int_equal(v->cpu.gpr[RSP], STACK - 24);
    assert_int_equal(saved_eip(), HANDLER + 1);
    assert_int_equal(v->cpu.rip, HANDLER + 3);
}

/* ---- Halts -------------------------------------------------------------------------------------- */

static void a_halt_waits_for_the_next_event(void **state)
{
    (void)state;
    begin();
    PUT(CODE + 2, 0xf4);
    lapic(LAPIC_LVT_TIMER, VECTOR);
    lapic(LAPIC_COUNT, 5000);
    u64 start = vm_now(vm);
    assert_stops(VM_STOP_WAIT_INPUT, 3);
    assert_int_equal(vm_wake_time(vm), start + 5000);
    assert_stops(VM_STOP_WAIT_INPUT, 0); /* still */
    vm_skip_to(vm, start + 4999);
    assert_int_equal(vm_now(vm), start + 4999);
    assert_stops(VM_STOP_WAIT_INPUT, 0);
    vm_skip_to(vm, vm_wake_time(vm));
    u64 icount = v->cpu.icount;
    run(4);
    assert_int_equal(v->cpu.rip, HANDLER + 4);
    assert_int_equal(saved_eip(), CODE + 3);
    assert_int_equal(vm_now(vm), start + 5004);
    assert_int_equal(v->cpu.icount, icount + 4);
    vm_skip_to(vm, start); /* time does not go back */
    assert_int_equal(vm_now(vm), start + 5004);
    /* Timers go on from the virtual time, not from the icount. */
    v->cpu.rflags |= FLAG_IF;
    lapic(LAPIC_EOI, 0);
    lapic(LAPIC_COUNT, 10);
    run(11);
    assert_int_equal(v->cpu.rip, HANDLER + 1);
    assert_int_equal(saved_eip(), HANDLER + 14);
}

static void a_halt_that_nothing_ends(void **state)
{
    (void)state;
    begin();
    PUT(CODE, 0xfa, 0xf4); /* cli; hlt */
    lapic(LAPIC_LVT_TIMER, VECTOR);
    lapic(LAPIC_COUNT, 100);
    assert_stops(VM_STOP_IDLE, 2);
    vm_skip_to(vm, vm_wake_time(vm));
    assert_stops(VM_STOP_IDLE, 0); /* the interrupt waits, IF is clear */
    nmi_now();
    run(1);
    assert_int_equal(v->cpu.rip, NMI_HANDLER + 1);
    assert_int_equal(saved_eip(), CODE + 2);
}

/* STI; HLT: an interrupt that is already there wakes it (SDM vol. 2, STI). */
static void a_halt_in_the_shadow_of_sti(void **state)
{
    (void)state;
    assert_int_equal(TAKEN_AT(false, 0xfb, 0xf4), CODE + 2);
}

/* ---- Reasons to stop ---------------------------------------------------------------------------- */

static void requests_end_the_run_after_their_instruction(void **state)
{
    (void)state;
    static const struct { u16 port; u32 value; u8 size; enum vm_stop stop; } requests[] = {
        {0xf4, 0x5a, 1, VM_STOP_DEBUG_EXIT}, {0x604, 5 << 10 | 0x2000, 2, VM_STOP_POWER_OFF},
        {0xcf9, 6, 1, VM_STOP_RESET}, {0x64, 0xfe, 1, VM_STOP_RESET}, {0x92, 3, 1, VM_STOP_RESET},
    };
    for (size_t n = 0; n < ARRAY_LEN(requests); n++) {
        begin();
        PUT(CODE + 4, requests[n].size == 1 ? 0x90 : 0x66, requests[n].size == 1 ? 0xee : 0xef); /* out dx, al or ax */
        v->cpu.gpr[RAX] = requests[n].value;
        v->cpu.gpr[RDX] = requests[n].port;
        assert_stops(requests[n].stop, requests[n].size == 1 ? 6 : 5);
        if (requests[n].stop == VM_STOP_DEBUG_EXIT)
            assert_int_equal(vm->exit_value, 0x5a);
        run(3); /* the request is taken: whoever goes on, goes on */
        assert_int_equal(v->cpu.rip, CODE + 9);
    }
    /* A request beats the end of the budget at the same boundary. */
    begin();
    PUT(CODE, 0xe6, 0xf4); /* out 0xf4, al */
    assert_int_equal(vm_run(vm, v->cpu.icount + 1), VM_STOP_DEBUG_EXIT);
}

static void budgets_are_exact(void **state)
{
    (void)state;
    begin();
    for (u64 n = 0; n < 40; n++)
        run(n % 13);
    assert_int_equal(vm_run(vm, v->cpu.icount - 1), VM_STOP_ICOUNT); /* in the past: nothing runs */
    assert_int_equal(v->cpu.rip - CODE, 3 * (12 * 13 / 2));
}

static void assert_shut_down(void)
{
    u64 icount = v->cpu.icount, rip = v->cpu.rip;
    assert_int_equal(vm_run(vm, icount + 1000), VM_STOP_TRIPLE_FAULT);
    assert_int_equal(v->cpu.icount, icount);
    assert_int_equal(v->cpu.rip, rip);
}

/* Nothing but a reset ends a shutdown here, and least of all an interrupt that is due (SDM vol. 3, 6.15, #DF). */
static void triple_faults(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 3; n++) {
        begin();
        PUT(CODE + 1, 0x0f, 0x0b); /* #UD with neither #UD nor #DF in the IDT */
        if (n == 1) {
            lapic(LAPIC_LVT_TIMER, VECTOR);
            lapic(LAPIC_COUNT, 2); /* due at the fault */
        }
        assert_int_equal(vm_run(vm, v->cpu.icount + 100), VM_STOP_TRIPLE_FAULT);
        assert_int_equal(v->cpu.activity, ACTIVITY_SHUTDOWN);
        assert_int_equal(v->cpu.rip, CODE + 1);
        if (n == 2)
            interrupt_now();
        assert_shut_down();
        assert_shut_down();
    }
    /* An NMI whose delivery fails, with an interrupt waiting that could be delivered. */
    begin();
    gate(VEC_NMI, 0, 0);
    nmi_now();
    interrupt_now();
    assert_int_equal(vm_run(vm, v->cpu.icount + 100), VM_STOP_TRIPLE_FAULT);
    assert_shut_down();
}

/* ---- Reset -------------------------------------------------------------------------------------- */

static void a_reset_keeps_memory_and_time(void **state)
{
    (void)state;
    begin();
    run(7);
    vm_skip_to(vm, vm_now(vm) + 100);
    u64 icount = v->cpu.icount, now = vm_now(vm);
    v->cpu.nmi_pending = 1;
    v->cpu.activity = ACTIVITY_SHUTDOWN;
    v->cpu.cr0 |= CR0_WP;
    v->cpu.tsc_offset = 12345;
    lapic(LAPIC_LVT_TIMER, VECTOR);
    lapic(LAPIC_COUNT, 3);
    vm->request = REQUEST_RESET;
    *ram(DATA) = 0x77;
    vm_reset(vm);
    struct cpu fresh = {.icount = icount};
    cpu_reset(&fresh, vm->config.model);
    fresh.tsc_offset = v->cpu.tsc_offset;
    assert_memory_equal(&v->cpu, &fresh, offsetof(struct cpu, fpu));
    assert_int_equal(vm_now(vm), now);
    assert_int_equal((s64)vm_tsc(vm) + v->cpu.tsc_offset, 0); /* SDM vol. 3, table 9-1 */
    assert_int_equal(*ram(DATA), 0x77);
    assert_int_equal(v->mode, CODE_16);
    assert_int_equal(vm->request, REQUEST_NONE);
    u64 wake = vm_wake_time(vm); /* the timer is gone */
    assert_true(wake > now + 3);
    /* What was cached for the old state is not executed: 16-bit code where 32-bit code was. */
    PUT(CODE, 0xb8, 0x01, 0x00, 0x40, 0x90);
    v->cpu.seg[SEG_CS].base = 0;
    v->cpu.seg[SEG_CS].limit = 0xffff;
    v->cpu.rip = CODE;
    vcpu_update_mode(v);
    run(2);
    assert_reg(RAX, 2);
}

static void a_reset_forgets_translations(void **state)
{
    (void)state;
    u8 byte = 0;
    enter(CODE_64);
    store64(TABLES + 0x3000 + 8 * (DATA >> PAGE_SHIFT), (DATA + PAGE_SIZE) | 3);
    tlb_flush(v);
    *ram(DATA) = 0x11;
    *ram(DATA + PAGE_SIZE) = 0x22;
    assert_true(mem_read8(v, DATA, &byte));
    assert_int_equal(byte, 0x22);
    vm_reset(vm);
    assert_true(mem_read8(v, DATA, &byte));
    assert_int_equal(byte, 0x11);
}

static void machines_that_cannot_be(void **state)
{
    (void)state;
    struct vm *other = NULL;
    struct vm_config config = {.model = cpu_model_find(CPU_MODEL_DEFAULT), .engine = &engine_interp};
    static const u64 sizes[] = {0, 0x80000, 0x180000, 0x100001};
    for (size_t n = 0; n < ARRAY_LEN(sizes); n++) {
        config.ram_bytes = sizes[n];
        assert_int_equal(vm_create(&other, &config), STATUS_BAD_ARGUMENT);
        assert_null(other);
    }
    config.ram_bytes = 1ull << 60;
    assert_int_equal(vm_create(&other, &config), STATUS_NO_MEMORY);
    config.ram_bytes = 1 << 20;
    assert_int_equal(vm_create(&other, &config), STATUS_OK);
    assert_int_equal(vm_now(other), 0);
    vm_destroy(other);
}

/* The host's wish stays: this test comes last. */
static void the_host_asks_to_stop(void **state)
{
    (void)state;
    begin();
    run(2);
    host_request_stop(STOP_REASON_USER);
    assert_stops(VM_STOP_HOST, 0);
    /* A request of the guest is not lost to it. */
    vm->request = REQUEST_POWER_OFF;
    assert_stops(VM_STOP_POWER_OFF, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timer_interrupts_at_its_icount),
        cmocka_unit_test(the_pit_interrupts_at_its_icount),
        cmocka_unit_test(a_boundary_serves_once),
        cmocka_unit_test(shadows_delay_by_one_instruction),
        cmocka_unit_test(a_timer_in_a_shadow),
        cmocka_unit_test(debug_traps_come_before_interrupts),
        cmocka_unit_test(nmi_comes_first_and_blocks_itself),
        cmocka_unit_test(one_interrupt_at_a_boundary),
        cmocka_unit_test(a_halt_waits_for_the_next_event),
        cmocka_unit_test(a_halt_that_nothing_ends),
        cmocka_unit_test(a_halt_in_the_shadow_of_sti),
        cmocka_unit_test(requests_end_the_run_after_their_instruction),
        cmocka_unit_test(budgets_are_exact),
        cmocka_unit_test(triple_faults),
        cmocka_unit_test(a_reset_keeps_memory_and_time),
        cmocka_unit_test(a_reset_forgets_translations),
        cmocka_unit_test(machines_that_cannot_be),
        cmocka_unit_test(the_host_asks_to_stop),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
