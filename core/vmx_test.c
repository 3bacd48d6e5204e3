/* What configuration files mean, and what is said about those that mean nothing. */
#include "core/vmx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct vmx vmx;
static struct vmx_error error;

static bool parse(const char *text) { return vmx_parse(text, strlen(text), &vmx, &error); }

static void test_everything(void **state)
{
    (void)state;
    assert_true(parse("#!/usr/bin/vmware\n"
                      ".encoding = \"UTF-8\"\n"
                      "displayName = \"A guest\"\r\n"
                      "memsize = \"512\"\n"
                      "numvcpus = 1\n"
                      "  Reprise.Kernel=vmlinuz\n"
                      "reprise.initrd = initrd\n"
                      "reprise.append = \"console=ttyS0 name=|22x|22 a = b\"\n"
                      "reprise.module0 = \"disk text\"\n"
                      "reprise.module1 = tools\n"
                      "reprise.engine = sbe\n"
                      "reprise.clock = WALL\n"
                      "reprise.log = com2\n"
                      "reprise.checkpoint = 18446744073709551615\n"
                      "reprise.debugExit = true\n"
                      "scsi0:0.fileName = \"disk.vmdk\""));
    assert_string_equal(vmx.display_name, "A guest");
    assert_int_equal(vmx.memory_mib, 512);
    assert_string_equal(vmx.kernel, "vmlinuz");
    assert_string_equal(vmx.initrd, "initrd");
    assert_string_equal(vmx.append, "console=ttyS0 name=\"x\" a = b");
    assert_string_equal(vmx.module[0], "disk text");
    assert_string_equal(vmx.module[1], "tools");
    assert_string_equal(vmx.module[2], "");
    assert_string_equal(vmx.engine, "sbe");
    assert_string_equal(vmx.cpu, "");
    assert_int_equal(vmx.clock, VMX_CLOCK_WALL);
    assert_int_equal(vmx.log, VMX_LOG_COM2);
    assert_true(vmx.checkpoint == UINT64_MAX);
    assert_int_equal(vmx.debug_exit, 1);
    assert_int_equal(vmx.reset_exits, 0);
}

static void test_defaults(void **state)
{
    (void)state;
    assert_true(parse("reprise.replay = run.rlog"));
    assert_string_equal(vmx.replay, "run.rlog");
    assert_string_equal(vmx.display_name, "");
    assert_int_equal(vmx.memory_mib, 256);
    assert_int_equal(vmx.processors, 1);
    assert_int_equal(vmx.clock, VMX_CLOCK_VIRTUAL);
    assert_int_equal(vmx.log, VMX_LOG_NONE);
    assert_int_equal(vmx.shares, 1000);
    assert_int_equal(vmx.cap_percent, 100);
}

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        unsigned line;
        const char *what, *subject;
    } cases[] = {
        {"", 0, "says neither", ""},
        {"reprise.kernel = \"\"", 0, "says neither", ""},
        {"reprise.kernel = k\nreprise.replay = r", 0, "names a kernel and", ""},
        {"reprise.kernel = k\nreprise.module1 = m", 0, "leaves out", ""},
        {"reprise.kernel = k\n\nnonsense", 3, "is no setting", "nonsense"},
        {"= 5", 1, "has no key", "= 5"},
        {"\n\nmemsize = lots", 3, "no value", "lots"},
        {"memsize = 0", 1, "no value", "0"},
        {"memsize = 524289", 1, "no value", "524289"},
        {"memsize =", 1, "no value", ""},
        {"memsize = 18446744073709551872", 1, "no value", "18446744073709551872"},
        {"numvcpus = 2", 1, "no value", "2"},
        {"reprise.kernal = k", 1, "is unknown", "reprise.kernal"},
        {"MEMSIZE = 5\nmemsize = 5", 2, "stands twice", "memsize"},
        {"reprise.clock = real", 1, "no value", "real"},
        {"displayName = \"open", 1, "not closed", "\"open"},
        {"displayName = \"", 1, "not closed", "\""},
        {"displayName = \"a\"b\"", 1, "within quotes", "a\"b"},
        {"displayName = a|2", 1, "a character", "a|2"},
        {"displayName = a|00", 1, "a character", "a|00"},
        {"displayName = a\x01z", 1, "a character", "a?z"},
    };
    for (size_t n = 0; n < sizeof cases / sizeof cases[0]; n++) {
        assert_false(parse(cases[n].file));
        assert_int_equal(error.line, cases[n].line);
        assert_non_null(strstr(error.what, cases[n].what));
        assert_string_equal(error.subject, cases[n].subject);
        assert_true(error.action && *error.action);
    }
}

/* A NUL is a byte like another one. */
static void test_nul(void **state)
{
    (void)state;
    static const char file[] = "displayName = a\0b";
    assert_false(vmx_parse(file, sizeof file - 1, &vmx, &error));
    assert_string_equal(error.subject, "a?b");
}

/* Texts end at their room, however long the file is. */
static void test_too_long(void **state)
{
    (void)state;
    static char file[2 * VMX_TEXT_BYTES];
    memset(file, 'x', sizeof file);
    memcpy(file, "reprise.append=", 15);
    assert_false(vmx_parse(file, sizeof file, &vmx, &error));
    assert_non_null(strstr(error.what, "16 KiB"));
    assert_true(vmx_parse("reprise.kernel=k", 16, &vmx, &error));
}

/* A text that leaves no room even for the end of the next one, which is empty: that end lay behind the room. */
static void test_no_room_for_an_end(void **state)
{
    (void)state;
    static struct {
        struct vmx vmx;
        u8 behind;
    } tight;
    static char file[2 * VMX_TEXT_BYTES];
    static const char first[] = "reprise.append=", second[] = "\nreprise.engine=\"\"";
    memset(file, 'x', sizeof file);
    memcpy(file, first, sizeof first - 1);
    size_t end = sizeof first - 1 + VMX_TEXT_BYTES - 1;
    memcpy(file + end, second, sizeof second - 1);
    tight.behind = 0x5a;
    assert_false(vmx_parse(file, end + sizeof second - 1, &tight.vmx, &error));
    assert_non_null(strstr(error.what, "16 KiB"));
    assert_true(tight.vmx.text_used <= VMX_TEXT_BYTES);
    assert_int_equal(tight.behind, 0x5a);
}

/* Whatever bytes: an answer, texts inside their room, an error with a subject that ends. */
static void test_any_bytes(void **state)
{
    (void)state;
    static const char pieces[] = "reprise.kernel = k\n\"|22=#\t\r\0memsizeappend1";
    char file[200];
    srand(1);
    for (unsigned round = 0; round < 20000; round++) {
        size_t bytes = (size_t)rand() % sizeof file;
        for (size_t n = 0; n < bytes; n++)
            file[n] = rand() % 4 ? pieces[(n + (size_t)(rand() % 3)) % sizeof pieces] : (char)rand();
        bool ok = vmx_parse(file, bytes, &vmx, &error);
        assert_true(vmx.text_used <= VMX_TEXT_BYTES);
        assert_true(ok || strlen(error.subject) < VMX_SUBJECT_BYTES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything), cmocka_unit_test(test_defaults), cmocka_unit_test(test_errors),
        cmocka_unit_test(test_nul),        cmocka_unit_test(test_too_long), cmocka_unit_test(test_any_bytes),
        cmocka_unit_test(test_no_room_for_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
