/* Run-time conditions of rows, descriptor-table registers, and the instructions of sbe/interp_system.c. */
#include "sbe/machine_for_tests.h"

static struct vm *vm, *old;

static int create(void **state)
{
    (void)state;
    vm = machine_create("max");
    old = machine_create("pentium");
    return 0;
}

static int destroy(void **state)
{
    (void)state;
    vm_destroy(vm);
    vm_destroy(old);
    return 0;
}

#define FLD1 0xd9, 0xe8
#define FWAIT 0x9b
#define PXOR_MM0 0x0f, 0xef, 0xc0
#define XORPS 0x0f, 0x57, 0xc0
#define RDTSC 0x0f, 0x31
#define RDTSCP 0x0f, 0x01, 0xf9
#define SGDT_RBX 0x0f, 0x01, 0x03
#define SIDT_RBX 0x0f, 0x01, 0x0b
#define LGDT_RBX 0x0f, 0x01, 0x13
#define LIDT_RBX 0x0f, 0x01, 0x1b
#define MONITOR 0x0f, 0x01, 0xc8
#define MWAIT 0x0f, 0x01, 0xc9

enum { NONE = 0xff };

/* SDM vol. 3, tables 9-3 and 12-1, 13.1: what CR0 and CR4.OSFXSR do to each unit. Vectors, or NONE. */
static void units_obey_cr0_and_osfxsr(void **state)
{
    static const struct { u32 cr0, cr4; u8 x87, wait, mmx, sse; } cases[] = {
        {0, CR4_OSFXSR, NONE, NONE, NONE, NONE},
        {CR0_MP, CR4_OSFXSR, NONE, NONE, NONE, NONE},
        {CR0_TS, CR4_OSFXSR, VEC_NM, NONE, VEC_NM, VEC_NM},
        {CR0_TS | CR0_MP, CR4_OSFXSR, VEC_NM, VEC_NM, VEC_NM, VEC_NM},
        {CR0_EM, CR4_OSFXSR, VEC_NM, NONE, VEC_UD, VEC_UD},
        {CR0_EM | CR0_TS, CR4_OSFXSR, VEC_NM, NONE, VEC_UD, VEC_UD},
        {0, 0, NONE, NONE, NONE, VEC_UD},
        {CR0_TS, 0, VEC_NM, NONE, VEC_NM, VEC_UD},
    };
    static const u8 bytes[4][3] = {{FLD1}, {FWAIT}, {PXOR_MM0}, {XORPS}};
    (void)state;
    for (unsigned n = 0; n < ARRAY_LEN(cases); n++) {
        const u8 expected[4] = {cases[n].x87, cases[n].wait, cases[n].mmx, cases[n].sse};
        for (unsigned unit = 0; unit < 4; unit++) {
            struct vcpu *v = machine_enter(vm, PROTECTED, 3);
            struct insn insn;
            v->cpu.cr0 |= cases[n].cr0;
            v->cpu.cr4 = cases[n].cr4;
            assert_int_equal(decode(bytes[unit], 3, CODE_32, &insn), DECODE_OK);
            bool forbidden = insn_forbidden(v, &insn);
            if (forbidden != (expected[unit] != NONE) || (forbidden && v->fault.vector != expected[unit]))
                fail_msg("case %u, unit %u: forbidden %d, vector %u", n, unit, forbidden, v->fault.vector);
        }
    }
}

static void missing_features_are_undefined_opcodes(void **state)
{
    (void)state;
    struct vcpu *v = machine_enter(old, PROTECTED, 0);
    assert_faults(v, VEC_UD, RDTSCP);
    assert_faults(v, VEC_UD, 0x0f, 0x34); /* SYSENTER */
    assert_faults(v, VEC_UD, 0x0f, 0x45, 0xc0); /* CMOVNE */
    for (u8 opcode = 0x18; opcode < 0x20; opcode++)
        assert_faults(v, VEC_UD, 0x0f, opcode, 0xc0); /* NOP r/m32, and hints */
    assert_retires(v, RDTSC);
    v = machine_enter(old, PROTECTED, 3);
    assert_faults(v, VEC_UD, MONITOR);
    v = machine_enter(vm, PROTECTED, 0);
    assert_retires(v, 0x0f, 0x1f, 0xc0);
}

