/* The quick ways against the general ones: the same event, or IRET, in two machines that differ in nothing but that one's
 * TLB knows every table and stack, so that it goes the quick way wherever that is allowed. Descriptors, gates, stacks and
 * frames are usual ones with up to two faults. */
#include "core/quick.h"
#include "core/random.h"
#include "core/test_machine.h"

enum { CASES = 500, BYTES = 0x14000, KNOWN_PAGES = 0xb, VECTOR = 0x40, HANDLER = 0x4000, CALLER = 0x6000 };

static u32 pick(struct random *r, const u32 *from, u32 count)
{
    u32 n = random_below(r, 2 * count);
    return from[n < count ? n : 0]; /* the first is the usual one */
}
#define PICK(r, ...) pick((r), (const u32[]){__VA_ARGS__}, ARRAY_LEN(((const u32[]){__VA_ARGS__})))

static void make_descriptors(struct machine *m, struct random *r)
{
    const u64 accessed = (u64)SEG_ACCESSED << 40;
    for (u16 selector = 8; selector < GDT_LIMIT; selector += 8)
        if (!descriptor_system(gdt_get(m, selector)))
            gdt_set(m, selector, gdt_get(m, selector) | accessed);
    while (one_in(r, 3))
        gdt_set(m, CODE0 + 8 * random_below(r, 9), random_next(r));
    for (unsigned n = 0; n < 2 && one_in(r, 3); n++) {
        u16 selector = (u16)(CODE0 + 8 * random_below(r, 9));
        gdt_set(m, selector, gdt_get(m, selector) ^ 1ull << (40 + random_below(r, 16)));
    }
}

static void make_gate_and_stacks(struct machine *m, struct random *r, bool wide)
{
    u16 code = (u16)PICK(r, wide ? CODE0_64 : CODE0, CODE0, CODE0_64, CODE3, CONFORMING, CODE16, ABSENT_CODE, LDT_SEL, 0);
    u64 raw = make_gate(code, HANDLER, PICK(r, SYS_INTERRUPT_GATE32, SYS_TRAP_GATE32, SYS_INTERRUPT_GATE16, 5, 2),
                        PICK(r, 3, 0), PICK(r, 0, 1, 7));
    if (one_in(r, 16))
        raw ^= 1ull << 47;
    u64 high = one_in(r, 16) ? random_next(r) : 0;
    if (wide)
        idt_set_long(m, VECTOR, raw, high);
    else
        idt_set(m, VECTOR, raw);
    put(m, TSS_A + 4, PICK(r, KERNEL_STACK, KERNEL_STACK - 0xff8, KERNEL_STACK + 4, 8, 0, 20), wide ? 8 : 4);
    if (!wide)
        put(m, TSS_A + 8, PICK(r, DATA0, STACK16, DATA3, DOWN32, READ_ONLY, 0, CODE0), 2);
    if (one_in(r, 8))
        m->v.cpu.tr.limit = random_below(r, 0x40);
    if (one_in(r, 16))
        m->v.cpu.idtr.limit = (wide ? 16 : 8) * VECTOR + random_below(r, 18);
    if (one_in(r, 16))
        m->v.cpu.gdtr.limit = random_below(r, 0x50);
}

/* What an IRET finds, at the stack pointer. */
static void make_frame(struct machine *m, struct random *r, bool wide, bool user)
{
    unsigned size = wide ? 8 : 4;
    u64 at = m->v.cpu.gpr[RSP];
    u32 cs = wide ? PICK(r, user ? CODE3_64 : CODE0_64, CODE3_64, CODE3, CODE0_64, CODE0)
                  : PICK(r, user ? CODE3 : CODE0, CODE3, CODE0, CONFORMING, CODE16 | 3);
    put(m, at, one_in(r, 8) ? random_next(r) : CALLER, size);
    put(m, at + size, cs ^ (one_in(r, 8) ? random_below(r, 8) : 0), size);
    put(m, at + 2 * size, random_next(r) & ~(u64)(one_in(r, 8) ? 0 : FLAG_VM | FLAG_NT | FLAG_TF), size);
    put(m, at + 3 * size, one_in(r, 8) ? random_next(r) : USER_STACK, size);
    put(m, at + 4 * size, PICK(r, cs & 3 ? DATA3 : DATA0, DATA3, DATA0, 0, 3, STACK16), size);
}

static struct machine *make(struct random *r, bool wide, bool user)
{
    struct machine *m = machine_new();
    make_descriptors(m, r);
    if (wide)
        mode_long(m);
    else
        mode_protected(m);
    for (unsigned level = 0; level < 3; level++) /* A and D are set: a warm machine does not differ in them */
        put(m, PML4 + 0x1000 * level, get(m, PML4 + 0x1000 * level, 8) | 0x60, 8);
    make_gate_and_stacks(m, r, wide);
    struct cpu *c = &m->v.cpu;
    const u16 flat = SEG_P | SEG_S | SEG_G | SEG_ACCESSED | SEG_WRITABLE | (user ? SEG_DPL : 0);
    for (unsigned seg = 0; seg < SEG_COUNT; seg++)
        c->seg[seg] = (struct segment){.selector = user ? DATA3 : DATA0, .attributes = flat | SEG_DB, .limit = UINT32_MAX};
    c->seg[SEG_CS].attributes = flat | SEG_CODE | (wide ? SEG_L : SEG_DB);
    c->cpl = user ? 3 : 0;
    c->rip = CALLER;
    c->gpr[RSP] = PICK(r, USER_STACK - 0x100, USER_STACK - 8, USER_STACK, 4, USER_STACK - 0xffc);
    c->rflags |= random_next(r) & (FLAG_IF | FLAG_AC | FLAG_IOPL | FLAG_DF);
    make_frame(m, r, wide, user || one_in(r, 2));
    vcpu_update_mode(&m->v);
    return m;
}

