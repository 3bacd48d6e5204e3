/* The local APIC by SDM vol. 3, chapter 10. */
#include "devices/fake_board.h"
#include "devices/lapic.h"

enum {
    ID = 0x20, TPR = 0x80, PPR = 0xa0, EOI = 0xb0, LDR = 0xd0, DFR = 0xe0, SVR = 0xf0, ISR = 0x100, TMR = 0x180,
    IRR = 0x200, ESR = 0x280, ICR = 0x300, ICR_HIGH = 0x310, LVT_T = 0x320, LVT_0 = 0x350, LVT_E = 0x370,
    INITIAL = 0x380, CURRENT = 0x390, DIVIDE = 0x3e0,
};

static struct lapic apic;
static u64 now;

static void out(unsigned reg, u32 value) { lapic_write(&apic, reg, value, 4, now); }
static u32 in(unsigned reg) { return (u32)lapic_read(&apic, reg, 4, now); }

static int setup(void **state)
{
    (void)state;
    now = 5000;
    memset(&apic, 0, sizeof(apic));
    lapic_reset(&apic, 0);
    out(SVR, 0x1ff);
    return 0;
}

static unsigned run_to(u64 ns)
{
    unsigned fired = 0;
    while (lapic_deadline(&apic, now, now) <= ns) {
        now = lapic_deadline(&apic, now, now);
        lapic_tick(&apic, now, now);
        assert_true(lapic_deadline(&apic, now, now) > now);
        fired++;
    }
    now = ns;
    return fired;
}

static void reset_state_of_10_4_7_1(void **state)
{
    (void)state;
    lapic_reset(&apic, 3);
    assert_int_equal(in(ID), 3u << 24);
    assert_int_equal(in(SVR), 0xff);
    assert_int_equal(in(DFR), 0xffffffff);
    for (unsigned reg = LVT_T; reg <= LVT_E; reg += 0x10)
        assert_int_equal(in(reg), 0x10000);
    assert_int_equal(in(0x30), 0x00050014);
    assert_int_equal(lapic_deadline(&apic, now, now), CLOCK_NEVER);
}

static void priorities_nest_by_class(void **state)
{
    (void)state;
    lapic_message(&apic, 0, false, APIC_FIXED, 0x51, false);
    lapic_message(&apic, 0, false, APIC_FIXED, 0x5f, false);
    assert_int_equal(lapic_acknowledge(&apic), 0x5f);
    assert_false(lapic_pending(&apic)); /* same class */
    assert_int_equal(in(PPR), 0x50);
    lapic_message(&apic, 0, false, APIC_FIXED, 0x60, false);
    assert_int_equal(lapic_acknowledge(&apic), 0x60);
    assert_int_equal(in(ISR + 0x30), 1);
    out(EOI, 0), out(EOI, 0);
    assert_int_equal(lapic_acknowledge(&apic), 0x51);
}

static void tpr_holds_back_its_class(void **state)
{
    (void)state;
    out(TPR, 0x45);
    lapic_message(&apic, 0, false, APIC_FIXED, 0x4f, false);
    assert_false(lapic_pending(&apic));
    assert_int_equal(in(PPR), 0x45);
    assert_int_equal(lapic_cr8(&apic), 4);
    out(TPR, 0x3f);
    assert_true(lapic_pending(&apic));
}

static void eoi_of_a_level_interrupt_is_broadcast(void **state)
{
    (void)state;
    lapic_message(&apic, 0, false, APIC_FIXED, 0x70, true);
    assert_int_equal(in(TMR + 0x30), 1u << 16);
    lapic_acknowledge(&apic);
    out(EOI, 0);
    assert_true(apic.eoi_pending);
    assert_int_equal(apic.eoi_vector, 0x70);
    apic.eoi_pending = 0;
    lapic_message(&apic, 0, false, APIC_FIXED, 0x70, false);
    assert_int_equal(in(TMR + 0x30), 0);
    lapic_acknowledge(&apic);
    out(EOI, 0);
    assert_false(apic.eoi_pending);
}

static void one_shot_timer_counts_down_once(void **state)
{
    (void)state;
    out(LVT_T, 0x30);
    out(DIVIDE, 0xb); /* by 1 */
    out(INITIAL, 1000);
    now += 400;
    assert_int_equal(in(CURRENT), 600);
    assert_int_equal(run_to(now + 599), 0);
    assert_int_equal(run_to(now + 100000), 1);
    assert_int_equal(in(CURRENT), 0);
    assert_int_equal(lapic_acknowledge(&apic), 0x30);
}

