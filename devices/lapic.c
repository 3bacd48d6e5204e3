#include "devices/lapic.h"

/* Register offsets, SDM vol. 3, table 10-1 */
#define REG_ID 0x020u
#define REG_VERSION 0x030u
#define REG_TPR 0x080u
#define REG_APR 0x090u
#define REG_PPR 0x0a0u
#define REG_EOI 0x0b0u
#define REG_RRD 0x0c0u
#define REG_LDR 0x0d0u
#define REG_DFR 0x0e0u
#define REG_SVR 0x0f0u
#define REG_ISR 0x100u
#define REG_TMR 0x180u
#define REG_IRR 0x200u
#define REG_IRR_END 0x280u
#define REG_ESR 0x280u
#define REG_ICR_LOW 0x300u
#define REG_ICR_HIGH 0x310u
#define REG_LVT 0x320u /* timer, thermal, performance, LINT0, LINT1, error */
#define REG_LVT_END 0x380u
#define REG_TIMER_INITIAL 0x380u
#define REG_TIMER_CURRENT 0x390u
#define REG_TIMER_DIVIDE 0x3e0u

#define VERSION_VALUE 0x00050014u /* version 0x14, max LVT entry 5 */

#define SVR_ENABLE 0x100u
#define SVR_MASK 0x3ffu
#define LVT_MASKED 0x10000u
#define LVT_LEVEL 0x8000u
#define LVT_REMOTE_IRR 0x4000u
#define LVT_MODE(lvt) ((enum apic_mode)((lvt) >> 8 & 7))
#define TIMER_MODE(lvt) ((enum timer_mode)((lvt) >> 17 & 3))
#define TIMER_MODE_SHIFT 17
#define ICR_LOGICAL 0x800u
#define ICR_SHORTHAND(low) ((low) >> 18 & 3)
#define ICR_LEVEL_ASSERT 0x4000u
#define ICR_TRIGGER_LEVEL 0x8000u
#define ICR_LOW_MASK 0x000ccfffu

/* Error status, SDM vol. 3, figure 10-9 */
#define ESR_SEND_ILLEGAL 0x20u
#define ESR_RECEIVE_ILLEGAL 0x40u
#define ESR_ILLEGAL_REGISTER 0x80u

#define LOWEST_VECTOR 16u /* SDM vol. 3, 10.5.2: vectors 0 to 15 are illegal in the APIC */

enum timer_mode { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_TSC_DEADLINE };

/* Writable bits of each LVT entry, SDM vol. 3, figure 10-8 */
static const u32 lvt_writable[LVT_COUNT] = {
    [LVT_TIMER] = 0x000700ff, [LVT_THERMAL] = 0x000107ff, [LVT_PERFORMANCE] = 0x000107ff,
    [LVT_LINT0] = 0x0001a7ff, [LVT_LINT1] = 0x0001a7ff, [LVT_ERROR] = 0x000100ff,
};

/* A bit a vector. Whole arrays, so that the proofs check indices against them and not against struct lapic. */
typedef u32 vector_set[8];

static bool get_bit(vector_set *set, u8 vector) { return (*set)[vector >> 5] >> (vector & 31) & 1; }
static void set_bit(vector_set *set, u8 vector) { (*set)[vector >> 5] |= 1u << (vector & 31); }
static void clear_bit(vector_set *set, u8 vector) { (*set)[vector >> 5] &= ~(1u << (vector & 31)); }

/* The highest vector in a set, or -1. */
static int highest(const vector_set *set)
{
    for (int i = 7; i >= 0; i--) {
        u32 word = (*set)[i];
        if (word)
            return i * 32 + 31 - __builtin_clz(word);
    }
    return -1;
}

static bool enabled(const struct lapic *a) { return (a->svr & SVR_ENABLE) != 0; }

static void reset_registers(struct lapic *a)
{
    u32 id = a->id;
    u8 lint0 = a->lint0;
    memset(a, 0, sizeof(*a));
    a->id = id;
    a->lint0 = lint0;
    a->dfr = 0xffffffff;
    a->svr = 0xff;
    a->timer_next = CLOCK_NEVER;
    for (unsigned i = 0; i < LVT_COUNT; i++)
        a->lvt[i] = LVT_MASKED;
}

void lapic_reset(struct lapic *a, unsigned apic_id)
{
    a->id = apic_id << 24;
    reset_registers(a);
}

void lapic_init(struct lapic *a) { reset_registers(a); }

void lapic_virtual_wire(struct lapic *a)
{
    a->svr = SVR_ENABLE | 0xff;
    a->lvt[LVT_LINT0] = APIC_EXTINT << 8;
    a->lvt[LVT_LINT1] = APIC_NMI << 8;
}