static struct machine *copy_of(struct machine *m)
{
    struct machine *copy = machine_new();
    memcpy(copy->vm.memory.ram, m->vm.memory.ram, BYTES);
    memcpy(&copy->v.cpu, &m->v.cpu, sizeof copy->v.cpu);
    vcpu_update_mode(&copy->v);
    return copy;
}

static void warm(struct machine *m)
{
    for (unsigned rights = TLB_SUPERVISOR; rights <= TLB_USER; rights++)
        for (u64 page = 0; page < KNOWN_PAGES; page++)
            assert_true(mem_probe(&m->v, page * PAGE_SIZE, 8, ACCESS_WRITE, (enum tlb_rights)rights));
}

static void assert_same(struct machine *a, struct machine *b)
{
    assert_memory_equal(&a->v.cpu, &b->v.cpu, sizeof a->v.cpu);
    assert_memory_equal(a->vm.memory.ram, b->vm.memory.ram, BYTES);
    assert_int_equal(a->v.mode, b->v.mode);
    assert_int_equal(a->v.stack_mask, b->v.stack_mask);
    assert_int_equal(a->v.tlb.rights, b->v.tlb.rights);
    assert_memory_equal(a->v.seg_flat, b->v.seg_flat, sizeof a->v.seg_flat);
}

static void events(void **state)
{
    (void)state;
    struct random r = {1};
    unsigned quick = 0;
    for (unsigned n = 0; n < CASES; n++) {
        bool wide = one_in(&r, 2), user = one_in(&r, 2), error = one_in(&r, 3);
        struct machine *m = make(&r, wide, user), *cold = copy_of(m), *before = copy_of(m);
        struct event event = {.vector = VECTOR, .type = (u8)PICK(&r, EVENT_EXTERNAL, EVENT_SOFTWARE, EVENT_SOFTWARE_TRAP)};
        event.has_error = error;
        event.error = error ? (u32)random_next(&r) : 0;
        warm(m);
        struct quick_frame frame = {CALLER, (u32)cpu_rflags(&m->v.cpu)};
        if (quick_deliver(&m->v, &event, &frame)) {
            quick++;
            assert_int_equal(exception_deliver(&cold->v, &event), EXEC_JUMP);
            assert_same(m, cold);
        } else {
            assert_same(m, before);
        }
        machine_free(m);
        machine_free(cold);
        machine_free(before);
    }
    assert_in_range(quick, CASES / 20, CASES - CASES / 20);
}

static void returns(void **state)
{
    (void)state;
    struct random r = {2};
    unsigned quick = 0;
    for (unsigned n = 0; n < CASES; n++) {
        bool wide = one_in(&r, 2);
        struct machine *m = make(&r, wide, one_in(&r, 4)), *cold = copy_of(m), *tried = copy_of(m);
        unsigned opsize = one_in(&r, 16) ? 2 : wide ? 8 : 4;
        u32 flags;
        warm(m);
        warm(tried);
        bool was_quick = !(m->v.cpu.rflags & FLAG_NT) && quick_iret(&tried->v, opsize, &flags);
        enum exec result = far_iret(&m->v, opsize, CALLER + 1);
        assert_int_equal(far_iret(&cold->v, opsize, CALLER + 1), result);
        if (result == EXEC_FAULT)
            assert_memory_equal(&m->v.fault, &cold->v.fault, sizeof m->v.fault);
        assert_false(was_quick && result == EXEC_FAULT);
        assert_same(m, cold);
        quick += was_quick;
        machine_free(m);
        machine_free(cold);
        machine_free(tried);
    }
    assert_in_range(quick, CASES / 20, CASES - CASES / 20);
}

/* A new interval of write tracking: what is pushed first must be noted, which the general way does. */
static void writes_that_must_be_seen_are_not_quick(void **state)
{
    (void)state;
    struct random r = {3};
    for (unsigned n = 0; n < 100; n++) {
        struct machine *m = make(&r, one_in(&r, 2), one_in(&r, 2));
        const struct event event = {.vector = VECTOR, .type = EVENT_EXTERNAL};
        struct quick_frame frame = {CALLER, (u32)cpu_rflags(&m->v.cpu)};
        warm(m);
        phys_track_writes(&m->vm);
        assert_false(quick_deliver(&m->v, &event, &frame));
        machine_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events),
        cmocka_unit_test(returns),
        cmocka_unit_test(writes_that_must_be_seen_are_not_quick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
