/* Edge coverage: which way each conditional jump goes and where indirect ones lead, without a trace in the guest. */
#include "sbe/coverage.h"

#include "replay/hash.h"
#include "sbe/machine_for_tests.h"

static u8 map[COVERAGE_MAP_BYTES];

static struct vm *start(const struct engine *engine, enum machine_mode mode, const u8 *code, unsigned bytes)
{
    struct vm *vm = NULL;
    struct vm_config config = {.ram_bytes = MACHINE_RAM, .model = cpu_model_find("max"), .engine = engine};
    assert_int_equal(vm_create(&vm, &config), STATUS_OK);
    struct vcpu *v = machine_enter(vm, mode, 0);
    for (unsigned n = 0; n < GPR_COUNT; n++)
        if (n != RSP)
            v->cpu.gpr[n] = 0x01020304u * (n + 1) >> (n & 3);
    machine_poke(vm, MACHINE_CODE, code, bytes);
    return vm;
}

static void run(struct vm *vm, u64 instructions)
{
    assert_int_equal(vm_run(vm, vm->vcpu[0]->cpu.icount + instructions), VM_STOP_ICOUNT);
}

static unsigned counters(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < sizeof map; i++)
        n += map[i] != 0;
    return n;
}

/* Two conditional jumps in one go, as compilers make of byte after byte compared; the second is never reached at first. */
static const u8 compare[] = {
    0x3c, 'a',        /* 0  cmp al, 'a' */
    0x75, 0x05,       /* 2  jne 9 */
    0x80, 0xfc, 'b',  /* 4  cmp ah, 'b' */
    0x75, 0x00,       /* 7  jne 9 */
    0xeb, 0xf5,       /* 9  jmp 0 */
};
enum { FIRST = MACHINE_CODE + 2, SECOND = MACHINE_CODE + 7 };

static u8 at(u64 rip, unsigned what) { return map[coverage_index(rip, what)]; }

static void each_way_is_counted(void **state)
{
    (void)state;
    for (unsigned mode = PROTECTED; mode <= LONG; mode++) {
        struct vm *vm = start(&engine_sbe, (enum machine_mode)mode, compare, sizeof compare);
        memset(map, 0, sizeof map);
        assert_true(coverage_start(vm->vcpu[0], map));
        vm->vcpu[0]->cpu.gpr[RAX] = 'x';
        run(vm, 3 * 10);
        assert_int_equal(at(FIRST, COVERAGE_JUMPS), 10);
        assert_int_equal(at(FIRST, COVERAGE_FALLS), 0);
        vm->vcpu[0]->cpu.gpr[RAX] = 'a';
        run(vm, 5 * 7);
        assert_int_equal(at(FIRST, COVERAGE_JUMPS), 10);
        assert_int_equal(at(FIRST, COVERAGE_FALLS), 7);
        assert_int_equal(at(SECOND, COVERAGE_JUMPS), 7);
        assert_int_equal(counters(), 3);
        vm->vcpu[0]->cpu.gpr[RAX] = 'b' << 8 | 'a';
        run(vm, 5 * 256);
        assert_int_equal(at(SECOND, COVERAGE_FALLS), 0); /* a byte, which wraps */
        assert_int_equal(at(FIRST, COVERAGE_FALLS), 7);
        assert_true(coverage_start(vm->vcpu[0], NULL));
        run(vm, 5 * 3);
        assert_int_equal(at(FIRST, COVERAGE_FALLS), 7);
        vm_destroy(vm);
    }
}

/* CALL of a register, whose value alternates between two returns. */
static const u8 calls[] = {
    0xba, 0x0e, 0x70, 0, 0, /* 0  mov edx, MACHINE_CODE + 14 */
    0x83, 0xf3, 0x01,       /* 5  xor ebx, 1 */
    0x01, 0xda,             /* 8  add edx, ebx */
    0xff, 0xd2,             /* 10 call edx */
    0xeb, 0xf2,             /* 12 jmp 0 */
    0x90,                   /* 14 nop */
    0xc3,                   /* 15 ret */
};

static void targets_are_told_apart(void **state)
{
    (void)state;
    for (unsigned mode = PROTECTED; mode <= LONG; mode++) {
        struct vm *vm = start(&engine_sbe, (enum machine_mode)mode, calls, sizeof calls);
        memset(map, 0, sizeof map);
        vm->vcpu[0]->cpu.gpr[RBX] = 0;
        assert_true(coverage_start(vm->vcpu[0], map));
        run(vm, 13 * 20 + 7); /* 6 and 7 instructions in turn; the interpreter executes the last ones, where a block does not fit */
        assert_int_equal(counters(), 2);
        unsigned index = (coverage_index(MACHINE_CODE + 10, COVERAGE_TARGET) + MACHINE_CODE + 14) % COVERAGE_MAP_BYTES;
        assert_in_range(map[index], 20, 21);
        assert_in_range(map[(index + 1) % COVERAGE_MAP_BYTES], 20, 21);
        vm_destroy(vm);
    }
}

/* All the flags pass through: ADC and SETcc behind the jumps would show it. */
static const u8 flags[] = {
    0x00, 0xd8,             /* 0  add al, bl */
    0x72, 0x02,             /* 2  jc 6 */
    0x10, 0xc4,             /* 4  adc ah, al */
    0x70, 0x03,             /* 6  jo 11 */
    0x83, 0xd1, 0x05,       /* 8  adc ecx, 5 */
    0x7a, 0x02,             /* 11 jp 15 */
    0x11, 0xca,             /* 13 adc edx, ecx */
    0xbe, 0x18, 0x70, 0, 0, /* 15 mov esi, MACHINE_CODE + 24 */
    0xff, 0xe6,             /* 20 jmp esi */
    0x90, 0x90,             /* 22 */
    0x83, 0xd7, 0x01,       /* 24 adc edi, 1 */
    0xeb, 0xe3,             /* 27 jmp 0 */
};

static void the_guest_cannot_tell(void **state)
{
    (void)state;
    for (unsigned mode = PROTECTED; mode <= LONG; mode++) {
        u64 hash[2];
        for (unsigned n = 0; n < 2; n++) {
            struct vm *vm = start(n ? &engine_sbe : &engine_interp, (enum machine_mode)mode, flags, sizeof flags);
            memset(map, 0, sizeof map);
            assert_int_equal(coverage_start(vm->vcpu[0], map), n);
            for (unsigned piece = 1; piece < 40; piece++)
                run(vm, piece * 7);
            hash[n] = state_hash(vm);
            vm_destroy(vm);
        }
        assert_int_equal(hash[0], hash[1]);
        assert_in_range(counters(), 6, 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_way_is_counted),
        cmocka_unit_test(targets_are_told_apart),
        cmocka_unit_test(the_guest_cannot_tell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
