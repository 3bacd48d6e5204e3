/* The ACPI tables: checksums and pointers by our own reading, syntax by iasl, and dsdt.inc against its source. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/acpi_tables.h"

static const char here[] = __FILE__;

static struct physmem memory;

static const u8 *at(u64 address) { return physmem_pointer(&memory, gpa(address)); }

static u64 get(const u8 *bytes, unsigned size)
{
    u64 value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (u64)bytes[i] << i * 8;
    return value;
}

static u8 sum(const u8 *bytes, u64 length)
{
    u8 total = 0;
    for (u64 i = 0; i < length; i++)
        total = (u8)(total + bytes[i]);
    return total;
}

static int setup(void **state)
{
    (void)state;
    if (physmem_create(&memory, 1 << 20, PHYSMEM_DENSE) != STATUS_OK)
        return -1;
    return acpi_tables_write(&memory).raw == 0xe0000 ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    physmem_destroy(&memory);
    return 0;
}

static void root_pointer_is_found_by_a_scan(void **state)
{
    (void)state;
    u64 found = 0;
    for (u64 a = 0xe0000; a < 0x100000 && !found; a += 16)
        if (memcmp(at(a), "RSD PTR ", 8) == 0)
            found = a;
    assert_int_equal(found, ACPI_TABLES_BEGIN);
    assert_int_equal(sum(at(found), 20), 0);
    assert_int_equal(sum(at(found), get(at(found) + 20, 4)), 0);
}

static u64 rsdt_address(void) { return get(at(ACPI_TABLES_BEGIN) + 16, 4); }
static u64 xsdt_address(void) { return get(at(ACPI_TABLES_BEGIN) + 24, 8); }

static void check_table(u64 address)
{
    u64 length = get(at(address) + 4, 4);
    assert_in_range(address, ACPI_TABLES_BEGIN, ACPI_TABLES_END - length);
    assert_in_range(length, 36, 0x2000);
    assert_int_equal(sum(at(address), length), 0);
}

static void both_roots_list_the_same_sound_tables(void **state)
{
    (void)state;
    static const char *const signatures[] = {"FACP", "APIC", "HPET"};
    u64 rsdt = rsdt_address(), xsdt = xsdt_address();
    check_table(rsdt);
    check_table(xsdt);
    assert_int_equal(get(at(rsdt) + 4, 4), 36 + 3 * 4);
    assert_int_equal(get(at(xsdt) + 4, 4), 36 + 3 * 8);
    for (unsigned i = 0; i < 3; i++) {
        u64 table = get(at(xsdt) + 36 + 8 * i, 8);
        assert_int_equal(get(at(rsdt) + 36 + 4 * i, 4), table);
        assert_memory_equal(at(table), signatures[i], 4);
        check_table(table);
    }
}

static void tables_do_not_overlap(void **state)
{
    (void)state;
    u64 xsdt = xsdt_address(), fadt = get(at(xsdt) + 36, 8);
    u64 begin[8] = {ACPI_TABLES_BEGIN, rsdt_address(), xsdt, fadt, get(at(xsdt) + 44, 8), get(at(xsdt) + 52, 8),
                    get(at(fadt) + 36, 4), get(at(fadt) + 40, 4)};
    for (unsigned i = 0; i < 8; i++)
        for (unsigned j = 0; j < 8; j++) {
            u64 length = i == 0 ? 36 : get(at(begin[i]) + 4, 4);
            if (i != j)
                assert_false(begin[j] >= begin[i] && begin[j] < begin[i] + length);
        }
}

static void fadt_points_to_the_hardware(void **state)
{
    (void)state;
    const u8 *fadt = at(get(at(xsdt_address()) + 36, 8));
    assert_int_equal(get(fadt + 4, 4), 244);
    assert_int_equal(get(fadt + 46, 2), 9);
    assert_int_equal(get(fadt + 56, 4), 0x600);
    assert_int_equal(get(fadt + 64, 4), 0x604);
    assert_int_equal(get(fadt + 76, 4), 0x608);
    assert_int_equal(fadt[88], 4);
    assert_int_equal(fadt[89], 2);
    assert_int_equal(fadt[91], 4);
    assert_int_equal(get(fadt + 120, 8), 0xcf9); /* RESET_REG */
    assert_int_equal(fadt[128], 6);
    assert_int_equal(get(fadt + 132, 8), get(fadt + 36, 4)); /* X_FIRMWARE_CTRL */
    assert_int_equal(get(fadt + 140, 8), get(fadt + 40, 4)); /* X_DSDT */
    assert_int_equal(get(fadt + 152, 8), 0x600);
    assert_int_equal(get(fadt + 176, 8), 0x604);
    assert_int_equal(get(fadt + 212, 8), 0x608);
    assert_memory_equal(at(get(fadt + 36, 4)), "FACS", 4);
    assert_int_equal(get(fadt + 36, 4) % 64, 0);
    check_table(get(fadt + 40, 4));
}

