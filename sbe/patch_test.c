/* Code that is written while it is translated, and code that is thrown away for want of space: engines against the interpreter,
 * and what the code cache does meanwhile. */
#include "replay/hash.h"
#include "sbe/codecache.h"
#include "sbe/machine_for_tests.h"
#include "sbe/translate.h"

enum {
    AREA = 0xbf40, AREA_END = 0xc0c0, /* patched code, over lines of 64 bytes and the end of a page */
    ALIAS = 2 << 20,                  /* in LONG mode, the first 2 MiB are there as well */
    PATCHES = 24, PROGRAM_MAX = 1024, ITEMS_MAX = 64,
};

static u64 seed;

static u32 below(u32 limit)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (u32)(seed >> 33) % limit;
}

/* ---- Machines ----------------------------------------------------------------------------------- */

static struct vm *create(const struct engine *engine, u64 code_bytes)
{
    struct vm *vm = NULL;
    struct vm_config config = {
        .ram_bytes = MACHINE_RAM, .model = cpu_model_find("max"), .engine = engine, .code_bytes = code_bytes};
    assert_int_equal(vm_create(&vm, &config), STATUS_OK);
    return vm;
}

static struct vcpu *prepare(struct vm *vm, enum machine_mode mode, const u8 *code, unsigned bytes)
{
    struct vcpu *v = machine_enter(vm, mode, 0);
    u64 alias = 0x87;
    if (mode == LONG) {
        machine_poke(vm, MACHINE_PD + 8, &alias, 8);
        tlb_flush(v);
    }
    machine_poke(vm, MACHINE_CODE, code, bytes);
    return v;
}

static void run(struct vm *vm, u64 instructions)
{
    u64 until = vm->vcpu[0]->cpu.icount + instructions;
    assert_int_equal(vm_run(vm, until), VM_STOP_ICOUNT);
}

/* ---- Random programs ---------------------------------------------------------------------------- */

struct program {
    u8 main[PROGRAM_MAX], area[AREA_END - AREA];
    unsigned bytes, items;
    struct {
        u16 at;
        bool data; /* JMP over one byte or more, which are data; else an operation on EAX with an immediate of 32 bits */
    } item[ITEMS_MAX];
};

static void put(struct program *p, const void *from, unsigned count)
{
    assert_true(p->bytes + count <= PROGRAM_MAX);
    memcpy(p->main + p->bytes, from, count);
    p->bytes += count;
}
#define PUT(p, ...) put((p), (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

static void put32(struct program *p, u32 value) { put(p, &value, sizeof value); }

static u8 operation(void)
{
    static const u8 opcodes[] = {0x05, 0x0d, 0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0xa9, 0xb8};
    return opcodes[below(sizeof opcodes)];
}

static void make_area(struct program *p)
{
    enum { ITEM_MAX = 16, RET = 0xc3 };
    unsigned at = 0;
    memset(p->area, RET, sizeof p->area);
    for (p->items = 0; p->items < ITEMS_MAX && at + ITEM_MAX < sizeof p->area; p->items++) {
        bool data = below(3) == 0;
        p->item[p->items].at = (u16)at;
        p->item[p->items].data = data;
        unsigned bytes = data ? 1 + below(8) : 4;
        p->area[at++] = data ? 0xeb : operation();
        if (data)
            p->area[at++] = (u8)bytes;
        for (unsigned n = 0; n < bytes; n++)
            p->area[at++] = (u8)below(256);
    }
}

/* mov [address], al, ax or eax */
static void put_store(struct program *p, u32 address, unsigned size)
{
    if (size == 2)
        PUT(p, 0x66);
    PUT(p, size == 1 ? 0x88 : 0x89, 0x04, 0x25);
    put32(p, address);
}

/* mov edi, address; mov ecx, count; rep stosb */
static void put_string(struct program *p, u32 address, u32 count)
{
    PUT(p, 0xbf);
    put32(p, address);
    PUT(p, 0xb9);
    put32(p, count);
    PUT(p, 0xf3, 0xaa);
}