static u32 ppr(const struct lapic *a)
{
    int serving = highest((const vector_set *)&a->isr);
    u32 serving_class = serving < 0 ? 0 : (u32)serving & 0xf0;
    return (a->tpr & 0xf0) >= serving_class ? a->tpr : serving_class;
}

static void request(struct lapic *a, u8 vector, bool level)
{
    set_bit(&a->irr, vector);
    if (level)
        set_bit(&a->tmr, vector);
    else
        clear_bit(&a->tmr, vector);
}

/* An illegal vector in LVT_ERROR itself is an error as well, but it does not report itself. */
static void fire_error(struct lapic *a)
{
    u32 lvt = a->lvt[LVT_ERROR];
    if ((lvt & LVT_MASKED) || !enabled(a))
        return;
    if ((u8)lvt < LOWEST_VECTOR)
        a->esr_pending |= ESR_RECEIVE_ILLEGAL;
    else
        request(a, (u8)lvt, false);
}

static void record_error(struct lapic *a, u32 bit)
{
    bool news = !(a->esr_pending & bit);
    a->esr_pending |= bit;
    if (news)
        fire_error(a);
}

static bool accept_fixed(struct lapic *a, u8 vector, bool level)
{
    if (!enabled(a))
        return false;
    if (vector < LOWEST_VECTOR) {
        record_error(a, ESR_RECEIVE_ILLEGAL);
        return false;
    }
    request(a, vector, level);
    return true;
}

static bool accept(struct lapic *a, enum apic_mode mode, u8 vector, bool level)
{
    switch (mode) {
    case APIC_FIXED:
    case APIC_LOWEST: return accept_fixed(a, vector, level);
    case APIC_NMI: a->signals |= LAPIC_SIGNAL_NMI; return true;
    case APIC_INIT: a->signals |= LAPIC_SIGNAL_INIT; return true;
    default: return true; /* no SMM; STARTUP is ignored by a processor that does not wait for it (SDM vol. 3, 8.4) */
    }
}

static void fire_lvt(struct lapic *a, enum lapic_lvt entry)
{
    u32 lvt = a->lvt[entry];
    if (lvt & LVT_MASKED)
        return;
    bool has_mode = entry != LVT_TIMER;
    bool level = entry == LVT_LINT0 && LVT_MODE(lvt) == APIC_FIXED && (lvt & LVT_LEVEL);
    if (has_mode && LVT_MODE(lvt) == APIC_EXTINT)
        return; /* a level that lapic_passes_extint() lets through */
    if (level && (lvt & LVT_REMOTE_IRR))
        return;
    if (accept(a, has_mode ? LVT_MODE(lvt) : APIC_FIXED, (u8)lvt, level) && level)
        a->lvt[entry] |= LVT_REMOTE_IRR;
}

/* MDA against LDR under DFR's model, SDM vol. 3, 10.6.2.2. */
static bool matches(const struct lapic *a, u8 destination, bool logical)
{
    u8 own = (u8)(a->id >> 24), ldr = (u8)(a->ldr >> 24);
    if (!logical)
        return destination == own || destination == 0xff;
    if (a->dfr >> 28 == 0xf)
        return (destination & ldr) != 0;
    if (destination == 0xff)
        return true;
    return destination >> 4 == ldr >> 4 && (destination & ldr & 0xf) != 0;
}

bool lapic_message(struct lapic *a, u8 destination, bool logical, enum apic_mode mode, u8 vector, bool level)
{
    return matches(a, destination, logical) && accept(a, mode, vector, level);
}

void lapic_set_lint0(struct lapic *a, bool level)
{
    bool rises = level && !a->lint0;
    a->lint0 = level;
    if (rises)
        fire_lvt(a, LVT_LINT0);
}

bool lapic_passes_extint(const struct lapic *a)
{
    u32 lvt = a->lvt[LVT_LINT0];
    return !(lvt & LVT_MASKED) && LVT_MODE(lvt) == APIC_EXTINT;
}

bool lapic_pending(const struct lapic *a)
{
    int vector = highest((const vector_set *)&a->irr);
    return vector >= 0 && ((u32)vector & 0xf0) > (ppr(a) & 0xf0);
}

u8 lapic_acknowledge(struct lapic *a)
{
    if (!lapic_pending(a))
        return (u8)a->svr; /* the spurious vector, 10.9 */
    u8 vector = (u8)highest((const vector_set *)&a->irr);
    clear_bit(&a->irr, vector);
    set_bit(&a->isr, vector);
    return vector;
}

