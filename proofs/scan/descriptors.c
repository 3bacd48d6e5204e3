/* Descriptor and selector checks, by enumeration: every access byte with every L and D, every RPL, at every CPL, in protected and
 * long mode, against the manual's rules written down a second time (SDM vol. 3, 5.5 to 5.8; vol. 2, MOV):
 *   code     code_target_read() under each rule: allowed or not, which fault, and the privilege level afterwards. No rule but a
 *            gate's ever gives more privilege than there was, and a gate gives the segment's own;
 *   stack    stack_segment_read(), for every level that a stack may be wanted for;
 *   data     segment_load() of DS and SS: loaded with this very descriptor, or nothing has changed.
 * Prints "goals PROVED TOTAL cases COUNT", and up to ten counterexamples. */
#include "proofs/scan/engine_host.h"

#include "core/far.h"

enum { GDT_AT = 0x2000, INDEX = 3, SELECTOR = INDEX << 3 };

static struct vcpu *v;
static u64 cases, failed[3];

void host_panic(const char *file, int line, const char *message)
{
    printf("%s:%d: %s\n", file, line, message);
    exit(1);
}

/* One case: a descriptor, a selector's RPL, a privilege level. */
struct given {
    u8 access, width; /* width: bit 0 L, bit 1 D */
    unsigned rpl, cpl;
    bool wide;
};

static bool present(const struct given *g) { return g->access & 0x80; }
static unsigned dpl(const struct given *g) { return g->access >> 5 & 3; }
static bool is_segment(const struct given *g) { return g->access & 0x10; }
static bool is_code(const struct given *g) { return is_segment(g) && (g->access & 8); }
static bool conforming(const struct given *g) { return g->access & 4; }

static void fail(unsigned what, const struct given *g, unsigned rule)
{
    static const char *const names[] = {"code", "stack", "data"};
    if (++failed[what] > 10)
        return;
    printf("%s: access %02x width %u rpl %u cpl %u wide %d rule %u: got vector %u error %#x\n", names[what], g->access, g->width,
           g->rpl, g->cpl, g->wide, rule, v->fault.vector, v->fault.error);
}

static u64 set_up(const struct given *g)
{
    u64 raw = 0x000f00000000ffff | (u64)g->access << 40 | (u64)(g->width & 1) << 53 | (u64)(g->width >> 1) << 54;
    memcpy(physmem_host(&vm->memory, GDT_AT + SELECTOR), &raw, 8);
    v->cpu.cpl = (u8)g->cpl;
    v->fault = (struct event){.vector = 0xff};
    return raw;
}

static bool faulted(u8 vector) { return v->fault.vector == vector && v->fault.has_error && v->fault.error == SELECTOR; }

/* ---- Code ----------------------------------------------------------------------------------------- */

/* The level after the transfer, or -1: #GP. */
static int level_after(const struct given *g, enum code_rule rule)
{
    bool gate = rule == CODE_GATE || rule == CODE_GATE_JMP;
    if (!is_code(g) || (g->wide && (gate ? g->width != 1 : g->width == 3)))
        return -1;
    if (rule == CODE_RETURN) { /* to an outer level or the same; a conforming segment may be more privileged */
        if (g->rpl < g->cpl || (conforming(g) ? dpl(g) > g->rpl : dpl(g) != g->rpl))
            return -1;
        return (int)g->rpl;
    }
    if (rule == CODE_GATE)
        return dpl(g) > g->cpl ? -1 : (int)(conforming(g) ? g->cpl : dpl(g));
    if (conforming(g))
        return dpl(g) > g->cpl ? -1 : (int)g->cpl;
    if (dpl(g) != g->cpl || (rule == CODE_DIRECT && g->rpl > g->cpl))
        return -1;
    return (int)g->cpl;
}

static void check_code(const struct given *g, enum code_rule rule)
{
    struct code_target t;
    u64 raw = set_up(g);
    bool ok = code_target_read(v, (u16)(SELECTOR | g->rpl), rule, 0x100, &t);
    int after = level_after(g, rule);
    cases++;
    if (after < 0 ? ok || !faulted(VEC_GP) : !present(g) ? ok || !faulted(VEC_NP) : !ok)
        fail(0, g, rule);
    if (!ok)
        return;
    bool privilege = rule == CODE_GATE ? t.cpl == g->cpl || t.cpl == dpl(g) : t.cpl >= g->cpl;
    if (t.cpl != after || !privilege || t.selector != (SELECTOR | (unsigned)after) || t.raw != raw ||
        t.wide != (g->wide && (g->width & 1)))
        fail(0, g, rule);
}

/* ---- Stack and data ------------------------------------------------------------------------------- */

static bool stack_allowed(const struct given *g, unsigned level)
{
    return is_segment(g) && !is_code(g) && (g->access & 2) && g->rpl == level && dpl(g) == level;
}

static void check_stack(const struct given *g, unsigned level)
{
    u64 raw = set_up(g), got = 0;
    bool ok = stack_segment_read(v, (u16)(SELECTOR | g->rpl), level, VEC_TS, &got);
    cases++;
    if (!stack_allowed(g, level) ? ok || !faulted(VEC_TS) : !present(g) ? ok || !faulted(VEC_SS) : !ok || got != raw)
        fail(1, g, level);
}

static void check_load(const struct given *g, enum seg seg)
{
    set_up(g);
    struct segment before = v->cpu.seg[seg];
    bool readable = is_segment(g) && (!is_code(g) || (g->access & 2));
    bool free_code = is_code(g) && conforming(g);
    bool allowed = seg == SEG_SS ? stack_allowed(g, g->cpl)
                                 : readable && (free_code || (g->rpl <= dpl(g) && g->cpl <= dpl(g)));
    bool ok = segment_load(v, seg, (u16)(SELECTOR | g->rpl)) == EXEC_NEXT;
    const struct segment *s = &v->cpu.seg[seg];
    u8 missing = seg == SEG_SS ? VEC_SS : VEC_NP;
    cases++;
    if (!allowed ? ok || !faulted(VEC_GP) : !present(g) ? ok || !faulted(missing) : !ok)
        fail(2, g, seg);
    if (ok ? s->selector != (SELECTOR | g->rpl) || (s->attributes & 0xff) != (g->access | 1) : memcmp(s, &before, sizeof before))
        fail(2, g, seg);
}

static void check_all(const struct given *g)
{
    for (unsigned rule = CODE_DIRECT; rule <= CODE_RETURN; rule++)
        check_code(g, (enum code_rule)rule);
    for (unsigned level = 0; level < 4; level++)
        check_stack(g, level);
    check_load(g, SEG_DS);
    check_load(g, SEG_SS);
}

int main(void)
{
    machine_create();
    v = vm->vcpu[0];
    for (unsigned wide = 0; wide < 2; wide++) {
        machine_enter(v, wide, 0);
        v->cpu.gdtr = (struct table_register){.base = GDT_AT, .limit = 0x3f};
        for (unsigned n = 0; n < 256 * 4 * 4 * 4; n++)
            check_all(&(struct given){.access = (u8)n, .width = n >> 8 & 3, .rpl = n >> 10 & 3, .cpl = n >> 12 & 3, .wide = wide});
    }
    printf("goals %u 3 cases %llu\n", !failed[0] + !failed[1] + !failed[2], (unsigned long long)cases);
    return failed[0] || failed[1] || failed[2];
}