static bool have_iasl(void) { return system("command -v iasl >/dev/null 2>&1") == 0; }

static void dump(const char *folder, u64 address)
{
    char path[300];
    const u8 *table = at(address);
    u64 length = get(table + 4, 4);
    snprintf(path, sizeof(path), "%s/%.4s.dat", folder, (const char *)table);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    for (u64 i = 0; i < length; i++)
        fputc(*at(address + i), f);
    assert_int_equal(fclose(f), 0);
}

static char *make_folder(char *template)
{
    char *folder = mkdtemp(template);
    assert_non_null(folder);
    return folder;
}

static int run_and_remove(const char *folder, const char *command)
{
    char line[1024];
    int result = system(command);
    snprintf(line, sizeof(line), "rm -rf %s", folder);
    assert_int_equal(system(line), 0);
    return result;
}

/* iasl -d exits 0 even for a table it finds wrong: its words count. */
static void iasl_understands_every_table(void **state)
{
    (void)state;
    if (!have_iasl())
        skip();
    char template[] = "/tmp/reprise-acpi-XXXXXX", command[1024];
    const char *folder = make_folder(template);
    u64 xsdt = xsdt_address(), fadt = get(at(xsdt) + 36, 8);
    u64 tables[] = {rsdt_address(), xsdt, fadt, get(at(xsdt) + 44, 8), get(at(xsdt) + 52, 8), get(at(fadt) + 36, 4),
                    get(at(fadt) + 40, 4)};
    for (unsigned i = 0; i < ARRAY_LEN(tables); i++)
        dump(folder, tables[i]);
    snprintf(command, sizeof(command),
             "cd %s && for t in *.dat; do iasl -d $t >log 2>&1 || { cat log; exit 1; }; "
             "! grep -iE 'error|invalid|incorrect|unknown' log ${t%%.dat}.dsl || exit 1; done",
             folder);
    assert_int_equal(run_and_remove(folder, command), 0);
}

/* All but checksum (9) and compiler version (28..35), which differ between releases of iasl. */
static void dsdt_matches_its_source(void **state)
{
    (void)state;
    if (!have_iasl())
        skip();
    char template[] = "/tmp/reprise-dsdt-XXXXXX", command[1024], path[300];
    const char *folder = make_folder(template);
    snprintf(command, sizeof(command), "iasl -p %s/out %.*sdsdt.asl >%s/log 2>&1 || { cat %s/log; exit 1; }", folder,
             (int)(strrchr(here, '/') - here + 1), here, folder, folder);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof(path), "%s/out.aml", folder);
    static u8 compiled[0x4000];
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t length = fread(compiled, 1, sizeof(compiled), f);
    fclose(f);
    assert_int_equal(run_and_remove(folder, "true"), 0);
    u64 dsdt = get(at(get(at(xsdt_address()) + 36, 8)) + 40, 4);
    assert_int_equal(length, get(at(dsdt) + 4, 4));
    for (u64 i = 0; i < length; i++)
        if (i != 9 && !(i >= 28 && i < 36))
            assert_int_equal(compiled[i], *at(dsdt + i));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(root_pointer_is_found_by_a_scan),
        cmocka_unit_test(both_roots_list_the_same_sound_tables),
        cmocka_unit_test(tables_do_not_overlap),
        cmocka_unit_test(fadt_points_to_the_hardware),
        cmocka_unit_test(iasl_understands_every_table),
        cmocka_unit_test(dsdt_matches_its_source),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
