/* What loaders leave, and what a broken one might. */
#include "metal/boot_info.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAGIC_1 = 0x2badb002, MAGIC_2 = 0x36d76289, INFO_BYTES = 4096 };

static struct boot_info boot;
static u8 info[INFO_BYTES] __attribute__((aligned(8)));
static u32 used;

static void put(const void *from, size_t bytes)
{
    memcpy(info + used, from, bytes);
    used += (u32)bytes;
}

static void put_u32(u32 value) { put(&value, 4); }
static void put_u64(u64 value) { put(&value, 8); }

/* Tags begin at multiples of 8. */
static void put_tag(u32 type, u32 bytes)
{
    used = (used + 7) & ~7u;
    put_u32(type);
    put_u32(8 + bytes);
}

static void put_module(u32 begin, u32 end, const char *text)
{
    put_tag(3, 8 + (u32)strlen(text) + 1);
    put_u32(begin);
    put_u32(end);
    put(text, strlen(text) + 1);
}

static void put_map(unsigned count)
{
    put_tag(6, 8 + 24 * count);
    put_u32(24);
    put_u32(0);
    for (unsigned n = 0; n < count; n++) {
        put_u64(0x100000 * (n + 1ull));
        put_u64(0x80000);
        put_u32(n == 1 ? 2 : 1); /* the second is reserved */
        put_u32(0);
    }
}

static void begin(void)
{
    memset(info, 0, sizeof info);
    used = 8;
}

static bool end(void)
{
    put_tag(0, 0);
    memcpy(info, &used, 4);
    return boot_info_read(MAGIC_2, (u64)info, &boot);
}

static void test_multiboot_2(void **state)
{
    (void)state;
    begin();
    put_tag(1, 6);
    put("-quick", 6); /* without its NUL */
    put_map(3);
    put_module(0x200000, 0x200010, "/boot/a.vmx");
    put_module(0x300000, 0x300020, "vmlinuz  two words");
    put_module(0x300000, 0x200000, "");
    put_tag(14, 20);
    put("RSD PTR 1..........x", 20);
    assert_true(end());
    assert_string_equal(boot.command_line, "-quick");
    assert_int_equal(boot.ram_count, 2);
    assert_int_equal(boot.ram[1].begin, 0x300000);
    assert_int_equal(boot.ram[1].end, 0x380000);
    assert_int_equal(boot.file_count, 3);
    assert_string_equal(boot.file[0].name, "a.vmx");
    assert_string_equal(boot.file[0].arguments, "");
    assert_int_equal(boot.file[1].size, 0x20);
    assert_string_equal(boot.file[1].name, "vmlinuz");
    assert_string_equal(boot.file[1].arguments, " two words");
    assert_int_equal(boot.file[2].size, 0); /* ends before it begins */
    assert_true(boot.has_rsdp);
    assert_memory_equal(boot.rsdp, "RSD PTR 1", 9);
    assert_null(boot.trouble);
    assert_ptr_equal(boot_file_find(&boot, "vmlinuz"), &boot.file[1]);
    assert_null(boot_file_find(&boot, "boot/a.vmx"));
}

static void test_too_much(void **state)
{
    (void)state;
    begin();
    put_map(1);
    for (unsigned n = 0; n < BOOT_FILES + 1; n++)
        put_module(0x200000, 0x200010, "m");
    assert_true(end());
    assert_int_equal(boot.file_count, BOOT_FILES);
    assert_non_null(strstr(boot.trouble, "more than 32 modules"));
}

static void test_refused(void **state)
{
    (void)state;
    begin();
    assert_false(end()); /* no memory map */
    put_map(1);
    assert_false(boot_info_read(0x12345678, (u64)info, &boot));
}

/* Sizes that reach beyond the information, or do not advance, end it. */
static void test_broken_sizes(void **state)
{
    (void)state;
    static const u32 sizes[] = {0, 1, 7, 9, 4000, 0xffffffff};
    for (size_t n = 0; n < sizeof sizes / sizeof sizes[0]; n++)
        for (u32 type = 0; type < 16; type++) {
            begin();
            put_map(1);
            put_tag(type, 0);
            memcpy(info + used - 4, &sizes[n], 4);
            assert_true(end());
            assert_int_equal(boot.ram_count, 1);
        }
}

static void test_any_bytes(void **state)
{
    (void)state;
    srand(1);
    for (unsigned round = 0; round < 50000; round++) {
        begin();
        put_map(2);
        put_module(1, 2, "name text");
        used = 512;
        (void)end();
        for (unsigned n = rand() % 8; n; n--)
            info[8 + rand() % 500] = rand() % 2 ? (u8)rand() : (u8)(rand() % 32);
        (void)boot_info_read(MAGIC_2, (u64)info, &boot);
        assert_true(boot.ram_count <= BOOT_RANGES && boot.file_count <= BOOT_FILES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_multiboot_2), cmocka_unit_test(test_too_much),
                                       cmocka_unit_test(test_refused), cmocka_unit_test(test_broken_sizes),
                                       cmocka_unit_test(test_any_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