static void put_patch(struct program *p, bool alias)
{
    unsigned item = below(p->items);
    u32 at = AREA + p->item[item].at + (alias && below(3) == 0 ? ALIAS : 0);
    if (p->item[item].data) {
        put_store(p, at + 2, 1);
        return;
    }
    switch (below(5)) {
    case 0: /* mov byte [address], another operation */
        PUT(p, 0xc6, 0x04, 0x25);
        put32(p, at);
        PUT(p, operation());
        break;
    case 1: put_string(p, at + 1, 1 + below(4)); break;
    case 2: put_store(p, at + 1 + below(3), 2); break;
    case 3: put_store(p, at + 1 + below(4), 1); break;
    default: put_store(p, at + 1, 4);
    }
}

/* Patches, and calls of what is patched, for ever. */
static void make_program(struct program *p, bool alias)
{
    p->bytes = 0;
    make_area(p);
    for (unsigned n = 0; n < PATCHES; n++) {
        if (below(2))
            put_patch(p, alias);
        PUT(p, 0xbb); /* mov ebx, an item; call rbx */
        put32(p, AREA + p->item[below(p->items)].at);
        PUT(p, 0xff, 0xd3);
    }
    PUT(p, 0xe9); /* jmp back */
    put32(p, 0 - (p->bytes + 4));
}

static void compare_random(enum machine_mode mode)
{
    static const struct engine *const engines[] = {&engine_interp, &engine_interp_shadow, &engine_sbe, &engine_sbe_window};
    enum { PROGRAMS = 60, SLICES = 5 };
    struct vm *vm[ARRAY_LEN(engines)];
    struct program p;
    for (unsigned n = 0; n < ARRAY_LEN(engines); n++)
        vm[n] = create(engines[n], 0);
    for (unsigned round = 0; round < PROGRAMS; round++) {
        make_program(&p, mode == LONG);
        for (unsigned n = 0; n < ARRAY_LEN(engines); n++) {
            prepare(vm[n], mode, p.main, p.bytes);
            machine_poke(vm[n], AREA, p.area, sizeof p.area);
        }
        for (unsigned slice = 0; slice < SLICES; slice++) {
            u64 instructions = 1 + below(slice ? 2000 : 100);
            for (unsigned n = 0; n < ARRAY_LEN(engines); n++)
                run(vm[n], instructions);
            for (unsigned n = 1; n < ARRAY_LEN(engines); n++)
                if (state_hash(vm[n]) != state_hash(vm[0]))
                    fail_msg("program %u, slice %u, engine %s", round, slice, engines[n]->name);
        }
    }
    assert_true(vm[2]->stats.code_kills > PROGRAMS);
    for (unsigned n = 0; n < ARRAY_LEN(engines); n++)
        vm_destroy(vm[n]);
}

static void random_patches(void **state)
{
    (void)state;
    seed = 1;
    compare_random(PROTECTED);
    compare_random(LONG);
}

/* ---- What dies ---------------------------------------------------------------------------------- */

static u32 block_at(struct vm *vm, u64 rip) { return codecache_find(vm->vcpu[0]->sbe, rip, rip, block_key(vm->vcpu[0])); }

