/* Where RAM lies, at every border; what loaders may do. */
#include "mmu/physmem.h"

#include "core/test_machine.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define NONE UINT64_MAX

static struct physmem memory;

static int destroy(void **state)
{
    (void)state;
    physmem_destroy(&memory);
    return 0;
}

static void create(u64 bytes) { assert_int_equal(physmem_create(&memory, bytes, PHYSMEM_DENSE), STATUS_OK); }

static u64 offset(u64 address) { return physmem_offset(&memory, gpa(address)); }

/* What an address is, from the map in physmem.h, without its arithmetic. */
static void assert_border(u64 address, u64 below, u64 at)
{
    assert_int_equal(offset(address - 1), below);
    assert_int_equal(offset(address), at);
}

static void a_small_machine(void **state)
{
    (void)state;
    create(2 * MIB);
    assert_int_equal(offset(0), 0);
    assert_border(0xa0000, 0x9ffff, NONE);
    assert_border(0xc0000, NONE, 0xc0000);
    assert_border(2 * MIB, 2 * MIB - 1, NONE);
    assert_int_equal(offset(4 * GIB), NONE);
    assert_int_equal(offset(NONE), NONE);
    assert_int_equal(physmem_end(&memory), 2 * MIB);
}

static void exactly_three_gib(void **state)
{
    (void)state;
    create(3 * GIB);
    assert_border(3 * GIB, 3 * GIB - 1, NONE);
    assert_border(4 * GIB, NONE, NONE);
    assert_int_equal(physmem_end(&memory), 3 * GIB);
}

static void one_mib_above_the_hole(void **state)
{
    (void)state;
    create(3 * GIB + MIB);
    assert_border(3 * GIB, 3 * GIB - 1, NONE);
    assert_border(4 * GIB, NONE, 3 * GIB);
    assert_border(4 * GIB + MIB, 3 * GIB + MIB - 1, NONE);
    assert_int_equal(physmem_end(&memory), 4 * GIB + MIB);
}

static void six_gib(void **state)
{
    (void)state;
    create(6 * GIB);
    assert_border(0xa0000, 0x9ffff, NONE);
    assert_border(3 * GIB, 3 * GIB - 1, NONE);
    assert_border(4 * GIB, NONE, 3 * GIB);
    assert_border(7 * GIB, 6 * GIB - 1, NONE);
    assert_int_equal(physmem_end(&memory), 7 * GIB);
    /* Backed where touched, to the last byte, and each page its own frame. */
    *physmem_pointer(&memory, gpa(7 * GIB - 1)) = 0x5a;
    *physmem_pointer(&memory, gpa(4 * GIB)) = 0xa5;
    assert_int_equal(memory.ram[6 * GIB - 1], 0x5a);
    assert_int_equal(memory.ram[3 * GIB], 0xa5);
    assert_int_equal(*physmem_pointer(&memory, gpa(3 * GIB - 1)), 0);
    assert_ptr_equal(physmem_frame(&memory, gpa(4 * GIB)), &memory.frames[3 * GIB >> PAGE_SHIFT]);
    assert_ptr_equal(physmem_frame(&memory, gpa(7 * GIB - 1)), &memory.frames[(6 * GIB >> PAGE_SHIFT) - 1]);
    assert_null(physmem_pointer(&memory, gpa(3 * GIB)));
    assert_null(physmem_frame(&memory, gpa(7 * GIB)));
    assert_null(physmem_frame(&memory, gpa(PHYS_VGA_BEGIN)));
}

static void ranges_that_are_ram(void **state)
{
    (void)state;
    create(6 * GIB);
    static const struct { u64 from, bytes; bool ram; } ranges[] = {
        {0, 0xa0000, true}, {0, 0xa0001, false}, {0x9ffff, 2, false}, {0xbffff, 1, false}, {0xbffff, 2, false},
        {0xc0000, MIB, true}, {3 * GIB - 1, 1, true}, {3 * GIB - 1, 2, false}, {3 * GIB, 1, false}, {3 * GIB, 0, true},
        {4 * GIB - 1, 2, false}, {4 * GIB, 3, true}, {7 * GIB - 4096, 4096, true}, {7 * GIB - 4096, 4097, false},
        {0x9f800, 0x21000, false}, {NONE, 2, false}, {NONE - 4, 5, false}, {16, NONE, false},
    };
    for (size_t n = 0; n < ARRAY_LEN(ranges); n++)
        if (physmem_is_ram(&memory, gpa(ranges[n].from), ranges[n].bytes) != ranges[n].ram)
            fail_msg("range %zu", n);
}

