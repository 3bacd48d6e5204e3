/* The run loop of the interpreter: cached runs of decoded instructions must never show. */
#include "sbe/interp.h"

#include "sbe/test_code.h"

enum { VGA = 0xb8000, CODE2 = 0x5000, OTHER = 0x9000, FRESH = 0x7000 /* no other test executes there */ };

/* Runs `count` instructions from `rip`, through the loop and its cache. */
static void run_at(u64 rip, u64 count)
{
    v->cpu.rip = rip;
    u64 until = v->cpu.icount + count;
    vm_run(vm, until);
    assert_int_equal(v->cpu.icount, until);
}

/* Turns 32-bit paging on over the flat 32-bit mode; every page maps itself until remap(). */
static void enter_paged32(void)
{
    enter(CODE_32);
    u32 entry = TABLES + 0x1007;
    memcpy(ram(TABLES), &entry, 4);
    for (u32 page = 0; page < 512; page++) {
        entry = page << PAGE_SHIFT | 7;
        memcpy(ram(TABLES + 0x1000 + 4 * page), &entry, 4);
    }
    v->cpu.cr3 = TABLES;
    v->cpu.cr0 |= CR0_PG | CR0_WP;
    tlb_flush(v);
    vcpu_update_mode(v);
}

/* As a device would write the table: no flush of ours, coherence is the model's. */
static void remap(u32 page, u32 entry) { phys_write(vm, gpa(TABLES + 0x1000 + 4 * page), &entry, 4); }

/* ---- Self-modifying code ------------------------------------------------------------------------ */

/* mov byte [target], 0x48 (dec eax); then `distance` NOPs; target: inc eax. */
static void a_store_changes_what_follows_it(void **state)
{
    (void)state;
    for (unsigned distance = 0; distance < 70; distance++) {
        enter(CODE_32);
        u8 code[80];
        memset(code, 0x90, sizeof code);
        u32 target = CODE + 7 + distance;
        memcpy(code, (const u8[]){0xc6, 0x05}, 2);
        memcpy(code + 2, &target, 4);
        code[6] = 0x48;
        code[7 + distance] = 0x40;
        put_bytes(CODE, code, sizeof code);
        u8 original = 0x40;
        for (unsigned n = 0; n < 3; n++) { /* decoded afresh, then cached, then cached over again */
            put_bytes(target, &original, 1);
            set(RAX, 100);
            run_at(CODE, 2 + distance);
            assert_reg(RAX, 99);
            set(RAX, 100);
            run_at(target, 1); /* the changed byte stays */
            assert_reg(RAX, 99);
        }
    }
}

/* The same store through another linear address of the page. */
static void a_store_through_an_alias(void **state)
{
    (void)state;
    enter_paged32();
    PUT(CODE, 0xc6, 0x05, 0x07, 0x90, 0x00, 0x00, 0x48, 0x40); /* mov byte [0x9007], 0x48; inc eax */
    remap(OTHER >> 12, CODE | 7);
    for (unsigned n = 0; n < 3; n++) {
        PUT(CODE + 7, 0x40);
        set(RAX, 10);
        run_at(CODE, 2);
        assert_reg(RAX, 9);
    }
    /* Executed through the alias, changed through the original. */
    PUT(CODE, 0xc6, 0x05, 0x07, 0x10, 0x00, 0x00, 0x48, 0x40);
    set(RAX, 10);
    run_at(OTHER, 2);
    assert_reg(RAX, 9);
}

/* A warm write entry for the page must not outlive the decoding of code in it. */
static void a_page_written_before_it_is_code(void **state)
{
    (void)state;
    enter(CODE_32);
    PUT(CODE, 0xc6, 0x05, 0x00, 0x50, 0x00, 0x00, 0x48); /* mov byte [CODE2], 0x48 */
    PUT(CODE2, 0x40);
    for (unsigned n = 0; n < 3; n++) {
        v->cpu.rip = CODE;
        run_at(CODE, 1);
        assert_int_equal(*ram(CODE2), 0x48);
        set(RAX, 10);
        run_at(CODE2, 1);
        assert_reg(RAX, 9);
        u8 inc = 0x40;
        assert_true(mem_write8(v, CODE2, inc));
        run_at(CODE2, 1);
        assert_reg(RAX, 10);
    }
}

