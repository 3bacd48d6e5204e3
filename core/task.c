/* Task switching and inner stacks.
 *
 * A switch has three phases. All that can be checked beforehand is checked, and every byte that will be written or read
 * is probed. Then the old task is saved and the new one's registers are loaded, which the probes keep from failing. Then
 * the new task's segment registers are qualified; faults found now belong to the new task (SDM vol. 3, 7.3, table 7-1). */
#include "core/task.h"

#include "mmu/walk.h"

/* SDM vol. 3, figures 7-2 and 7-10. */
struct tss_layout {
    u8 width;    /* of general registers, IP and flags */
    u8 ip, flags, gpr, seg, ldt;
    u8 segments; /* ES CS SS DS, and FS GS in the 32-bit form */
    u8 cr3;      /* 0: none */
    u8 last;     /* the least limit that a TSS may have */
};

static const struct tss_layout layout16 = {
    .width = 2, .ip = 0x0e, .flags = 0x10, .gpr = 0x12, .seg = 0x22, .ldt = 0x2a, .segments = 4, .last = 0x2b};
static const struct tss_layout layout32 = {
    .width = 4, .ip = 0x20, .flags = 0x24, .gpr = 0x28, .seg = 0x48, .ldt = 0x60, .segments = 6, .cr3 = 0x1c,
    .last = 0x67};

enum { TSS32_TRAP = 0x64, TSS64_RSP0 = 4, TSS64_IST1 = 0x24, GPRS_IN_TSS = 8 };

/* A 16-bit TSS says nothing about the upper halves of the general registers; they become ones, as on the 386. */
#define UPPER_HALF 0xffff0000u
/* DR7: L0..L3 and LE are local to a task (SDM vol. 3, 17.2.4). */
#define DR7_LOCAL 0x155u

struct task_state {
    u32 cr3, eip, eflags;
    u32 gpr[GPRS_IN_TSS];
    u16 seg[SEG_COUNT];
    u16 ldt;
    bool trap;
};

static const struct tss_layout *layout_of(unsigned type) { return type & SYS_WIDE ? &layout32 : &layout16; }
static u64 tss_field(u64 base, unsigned offset) { return (u32)(base + offset); }

bool task_descriptor_read(struct vcpu *v, u16 selector, enum vector vector, bool busy, u64 *raw)
{
    if (selector_local(selector))
        return fault_false(v, vector, selector_error(selector));
    if (!descriptor_read(v, selector, vector, raw))
        return false;
    unsigned type = descriptor_type(*raw) & ~(unsigned)SYS_WIDE;
    if (!descriptor_system(*raw) || type != (busy ? SYS_TSS16_BUSY : SYS_TSS16))
        return fault_false(v, vector, selector_error(selector));
    if (!descriptor_present(*raw))
        return fault_false(v, VEC_NP, selector_error(selector));
    return true;
}

static bool tss_read(struct vcpu *v, u64 base, unsigned offset, unsigned width, u32 *value)
{
    u16 word;
    if (width == 4)
        return mem_read32_sys(v, tss_field(base, offset), value);
    if (!mem_read16_sys(v, tss_field(base, offset), &word))
        return false;
    *value = word;
    return true;
}

static bool tss_write(struct vcpu *v, u64 base, unsigned offset, unsigned width, u32 value)
{
    if (width == 4)
        return mem_write32_sys(v, tss_field(base, offset), value);
    return mem_write16_sys(v, tss_field(base, offset), (u16)value);
}

static bool state_read(struct vcpu *v, u64 base, const struct tss_layout *l, struct task_state *t)
{
    u32 word;
    bool ok = tss_read(v, base, l->ip, l->width, &t->eip) && tss_read(v, base, l->flags, l->width, &t->eflags);
    for (unsigned k = 0; ok && k < GPRS_IN_TSS; k++) {
        ok = tss_read(v, base, l->gpr + k * l->width, l->width, &t->gpr[k]);
        if (l->width == 2)
            t->gpr[k] |= UPPER_HALF;
    }
    for (unsigned k = 0; ok && k < l->segments; k++) {
        ok = tss_read(v, base, l->seg + k * l->width, 2, &word);
        t->seg[k] = (u16)word;
    }
    if (!ok || !tss_read(v, base, l->ldt, 2, &word))
        return false;
    t->ldt = (u16)word;
    if (!l->cr3)
        return true;
    if (!tss_read(v, base, TSS32_TRAP, 2, &word))
        return false;
    t->trap = word & 1;
    return tss_read(v, base, l->cr3, 4, &t->cr3);
}

static bool state_write(struct vcpu *v, const struct tss_layout *l, u32 eip, u32 eflags)
{
    struct cpu *c = &v->cpu;
    u64 base = c->tr.base;
    bool ok = tss_write(v, base, l->ip, l->width, eip) && tss_write(v, base, l->flags, l->width, eflags);
    for (unsigned k = 0; ok && k < GPRS_IN_TSS; k++)
        ok = tss_write(v, base, l->gpr + k * l->width, l->width, (u32)c->gpr[k]);
    for (unsigned k = 0; ok && k < l->segments; k++)
        ok = tss_write(v, base, l->seg + k * l->width, 2, c->seg[k].selector);
    return ok;
}