static void end_of_interrupt(struct lapic *a)
{
    int serving = highest((const vector_set *)&a->isr);
    if (serving < 0)
        return;
    u8 vector = (u8)serving;
    clear_bit(&a->isr, vector);
    if (!get_bit(&a->tmr, vector))
        return;
    a->eoi_pending = 1;
    a->eoi_vector = vector;
    u32 *lint0 = &a->lvt[LVT_LINT0];
    if ((*lint0 & LVT_REMOTE_IRR) && (u8)*lint0 == vector) {
        *lint0 &= ~LVT_REMOTE_IRR;
        if (a->lint0)
            fire_lvt(a, LVT_LINT0);
    }
}

static void send_ipi(struct lapic *a)
{
    u32 low = a->icr_low;
    enum apic_mode mode = (enum apic_mode)(low >> 8 & 7);
    u8 vector = (u8)low;
    unsigned shorthand = ICR_SHORTHAND(low);
    bool fixed = mode == APIC_FIXED || mode == APIC_LOWEST;
    if (fixed && vector < LOWEST_VECTOR) {
        record_error(a, ESR_SEND_ILLEGAL);
        return;
    }
    /* INIT level de-assert only synchronises arbitration IDs, and not at all in recent processors (10.6.1). */
    if (mode == APIC_INIT && !(low & ICR_LEVEL_ASSERT))
        return;
    bool self = shorthand == 1 || shorthand == 2;
    if (self && !fixed && !(shorthand == 2 && mode == APIC_NMI))
        return; /* table 10-3: invalid combinations; a processor does not INIT itself by shorthand */
    if (shorthand == 3)
        return;
    if (self || matches(a, (u8)(a->icr_high >> 24), low & ICR_LOGICAL))
        accept(a, mode, vector, false); /* IPIs are edge-triggered on all but the oldest processors */
}

static u64 divide(const struct lapic *a)
{
    unsigned code = (a->timer_divide & 3) | (a->timer_divide >> 1 & 4);
    return code == 7 ? 1 : 2ull << code;
}

static u64 period(const struct lapic *a) { return a->timer_initial * divide(a); }

/* The next zero of a count that may have passed several unseen: those of a masked timer leave no trace. */
static u64 next_zero(const struct lapic *a, u64 now)
{
    if (a->timer_next == CLOCK_NEVER || now < a->timer_next)
        return a->timer_next;
    if (TIMER_MODE(a->lvt[LVT_TIMER]) != TIMER_PERIODIC || a->timer_initial == 0)
        return CLOCK_NEVER;
    return a->timer_next + ((now - a->timer_next) / period(a) + 1) * period(a);
}

static u32 current_count(const struct lapic *a, u64 now)
{
    u64 next = next_zero(a, now);
    return next == CLOCK_NEVER ? 0 : (u32)((next - now + divide(a) - 1) / divide(a));
}

static void start_timer(struct lapic *a, u32 count, u64 now)
{
    bool counts = TIMER_MODE(a->lvt[LVT_TIMER]) <= TIMER_PERIODIC && count != 0;
    a->timer_next = counts ? now + count * divide(a) : CLOCK_NEVER;
}

static void write_lvt(struct lapic *a, enum lapic_lvt entry, u32 value, u64 now)
{
    u32 old = a->lvt[entry];
    u32 lvt = (value & lvt_writable[entry]) | (old & LVT_REMOTE_IRR);
    if (!enabled(a))
        lvt |= LVT_MASKED;
    if (entry == LVT_TIMER) {
        a->timer_next = next_zero(a, now); /* under the old mode */
        bool deadline_mode = (lvt >> TIMER_MODE_SHIFT & 2) != 0;
        if (deadline_mode != ((old >> TIMER_MODE_SHIFT & 2) != 0)) {
            a->timer_next = CLOCK_NEVER; /* switching to or from TSC-deadline disarms (10.5.4.1) */
            a->tsc_deadline = 0;
            a->timer_initial = 0;
        }
    }
    a->lvt[entry] = lvt;
    bool unmasked = (old & LVT_MASKED) && !(lvt & LVT_MASKED);
    if (entry == LVT_LINT0 && unmasked && a->lint0 && (lvt & LVT_LEVEL))
        fire_lvt(a, LVT_LINT0);
}

static void write_svr(struct lapic *a, u32 value, u64 now)
{
    a->svr = value & SVR_MASK;
    if (enabled(a))
        return;
    a->timer_next = next_zero(a, now);
    for (unsigned i = 0; i < LVT_COUNT; i++)
        a->lvt[i] |= LVT_MASKED; /* 10.4.7.2 */
}

