/* A debugger's stops are met where they should be, and the guest never knows. */
#include "core/stops.h"

#include "replay/hash.h"
#include "sbe/test_code.h"

enum { IDT_AT = 0x3000, GDT_AT = 0x4000, HANDLER = 0x5000, END = 2000 };

static struct stops stops;

/* A loop with a store, a load, a read-modify-write, a string copy and an INT3 whose handler returns. */
static void begin(void)
{
    vm->stops = NULL;
    vm->clock.skipped_ns = v->cpu.icount = 0;
    enter(CODE_32);
    stops = (struct stops){.passed = UINT64_MAX};
    u64 code = 0x00cf9a000000ffff, data = 0x00cf92000000ffff, gate = 0x00008e0000085000;
    phys_write(vm, gpa(GDT_AT + 8), &code, 8);
    phys_write(vm, gpa(GDT_AT + 16), &data, 8);
    phys_write(vm, gpa(IDT_AT + 8 * VEC_BP), &gate, 8);
    v->cpu.gdtr = (struct table_register){.base = GDT_AT, .limit = 23};
    v->cpu.idtr = (struct table_register){.base = IDT_AT, .limit = 0x7ff};
    v->cpu.seg[SEG_CS].selector = 8;
    v->cpu.seg[SEG_SS].selector = 16;
    PUT(HANDLER, 0xcf); /* iret */
    PUT(CODE, 0x40,     /* 1000 inc eax */
        0xa3, 0x00, 0x00, 0x02, 0x00,             /* 1001 mov [0x20000], eax */
        0x8b, 0x1d, 0x08, 0x10, 0x02, 0x00,       /* 1006 mov ebx, [0x21008] */
        0xff, 0x05, 0x10, 0x00, 0x02, 0x00,       /* 100c inc dword [0x20010] */
        0xbe, 0x00, 0x20, 0x02, 0x00,             /* 1012 mov esi, 0x22000 */
        0xbf, 0x00, 0x30, 0x02, 0x00,             /* 1017 mov edi, 0x23000 */
        0xb9, 0x08, 0x00, 0x00, 0x00,             /* 101c mov ecx, 8 */
        0xf3, 0xa5,                               /* 1021 rep movsd */
        0xcc,                                     /* 1023 int3 */
        0xeb, 0xda);                              /* 1024 jmp 1000 */
}

/* Instructions of a round: REP MOVSD counts 8. */
enum { ROUND = 18 };

static u64 undisturbed(void)
{
    begin();
    assert_int_equal(vm_run(vm, END), VM_STOP_ICOUNT);
    return state_hash(vm);
}

static void add(u64 linear, u32 length, enum stop_kind kind)
{
    vm->stops = &stops;
    assert_true(stops_add(vm, (struct stop_point){.linear = linear, .length = length, .kind = kind}));
}

/* Runs on to the next stop; the icount there, or END. */
static u64 next_stop(u64 slice)
{
    for (;;) {
        u64 until = v->cpu.icount + slice;
        enum vm_stop stop = vm_run(vm, until < END ? until : END);
        if (stop == VM_STOP_DEBUG) {
            assert_true(stops.hit);
            stops.hit = false;
            if (stops.hit_point.kind == STOP_EXECUTE)
                stops_pass(vm);
            return v->cpu.icount;
        }
        assert_int_equal(stop, VM_STOP_ICOUNT);
        if (v->cpu.icount == END)
            return END;
    }
}

/* One stop, met once a round: after `offset` instructions of it. `from` is where executing makes it happen. */
static void met_each_round(struct stop_point p, u64 offset, u64 from)
{
    static const u64 slices[] = {UINT32_MAX, 1, 2, 7, 1000};
    u64 hash = undisturbed();
    for (unsigned n = 0; n < ARRAY_LEN(slices); n++) {
        begin();
        add(p.linear, p.length, p.kind);
        for (u64 round = 0; round * ROUND + offset < END; round++) {
            u64 want = round * ROUND + offset, got = next_stop(slices[n]);
            if (got != want || stops.hit_icount != round * ROUND + from)
                fail_msg("slice %llu: stop at %llu from %llu instead of %llu from %llu", (unsigned long long)slices[n],
                         (unsigned long long)got, (unsigned long long)stops.hit_icount, (unsigned long long)want,
                         (unsigned long long)(round * ROUND + from));
        }
        assert_int_equal(next_stop(slices[n]), END);
        assert_int_equal(state_hash(vm), hash);
    }
}

static void execution(void **state)
{
    (void)state;
    static const struct { u32 linear, at; } where[] = {
        {0x1000, 0}, {0x1001, 1}, {0x100c, 3}, {0x1017, 5}, {0x1021, 7}, {0x1023, 15}, {HANDLER, 16}, {0x1024, 17}};
    for (unsigned n = 0; n < ARRAY_LEN(where); n++)
        met_each_round((struct stop_point){where[n].linear, 1, STOP_EXECUTE}, where[n].at, where[n].at);
}

