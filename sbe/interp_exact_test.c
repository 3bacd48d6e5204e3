/* Exactness (ARCHITECTURE.md): where a run is cut never shows, and neither does the path that executes it. Random
 * programs that modify themselves, fault, single-step, halt and take interrupts run three times: at one go, in random
 * slices, and instruction by instruction. All three must end in the same state. */
#include "sbe/fpu.h"
#include "sbe/interp.h"

#include "devices/selftest.h"
#include "mmu/reference_walk.h"
#include "replay/hash.h"
#include "sbe/test_code.h"

enum { IDT_AT = 0x3000, GDT_AT = 0x4000, HANDLER = 0x600, HANDLER_ERROR = 0x640 };
enum { CODE_BYTES = 0x300, BUDGET = 1500, PROGRAMS = 120 };

static struct dice d;
static struct vm *whole, *sliced, *stepped;

/* ---- An engine that executes each instruction by itself ----------------------------------------- */

static void run_stepping(struct vcpu *vcpu)
{
    while (vcpu->cpu.icount < vcpu->stop_at) {
        vcpu->stepping = true;
        interp_step(vcpu);
        fpu_park(vcpu);
    }
}

static struct engine engine_stepping;

static void use(struct vm *machine)
{
    vm = machine;
    v = vm->vcpu[0];
}

/* Called inside a test: the last one to handle SIGFPE must be the host, not the test framework. */
static void create_three(void)
{
    struct vm **all[] = {&whole, &sliced, &stepped};
    for (unsigned n = 0; n < ARRAY_LEN(all); n++) {
        assert_int_equal(create(NULL), 0);
        *all[n] = vm;
    }
    engine_stepping = engine_interp;
    engine_stepping.run = run_stepping;
    stepped->config.engine = &engine_stepping;
}

static void destroy_three(void)
{
    vm_destroy(whole);
    vm_destroy(sliced);
    vm_destroy(stepped);
}

/* ---- Programs ----------------------------------------------------------------------------------- */

static u8 program[CODE_BYTES];
static unsigned used;

static void emit(const u8 *bytes, unsigned count)
{
    for (unsigned n = 0; n < count && used < CODE_BYTES; n++)
        program[used++] = bytes[n];
}
#define EMIT(...) emit((const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

static u8 any(void) { return (u8)roll(&d); }
static u8 any_of(const u8 *bytes, unsigned count) { return bytes[below(&d, count)]; }
#define ANY_OF(...) any_of((const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

/* mov reg, address; REG is rSI, rDI or rBX: in 16-bit code the immediate has two bytes. */
static void emit_address(enum code_mode mode, u8 reg, u32 at)
{
    EMIT((u8)(0xb8 + reg), (u8)at, (u8)(at >> 8));
    if (mode != CODE_16)
        EMIT((u8)(at >> 16), (u8)(at >> 24));
}

static u32 any_place(void)
{
    u32 in_code = CODE + (u32)below(&d, CODE_BYTES);
    return chance(&d, 40) ? in_code : chance(&d, 80) ? 0x8000 + (u32)below(&d, 64) : 0x6ff8 + (u32)below(&d, 16);
}

static void emit_arithmetic(enum code_mode mode)
{
    (void)mode;
    EMIT(ANY_OF(0x01, 0x03, 0x09, 0x11, 0x29, 0x31, 0x39, 0x85, 0x69), (u8)(0xc0 | (any() & 0x3f)), any(), any());
}

static void emit_memory(enum code_mode mode)
{
    emit_address(mode, RBX, any_place());
    u8 modrm = mode == CODE_16 ? 0x07 : 0x03; /* [bx], [ebx] */
    EMIT(ANY_OF(0x00, 0x02, 0x08, 0x88, 0x8a, 0x89, 0x8b, 0x86, 0x30, 0xfe), (u8)(modrm | (any() & 0x08)));
}

static void emit_string(enum code_mode mode)
{
    emit_address(mode, RSI, any_place());
    emit_address(mode, RDI, any_place());
    emit_address(mode, RCX, (u32)below(&d, 20));
    if (chance(&d, 80))
        EMIT(ANY_OF(0xf3, 0xf2));
    EMIT(ANY_OF(0xa4, 0xa5, 0xa6, 0xaa, 0xab, 0xae, 0xac));
}