/* Two functions of two bytes and a datum between them, in one line of 64 bytes. */
static void only_what_is_written_dies(void **state)
{
    (void)state;
    static const u8 main[] = {0xbb, 0x00, 0xc0, 0x00, 0x00, 0xff, 0xd3,  /* mov ebx, 0xc000; call ebx */
                              0xbb, 0x06, 0xc0, 0x00, 0x00, 0xff, 0xd3,  /* mov ebx, 0xc006; call ebx */
                              0xeb, 0xf0};                               /* jmp back */
    static const u8 functions[] = {0x40, 0xc3, 0, 0, 0, 0, 0x42, 0xc3};  /* inc eax; ret; data; inc edx; ret */
    enum { FIRST = 0xc000, DATA = 0xc002, SECOND = 0xc006 };
    struct vm *vm = create(&engine_sbe, 0);
    struct vcpu *v = prepare(vm, PROTECTED, main, sizeof main);
    machine_poke(vm, FIRST, functions, sizeof functions);
    v->cpu.gpr[RAX] = v->cpu.gpr[RDX] = 0;
    run(vm, 900);
    u32 first = block_at(vm, FIRST), second = block_at(vm, SECOND);
    assert_true(first && second);
    assert_true(mem_write32(v, DATA, 0x01020304)); /* beside both */
    assert_int_equal(block_at(vm, FIRST), first);
    assert_int_equal(block_at(vm, SECOND), second);
    assert_true(mem_write8(v, SECOND + 1, 0xc3));
    assert_int_equal(block_at(vm, FIRST), first);
    assert_int_equal(block_at(vm, SECOND), 0);
    run(vm, 900);
    assert_true(block_at(vm, SECOND) != 0);
    assert_true(mem_write32(v, FIRST + 1, 0xc3)); /* into the last byte of the one, and data */
    assert_int_equal(block_at(vm, FIRST), 0);
    assert_true(block_at(vm, SECOND) != 0);
    assert_int_equal(vm->stats.code_kills, 2);
    run(vm, 900);
    assert_int_equal(v->cpu.gpr[RAX], v->cpu.gpr[RDX]);
    vm_destroy(vm);
}

/* Setting A in an entry of a page of tables in which code lies: beside it, and in its immediate. */
static void walks_write_into_code(void **state)
{
    (void)state;
    enum { ENTRY = 300, TARGET = MACHINE_PD + 8 * ENTRY - 1 };
    /* mov al, 0x87: the entry, whose other bytes add AL to where RAX points; then ret */
    static const u8 target[] = {0xb0, 0x87, 0, 0, 0, 0, 0, 0, 0, 0, 0xc3};
    static const u8 main[] = {0xb8, 0x00, 0xa0, 0x00, 0x00,                   /* mov eax, 0xa000 */
                              0xbb, TARGET & 255, TARGET >> 8 & 255, 0, 0,    /* mov ebx, TARGET */
                              0xff, 0xd3,                                     /* call rbx */
                              0x8a, 0x14, 0x25, 0, 0, 0x80, 0x25,             /* mov dl, [ENTRY << 21] */
                              0xc6, 0x04, 0x25, (TARGET + 1) & 255, (TARGET + 1) >> 8 & 255, 0, 0, 0x87, /* A is 0 again */
                              0xeb, 0xe0};                                    /* jmp back */
    static const struct engine *const engines[] = {&engine_interp, &engine_interp_shadow, &engine_sbe};
    struct vm *vm[ARRAY_LEN(engines)];
    for (unsigned n = 0; n < ARRAY_LEN(engines); n++) {
        vm[n] = create(engines[n], 0);
        prepare(vm[n], LONG, main, sizeof main);
        machine_poke(vm[n], TARGET, target, sizeof target);
    }
    for (unsigned slice = 1; slice < 200; slice++)
        for (unsigned n = 0; n < ARRAY_LEN(engines); n++) {
            run(vm[n], slice);
            assert_int_equal(state_hash(vm[n]), state_hash(vm[0]));
        }
    for (unsigned n = 0; n < ARRAY_LEN(engines); n++)
        vm_destroy(vm[n]);
}

