/* Whatever way leads to a place of a recorded run, it is the same place; and going back meets what going forward
 * met. */
#include "replay/timeline.h"

#include "replay/hash.h"
#include "replay/input.h"
#include "replay/log_for_tests.h"
#include "replay/record.h"
#include "sbe/test_code.h"

enum { IDT_AT = 0x3000, GDT_AT = 0x4000, HANDLER = 0x5000, VECTOR = 0x40, COUNTER = DATA, TICKS = DATA + 0x10 };
enum { LAPIC_LVT_TIMER = 0x320, LAPIC_COUNT = 0x380, LAPIC_DIVIDE = 0x3e0 };
enum { END = 60000, PERIOD = 777, BUDGET = 16 << 20 };
enum { SMALL_BUDGET = 64 * PAGE_SIZE, UNUSED_PAGES = 0x40000 };

static struct memory_log stored;
static struct log_writer writer;
static struct log_reader reader;
static struct recorder recorder;
static struct replay replay;
static struct timeline timeline;
static struct stops stops;
static struct { u64 hash, rip; } truth[END + 1];
static u32 random_state = 1;

static u32 random_below(u32 bound)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (u32)((u64)random_state * bound >> 32);
}

static void lapic(unsigned reg, u32 value) { vm_mmio_write(vm, gpa(0xfee00000 + reg), value, 4); }

/* A loop that counts, and waits for the timer each 64 rounds; the timer's handler counts, too. */
static void power_up(void)
{
    vm->stops = NULL;
    vm->recorder = NULL;
    vm->clock.skipped_ns = v->cpu.icount = 0;
    enter(CODE_32);
    for (u64 page = 0; page < physmem_pages(&vm->memory); page++)
        if (physmem_pointer(&vm->memory, gpa(page << PAGE_SHIFT)))
            physmem_zero(&vm->memory, gpa(page << PAGE_SHIFT), PAGE_SIZE);
    u64 code = 0x00cf9a000000ffff, data = 0x00cf92000000ffff, gate = 0x00008e0000085000;
    phys_write(vm, gpa(GDT_AT + 8), &code, 8);
    phys_write(vm, gpa(GDT_AT + 16), &data, 8);
    phys_write(vm, gpa(IDT_AT + 8 * VECTOR), &gate, 8);
    v->cpu.gdtr = (struct table_register){.base = GDT_AT, .limit = 23};
    v->cpu.idtr = (struct table_register){.base = IDT_AT, .limit = 0x7ff};
    v->cpu.seg[SEG_CS].selector = 8;
    v->cpu.seg[SEG_SS].selector = 16;
    PUT(CODE, 0x40,                       /* 1000 inc eax */
        0xa3, 0x00, 0x00, 0x02, 0x00,     /* 1001 mov [COUNTER], eax */
        0xa8, 0x3f,                       /* 1006 test al, 0x3f */
        0x75, 0xf6,                       /* 1008 jnz 1000 */
        0xf4,                             /* 100a hlt */
        0xeb, 0xf3);                      /* 100b jmp 1000 */
    PUT(HANDLER, 0xff, 0x05, 0x10, 0x00, 0x02, 0x00,                /* 5000 inc dword [TICKS] */
        0xc7, 0x05, 0xb0, 0x00, 0xe0, 0xfe, 0x00, 0x00, 0x00, 0x00, /* 5006 mov dword [EOI], 0 */
        0xcf);                                                      /* 5010 iret */
    v->cpu.rflags |= FLAG_IF;
    vcpu_update_mode(v);
    lapic(LAPIC_DIVIDE, 0xb);
    lapic(LAPIC_LVT_TIMER, 0x20000 | VECTOR);
    lapic(LAPIC_COUNT, PERIOD);
}

/* Runs to the end with bytes coming in at random times, into the log. */
static void record_run(void)
{
    stored.size = 0;
    stored.room = MEMORY_LOG_MAX;
    struct log_file file = memory_log_file(&stored);
    struct log_machine machine = memory_log_machine(false);
    power_up();
    assert_int_equal(log_writer_open(&writer, &file, NULL, &machine), STATUS_OK);
    recorder_start(&recorder, vm, &writer, 1000);
    while (v->cpu.icount < END) {
        u64 until = v->cpu.icount + 1 + random_below(50);
        if (recorder.next < until)
            until = recorder.next;
        enum vm_stop stop = vm_run(vm, until < END ? until : END);
        if (stop == VM_STOP_WAIT_INPUT)
            vm_skip_to(vm, vm_wake_time(vm));
        else
            assert_int_equal(stop, VM_STOP_ICOUNT);
        if (stop == VM_STOP_ICOUNT)
            recorder_checkpoint(&recorder, vm);
        if (v->cpu.icount < END && !random_below(4))
            (void)input_deliver(vm, INPUT_SERIAL, 0, random_below(256));
    }
    recorder_end(&recorder, vm, LOG_END_LIMIT);
    assert_true(log_close(&writer));
    vm->recorder = NULL;
}