static void privileged_rows_need_ring_0(void **state)
{
    static const u8 rows[][3] = {
        {0xf4}, {0x0f, 0x06}, {0x0f, 0x08}, {0x0f, 0x09}, {0x0f, 0x30}, {0x0f, 0x32}, {0x0f, 0x01, 0x3b}, {LGDT_RBX},
        {LIDT_RBX}, {0x0f, 0x01, 0xf0},
    };
    (void)state;
    for (unsigned n = 0; n < ARRAY_LEN(rows); n++)
        for (unsigned cpl = 1; cpl < 4; cpl++) {
            struct vcpu *v = machine_enter(vm, PROTECTED, cpl);
            struct insn insn;
            assert_int_equal(decode(rows[n], 3, CODE_32, &insn), DECODE_OK);
            assert_true(insn_forbidden(v, &insn));
            assert_int_equal(v->fault.vector, VEC_GP);
        }
}

static void table_loads_follow_operand_size(void **state)
{
    static const u8 image[10] = {0x34, 0x12, 0x78, 0x56, 0x34, 0x92, 0xff, 0xff, 0xff, 0xff};
    (void)state;
    struct vcpu *v = machine_enter(vm, PROTECTED, 0);
    v->cpu.gpr[RBX] = MACHINE_DATA;
    machine_poke(vm, MACHINE_DATA, image, sizeof image);
    assert_retires(v, LGDT_RBX);
    assert_int_equal(v->cpu.gdtr.base, 0x92345678);
    assert_int_equal(v->cpu.gdtr.limit, 0x1234);
    assert_retires(v, 0x66, LIDT_RBX);
    assert_int_equal(v->cpu.idtr.base, 0x345678);
    v = machine_enter(vm, LONG, 0);
    v->cpu.gpr[RBX] = MACHINE_DATA;
    assert_retires(v, 0x66, LIDT_RBX);
    assert_int_equal(v->cpu.idtr.base, 0xffffffff92345678);
    machine_poke(vm, MACHINE_DATA + 9, &(u8){0x7f}, 1);
    assert_faults(v, VEC_GP, LGDT_RBX);
}

static void table_stores_write_the_whole_base(void **state)
{
    (void)state;
    struct vcpu *v = machine_enter(vm, PROTECTED, 3);
    u64 ones = UINT64_MAX;
    v->cpu.gdtr = (struct table_register){0xfedcba98, 0x7654};
    v->cpu.gpr[RBX] = MACHINE_DATA;
    machine_poke(vm, MACHINE_DATA, &ones, 8);
    assert_retires(v, 0x66, SGDT_RBX);
    assert_int_equal(machine_peek(vm, MACHINE_DATA, 8), 0xfffffedcba987654);
    v->cpu.cr4 |= CR4_UMIP;
    assert_faults(v, VEC_GP, SGDT_RBX);
    assert_faults(v, VEC_GP, SIDT_RBX);
    v = machine_enter(vm, LONG, 3);
    v->cpu.idtr = (struct table_register){0xfffffe0000000000, 0xfff};
    v->cpu.gpr[RBX] = MACHINE_DATA;
    assert_retires(v, SIDT_RBX);
    assert_int_equal(machine_peek(vm, MACHINE_DATA, 2), 0xfff);
    assert_int_equal(machine_peek(vm, MACHINE_DATA + 2, 8), 0xfffffe0000000000);
}

static void a_table_store_across_a_bad_page_writes_nothing(void **state)
{
    (void)state;
    struct vcpu *v = machine_enter(vm, LONG, 3);
    u64 not_present = 0, at = (2u << 20) - 4;
    machine_poke(vm, MACHINE_PD + 8, &not_present, 8);
    tlb_flush(v);
    v->cpu.gpr[RBX] = at;
    machine_poke(vm, at, &(u32){0x55aa55aa}, 4);
    assert_int_equal(RUN(v, SGDT_RBX), EXEC_FAULT);
    assert_int_equal(v->fault.cr2, 2u << 20);
    assert_int_equal(machine_peek(vm, at, 4), 0x55aa55aa);
}