static void string_stores_and_dma(void **state)
{
    (void)state;
    enter(CODE_32);
    PUT(CODE, 0xf3, 0xa4, 0x40, 0x40, 0x40); /* rep movsb; inc eax three times */
    PUT(DATA, 0x48, 0x90, 0x48);
    for (unsigned n = 0; n < 3; n++) {
        PUT(CODE + 2, 0x40, 0x40, 0x40);
        set(RAX, 10);
        set(RCX, 3);
        set(RSI, DATA);
        set(RDI, CODE + 2);
        run_at(CODE, 6);
        assert_reg(RAX, 8);
        PUT(CODE + 2, 0x40); /* a device writes: the next time counts */
        set(RAX, 10);
        run_at(CODE + 2, 2);
        assert_reg(RAX, 11);
    }
}

/* REP MOVSB over its own bytes. What happens must not depend on where the run is cut: each iteration fetches anew. In
 * one page, and across two. */
static void a_string_store_over_itself(void **state)
{
    (void)state;
    for (unsigned slices = 0; slices < 2; slices++)
        for (u64 at = CODE2 + PAGE_SIZE - 4; at <= CODE2 + PAGE_SIZE; at++) {
            enter(CODE_32);
            PUT(at, 0xf3, 0xa4, 0x40, 0x40, 0x40, 0x40);
            PUT(DATA, 0xf3, 0xa5, 0x48, 0x48); /* from the second iteration on it is REP MOVSD */
            store64(DATA + 4, 0xa4f3484848484848);
            set(RAX, 100);
            set(RCX, 4);
            set(RSI, DATA);
            set(RDI, at);
            v->cpu.rip = at;
            u64 begin = v->cpu.icount, end = begin + 8;
            for (u64 until = slices ? begin + 1 : end; until <= end; until++)
                vm_run(vm, until);
            /* MOVSB, MOVSB, MOVSD twice: at + 2 = 48 48 48 48, at + 6 = 48 48 f3 a4 */
            assert_reg(RCX, 0);
            assert_reg(RDI, at + 10);
            assert_reg(RAX, 96);
            assert_int_equal(v->cpu.rip, at + 6);
        }
}

/* Its first byte, which is the last of a page, becomes an instruction of its own. */
static void a_string_store_over_its_prefix(void **state)
{
    (void)state;
    const u64 at = CODE2 + PAGE_SIZE - 1;
    for (unsigned slices = 0; slices < 2; slices++) {
        enter(CODE_32);
        PUT(at, 0xf3, 0xa4, 0x40, 0x40);
        PUT(DATA, 0x40, 0x90);
        set(RAX, 100);
        set(RCX, 2);
        set(RSI, DATA);
        set(RDI, at);
        v->cpu.rip = at;
        u64 begin = v->cpu.icount, end = begin + 5;
        for (u64 until = slices ? begin + 1 : end; until <= end; until++)
            vm_run(vm, until);
        assert_reg(RCX, 1);
        assert_reg(RAX, 103);
        assert_int_equal(v->cpu.rip, at + 4);
    }
}

/* REP STOSD over the page table entry of its own page. */
static void a_string_store_that_moves_its_page(void **state)
{
    (void)state;
    for (unsigned slices = 0; slices < 2; slices++) {
        enter_paged32();
        PUT(CODE2, 0xf3, 0xab, 0x40, 0x40);  /* rep stosd */
        PUT(OTHER, 0x48, 0x48, 0x48, 0x48);
        set(RAX, OTHER | 7);
        set(RCX, 4);
        set(RDI, TABLES + 0x1000 + 4 * (CODE2 >> 12) - 4);
        v->cpu.rip = CODE2;
        u64 begin = v->cpu.icount, end = begin + 4;
        for (u64 until = slices ? begin + 1 : end; until <= end; until++)
            vm_run(vm, until);
        assert_reg(RCX, 2);
        assert_reg(RAX, (OTHER | 7) - 2);
        assert_int_equal(v->cpu.rip, CODE2 + 2);
    }
}

/* Data beside code: a write to another 64-byte line keeps decoded instructions, one to the line drops them. */
static void lines_of_64_bytes(void **state)
{
    (void)state;
    enter(CODE_32);
    PUT(FRESH + 0x40, 0x40, 0xeb, 0xfd); /* inc eax; jmp back */
    run_at(FRESH + 0x40, 20);
    u64 decodes = vm->stats.decodes;
    static const u16 beside[] = {0x3f, 0x80, 0x0, 0xfff};
    for (unsigned n = 0; n < ARRAY_LEN(beside); n++)
        assert_true(mem_write8(v, FRESH + beside[n], 0));
    run_at(FRESH + 0x40, 20);
    assert_int_equal(vm->stats.decodes, decodes);
    assert_true(mem_write8(v, FRESH + 0x7f, 0));
    run_at(FRESH + 0x40, 20);
    assert_int_equal(vm->stats.decodes, decodes + 2);
}