static void start_replay(void)
{
    struct log_error why;
    struct log_file file = memory_log_file(&stored);
    power_up();
    assert_int_equal(log_reader_open(&reader, &file, NULL, &why), STATUS_OK);
    replay = (struct replay){.vm = vm, .log = &reader, .verify = true};
    replay_start(&replay);
}

static int prepare(void **state)
{
    if (create(state))
        return -1;
    record_run();
    start_replay();
    for (u64 n = 0; n <= END; n++) {
        assert_int_equal(replay_run(&replay, n), REPLAY_REACHED);
        input_settle(vm);
        truth[n].hash = state_hash(vm);
        truth[n].rip = v->cpu.rip;
    }
    return 0;
}

static int begin(void **state)
{
    (void)state;
    start_replay();
    timeline = (struct timeline){.replay = &replay};
    assert_int_equal(timeline_create(&timeline, BUDGET), STATUS_OK);
    stops = (struct stops){.passed = UINT64_MAX};
    return 0;
}

static int finish(void **state)
{
    (void)state;
    timeline_destroy(&timeline);
    vm->stops = NULL;
    return 0;
}

static int tear_down(void **state)
{
    state_hash_forget(vm);
    return destroy(state);
}

static void assert_at(u64 icount)
{
    assert_int_equal(v->cpu.icount, icount);
    assert_int_equal(v->cpu.rip, truth[icount].rip);
    assert_int_equal(state_hash(vm), truth[icount].hash);
}

static void any_place_in_any_order(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 300; n++) {
        u64 icount = random_below(END + 1);
        assert_int_equal(timeline_seek(&timeline, icount), REPLAY_REACHED);
        assert_at(icount);
    }
    assert_true(checkpoints_count(timeline.checkpoints) > 1);
}

static void forwards_and_back_again(void **state)
{
    (void)state;
    assert_int_equal(timeline_run(&timeline, END), REPLAY_REACHED);
    assert_int_equal(timeline_run(&timeline, END + 1), REPLAY_ENDED);
    assert_int_equal(timeline_seek(&timeline, END / 2), REPLAY_REACHED);
    assert_at(END / 2);
    for (u64 n = END / 2; n-- > END / 2 - 1500;) {
        assert_int_equal(timeline_step_back(&timeline), REPLAY_REACHED);
        assert_at(n);
    }
    assert_int_equal(timeline_seek(&timeline, UINT64_MAX), REPLAY_ENDED);
    assert_int_equal(timeline_seek(&timeline, 0), REPLAY_REACHED);
    assert_at(0);
    assert_true(timeline_at_begin(&timeline));
    assert_int_equal(timeline_step_back(&timeline), REPLAY_REACHED);
    assert_at(0);
}

struct hit {
    bool within;
    u64 icount, rip;
    struct stop_point point;
};

static void arm(struct stop_point p)
{
    vm->stops = &stops;
    assert_true(stops_add(vm, p));
}

/* All that is met on the way forward. */
static unsigned forwards(struct hit *hits, unsigned room)
{
    unsigned count = 0;
    for (;;) {
        enum replay_stop stop = timeline_run(&timeline, END);
        if (stop == REPLAY_REACHED)
            return count;
        assert_int_equal(stop, REPLAY_DEBUG);
        assert_true(count < room);
        bool instruction = stops.hit_point.kind == STOP_EXECUTE || v->cpu.icount > stops.hit_icount;
        hits[count++] = (struct hit){instruction && stops.delivered == stops.hit_icount, stops.hit_icount, v->cpu.rip,
                                     stops.hit_point};
        stops.hit = false;
        if (stops.hit_point.kind == STOP_EXECUTE)
            stops_pass(vm);
    }
}

/* Two stops at one place are one on the way back. */
static bool same_place(const struct hit *a, const struct hit *b)
{
    return a->icount == b->icount && a->within == b->within;
}

static void back_meets_what_forward_met(unsigned from, unsigned to)
{
    static struct hit hits[END + 1];
    unsigned count = forwards(hits, END);
    hits[count].icount = UINT64_MAX;
    assert_true(count >= from && count <= to);
    while (count--) {
        if (same_place(&hits[count], &hits[count + 1]))
            continue;
        assert_int_equal(timeline_reverse(&timeline), REPLAY_DEBUG);
        assert_false(stops.hit);
        assert_int_equal(stops.hit_point.linear, hits[count].point.linear);
        assert_int_equal(stops.hit_point.kind, hits[count].point.kind);
        assert_int_equal(v->cpu.icount, hits[count].icount);
        assert_int_equal(timeline.within, hits[count].within);
        if (stops.hit_point.kind == STOP_EXECUTE)
            assert_int_equal(v->cpu.rip, hits[count].rip);
        else if (!timeline.within)
            assert_at(hits[count].icount);
    }
    assert_int_equal(timeline_reverse(&timeline), REPLAY_REACHED);
    assert_true(timeline_at_begin(&timeline));
    vm->stops = NULL;
    assert_at(0);
}

static void execution_stops(void **state)
{
    (void)state;
    arm((struct stop_point){0x100a, 1, STOP_EXECUTE});
    back_meets_what_forward_met(100, 1000);
}

