/* Who may access which port, and string I/O iteration by iteration: SDM vol. 1, 19.5; vol. 2, "INS", "OUTS". */
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

enum { PORT = 0x4d, MAP = 0x68 }; /* a port without a device; where the bitmap begins in the TSS */

/* A TSS whose bitmap permits everything but the ports in `denied`, a mask of ports PORT..PORT+31. */
static void make_bitmap(u32 denied)
{
    u8 map[0x2000] = {0};
    u16 base = MAP;
    for (unsigned n = 0; n < 32; n++)
        if (denied >> n & 1)
            map[(PORT + n) / 8] |= (u8)(1 << (PORT + n) % 8);
    machine_poke(vm, MACHINE_TSS + 102, &base, 2);
    machine_poke(vm, MACHINE_TSS + MAP, map, sizeof map);
}

static struct vcpu *enter(enum machine_mode mode, unsigned cpl, unsigned iopl)
{
    struct vcpu *v = machine_enter(vm, mode, cpl);
    v->cpu.rflags |= iopl << FLAG_IOPL_SHIFT;
    v->cpu.gpr[RDX] = PORT;
    v->cpu.gpr[RAX] = 0x1122334455667788;
    return v;
}

#define IN_AL_DX 0xec
#define IN_EAX_DX 0xed
#define OUT_DX_EAX 0xef
#define INSB 0x6c
#define INSD 0x6d
#define OUTSB 0x6e
#define REP 0xf3

static void the_bitmap_decides_beyond_iopl(void **state)
{
    (void)state;
    make_bitmap(0xffffffff);
    assert_faults(enter(PROTECTED, 3, 2), VEC_GP, IN_AL_DX);
    assert_faults(enter(PROTECTED, 3, 2), VEC_GP, 0xe4, PORT);
    assert_retires(enter(PROTECTED, 3, 3), IN_AL_DX);
    assert_retires(enter(PROTECTED, 0, 0), IN_AL_DX);
    assert_retires(enter(REAL, 0, 0), IN_AL_DX);
    assert_faults(enter(V86, 3, 3), VEC_GP, IN_AL_DX); /* whatever IOPL says */
    make_bitmap(0);
    assert_retires(enter(V86, 3, 0), IN_AL_DX);
    assert_retires(enter(PROTECTED, 3, 0), IN_EAX_DX);
}

static void every_byte_of_the_access_needs_its_bit(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 5; n++) {
        make_bitmap(1u << n);
        struct vcpu *v = enter(LONG, 3, 0);
        if (n < 4)
            assert_faults(v, VEC_GP, OUT_DX_EAX);
        else
            assert_retires(v, OUT_DX_EAX);
    }
}

static void the_bitmap_must_lie_within_the_limit(void **state)
{
    (void)state;
    make_bitmap(0);
    struct vcpu *v = enter(PROTECTED, 3, 0);
    v->cpu.tr.limit = MAP + PORT / 8 + 1;
    assert_retires(v, IN_AL_DX);
    v->cpu.tr.limit--;
    assert_faults(v, VEC_GP, IN_AL_DX);
    v->cpu.tr.limit = 102;
    assert_faults(v, VEC_GP, IN_AL_DX);
    v = enter(PROTECTED, 3, 0);
    v->cpu.tr.attributes = SEG_P | 3; /* a 16-bit TSS has no bitmap */
    assert_faults(v, VEC_GP, IN_AL_DX);
}

static void results_land_by_operand_size(void **state)
{
    (void)state;
    struct vcpu *v = enter(LONG, 0, 0);
    assert_retires(v, IN_AL_DX);
    assert_int_equal(v->cpu.gpr[RAX], 0x11223344556677ff);
    assert_retires(v, 0x66, IN_EAX_DX);
    assert_int_equal(v->cpu.gpr[RAX], 0x112233445566ffff);
    assert_retires(v, 0x48, IN_EAX_DX); /* REX.W changes nothing */
    assert_int_equal(v->cpu.gpr[RAX], 0xffffffff);
    assert_int_not_equal(v->stop_at, 0); /* nothing has come of it */
    v->cpu.nmi_pending = 1;
    assert_retires(v, IN_AL_DX);
    assert_int_equal(v->stop_at, 0);
}