static void time_can_be_closed_to_users(void **state)
{
    (void)state;
    struct vcpu *v = machine_enter(vm, LONG, 3);
    v->cpu.tsc_offset = 0x500000000;
    v->cpu.tsc_aux = 7;
    v->cpu.gpr[RCX] = UINT64_MAX;
    assert_retires(v, RDTSCP);
    assert_int_equal(v->cpu.gpr[RDX] << 32 | v->cpu.gpr[RAX], vm_tsc(vm) + 0x500000000);
    assert_int_equal(v->cpu.gpr[RCX], 7);
    v->cpu.cr4 |= CR4_TSD;
    assert_faults(v, VEC_GP, RDTSC);
    assert_faults(v, VEC_GP, RDTSCP);
    v->cpu.cpl = 0;
    assert_retires(v, RDTSC);
}

static void cpuid_fills_four_registers(void **state)
{
    (void)state;
    struct vcpu *v = machine_enter(vm, LONG, 3);
    v->cpu.gpr[RAX] = 0xdead00000000;
    v->cpu.gpr[RBX] = v->cpu.gpr[RCX] = v->cpu.gpr[RDX] = UINT64_MAX;
    assert_retires(v, 0x0f, 0xa2);
    assert_int_equal(v->cpu.gpr[RAX], 0x16);
    assert_int_equal(v->cpu.gpr[RBX], 0x756e6547);
    assert_int_equal(v->cpu.gpr[RDX], 0x49656e69);
    assert_int_equal(v->cpu.gpr[RCX], 0x6c65746e);
}

static void monitor_and_mwait_check_and_do_nothing(void **state)
{
    (void)state;
    struct vcpu *v = machine_enter(vm, LONG, 0);
    v->cpu.gpr[RAX] = MACHINE_DATA;
    assert_retires(v, MONITOR);
    assert_retires(v, MWAIT);
    v->cpu.gpr[RCX] = 1;
    assert_retires(v, MWAIT);
    assert_faults(v, VEC_GP, MONITOR);
    v->cpu.gpr[RCX] = 2;
    assert_faults(v, VEC_GP, MWAIT);
    v->cpu.gpr[RCX] = 0;
    v->cpu.gpr[RAX] = 1ull << 40;
    assert_int_equal(RUN(v, MONITOR), EXEC_FAULT);
    assert_int_equal(v->fault.vector, VEC_PF);
    assert_faults(machine_enter(vm, LONG, 3), VEC_UD, MONITOR);
    assert_faults(machine_enter(vm, LONG, 3), VEC_UD, MWAIT);
}

static void halt_stops_the_processor(void **state)
{
    (void)state;
    struct vcpu *v = machine_enter(vm, LONG, 0);
    assert_retires(v, 0xf4);
    assert_int_equal(v->cpu.activity, ACTIVITY_HALTED);
    assert_int_equal(v->stop_at, 0);
    assert_faults(v, VEC_UD, 0x0f, 0xaa); /* RSM outside SMM */
    assert_faults(v, VEC_GP, 0x0f, 0x33); /* RDPMC without counters */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units_obey_cr0_and_osfxsr),
        cmocka_unit_test(missing_features_are_undefined_opcodes),
        cmocka_unit_test(privileged_rows_need_ring_0),
        cmocka_unit_test(table_loads_follow_operand_size),
        cmocka_unit_test(table_stores_write_the_whole_base),
        cmocka_unit_test(a_table_store_across_a_bad_page_writes_nothing),
        cmocka_unit_test(time_can_be_closed_to_users),
        cmocka_unit_test(cpuid_fills_four_registers),
        cmocka_unit_test(monitor_and_mwait_check_and_do_nothing),
        cmocka_unit_test(halt_stops_the_processor),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