/* A loop that counts in its own immediates, of every kind that may be soft. */
static void immediates_become_soft(void **state)
{
    (void)state;
    static const u8 code[] = {
        0xb8, 0, 0, 0, 0,                         /* 00: mov eax, soft */
        0x05, 0, 0, 0, 0,                         /* 05: add eax, soft */
        0x81, 0xf2, 0, 0, 0, 0,                   /* 0a: xor edx, soft */
        0x83, 0xdb, 0,                            /* 10: sbb ebx, soft byte */
        0xff, 0x04, 0x25, 1, 0x70, 0, 0,          /* 13: inc dword [0x7001] */
        0x83, 0x04, 0x25, 6, 0x70, 0, 0, 3,       /* 1a: add dword [0x7006], 3 */
        0x81, 0x2c, 0x25, 0xc, 0x70, 0, 0, 7, 1, 0, 0, /* 22: sub dword [0x700c], 263 */
        0x80, 0x04, 0x25, 0x12, 0x70, 0, 0, 5,    /* 2d: add byte [0x7012], 5 */
        0xeb, 0xc9,                               /* 35: jmp back */
    };
    enum { INSTRUCTIONS = 9 * 1000 };
    struct vm *interp = create(&engine_interp, 0), *sbe = create(&engine_sbe, 0);
    for (unsigned mode = 0; mode < 2; mode++) {
        u64 before = sbe->stats.translations;
        prepare(interp, mode ? LONG : PROTECTED, code, sizeof code);
        prepare(sbe, mode ? LONG : PROTECTED, code, sizeof code);
        for (unsigned n = 0; n < 3; n++) {
            run(interp, INSTRUCTIONS + n);
            run(sbe, INSTRUCTIONS + n);
            assert_int_equal(state_hash(sbe), state_hash(interp));
        }
        assert_int_equal(machine_peek(sbe, MACHINE_CODE + 1, 4), 3 * INSTRUCTIONS / 9);
        assert_in_range(sbe->stats.translations - before, 1, 60);
    }
    vm_destroy(interp);
    vm_destroy(sbe);
}

/* A write that begins before a block, and ends in a soft immediate of it, has also written what lies between. */
static void softness_begins_where_the_immediate_does(void **state)
{
    (void)state;
    static const u8 code[] = {0xb9, 0x01, 0xc0, 0x00, 0x00,       /* 00: mov ecx, 0xc001 */
                              0xff, 0xd1,                         /* 05: call ecx */
                              0xff, 0x05, 0x02, 0xc0, 0x00, 0x00, /* 07: inc dword [0xc002], which becomes soft */
                              0x83, 0xc2, 0x01,                   /* 0d: add edx, 1 */
                              0x83, 0xfa, 0x08,                   /* 10: cmp edx, 8 */
                              0x75, 0xf0,                         /* 13: jne 05 */
                              0xc7, 0x05, 0x00, 0xc0, 0x00, 0x00, 0x90, 0xbb, 0x11, 0x22, /* 15: the other opcode */
                              0xff, 0xd1,                         /* 1f: call ecx */
                              0xeb, 0xfe};
    static const u8 function[] = {0x90, 0xb8, 0, 0, 0, 0, 0xc3}; /* nop; mov eax, soft (then mov ebx); ret */
    struct vm *interp = create(&engine_interp, 0), *sbe = create(&engine_sbe, 0), *vms[] = {interp, sbe};
    for (unsigned n = 0; n < ARRAY_LEN(vms); n++) {
        struct vcpu *v = prepare(vms[n], PROTECTED, code, sizeof code);
        v->cpu.gpr[RDX] = 0;
        machine_poke(vms[n], 0xc000, function, sizeof function);
        run(vms[n], 100);
        assert_int_equal(v->cpu.gpr[RAX], 7);
        assert_int_equal(v->cpu.gpr[RBX], 0x2211);
    }
    assert_int_equal(state_hash(sbe), state_hash(interp));
    vm_destroy(interp);
    vm_destroy(sbe);
}