static void emit_branch(enum code_mode mode)
{
    (void)mode;
    EMIT(ANY_OF(0x70, 0x72, 0x74, 0x75, 0x7c, 0x7f, 0xeb, 0xe2, 0xe3), (u8)(any() & 0x1f));
    if (chance(&d, 20))
        EMIT(ANY_OF(0xeb, 0x75, 0xe2), (u8)-(u8)below(&d, 60));
}

static void emit_stack(enum code_mode mode)
{
    (void)mode;
    EMIT(ANY_OF(0x50, 0x53, 0x58, 0x5a, 0x9c, 0x9d));
}

/* push imm; popf: TF in one of four. */
static void emit_flags(enum code_mode mode)
{
    u8 tf = chance(&d, 25) ? 1 : 0, interrupt = chance(&d, 80) ? 2 : 0, df = chance(&d, 20) ? 4 : 0;
    EMIT(0x68, (u8)(any() & 0xd5), (u8)(tf | interrupt | df));
    if (mode != CODE_16)
        EMIT(0, 0);
    EMIT(0x9d);
}

static void emit_system(enum code_mode mode)
{
    switch (below(&d, 6)) {
    case 0: EMIT(0xfb); break;                                                 /* sti */
    case 1: EMIT(ANY_OF(0xfa, 0xcc, 0xf4)); break;                             /* cli, int3, hlt */
    case 2: EMIT(0xcd, any()); break;                                          /* int n */
    case 3: EMIT(0x0f, ANY_OF(0x0b, 0xa2, 0x31)); break;                       /* ud2, cpuid, rdtsc */
    case 4: EMIT(0x8c, 0xd0, 0x8e, 0xd0); break;                               /* mov ax, ss; mov ss, ax */
    default: EMIT(ANY_OF(0xfc, 0xfd, 0xd9), ANY_OF(0xe8, 0xee, 0xc0), 0x9b); break; /* cld, std, fld1, fldz, fwait */
    }
    (void)mode;
}

/* An interrupt on IRQ 5, or a DMA into the code, after a few instructions. */
static void emit_device(enum code_mode mode)
{
    static const u8 addresses[] = {0x58, 0x5c};
    u8 values[] = {ANY_OF(1, 2, 3, 5, 7), (u8)below(&d, 40)};
    for (unsigned n = 0; n < 2; n++) {
        if (mode == CODE_16)
            EMIT(0x66);
        EMIT(0xb8, values[n], 0, 0, 0);             /* mov eax */
        if (mode != CODE_16)
            EMIT(0x66);
        EMIT(0xba, addresses[n], 0x05);             /* mov dx */
        if (mode == CODE_16)
            EMIT(0x66);
        EMIT(0xef);                                 /* out dx, eax */
    }
}

static void emit_anything(enum code_mode mode)
{
    (void)mode;
    for (u64 n = below(&d, 6); n > 0; n--)
        EMIT(any());
}

static const struct { void (*emit)(enum code_mode mode); unsigned percent; } kinds[] = {
    {emit_arithmetic, 20}, {emit_memory, 24}, {emit_string, 12}, {emit_branch, 14}, {emit_stack, 8}, {emit_flags, 5},
    {emit_system, 6}, {emit_device, 7}, {emit_anything, 4},
};

static void make_program(enum code_mode mode)
{
    used = 0;
    while (used < CODE_BYTES - 2) {
        u64 left = below(&d, 100), n = 0;
        while (left >= kinds[n].percent)
            left -= kinds[n++].percent;
        kinds[n].emit(mode);
    }
    program[CODE_BYTES - 2] = 0xeb; /* back into it */
    program[CODE_BYTES - 1] = 0x80;
}

/* ---- The machine -------------------------------------------------------------------------------- */

static bool pushes_error(unsigned vector) { return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17; }