/* ---- What else bytes mean ----------------------------------------------------------------------- */

static void set_cs(u64 base, u32 limit, u16 attributes)
{
    struct segment *cs = &v->cpu.seg[SEG_CS];
    cs->base = base;
    cs->limit = limit;
    cs->attributes = (u16)((cs->attributes & ~(SEG_DB | SEG_L)) | attributes);
    vcpu_update_mode(v);
}

/* b8 01 00 40 90: mov ax, 1; inc ax; nop - or mov eax, 0x90400001 - or, in 64-bit mode, 40 90 is a NOP with REX. */
static void the_same_bytes_in_two_widths(void **state)
{
    (void)state;
    enter(CODE_32);
    PUT(CODE, 0xb8, 0x01, 0x00, 0x40, 0x90);
    for (unsigned n = 0; n < 3; n++) {
        set_cs(0, 0xffffffff, SEG_DB);
        set(RAX, 0);
        run_at(CODE, 1);
        assert_reg(RAX, 0x90400001);
        set_cs(0, 0xffffffff, 0);
        set(RAX, 0);
        run_at(CODE, 2);
        assert_reg(RAX, 2);
        assert_int_equal(v->cpu.rip, CODE + 4);
    }
    enter(CODE_64);
    PUT(CODE, 0x40, 0x90, 0x90);
    for (unsigned n = 0; n < 3; n++) {
        set_cs(0, 0xffffffff, SEG_L);
        set(RAX, 0);
        run_at(CODE, 1);
        assert_reg(RAX, 0);
        assert_int_equal(v->cpu.rip, CODE + 2);
        set_cs(0, 0xffffffff, SEG_DB);
        run_at(CODE, 1);
        assert_reg(RAX, 1);
        assert_int_equal(v->cpu.rip, CODE + 1);
    }
}

/* RIP counts from another base on the same linear page. */
static void a_base_changes_on_one_page(void **state)
{
    (void)state;
    enter(CODE_32);
    PUT(CODE, 0x40, 0x90, 0x48, 0x90);
    run_at(CODE, 1);
    assert_reg(RAX, 1);
    set_cs(2, 0xffffffff, SEG_DB);
    run_at(CODE, 1);
    assert_reg(RAX, 0);
    set_cs(CODE, 0xffffffff, SEG_DB);
    run_at(0, 1);
    assert_reg(RAX, 1);
}

/* Fetches #GP by calling the loop's fetch alone. */
static void assert_fetch_gp(u64 rip)
{
    struct insn insn;
    v->cpu.rip = rip;
    assert_false(interp_fetch(v, &insn));
    assert_int_equal(v->fault.vector, VEC_GP);
    assert_int_equal(v->fault.error, 0);
}

/* In the loop: a #GP arrives at a HLT, which is at OTHER. */
static void expect_gp_handler(void)
{
    u64 gate = (u64)OTHER | 0x8ull << 16 | 0x8e00ull << 32, code = 0x00cf9a000000ffff;
    store64(0x3000 + 8 * VEC_GP, gate);
    store64(0x3808, code);
    PUT(OTHER, 0xf4);
    v->cpu.idtr = (struct table_register){.base = 0x3000, .limit = 0x7ff};
    v->cpu.gdtr = (struct table_register){.base = 0x3800, .limit = 0xf};
}

static void assert_gp_in_loop(u64 rip)
{
    v->cpu.rip = rip;
    assert_int_equal(vm_run(vm, v->cpu.icount + 100), VM_STOP_IDLE);
    assert_int_equal(v->cpu.rip, OTHER + 1);
    v->cpu.activity = ACTIVITY_RUNNING;
}

/* A limit that ends inside an instruction, after the same bytes have run under a longer one. */
static void limits_cut_cached_runs(void **state)
{
    (void)state;
    enter(CODE_32);
    PUT(CODE, 0x40, 0x40, 0xb8, 5, 0, 0, 0, 0x40); /* inc eax twice; mov eax, 5; inc eax */
    run_at(CODE, 4);
    assert_reg(RAX, 6);
    for (u32 limit = CODE; limit < CODE + 8; limit++) {
        enter(CODE_32);
        PUT(CODE, 0x40, 0x40, 0xb8, 5, 0, 0, 0, 0x40);
        run_at(CODE, 4); /* cached whole */
        expect_gp_handler();
        set_cs(0, limit, SEG_DB);
        set(RAX, 0);
        assert_gp_in_loop(CODE);
        assert_reg(RAX, limit < CODE + 1 ? 1 : limit < CODE + 6 ? 2 : limit < CODE + 7 ? 5 : 6);
        set_cs(0, limit, SEG_DB);
        assert_fetch_gp(limit + 1);
        set_cs(0, 0xffffffff, SEG_DB);
        run_at(CODE, 4); /* and whole again */
        assert_reg(RAX, 6);
    }
    /* The limit is looked at before the page. */
    enter_paged32();
    remap(OTHER >> 12, 0);
    set_cs(0, OTHER - 1, SEG_DB);
    assert_fetch_gp(OTHER);
    set_cs(0, OTHER, SEG_DB);
    struct insn insn;
    assert_false(interp_fetch(v, &insn));
    assert_int_equal(v->fault.vector, VEC_PF);
    remap(OTHER >> 12, OTHER | 7);
}