static u32 read_register(struct lapic *a, unsigned reg, u64 now)
{
    if (reg >= REG_ISR && reg < REG_IRR_END) {
        unsigned n = reg >> 4 & 7;
        return reg < REG_TMR ? a->isr[n] : reg < REG_IRR ? a->tmr[n] : a->irr[n];
    }
    if (reg >= REG_LVT && reg < REG_LVT_END)
        return a->lvt[(reg - REG_LVT) >> 4];
    switch (reg) {
    case REG_ID: return a->id;
    case REG_VERSION: return VERSION_VALUE;
    case REG_TPR: return a->tpr;
    case REG_APR:
    case REG_RRD:
    case REG_EOI: return 0;
    case REG_PPR: return ppr(a);
    case REG_LDR: return a->ldr;
    case REG_DFR: return a->dfr;
    case REG_SVR: return a->svr;
    case REG_ESR: return a->esr;
    case REG_ICR_LOW: return a->icr_low;
    case REG_ICR_HIGH: return a->icr_high;
    case REG_TIMER_INITIAL: return a->timer_initial;
    case REG_TIMER_CURRENT: return current_count(a, now);
    case REG_TIMER_DIVIDE: return a->timer_divide;
    default: record_error(a, ESR_ILLEGAL_REGISTER); return 0;
    }
}

u64 lapic_read(struct lapic *a, unsigned offset, unsigned size, u64 now)
{
    if ((offset & 15) >= 4)
        return 0;
    u32 value = read_register(a, offset & 0xff0, now);
    value >>= (offset & 3) * 8;
    return size >= 4 ? value : value & ((1u << size * 8) - 1);
}

static void write_timer(struct lapic *a, unsigned reg, u32 value, u64 now)
{
    if (reg == REG_TIMER_DIVIDE) {
        u32 count = current_count(a, now); /* the count goes on at the new rate */
        a->timer_divide = value & 0xb;
        start_timer(a, count, now);
    } else if (TIMER_MODE(a->lvt[LVT_TIMER]) <= TIMER_PERIODIC) { /* TSC-deadline mode ignores the count */
        a->timer_initial = value;
        start_timer(a, value, now);
    }
}

static void write_register(struct lapic *a, unsigned reg, u32 value, u64 now)
{
    if (reg >= REG_LVT && reg < REG_LVT_END) {
        write_lvt(a, (enum lapic_lvt)((reg - REG_LVT) >> 4), value, now);
        return;
    }
    switch (reg) {
    case REG_ID: a->id = value & 0xff000000; break;
    case REG_TPR: a->tpr = value & 0xff; break;
    case REG_EOI: end_of_interrupt(a); break;
    case REG_LDR: a->ldr = value & 0xff000000; break;
    case REG_DFR: a->dfr = value | 0x0fffffff; break;
    case REG_SVR: write_svr(a, value, now); break;
    case REG_ESR:
        a->esr = a->esr_pending;
        a->esr_pending = 0;
        break;
    case REG_ICR_HIGH: a->icr_high = value & 0xff000000; break;
    case REG_ICR_LOW:
        a->icr_low = value & ICR_LOW_MASK & ~0x1000u;
        send_ipi(a);
        break;
    case REG_TIMER_INITIAL:
    case REG_TIMER_DIVIDE: write_timer(a, reg, value, now); break;
    case REG_VERSION:
    case REG_APR:
    case REG_PPR:
    case REG_RRD:
    case REG_TIMER_CURRENT: break; /* read-only */
    default:
        if (reg < REG_ISR || reg >= REG_IRR_END)
            record_error(a, ESR_ILLEGAL_REGISTER);
        break;
    }
}

void lapic_write(struct lapic *a, unsigned offset, u64 value, unsigned size, u64 now)
{
    if (size >= 4 && (offset & 15) == 0)
        write_register(a, offset & 0xff0, (u32)value, now);
}

u64 lapic_tsc_deadline(const struct lapic *a) { return a->tsc_deadline; }

void lapic_set_tsc_deadline(struct lapic *a, u64 deadline)
{
    if (TIMER_MODE(a->lvt[LVT_TIMER]) == TIMER_TSC_DEADLINE)
        a->tsc_deadline = deadline;
}

u64 lapic_deadline(const struct lapic *a, u64 now, u64 tsc)
{
    u32 lvt = a->lvt[LVT_TIMER];
    if (TIMER_MODE(lvt) == TIMER_TSC_DEADLINE) { /* disarms itself even when masked: the guest can read that */
        if (a->tsc_deadline == 0)
            return CLOCK_NEVER;
        u64 wait = a->tsc_deadline > tsc ? a->tsc_deadline - tsc : 0;
        return wait < CLOCK_NEVER - now ? now + wait : CLOCK_NEVER;
    }
    return lvt & LVT_MASKED ? CLOCK_NEVER : a->timer_next;
}

void lapic_tick(struct lapic *a, u64 now, u64 tsc)
{
    if (lapic_deadline(a, now, tsc) > now)
        return;
    if (TIMER_MODE(a->lvt[LVT_TIMER]) == TIMER_TSC_DEADLINE)
        a->tsc_deadline = 0;
    else
        a->timer_next = next_zero(a, now);
    fire_lvt(a, LVT_TIMER);
}