/* An operation that is another one each time: its block is made anew in the space of the old one. */
static void rewriting_evicts_nobody(void **state)
{
    (void)state;
    static const u8 code[] = {0xb3, 0x05,                         /* mov bl, 5 */
                              0x88, 0x1d, 0x00, 0xc0, 0x00, 0x00, /* mov [0xc000], bl */
                              0x80, 0xf3, 0x28,                   /* xor bl, 0x28 */
                              0xb9, 0x00, 0xc0, 0x00, 0x00,       /* mov ecx, 0xc000 */
                              0xff, 0xd1,                         /* call ecx */
                              0xeb, 0xee};                        /* jmp to the store */
    static const u8 function[] = {0x05, 3, 0, 0, 0, 0xc3};        /* add eax, 3, or sub; ret */
    enum { ROUNDS = 40000, ROUND = 7 };
    struct vm *vm = create(&engine_sbe, 1 << 20);
    struct vcpu *v = prepare(vm, PROTECTED, code, sizeof code);
    machine_poke(vm, 0xc000, function, sizeof function);
    v->cpu.gpr[RAX] = 1000;
    run(vm, 1 + ROUND * ROUNDS);
    assert_int_equal(v->cpu.gpr[RAX], 1000);
    assert_true(vm->stats.code_kills >= ROUNDS - 10);
    assert_int_equal(vm->stats.evictions, 0);
    vm_destroy(vm);
}

/* ---- Want of space ------------------------------------------------------------------------------ */

enum { FIELD = 0x100000, FIELD_END = 0x2e0000, STRIDE = 32 };

/* A long chain of small blocks, within pages and beyond, by direct and indirect jumps. */
static void plant_field(struct vm *vm)
{
    for (u32 at = FIELD; at < FIELD_END; at += STRIDE) {
        u8 step[STRIDE] = {0x83, 0xc0, 0x07,             /* add eax, 7 */
                           0x01, 0x05, 0x00, 0xa0, 0, 0, /* add [0xa000], eax */
                           0xeb, STRIDE - 11};           /* jmp on */
        if (at + STRIDE == FIELD_END)
            memcpy(step + 9, (const u8[]){0xbb, 0x00, 0x00, 0x10, 0x00, 0xff, 0xe3}, 7); /* mov ebx, FIELD; jmp ebx */
        machine_poke(vm, at, step, sizeof step);
    }
}

static void old_regions_are_evicted(void **state)
{
    (void)state;
    enum { CODE = 1 << 20, STEPS = (FIELD_END - FIELD) / STRIDE, ROUNDS = 3 };
    struct vm *interp = create(&engine_interp, 0), *sbe = create(&engine_sbe, CODE);
    struct vcpu *v = sbe->vcpu[0];
    plant_field(interp);
    plant_field(sbe);
    prepare(interp, PROTECTED, (const u8[]){0xe9, 0xfb, 0x8f, 0x0f, 0}, 5); /* jmp FIELD */
    prepare(sbe, PROTECTED, (const u8[]){0xe9, 0xfb, 0x8f, 0x0f, 0}, 5);
    for (u64 n = 0; n < ROUNDS * 4; n++) {
        run(interp, 3 * STEPS / 4 + n);
        run(sbe, 3 * STEPS / 4 + n);
        assert_int_equal(state_hash(sbe), state_hash(interp));
        assert_true(codecache_use(v->sbe).code <= CODE);
    }
    assert_true(sbe->stats.evictions > 2 * CACHE_REGIONS);
    /* What was executed last is there, what was executed long ago is not. */
    u64 last = v->cpu.rip & ~(u64)(STRIDE - 1), page_behind = last + 2 * PAGE_SIZE;
    assert_true(block_at(sbe, last - STRIDE) != 0);
    assert_int_equal(block_at(sbe, page_behind & ~(u64)PAGE_MASK), 0);
    assert_int_equal(sbe->memory.frames[page_behind >> PAGE_SHIFT].code_lines, 0); /* and writes are not looked at */
    vm_destroy(interp);
    vm_destroy(sbe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_patches),          cmocka_unit_test(only_what_is_written_dies),
        cmocka_unit_test(walks_write_into_code),   cmocka_unit_test(immediates_become_soft),
        cmocka_unit_test(softness_begins_where_the_immediate_does),
        cmocka_unit_test(rewriting_evicts_nobody), cmocka_unit_test(old_regions_are_evicted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