/* With an odd base one page holds both ends of a 4 GiB segment. */
static void both_ends_of_a_segment_on_one_page(void **state)
{
    (void)state;
    enter(CODE_32);
    PUT(CODE + 0x100, 0x40, 0x90);
    PUT(CODE + 0x900, 0x48, 0x90);
    set_cs(CODE + 0x800, 0xffffffff, SEG_DB);
    struct insn insn;
    for (unsigned n = 0; n < 2; n++) {
        run_at(0x100, 1);
        assert_reg(RAX, 0xffffffff);
        run_at(0xfffff900, 1);
        assert_reg(RAX, 0);
        v->cpu.rip = 0x100;
        assert_true(interp_fetch(v, &insn));
        v->cpu.rip = 0xfffff900;
        assert_true(interp_fetch(v, &insn));
        run_at(0x100, 1);
        set(RAX, 0);
        vcpu_update_mode(v); /* the other one first */
        run_at(0xfffff900, 1);
        assert_reg(RAX, 1);
        set(RAX, 0);
    }
    set_cs(CODE + 0x800, 0x7ff, SEG_DB);
    run_at(0x100, 1);
    assert_fetch_gp(0xfffff900);
}

/* ---- Pages -------------------------------------------------------------------------------------- */

/* b8 imm32 across the border of CODE2's page. */
static void an_instruction_across_pages(void **state)
{
    (void)state;
    enter_paged32();
    const u64 at = CODE2 + PAGE_SIZE - 2;
    const u32 next = (CODE2 >> 12) + 1;
    PUT(at, 0xb8, 0x11, 0x22, 0x33, 0x44);
    PUT(OTHER, 0x55, 0x66, 0x77);
    run_at(at, 1);
    assert_reg(RAX, 0x44332211);
    remap(next, OTHER | 7);
    run_at(at, 1);
    assert_reg(RAX, 0x77665511);
    PUT(OTHER, 0x99);
    run_at(at, 1);
    assert_reg(RAX, 0x77669911);
    remap(next, OTHER);
    struct insn insn;
    v->cpu.rip = at;
    assert_false(interp_fetch(v, &insn));
    assert_int_equal(v->fault.vector, VEC_PF);
    assert_int_equal(v->fault.cr2, CODE2 + PAGE_SIZE);
    assert_int_equal(v->fault.error, 0);
    /* The limit is looked at before the second page, and holds in it. */
    for (u32 limit = (u32)at; limit < at + 4; limit++) {
        set_cs(0, limit, SEG_DB);
        assert_fetch_gp(at);
        if (limit == at + 1)
            remap(next, 7 | (next << 12));
    }
    set_cs(0, (u32)at + 4, SEG_DB);
    run_at(at, 1);
    assert_reg(RAX, 0x44332211);
}

/* Only bytes that belong to the instruction may fault: the last byte of a page, the next page absent. */
static void the_next_page_is_not_touched_early(void **state)
{
    (void)state;
    enter_paged32();
    remap((CODE2 >> 12) + 1, 0);
    PUT(CODE2 + PAGE_SIZE - 3, 0x40, 0x40, 0x40);
    run_at(CODE2 + PAGE_SIZE - 3, 3);
    assert_reg(RAX, 3);
    assert_int_equal(v->cpu.rip, CODE2 + PAGE_SIZE);
}

/* The page under a cached run changes, by table and by CR3. */
static void a_remapped_page_of_code(void **state)
{
    (void)state;
    enter_paged32();
    PUT(CODE2, 0x40, 0x40, 0x40);
    PUT(OTHER, 0x48, 0x48, 0x48);
    for (unsigned n = 0; n < 3; n++) {
        set(RAX, 100);
        run_at(CODE2, 2);
        assert_reg(RAX, 102);
        remap(CODE2 >> 12, OTHER | 7);
        run_at(CODE2 + 1, 2);
        assert_reg(RAX, 100);
        remap(CODE2 >> 12, CODE2 | 7);
        run_at(CODE2, 1);
        assert_reg(RAX, 101);
    }
    /* By an instruction of the very run: mov dword [pte], OTHER | 7; then on at the other page's bytes. */
    PUT(CODE2, 0xc7, 0x05, 0x14, 0x10, 0x01, 0x00, 0x07, OTHER >> 8, 0x00, 0x00, 0x40, 0x40);
    PUT(OTHER + 10, 0x48, 0x48);
    set(RAX, 100);
    run_at(CODE2, 3);
    assert_reg(RAX, 98);
}

