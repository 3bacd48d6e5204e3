/* What --chaos takes, and what it means. */
#include "sim/chaos_option.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void takes(const char *text, u64 seed, u32 kinds, const char *again)
{
    struct chaos_config c = {0}, back = {0};
    char out[CHAOS_TEXT_MAX];
    assert_true(chaos_parse(text, &c));
    assert_int_equal(c.seed, seed);
    assert_int_equal(c.kinds, kinds);
    chaos_text(&c, out);
    assert_string_equal(out, again);
    assert_true(chaos_parse(out, &back));
    assert_true(back.seed == c.seed && back.kinds == c.kinds);
}

static void seeds_and_kinds(void **state)
{
    (void)state;
    takes("7", 7, CHAOS_ALL, "7,irq,clock,tlb");
    takes("0", 0, CHAOS_ALL, "0,irq,clock,tlb");
    takes("0x10,irq", 16, CHAOS_IRQ, "16,irq");
    takes("tlb", 1, CHAOS_TLB, "1,tlb");
    takes("clock,irq", 1, CHAOS_IRQ | CHAOS_CLOCK, "1,irq,clock");
    takes("18446744073709551615,tlb,clock", UINT64_MAX, CHAOS_TLB | CHAOS_CLOCK, "18446744073709551615,clock,tlb");
}

static void nonsense(void **state)
{
    static const char *const texts[] = {"", ",", "irq,", ",irq", "7,", "7,,irq", "-1", "+1", " 1", "1 ", "irqs", "ir", "tlb,7",
                                        "18446744073709551616", "1.5", "7 irq", "0x"};
    (void)state;
    for (unsigned n = 0; n < ARRAY_LEN(texts); n++) {
        struct chaos_config c = {.seed = 3, .kinds = 0};
        assert_false(chaos_parse(texts[n], &c));
        assert_true(c.seed == 3 && !c.kinds);
    }
}

static void none(void **state)
{
    char text[CHAOS_TEXT_MAX];
    (void)state;
    chaos_text(&(struct chaos_config){.seed = 9}, text);
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seeds_and_kinds),
        cmocka_unit_test(nonsense),
        cmocka_unit_test(none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