static void string_input_counts_its_iterations(void **state)
{
    (void)state;
    struct vcpu *v = enter(LONG, 0, 0);
    u64 icount = v->cpu.icount, zero = 0;
    machine_poke(vm, MACHINE_DATA, &zero, 8);
    v->cpu.gpr[RCX] = 3;
    v->cpu.gpr[RDI] = MACHINE_DATA;
    assert_int_equal(RUN(v, REP, INSB), EXEC_REPEAT);
    assert_int_equal(RUN(v, REP, INSB), EXEC_REPEAT);
    assert_int_equal(RUN(v, REP, INSB), EXEC_NEXT);
    assert_int_equal(v->cpu.icount, icount + 2); /* the loop adds the last */
    assert_int_equal(v->cpu.gpr[RCX], 0);
    assert_int_equal(v->cpu.gpr[RDI], MACHINE_DATA + 3);
    assert_int_equal(machine_peek(vm, MACHINE_DATA, 8), 0xffffff);
    u64 reads = vm->stats.io_reads;
    assert_retires(v, REP, INSB);
    assert_int_equal(vm->stats.io_reads, reads);
    assert_int_equal(v->cpu.gpr[RDI], MACHINE_DATA + 3);
}

static void pointers_wrap_at_the_address_size(void **state)
{
    (void)state;
    struct vcpu *v = enter(PROTECTED, 0, 0);
    v->cpu.rflags |= FLAG_DF;
    v->cpu.gpr[RDI] = 0xffffffffabcd0002;
    v->cpu.gpr[RCX] = 0xffffffffabcd0002;
    assert_int_equal(RUN(v, 0x67, REP, INSD), EXEC_REPEAT);
    assert_int_equal(v->cpu.gpr[RDI], 0xffffffffabcdfffe);
    assert_int_equal(v->cpu.gpr[RCX], 0xffffffffabcd0001);
    v = enter(LONG, 0, 0);
    v->cpu.gpr[RDI] = 0x1234567800000000 | MACHINE_DATA;
    assert_retires(v, 0x67, INSD);
    assert_int_equal(v->cpu.gpr[RDI], MACHINE_DATA + 4);
}

static void a_faulting_destination_leaves_the_port_alone(void **state)
{
    (void)state;
    struct vcpu *v = enter(LONG, 3, 3);
    u64 reads = vm->stats.io_reads;
    machine_poke(vm, MACHINE_PD + 8, &(u64){2u << 20 | 0x85}, 8);
    tlb_flush(v);
    v->cpu.gpr[RCX] = 2;
    v->cpu.gpr[RDI] = (2u << 20) - 2;
    assert_int_equal(RUN(v, REP, INSD), EXEC_FAULT);
    assert_int_equal(v->fault.vector, VEC_PF);
    assert_int_equal(v->fault.cr2, 2u << 20);
    assert_int_equal(vm->stats.io_reads, reads);
    v->cpu.cr0 |= CR0_AM;
    v->cpu.rflags |= FLAG_AC;
    vcpu_update_mode(v);
    v->cpu.gpr[RDI] = MACHINE_DATA + 1;
    assert_int_equal(RUN(v, INSD), EXEC_FAULT);
    assert_int_equal(v->fault.vector, VEC_AC);
    assert_int_equal(vm->stats.io_reads, reads);
}

static void string_output_checks_segment_and_port_first(void **state)
{
    (void)state;
    struct vcpu *v = enter(PROTECTED, 0, 0);
    u64 writes = vm->stats.io_writes;
    v->cpu.seg[SEG_FS].limit = 0xff;
    v->cpu.gpr[RSI] = 0x100;
    vcpu_update_mode(v);
    assert_faults(v, VEC_GP, 0x64, OUTSB);
    assert_int_equal(vm->stats.io_writes, writes);
    assert_retires(v, OUTSB);
    assert_int_equal(vm->stats.io_writes, writes + 1);
    assert_int_equal(v->cpu.gpr[RSI], 0x101);
    make_bitmap(1);
    v = enter(PROTECTED, 3, 0);
    v->cpu.gpr[RSI] = 0x100;
    assert_faults(v, VEC_GP, OUTSB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bitmap_decides_beyond_iopl),
        cmocka_unit_test(every_byte_of_the_access_needs_its_bit),
        cmocka_unit_test(the_bitmap_must_lie_within_the_limit),
        cmocka_unit_test(results_land_by_operand_size),
        cmocka_unit_test(string_input_counts_its_iterations),
        cmocka_unit_test(pointers_wrap_at_the_address_size),
        cmocka_unit_test(a_faulting_destination_leaves_the_port_alone),
        cmocka_unit_test(string_output_checks_segment_and_port_first),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