static void data(void **state)
{
    (void)state;
    met_each_round((struct stop_point){0x20000, 4, STOP_WRITE}, 2, 1);
    met_each_round((struct stop_point){0x20003, 1, STOP_ACCESS}, 2, 1);
    met_each_round((struct stop_point){0x21000, 16, STOP_READ}, 3, 2);
    met_each_round((struct stop_point){0x20010, 4, STOP_READ}, 4, 3);
    met_each_round((struct stop_point){0x20010, 4, STOP_WRITE}, 4, 3);
    met_each_round((struct stop_point){0x22000, 4, STOP_READ}, 8, 7);
    met_each_round((struct stop_point){0x23004, 4, STOP_WRITE}, 9, 8);
    met_each_round((struct stop_point){STACK - 4, 4, STOP_WRITE}, 16, 15); /* what INT3 pushes */
}

static void not_met(void **state)
{
    (void)state;
    static const struct stop_point never[] = {
        {0x20004, 12, STOP_ACCESS}, {0x20000, 4, STOP_READ}, {0x21008, 4, STOP_WRITE}, {0x1002, 1, STOP_EXECUTE},
        {0x20014, 4, STOP_ACCESS}, {0x1f000, 0x1000, STOP_ACCESS}};
    u64 hash = undisturbed();
    for (unsigned n = 0; n < ARRAY_LEN(never); n++) {
        begin();
        add(never[n].linear, never[n].length, never[n].kind);
        if (next_stop(UINT32_MAX) != END)
            fail_msg("stop %u was met at %llx", n, (unsigned long long)v->cpu.rip);
        assert_int_equal(state_hash(vm), hash);
    }
}

/* An exception's delivery belongs to the instruction; an interrupt's, to the boundary before the next one. */
static void deliveries(void **state)
{
    (void)state;
    begin();
    PUT(CODE, 0x0f, 0x0b); /* ud2 */
    u64 gate = 0x00008e0000085000;
    phys_write(vm, gpa(IDT_AT + 8 * VEC_UD), &gate, 8);
    add(STACK - 12, 4, STOP_WRITE);
    assert_int_equal(next_stop(UINT32_MAX), 1);
    assert_int_equal(stops.hit_icount, 0);
    assert_int_equal(v->cpu.rip, HANDLER);

    begin();
    phys_write(vm, gpa(IDT_AT + 8 * VEC_NMI), &gate, 8);
    assert_int_equal(vm_run(vm, 5), VM_STOP_ICOUNT);
    add(STACK - 12, 4, STOP_WRITE);
    v->cpu.nmi_pending = 1;
    assert_int_equal(next_stop(UINT32_MAX), 5);
    assert_int_equal(stops.hit_icount, 5);
    assert_int_equal(v->cpu.rip, HANDLER);
}

static void adding_and_removing(void **state)
{
    (void)state;
    begin();
    add(0x1001, 1, STOP_EXECUTE);
    add(0x1001, 1, STOP_EXECUTE);
    assert_int_equal(next_stop(UINT32_MAX), 1);
    assert_true(stops_remove(vm, (struct stop_point){0x1001, 1, STOP_EXECUTE}));
    assert_int_equal(next_stop(UINT32_MAX), 1 + ROUND);
    assert_true(stops_remove(vm, (struct stop_point){0x1001, 1, STOP_EXECUTE}));
    assert_false(stops_remove(vm, (struct stop_point){0x1001, 1, STOP_EXECUTE}));
    assert_false(v->stepping);
    assert_false(stops_add(vm, (struct stop_point){0, 0, STOP_WRITE}));
    assert_false(stops_add(vm, (struct stop_point){0, STOP_LENGTH_MAX + 1, STOP_WRITE}));
    for (unsigned n = 0; n < STOPS_MAX; n++)
        add(0x20000, 4, STOP_WRITE);
    assert_false(stops_add(vm, (struct stop_point){0x20000, 4, STOP_WRITE}));
    stops_clear(vm);
    assert_int_equal(next_stop(UINT32_MAX), END);
}

static void detach(void)
{
    vm->stops = NULL;
}

static int teardown(void **state)
{
    detach();
    return destroy(state);
}

static const struct engine *const engines[] = {&engine_interp, &engine_interp_shadow, &engine_sbe};

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(execution), cmocka_unit_test(data), cmocka_unit_test(not_met), cmocka_unit_test(deliveries),
        cmocka_unit_test(adding_and_removing),
    };
    int failures = 0;
    for (unsigned n = 0; n < ARRAY_LEN(engines); n++) {
        test_engine = engines[n];
        failures += cmocka_run_group_tests_name(test_engine->name, tests, create, teardown);
    }
    return failures;
}