static bool saves_old_descriptor(enum task_reason reason) { return reason == TASK_JMP || reason == TASK_IRET; }

/* Everything that the switch will write: the old TSS's register area, the link, the descriptors. */
static bool writes_probe(struct vcpu *v, const struct tss_layout *old, u64 new_base, const struct task_request *r)
{
    u64 begin = tss_field(v->cpu.tr.base, old->ip);
    u64 table = v->cpu.gdtr.base;
    if (!mem_probe(v, begin, old->seg + old->segments * old->width - old->ip, ACCESS_WRITE, TLB_SUPERVISOR))
        return false;
    if (r->reason >= TASK_CALL && !mem_probe(v, tss_field(new_base, 0), 2, ACCESS_WRITE, TLB_SUPERVISOR))
        return false;
    if (r->reason != TASK_IRET && !mem_probe(v, tss_field(table, r->selector & ~7u), 8, ACCESS_WRITE, TLB_SUPERVISOR))
        return false;
    return !saves_old_descriptor(r->reason) ||
           mem_probe(v, tss_field(table, v->cpu.tr.selector & ~7u), 8, ACCESS_WRITE, TLB_SUPERVISOR);
}

/* The CR3 of the new task must be loadable before anything changes: bad PDPTEs are #GP(0) (SDM vol. 3, 4.4.1). They
 * wait in `pdpte` until the old task has been saved through the old ones. */
static bool cr3_check(struct vcpu *v, const struct tss_layout *l, u64 base, u64 pdpte[4])
{
    u32 cr3;
    if (!l->cr3 || !cpu_paging(&v->cpu))
        return true;
    if (!tss_read(v, base, l->cr3, 4, &cr3))
        return false;
    if ((v->cpu.cr4 & CR4_PAE) && !walk_read_pdptes(v->vm, cr3, pdpte))
        return fault_false(v, VEC_GP, 0);
    return true;
}

/* Clears the busy bit of the old task, if its descriptor is still there. */
static bool old_descriptor_release(struct vcpu *v)
{
    u64 raw;
    u16 selector = v->cpu.tr.selector;
    switch (descriptor_lookup(v, selector, &raw)) {
    case DESCRIPTOR_FOUND: return descriptor_write(v, selector, raw & ~((u64)SYS_TSS_BUSY << 40));
    case DESCRIPTOR_ABSENT: return true;
    default: return false;
    }
}

/* Saves the old task and moves the busy bit. All of it was probed: it fails only if a guest's page tables lie in the
 * very TSS that is being written. */
static bool task_leave(struct vcpu *v, const struct tss_layout *old, const struct task_request *r, u64 new_base)
{
    u32 eflags = r->reason == TASK_IRET ? r->rflags & ~FLAG_NT : r->rflags;
    if (!state_write(v, old, (u32)r->rip, eflags))
        return false;
    if (saves_old_descriptor(r->reason) && !old_descriptor_release(v))
        return false;
    if (r->reason != TASK_IRET && !descriptor_write(v, r->selector, r->raw | (u64)SYS_TSS_BUSY << 40))
        return false;
    return r->reason < TASK_CALL || mem_write16_sys(v, tss_field(new_base, 0), v->cpu.tr.selector);
}

/* Loads what needs no checks. Segment registers hold their selectors but are unusable until they are qualified. */
static void task_enter(struct vcpu *v, const struct task_request *r, const struct tss_layout *l,
                       const struct task_state *t, const u64 pdpte[4])
{
    struct cpu *c = &v->cpu;
    u32 eflags = t->eflags & FLAGS_DEFINED;
    if (r->reason >= TASK_CALL)
        eflags |= FLAG_NT;
    c->tr = descriptor_segment(r->selector, r->raw | (u64)SYS_TSS_BUSY << 40);
    c->cr0 |= CR0_TS;
    c->dr[7] &= ~(u64)DR7_LOCAL;
    c->rip = t->eip;
    cpu_set_rflags_raw(c, eflags);
    for (unsigned k = 0; k < GPRS_IN_TSS; k++)
        c->gpr[k] = t->gpr[k];
    for (unsigned k = 0; k < SEG_COUNT; k++)
        c->seg[k] = segment_null(t->seg[k]);
    c->ldtr = segment_null(t->ldt);
    c->cpl = cpu_v86(c) ? 3 : selector_rpl(t->seg[SEG_CS]);
    if (l->cr3 && cpu_paging(c)) {
        c->cr3 = t->cr3;
        memcpy(c->pdpte, pdpte, sizeof c->pdpte);
        tlb_invalidate(v);
    }
    vcpu_update_mode(v);
}