/* Handlers write to a port and return one byte further on: progress out of every fault. */
static void put_handlers(enum code_mode mode)
{
    if (mode == CODE_16) {
        /* pusha; mov al, 0x20; out 0x20, al; mov bp, sp; inc word [bp + 16]; popa; iret */
        PUT(HANDLER, 0x60, 0xb0, 0x20, 0xe6, 0x20, 0x89, 0xe5, 0xff, 0x46, 0x10, 0x61, 0xcf);
        for (unsigned n = 0; n < 256; n++)
            PUT(4 * n, HANDLER & 0xff, HANDLER >> 8, 0, 0);
        return;
    }
    if (mode == CODE_32)
        PUT(HANDLER, 0x50, 0xb0, 0x20, 0xe6, 0x20, 0xff, 0x44, 0x24, 0x04, 0x58, 0xcf);
    else
        PUT(HANDLER, 0x50, 0xb0, 0x20, 0xe6, 0x20, 0x48, 0xff, 0x44, 0x24, 0x08, 0x58, 0x48, 0xcf);
    if (mode == CODE_32)
        PUT(HANDLER_ERROR, 0x83, 0xc4, 0x04, 0xeb, HANDLER - HANDLER_ERROR - 5 + 256);
    else
        PUT(HANDLER_ERROR, 0x48, 0x83, 0xc4, 0x08, 0xeb, HANDLER - HANDLER_ERROR - 6 + 256);
    u64 code = mode == CODE_32 ? 0x00cf9a000000ffff : 0x00af9a000000ffff, data = 0x00cf92000000ffff;
    put_bytes(GDT_AT + 8, (u8 *)&code, 8);
    put_bytes(GDT_AT + 16, (u8 *)&data, 8);
    for (unsigned n = 0; n < 128; n++) { /* beyond: #GP */
        u64 type = n & 1 ? 0x8e00 : 0x8f00;
        u64 gate[2] = {(pushes_error(n) ? HANDLER_ERROR : HANDLER) | 8ull << 16 | type << 32, 0};
        unsigned size = mode == CODE_64 ? 16 : 8;
        put_bytes(IDT_AT + n * size, (u8 *)gate, size);
    }
    v->cpu.idtr = (struct table_register){.base = IDT_AT, .limit = 128 * (mode == CODE_64 ? 16 : 8) - 1};
    v->cpu.gdtr = (struct table_register){.base = GDT_AT, .limit = 23};
    v->cpu.seg[SEG_CS].selector = 8;
    for (unsigned s = 0; s < SEG_COUNT; s++)
        if (s != SEG_CS)
            v->cpu.seg[s].selector = 16;
}

/* 8259A at vectors 0x20 and 0x28, everything unmasked, automatic EOI; an interrupt of HPET timer 0 every 70 ns; DMA
 * that overwrites code, whenever the program asks for it. */
static void put_board(void)
{
    static const u16 writes[][2] = {
        {0x20, 0x11}, {0x21, 0x20}, {0x21, 4}, {0x21, 3}, {0xa0, 0x11}, {0xa1, 0x28}, {0xa1, 2}, {0xa1, 3},
        {0x21, 0}, {0xa1, 0},
    };
    static const u16 hpet[][2] = {{0x100, 0x4c}, {0x108, 7}, {0x108, 7}, {0x10, 3}};
    for (size_t n = 0; n < ARRAY_LEN(writes); n++)
        vm_io_write(v, writes[n][0], writes[n][1], 1);
    for (size_t n = 0; n < ARRAY_LEN(hpet); n++)
        vm_mmio_write(vm, gpa(HPET_BASE + hpet[n][0]), hpet[n][1], 8);
    vm_io_write(v, SELFTEST_PORT + 0x20, CODE + 0x80, 4);
    vm_io_write(v, SELFTEST_PORT + 0x28, 8, 4);
    vm_io_write(v, SELFTEST_PORT + 0x2c, 0x40909040, 4);
}

