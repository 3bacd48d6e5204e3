/* A snapshot read back is the machine that was written; anything else is refused. */
#include "sim/snapshot_file.h"

#include "replay/hash.h"
#include "sbe/test_code.h"
#include "sim/files.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BYTES_MAX = 1 << 20 };

static char path[] = "/tmp/snapshot_test_XXXXXX";
static u8 bytes[BYTES_MAX], changed[BYTES_MAX];
static u64 size;
static u64 hash;

/* The machine's counter loop somewhere on its way, in a file and in `bytes`. */
static int prepare(void **state)
{
    if (create(state) || close(mkstemp(path)))
        return -1;
    enter(CODE_32);
    PUT(CODE, 0x40, 0xa3, 0x00, 0x00, 0x02, 0x00, 0xeb, 0xf8); /* inc eax; mov [0x20000], eax; jmp */
    PUT(0x1ff000, 1, 2, 3);
    set(RDX, 0x1234567890abcdef);
    assert_int_equal(vm_run(vm, v->cpu.icount + 1000), VM_STOP_ICOUNT);
    hash = state_hash(vm);
    char message[SNAPSHOT_MESSAGE_MAX];
    struct file file;
    assert_true(snapshot_write(path, vm, message));
    assert_int_equal(state_hash(vm), hash);
    assert_true(file_read(path, BYTES_MAX, &file, message));
    size = file.size;
    memcpy(bytes, file.data, size);
    file_free(&file);
    return 0;
}

static int clean(void **state)
{
    unlink(path);
    return destroy(state);
}

/* Reads into a fresh machine. True if it was taken; *after is then its hash. */
static bool take(const u8 *from, u64 count, u64 *after, char *message)
{
    struct snapshot *s;
    struct vm_config config;
    struct vm *other;
    if (!snapshot_open_bytes((struct snapshot_bytes){from, count, "bytes"}, &s, &config, message))
        return false;
    config.engine = &engine_interp;
    bool taken = false;
    if (vm_create(&other, &config) == STATUS_OK) {
        taken = snapshot_load(s, other, message);
        if (taken)
            *after = state_hash(other);
        vm_destroy(other);
    }
    snapshot_close(s);
    return taken;
}

static void what_was_written_is_read(void **state)
{
    (void)state;
    char message[SNAPSHOT_MESSAGE_MAX];
    u64 after;
    assert_true(take(bytes, size, &after, message));
    assert_int_equal(after, hash);
}

static void it_goes_on_as_the_other_does(void **state)
{
    (void)state;
    char message[SNAPSHOT_MESSAGE_MAX];
    struct snapshot *s;
    struct vm_config config;
    struct vm *other;
    assert_true(snapshot_open(path, &s, &config, message));
    config.engine = &engine_sbe;
    assert_int_equal(vm_create(&other, &config), STATUS_OK);
    assert_true(snapshot_load(s, other, message));
    snapshot_close(s);
    for (unsigned n = 0; n < 20; n++) {
        assert_int_equal(vm_run(vm, v->cpu.icount + 777), VM_STOP_ICOUNT);
        assert_int_equal(vm_run(other, v->cpu.icount), VM_STOP_ICOUNT);
        assert_int_equal(state_hash(other), state_hash(vm));
    }
    vm_destroy(other);
}

static void refused(const u8 *from, u64 count, u64 where)
{
    char message[SNAPSHOT_MESSAGE_MAX] = "";
    u64 after;
    if (take(from, count, &after, message))
        fail_msg("taken, with a fault at %llu", (unsigned long long)where);
    assert_true(strlen(message) > 10 && strchr(message, ';'));
}

static void every_prefix_is_refused(void **state)
{
    (void)state;
    for (u64 n = 0; n < size; n++) {
        u8 *exact = malloc(n ? n : 1); /* so that a sanitizer sees a byte read beyond */
        memcpy(exact, bytes, n);
        refused(exact, n, n);
        free(exact);
    }
}

/* Some bits of a zstd frame mean nothing to its reader: a file that is taken all the same holds the same machine. */
static void every_changed_byte_is_refused(void **state)
{
    (void)state;
    unsigned taken = 0;
    memcpy(changed, bytes, size);
    for (u64 n = 0; n < size; n++) {
        char message[SNAPSHOT_MESSAGE_MAX];
        u64 after;
        changed[n] ^= 0x10;
        if (take(changed, size, &after, message)) {
            assert_int_equal(after, hash);
            taken++;
        }
        changed[n] = bytes[n];
    }
    assert_true(taken < size / 20);
}

static void an_unwritable_place_is_told(void **state)
{
    (void)state;
    char message[SNAPSHOT_MESSAGE_MAX] = "";
    assert_false(snapshot_write("/nonexistent/snapshot", vm, message));
    assert_non_null(strstr(message, "/nonexistent"));
    struct snapshot *s;
    struct vm_config config;
    assert_false(snapshot_open("/nonexistent/snapshot", &s, &config, message));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read), cmocka_unit_test(every_prefix_is_refused),
        cmocka_unit_test(every_changed_byte_is_refused), cmocka_unit_test(an_unwritable_place_is_told),
        cmocka_unit_test(it_goes_on_as_the_other_does),
    };
    return cmocka_run_group_tests(tests, prepare, clean);
}