/* All or nothing: a range that is not RAM to its end stays as it was. */
static void loads_copy_all_or_nothing(void **state)
{
    (void)state;
    static u8 image[3 * PAGE_SIZE];
    create(4 * MIB);
    memset(image, 0x77, sizeof image);
    assert_true(physmem_load(&memory, gpa(0x100ff0), image, sizeof image));
    assert_int_equal(memory.ram[0x100fef], 0);
    assert_memory_equal(memory.ram + 0x100ff0, image, sizeof image);
    assert_int_equal(memory.ram[0x103ff0], 0);
    assert_false(physmem_load(&memory, gpa(0x9f000), image, sizeof image));
    assert_int_equal(memory.ram[0x9f000], 0);
    assert_false(physmem_load(&memory, gpa(4 * MIB - 4096), image, 4097));
    assert_int_equal(memory.ram[4 * MIB - 4096], 0);
    assert_false(physmem_zero(&memory, gpa(4 * MIB - 1), 2));
    assert_true(physmem_zero(&memory, gpa(0x101000), 0x2000));
    assert_int_equal(memory.ram[0x100fff], 0x77);
    assert_int_equal(memory.ram[0x101000], 0);
    assert_int_equal(memory.ram[0x102fff], 0);
    assert_int_equal(memory.ram[0x103000], 0x77);
}

static void give_code(u64 address)
{
    struct frame *frame = physmem_frame(&memory, gpa(address));
    frame->flags = FRAME_CODE | FRAME_TABLE;
    frame->code_lines = 1;
}

/* After a reset loaders write again: decoded instructions of every page they touch must die, of no other. */
static void loads_kill_decoded_code(void **state)
{
    (void)state;
    static const u8 image[2 * PAGE_SIZE] = {1};
    create(4 * MIB);
    for (unsigned zero = 0; zero < 2; zero++) {
        for (u64 at = 0x100000; at < 0x105000; at += PAGE_SIZE)
            give_code(at);
        u32 before = physmem_frame(&memory, gpa(0x101000))->code_generation;
        if (zero)
            assert_true(physmem_zero(&memory, gpa(0x101004), sizeof image));
        else
            assert_true(physmem_load(&memory, gpa(0x101004), image, sizeof image));
        for (u64 page = 0; page < 5; page++) {
            const struct frame *frame = physmem_frame(&memory, gpa(0x100000 + page * PAGE_SIZE));
            bool touched = page >= 1 && page <= 3;
            assert_int_equal(frame->flags, touched ? FRAME_TABLE : FRAME_CODE | FRAME_TABLE);
            assert_int_equal(frame->code_lines, !touched);
            if (touched)
                assert_int_equal(frame->code_generation, before + 1);
        }
    }
}