/* Their place lies behind the delivery of an interrupt. */
static void stops_at_a_handler(void **state)
{
    (void)state;
    arm((struct stop_point){HANDLER, 1, STOP_EXECUTE});
    back_meets_what_forward_met(50, 500);
    assert_int_equal(timeline_seek(&timeline, END), REPLAY_REACHED);
}

static void data_stops(void **state)
{
    (void)state;
    arm((struct stop_point){TICKS, 4, STOP_WRITE});
    back_meets_what_forward_met(50, 500);
}

/* The return address that an interrupt pushes, the handler's first instruction, and what it counts. */
static void deliveries_and_handlers(void **state)
{
    (void)state;
    arm((struct stop_point){STACK - 12, 4, STOP_WRITE});
    arm((struct stop_point){HANDLER, 1, STOP_EXECUTE});
    arm((struct stop_point){TICKS, 4, STOP_READ});
    back_meets_what_forward_met(150, 1500);
}

static void from_within_a_step_back_is_the_first_moment(void **state)
{
    (void)state;
    arm((struct stop_point){HANDLER, 1, STOP_EXECUTE});
    assert_int_equal(timeline_run(&timeline, END), REPLAY_DEBUG);
    u64 icount = v->cpu.icount;
    assert_int_equal(v->cpu.rip, HANDLER);
    stops.hit = false;
    assert_int_equal(timeline_step_back(&timeline), REPLAY_REACHED);
    assert_at(icount);
    assert_int_equal(timeline_step_back(&timeline), REPLAY_REACHED);
    assert_at(icount - 1);
}

static unsigned asked;
static bool after_three(void *context)
{
    (void)context;
    return ++asked >= 3;
}

static void what_takes_long_can_be_interrupted(void **state)
{
    (void)state;
    timeline.interrupted = after_three;
    asked = 0;
    assert_int_equal(timeline_run(&timeline, 3), REPLAY_REACHED);
    assert_int_equal(timeline_run(&timeline, 5), REPLAY_REACHED);
    assert_int_equal(timeline_run(&timeline, END), REPLAY_INTERRUPTED);
}

static bool repeats_now;
static unsigned switches;
static void on_repeats(void *context, bool on)
{
    (void)context;
    assert_int_not_equal(on, repeats_now);
    repeats_now = on;
    switches++;
}

static void repeated_ground_is_told(void **state)
{
    (void)state;
    timeline.repeats = on_repeats;
    repeats_now = false;
    switches = 0;
    assert_int_equal(timeline_seek(&timeline, 5000), REPLAY_REACHED);
    assert_int_equal(switches, 0);
    assert_int_equal(timeline_seek(&timeline, 1000), REPLAY_REACHED);
    assert_int_equal(timeline_run(&timeline, 1001), REPLAY_REACHED);
    assert_true(repeats_now);
    assert_int_equal(timeline_run(&timeline, 6000), REPLAY_REACHED);
    assert_false(repeats_now);
    assert_int_equal(switches, 2);
    assert_int_equal(timeline.frontier, 6000);
}

/* A guest that needs more than the budget: every place is still reached, and it is told that none is kept. */
static void a_budget_that_is_too_small_is_told(void **state)
{
    (void)state;
    timeline_destroy(&timeline);
    assert_int_equal(timeline_create(&timeline, SMALL_BUDGET), STATUS_OK);
    assert_int_equal(timeline_seek(&timeline, END), REPLAY_REACHED);
    assert_false(timeline.tight);
    replay.verify = false; /* what follows is no part of the recorded run */
    assert_int_equal(timeline_seek(&timeline, 100), REPLAY_REACHED);
    checkpoints_drop_after(timeline.checkpoints, 100);
    for (u64 n = 0; n < SMALL_BUDGET / PAGE_SIZE; n++)
        assert_true(mem_write32_sys(v, UNUSED_PAGES + n * PAGE_SIZE, 1));
    assert_int_equal(timeline_seek(&timeline, END), REPLAY_REACHED);
    assert_true(timeline.tight);
    assert_int_equal(v->cpu.icount, END);
    assert_int_equal(timeline_step_back(&timeline), REPLAY_REACHED);
    assert_at(END - 1);
    replay.verify = true;
}

static const struct engine *const engines[] = {&engine_interp, &engine_interp_shadow, &engine_sbe};

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, finish)
    const struct CMUnitTest tests[] = {
        T(any_place_in_any_order), T(forwards_and_back_again), T(execution_stops), T(stops_at_a_handler), T(data_stops),
        T(deliveries_and_handlers), T(from_within_a_step_back_is_the_first_moment),
        T(what_takes_long_can_be_interrupted), T(repeated_ground_is_told),
        T(a_budget_that_is_too_small_is_told),
    };
    int failures = 0;
    for (unsigned n = 0; n < ARRAY_LEN(engines); n++) {
        test_engine = engines[n];
        failures += cmocka_run_group_tests_name(test_engine->name, tests, prepare, tear_down);
    }
    return failures;
}