static void divider_scales(void **state)
{
    (void)state;
    static const struct {
        u32 code;
        unsigned divide;
    } dividers[] = {{0, 2}, {1, 4}, {2, 8}, {3, 16}, {8, 32}, {9, 64}, {10, 128}, {11, 1}};
    out(LVT_T, 0x30);
    for (unsigned i = 0; i < ARRAY_LEN(dividers); i++) {
        out(DIVIDE, dividers[i].code);
        out(INITIAL, 100);
        assert_int_equal(lapic_deadline(&apic, now, now), now + 100 * dividers[i].divide);
    }
}

static void periodic_timer_repeats_and_stops(void **state)
{
    (void)state;
    out(LVT_T, 0x20030);
    out(DIVIDE, 3);
    out(INITIAL, 1000);
    assert_int_equal(run_to(now + 160000), 10);
    now += 8000;
    assert_int_equal(in(CURRENT), 500);
    out(INITIAL, 0);
    assert_int_equal(run_to(now + 1000000), 0);
}

static void masked_periodic_timer_counts_silently(void **state)
{
    (void)state;
    out(LVT_T, 0x30030);
    out(DIVIDE, 0xb);
    out(INITIAL, 1000);
    assert_int_equal(run_to(now + 10250), 0);
    assert_int_equal(in(CURRENT), 750);
    out(LVT_T, 0x20030);
    assert_int_equal(lapic_deadline(&apic, now, now), now + 750);
    assert_false(lapic_pending(&apic));
}

static void new_divider_keeps_the_count(void **state)
{
    (void)state;
    out(LVT_T, 0x30);
    out(DIVIDE, 0xb);
    out(INITIAL, 1000);
    now += 400;
    out(DIVIDE, 0);
    assert_int_equal(in(CURRENT), 600);
    assert_int_equal(lapic_deadline(&apic, now, now), now + 1200);
}

static void tsc_deadline_fires_once_and_disarms(void **state)
{
    (void)state;
    lapic_set_tsc_deadline(&apic, 9000);
    assert_int_equal(lapic_tsc_deadline(&apic), 0); /* not in that mode */
    out(LVT_T, 0x40031);
    lapic_set_tsc_deadline(&apic, 9000);
    assert_int_equal(lapic_tsc_deadline(&apic), 9000);
    assert_int_equal(lapic_deadline(&apic, now, 8000), now + 1000); /* the guest's TSC counts */
    out(INITIAL, 5); /* ignored */
    assert_int_equal(run_to(20000), 1);
    assert_int_equal(lapic_tsc_deadline(&apic), 0);
    assert_int_equal(lapic_acknowledge(&apic), 0x31);
    lapic_set_tsc_deadline(&apic, 1); /* the past fires at once */
    assert_int_equal(lapic_deadline(&apic, now, now), now);
    lapic_tick(&apic, now, now);
    lapic_set_tsc_deadline(&apic, 30000);
    out(LVT_T, 0x31); /* leaving the mode disarms */
    assert_int_equal(lapic_deadline(&apic, now, now), CLOCK_NEVER);
}

static void ipis_reach_self_by_every_name(void **state)
{
    (void)state;
    static const struct {
        u32 high, low;
        bool arrives;
    } ways[] = {
        {0, 0x00004041, true},                /* physical 0 */
        {0xff000000, 0x00004041, true},       /* physical broadcast */
        {0x01000000, 0x00004041, false},      /* someone else */
        {0, 0x00044041, true},                /* self */
        {0, 0x00084041, true},                /* all */
        {0, 0x000c4041, false},               /* all but self */
        {0x02000000, 0x00004841, true},       /* logical, bit 1 */
        {0x04000000, 0x00004841, false},
        {0x02000000, 0x00004941, true},       /* lowest priority */
    };
    out(LDR, 0x02000000);
    for (unsigned i = 0; i < ARRAY_LEN(ways); i++) {
        out(ICR_HIGH, ways[i].high);
        out(ICR, ways[i].low);
        assert_int_equal(lapic_pending(&apic), ways[i].arrives);
        assert_int_equal(in(ICR) & 0x1000, 0);
        if (!ways[i].arrives)
            continue;
        assert_int_equal(lapic_acknowledge(&apic), 0x41);
        out(EOI, 0);
    }
}

static void cluster_model_matches_cluster_and_member(void **state)
{
    (void)state;
    out(DFR, 0x0fffffff);
    out(LDR, 0x21000000);
    assert_true(lapic_message(&apic, 0x21, true, APIC_FIXED, 0x40, false));
    assert_true(lapic_message(&apic, 0x2f, true, APIC_FIXED, 0x40, false));
    assert_false(lapic_message(&apic, 0x22, true, APIC_FIXED, 0x40, false));
    assert_false(lapic_message(&apic, 0x31, true, APIC_FIXED, 0x40, false));
    assert_true(lapic_message(&apic, 0xff, true, APIC_FIXED, 0x40, false));
}