/* Accesses by way of the TLB know the same map: linear = physical here. */
static void accesses_beyond_4_gib(void **state)
{
    (void)state;
    struct machine *big = machine_with_ram(6ull << 30);
    mode_long(big);
    const u64 gib = 1ull << 30, pdpt = PML4 + 0x1000;
    for (u64 n = 0; n < 8; n++)
        put(big, pdpt + 8 * n, n * gib | 0x87, 8);
    big->vm.config.model = cpu_model_find("max"); /* with 1 GiB pages */
    tlb_flush(&big->v);
    static const struct { u64 linear, offset; } places[] = {
        {0x1234, 0x1234}, {(3ull << 30) - 8, (3ull << 30) - 8}, {4ull << 30, 3ull << 30},
        {(7ull << 30) - 8, (6ull << 30) - 8}, {0x123456788, 0xe3456788},
    };
    for (size_t n = 0; n < ARRAY_LEN(places); n++)
        for (unsigned warm = 0; warm < 2; warm++) {
            u64 value = 0x1111111111111111 * (n + 1) + warm, got = 0;
            assert_true(mem_write64(&big->v, places[n].linear, value));
            memcpy(&got, big->vm.memory.ram + places[n].offset, 8);
            assert_int_equal(got, value);
            /* A slow access by way of the warm TLB entry finds the same physical address. */
            assert_true(mem_write_slow(&big->v, places[n].linear, &value, 8, TLB_SUPERVISOR));
            memcpy(&got, big->vm.memory.ram + places[n].offset, 8);
            assert_int_equal(got, value);
            const u8 *host;
            gpa_t page;
            assert_true(mem_fetch_page(&big->v, places[n].linear, &host, &page));
            assert_int_equal(page.raw, places[n].linear & ~(u64)PAGE_MASK);
            assert_ptr_equal(host, big->vm.memory.ram + (places[n].offset & ~(u64)PAGE_MASK));
        }
    u64 got = 0;
    put(big, 3 * gib - 4, 0x44332211, 4);
    assert_true(mem_read64(&big->v, 3 * gib - 4, &got)); /* into the hole */
    assert_int_equal(got, 0xffffffff44332211);
    assert_true(mem_read64(&big->v, 4 * gib - 4, &got)); /* out of it */
    assert_int_equal(got, 0x33333333ffffffff + (1ull << 32));
    assert_true(mem_read64(&big->v, 7 * gib, &got)); /* past the end */
    assert_int_equal(got, ~0ull);
    machine_free(big);
}

/* The pages written since `interval`, in the order in which they are found: digits of their numbers. */
static unsigned found_since(u64 interval)
{
    unsigned pages = 0;
    for (u64 page = physmem_newest(&memory); page != physmem_pages(&memory) &&
         physmem_written_since(&memory, page, interval); page = physmem_next_written(&memory, page))
        pages = pages * 10 + (unsigned)page;
    return pages;
}

static void written_pages_are_found_by_interval(void **state)
{
    (void)state;
    create(2 * MIB);
    assert_int_equal(found_since(1), 0);
    physmem_note_page(&memory, 1);
    physmem_note_page(&memory, 2);
    physmem_note_page(&memory, 1); /* known already */
    physmem_note_page(&memory, 3);
    assert_int_equal(found_since(1), 321);
    memory.interval++;
    assert_int_equal(found_since(2), 0);
    physmem_note_page(&memory, 2); /* from the middle, */
    physmem_note_page(&memory, 4);
    assert_int_equal(found_since(2), 42);
    assert_int_equal(found_since(1), 4231);
    memory.interval++;
    physmem_note_page(&memory, 1); /* the end, */
    physmem_note_page(&memory, 4); /* and the beginning of the list */
    assert_int_equal(found_since(3), 41);
    assert_int_equal(found_since(2), 412);
    assert_int_equal(found_since(1), 4123);
}

static void refused_by_the_host(void **state)
{
    (void)state;
    struct physmem nothing = {0};
    assert_int_equal(physmem_create(&nothing, 1ull << 60, PHYSMEM_DENSE), STATUS_NO_MEMORY);
    assert_null(nothing.ram);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_small_machine, destroy),
        cmocka_unit_test_teardown(exactly_three_gib, destroy),
        cmocka_unit_test_teardown(one_mib_above_the_hole, destroy),
        cmocka_unit_test_teardown(six_gib, destroy),
        cmocka_unit_test_teardown(ranges_that_are_ram, destroy),
        cmocka_unit_test_teardown(loads_copy_all_or_nothing, destroy),
        cmocka_unit_test_teardown(loads_kill_decoded_code, destroy),
        cmocka_unit_test(accesses_beyond_4_gib),
        cmocka_unit_test_teardown(written_pages_are_found_by_interval, destroy),
        cmocka_unit_test(refused_by_the_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