/* Unassigned space reads as FF FF: an invalid instruction, even when page 0 has a run cached just where a confusion of
 * "no RAM" with an offset would find it. */
static void code_outside_ram(void **state)
{
    (void)state;
    enter(CODE_32);
    for (u64 at = 0x500; at < 0x520; at++)
        PUT(at, 0x40);
    for (u64 at = 0x500; at < 0x518; at++)
        run_at(at, 2);
    expect_gp_handler();
    store64(0x3000 + 8 * VEC_UD, (u64)(OTHER + 0x10) | 0x8ull << 16 | 0x8e00ull << 32);
    for (u64 at = VGA + 0x500; at < VGA + 0x518; at++) {
        struct insn insn;
        set(RAX, 7);
        set_cs(0, 0xffffffff, SEG_DB);
        set(RSP, STACK);
        v->cpu.rip = at;
        bool fetched = interp_fetch(v, &insn);
        assert_false(fetched);
        assert_int_equal(v->fault.vector, VEC_UD);
        while (v->cpu.rip == at)
            vm_run(vm, v->cpu.icount + 1);
        assert_reg(RAX, 7);
        u32 saved;
        memcpy(&saved, ram(STACK - 12), 4);
        assert_int_equal(saved, at);
    }
}

/* ---- The cache's own seams ---------------------------------------------------------------------- */

/* More distinct runs than it holds, executed twice over, each with a result of its own. */
static void more_code_than_the_cache_holds(void **state)
{
    (void)state;
    enum { BLOCK = 64, FIRST = 0x100000, COUNT = 0xf0000 / BLOCK };
    enter(CODE_32);
    for (u32 n = 0; n < COUNT; n++) {
        u8 code[BLOCK];
        memset(code, 0x90, sizeof code);
        code[0] = 0xb8; /* mov eax, n */
        memcpy(code + 1, &n, 4);
        put_bytes(FIRST + n * BLOCK, code, sizeof code);
    }
    for (unsigned round = 0; round < 2; round++)
        for (u32 n = 0; n < COUNT; n++) {
            run_at(FIRST + n * BLOCK, 5);
            assert_reg(RAX, n);
        }
}

/* REP: a cut between iterations leaves RF for the saved image of an interrupt (SDM vol. 3, 17.3.1.1), no other does. */
static void rf_between_iterations(void **state)
{
    (void)state;
    enter(CODE_32);
    PUT(CODE, 0x40, 0xf3, 0xaa, 0x40);
    set(RCX, 5);
    set(RDI, DATA);
    v->cpu.rip = CODE;
    u64 begin = v->cpu.icount;
    for (u64 n = 1; n <= 7; n++) {
        vm_run(vm, begin + n);
        assert_int_equal((v->cpu.rflags & FLAG_RF) != 0, n >= 2 && n <= 5);
        assert_reg(RCX, n == 1 ? 5 : n <= 6 ? 6 - n : 0);
    }
    assert_int_equal(v->cpu.rip, CODE + 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_changes_what_follows_it),
        cmocka_unit_test(a_store_through_an_alias),
        cmocka_unit_test(a_page_written_before_it_is_code),
        cmocka_unit_test(string_stores_and_dma),
        cmocka_unit_test(a_string_store_over_itself),
        cmocka_unit_test(a_string_store_over_its_prefix),
        cmocka_unit_test(a_string_store_that_moves_its_page),
        cmocka_unit_test(lines_of_64_bytes),
        cmocka_unit_test(the_same_bytes_in_two_widths),
        cmocka_unit_test(a_base_changes_on_one_page),
        cmocka_unit_test(limits_cut_cached_runs),
        cmocka_unit_test(both_ends_of_a_segment_on_one_page),
        cmocka_unit_test(an_instruction_across_pages),
        cmocka_unit_test(the_next_page_is_not_touched_early),
        cmocka_unit_test(a_remapped_page_of_code),
        cmocka_unit_test(code_outside_ram),
        cmocka_unit_test(more_code_than_the_cache_holds),
        cmocka_unit_test(rf_between_iterations),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