static bool task_load_cs(struct vcpu *v, u16 selector)
{
    u64 raw;
    if (selector_null(selector))
        return fault_false(v, VEC_TS, 0);
    if (!descriptor_read(v, selector, VEC_TS, &raw))
        return false;
    u16 attributes = descriptor_attributes(raw);
    unsigned dpl = descriptor_dpl(raw), rpl = selector_rpl(selector);
    bool code = (attributes & (SEG_S | SEG_CODE)) == (SEG_S | SEG_CODE);
    bool allowed = attributes & SEG_EXPAND_DOWN ? dpl <= rpl : dpl == rpl;
    if (!code || !allowed)
        return fault_false(v, VEC_TS, selector_error(selector));
    if (!descriptor_present(raw))
        return fault_false(v, VEC_NP, selector_error(selector));
    if (!descriptor_touch(v, selector, &raw))
        return false;
    v->cpu.seg[SEG_CS] = descriptor_segment(selector, raw);
    return true;
}

static bool task_load_ss(struct vcpu *v, u16 selector)
{
    u64 raw;
    if (!stack_segment_read(v, selector, v->cpu.cpl, VEC_TS, &raw) || !descriptor_touch(v, selector, &raw))
        return false;
    v->cpu.seg[SEG_SS] = descriptor_segment(selector, raw);
    return true;
}

/* Qualifies the new task's segment registers, in its own context and in the order of the P6 family (SDM vol. 3, table
 * 7-1): SS before CS. */
static bool task_load_segments(struct vcpu *v, const struct task_state *t)
{
    static const u8 data_segments[] = {SEG_DS, SEG_ES, SEG_FS, SEG_GS};
    if (!ldtr_load(v, t->ldt, VEC_TS, VEC_TS))
        return false;
    if (cpu_v86(&v->cpu)) {
        for (unsigned k = 0; k < SEG_COUNT; k++)
            segment_load_real(v, (enum seg)k, t->seg[k]);
        return true;
    }
    if (!task_load_ss(v, t->seg[SEG_SS]) || !task_load_cs(v, t->seg[SEG_CS]))
        return false;
    for (unsigned k = 0; k < ARRAY_LEN(data_segments); k++)
        if (!segment_load_data(v, (enum seg)data_segments[k], t->seg[data_segments[k]], VEC_TS))
            return false;
    return true;
}

bool task_switch(struct vcpu *v, const struct task_request *r)
{
    const struct tss_layout *old = layout_of(v->cpu.tr.attributes), *new = layout_of(descriptor_type(r->raw));
    u64 base = descriptor_base(r->raw);
    struct task_state state = {0};
    u64 pdpte[4] = {0};
    if (descriptor_limit(r->raw) < new->last)
        return fault_false(v, VEC_TS, selector_error(r->selector));
    if (v->cpu.tr.limit < old->last)
        return fault_false(v, VEC_TS, selector_error(v->cpu.tr.selector));
    if (!mem_probe(v, tss_field(base, 0), new->last + 1u, ACCESS_READ, TLB_SUPERVISOR) ||
        !writes_probe(v, old, base, r) || !cr3_check(v, new, base, pdpte))
        return false;
    if (!task_leave(v, old, r, base) || !state_read(v, base, new, &state))
        return false;
    task_enter(v, r, new, &state, pdpte);
    bool ok = task_load_segments(v, &state);
    if (state.trap)
        v->cpu.pending_db |= DR6_BT;
    vcpu_update_mode(v);
    vcpu_kick(v);
    return ok && (v->cpu.rip <= v->cpu.seg[SEG_CS].limit || fault_false(v, VEC_GP, 0));
}

static bool inner_stack_long(struct vcpu *v, unsigned cpl, unsigned ist, struct stack *s)
{
    const struct segment *tr = &v->cpu.tr;
    unsigned at = ist ? TSS64_IST1 + (ist - 1) * 8 : TSS64_RSP0 + cpl * 8;
    if (at + 7 > tr->limit)
        return fault_false(v, VEC_TS, selector_error(tr->selector));
    *s = (struct stack){.ss = segment_null((u16)cpl),
                        .mask = UINT64_MAX,
                        .load = cpl != v->cpu.cpl,
                        .wide = true,
                        .rights = (u8)rights_at(v, cpl)};
    return mem_read64_sys(v, tr->base + at, &s->sp);
}

bool task_inner_stack(struct vcpu *v, unsigned cpl, unsigned ist, struct stack *s)
{
    const struct segment *tr = &v->cpu.tr;
    if (cpu_long(&v->cpu))
        return inner_stack_long(v, cpl, ist, s);
    unsigned width = tr->attributes & SYS_WIDE ? 4 : 2;
    unsigned at = width + cpl * 2 * width;
    u32 sp, ss;
    u64 raw;
    if (at + width + 1 > tr->limit)
        return fault_false(v, VEC_TS, selector_error(tr->selector));
    if (!tss_read(v, tr->base, at, width, &sp) || !tss_read(v, tr->base, at + width, 2, &ss))
        return false;
    if (!stack_segment_read(v, (u16)ss, cpl, VEC_TS, &raw))
        return false;
    *s = (struct stack){.ss = descriptor_segment((u16)ss, raw),
                        .sp = sp,
                        .raw = raw,
                        .load = true,
                        .rights = (u8)rights_at(v, cpl),
                        .error = selector_error((u16)ss)};
    s->mask = s->ss.attributes & SEG_DB ? 0xffffffffu : 0xffffu;
    return true;
}