static void nmi_init_and_startup(void **state)
{
    (void)state;
    out(ICR, 0x00004400);
    assert_int_equal(apic.signals, LAPIC_SIGNAL_NMI);
    apic.signals = 0;
    out(ICR, 0x00004600); /* a running processor ignores SIPI */
    out(ICR, 0x00008500); /* INIT level de-assert */
    out(ICR, 0x00044500); /* INIT to self by shorthand: invalid */
    assert_int_equal(apic.signals, 0);
    out(ICR, 0x00004500);
    assert_int_equal(apic.signals, LAPIC_SIGNAL_INIT);
}

static void errors_are_reported_after_a_write(void **state)
{
    (void)state;
    out(LVT_E, 0x33);
    out(ICR, 0x00004005); /* illegal vector */
    assert_int_equal(in(ESR), 0);
    out(ESR, 0);
    assert_int_equal(in(ESR), 0x20);
    assert_int_equal(lapic_acknowledge(&apic), 0x33);
    out(EOI, 0);
    lapic_message(&apic, 0, false, APIC_FIXED, 0x0f, false);
    in(0x3f0);
    out(ESR, 0);
    assert_int_equal(in(ESR), 0xc0);
    out(ESR, 0);
    assert_int_equal(in(ESR), 0);
}

static void illegal_error_vector_does_not_recurse(void **state)
{
    (void)state;
    out(LVT_E, 0x01);
    out(ICR, 0x00004005);
    out(ESR, 0);
    assert_int_equal(in(ESR), 0x60);
}

static void software_disable_masks_and_refuses(void **state)
{
    (void)state;
    out(LVT_T, 0x30);
    lapic_message(&apic, 0, false, APIC_FIXED, 0x40, false);
    out(SVR, 0xff);
    assert_int_equal(in(LVT_T), 0x10030);
    out(LVT_T, 0x30);
    assert_int_equal(in(LVT_T), 0x10030);
    assert_false(lapic_message(&apic, 0, false, APIC_FIXED, 0x41, false));
    assert_int_equal(lapic_acknowledge(&apic), 0x40); /* what was pending is still to be handled, 10.4.7.2 */
    assert_int_equal(lapic_acknowledge(&apic), 0xff); /* nothing: spurious */
}

static void lint0_delivers_by_its_mode(void **state)
{
    (void)state;
    out(LVT_0, 0x700);
    assert_true(lapic_passes_extint(&apic));
    out(LVT_0, 0x045);
    assert_false(lapic_passes_extint(&apic));
    lapic_set_lint0(&apic, true);
    assert_int_equal(lapic_acknowledge(&apic), 0x45);
    out(EOI, 0);
    assert_false(lapic_pending(&apic));
    lapic_set_lint0(&apic, false);
    out(LVT_0, 0x8045); /* level */
    lapic_set_lint0(&apic, true);
    assert_int_equal(in(LVT_0), 0xc045);
    lapic_acknowledge(&apic);
    out(EOI, 0);
    assert_true(lapic_pending(&apic));
    lapic_set_lint0(&apic, false);
    out(LVT_0, 0x400);
    lapic_set_lint0(&apic, true);
    assert_int_equal(apic.signals, LAPIC_SIGNAL_NMI);
}

static void odd_accesses_are_defined(void **state)
{
    (void)state;
    out(TPR, 0x42);
    assert_int_equal(lapic_read(&apic, 0x32, 1, now), 0x05);
    assert_int_equal(lapic_read(&apic, 0x32, 2, now), 0x0005);
    assert_int_equal(lapic_read(&apic, TPR, 8, now), 0x42);
    assert_int_equal(lapic_read(&apic, TPR + 4, 4, now), 0);
    lapic_write(&apic, TPR, 0x13, 1, now);
    lapic_write(&apic, TPR + 4, 0x13, 4, now);
    assert_int_equal(in(TPR), 0x42);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reset_state_of_10_4_7_1),
        TEST(priorities_nest_by_class),
        TEST(tpr_holds_back_its_class),
        TEST(eoi_of_a_level_interrupt_is_broadcast),
        TEST(one_shot_timer_counts_down_once),
        TEST(divider_scales),
        TEST(periodic_timer_repeats_and_stops),
        TEST(masked_periodic_timer_counts_silently),
        TEST(new_divider_keeps_the_count),
        TEST(tsc_deadline_fires_once_and_disarms),
        TEST(ipis_reach_self_by_every_name),
        TEST(cluster_model_matches_cluster_and_member),
        TEST(nmi_init_and_startup),
        TEST(errors_are_reported_after_a_write),
        TEST(illegal_error_vector_does_not_recurse),
        TEST(software_disable_masks_and_refuses),
        TEST(lint0_delivers_by_its_mode),
        TEST(odd_accesses_are_defined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