/* Everything that a guest can see is the same in every machine that goes through this, however often. */
static void prepare(struct vm *machine, enum code_mode mode)
{
    use(machine);
    v->cpu.icount = 0;
    vm->clock.skipped_ns = 0;
    enter(mode);
    for (u64 at = 0; at < vm->memory.size; at += PAGE_SIZE) {
        static const u8 zero[PAGE_SIZE];
        if (physmem_is_ram(&vm->memory, gpa(at), 1) && memcmp(ram(at), zero, PAGE_SIZE))
            put_bytes(at, zero, PAGE_SIZE);
    }
    if (mode == CODE_64)
        map_pages();
    put_handlers(mode);
    put_board();
    put_bytes(CODE, program, CODE_BYTES);
    PUT(CODE + CODE_BYTES, 0xe9, 0xfd - CODE_BYTES % 256, (0x10000 - CODE_BYTES - 3) >> 8, 0xff, 0xff); /* jmp CODE */
    for (unsigned n = 0; n < GPR_COUNT; n++)
        if (n != RSP)
            set((enum gpr)n, mode == CODE_16 ? 0x8000 + n * 3 : DATA + n * 3);
    cpu_set_rflags_raw(&v->cpu, FLAG_FIXED | FLAG_IF);
    tlb_flush(v);
    vcpu_update_mode(v);
    v->cpu.rip = CODE;
}

/* Runs on to `until`, over HLT to the next event. True if nothing but `until` ended it. */
static bool run_to(u64 until, enum vm_stop *stop)
{
    for (;;) {
        *stop = vm_run(vm, until);
        if (*stop == VM_STOP_ICOUNT)
            assert_int_equal(v->cpu.icount, until);
        assert_true(v->cpu.icount <= until);
        if (*stop != VM_STOP_WAIT_INPUT)
            return *stop == VM_STOP_ICOUNT;
        u64 wake = vm_wake_time(vm);
        if (wake == CLOCK_NEVER)
            return false;
        vm_skip_to(vm, wake);
    }
}

static void compare(enum code_mode mode, unsigned n, const char *what, struct vm *other, enum vm_stop want,
                    enum vm_stop got)
{
    const struct cpu *a = &whole->vcpu[0]->cpu, *b = &other->vcpu[0]->cpu;
    if (got == want && a->icount == b->icount && state_hash(whole) == state_hash(other))
        return;
    for (u64 at = 0; at < PHYS_VGA_BEGIN; at++)
        if (whole->memory.ram[at] != other->memory.ram[at])
            print_message("memory differs at %#llx\n", (unsigned long long)at);
    fail_msg("%s, mode %d, program %u: stop %d/%d icount %llu/%llu rip %#llx/%#llx flags %#llx/%#llx", what, mode, n,
             want, got, (unsigned long long)a->icount, (unsigned long long)b->icount, (unsigned long long)a->rip,
             (unsigned long long)b->rip, (unsigned long long)cpu_rflags(a), (unsigned long long)cpu_rflags(b));
}

static struct { u64 instructions, exceptions; } total;

static void one_program(enum code_mode mode, unsigned n)
{
    enum vm_stop want, got;
    make_program(mode);
    prepare(whole, mode);
    run_to(BUDGET, &want);
    total.instructions += v->cpu.icount;
    prepare(sliced, mode);
    u64 longest = 1 + below(&d, 60);
    for (u64 until = 0; until < BUDGET;) {
        until += 1 + below(&d, longest);
        if (!run_to(until < BUDGET ? until : BUDGET, &got))
            break;
    }
    compare(mode, n, "sliced", sliced, want, got);
    prepare(stepped, mode);
    run_to(BUDGET, &got);
    compare(mode, n, "stepped", stepped, want, got);
}

static void programs(enum code_mode mode, u64 seed)
{
    d.state = seed;
    memset(&total, 0, sizeof total);
    create_three();
    for (unsigned n = 0; n < PROGRAMS; n++)
        one_program(mode, n);
    for (unsigned n = 0; n < 32; n++)
        total.exceptions += whole->stats.exceptions[n];
    /* The programs did what they are for. */
    assert_true(total.instructions > PROGRAMS * BUDGET / 2);
    assert_true(whole->stats.interrupts > PROGRAMS);
    assert_true(total.exceptions > PROGRAMS);
    destroy_three();
}

static void programs_of_16_bits(void **state) { (void)state, programs(CODE_16, 3); }
static void programs_of_32_bits(void **state) { (void)state, programs(CODE_32, 5); }
static void programs_of_64_bits(void **state) { (void)state, programs(CODE_64, 7); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_of_16_bits),
        cmocka_unit_test(programs_of_32_bits),
        cmocka_unit_test(programs_of_64_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
