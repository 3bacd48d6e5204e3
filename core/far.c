/* Far JMP, CALL and RET. */
#include "core/far.h"

#include "core/quick.h"
#include "core/task.h"
#include "core/vm.h"

/* A call gate, decoded (SDM vol. 3, figures 5-8 and 5-11). */
struct call_gate {
    u16 selector;
    u8 size;       /* of what is pushed: 2, 4, or 8 in long mode */
    u8 parameters; /* copied between stacks, each of `size` */
    u64 offset;
};

/* ---- Code segments ------------------------------------------------------------------------------ */

static bool code_privilege_allows(const struct vcpu *v, u16 selector, u64 raw, enum code_rule rule)
{
    unsigned cpl = v->cpu.cpl, dpl = descriptor_dpl(raw), rpl = selector_rpl(selector);
    bool conforming = descriptor_attributes(raw) & SEG_EXPAND_DOWN;
    switch (rule) {
    case CODE_DIRECT: return conforming ? dpl <= cpl : dpl == cpl && rpl <= cpl;
    case CODE_GATE_JMP: return conforming ? dpl <= cpl : dpl == cpl;
    case CODE_GATE: return dpl <= cpl;
    default: return rpl >= cpl && (conforming ? dpl <= rpl : dpl == rpl);
    }
}

static unsigned code_new_cpl(const struct vcpu *v, u16 selector, u64 raw, enum code_rule rule)
{
    bool conforming = descriptor_attributes(raw) & SEG_EXPAND_DOWN;
    if (rule == CODE_RETURN)
        return selector_rpl(selector);
    return rule == CODE_GATE && !conforming ? descriptor_dpl(raw) : v->cpu.cpl;
}

/* Long mode: gates lead to 64-bit code only; L and D together are reserved (SDM vol. 3, 5.2.1). */
static bool code_width_allows(const struct vcpu *v, u16 attributes, enum code_rule rule)
{
    if (!cpu_long(&v->cpu))
        return true;
    bool gate = rule == CODE_GATE || rule == CODE_GATE_JMP;
    u16 width = attributes & (SEG_L | SEG_DB);
    return gate ? width == SEG_L : width != (SEG_L | SEG_DB);
}

bool code_target_read(struct vcpu *v, u16 selector, enum code_rule rule, u64 rip, struct code_target *t)
{
    u64 raw;
    if (selector_null(selector))
        return fault_false(v, VEC_GP, 0);
    if (!descriptor_read(v, selector, VEC_GP, &raw))
        return false;
    u16 attributes = descriptor_attributes(raw);
    bool code = (attributes & (SEG_S | SEG_CODE)) == (SEG_S | SEG_CODE);
    if (!code || !code_privilege_allows(v, selector, raw, rule) || !code_width_allows(v, attributes, rule))
        return fault_false(v, VEC_GP, selector_error(selector));
    if (!descriptor_present(raw))
        return fault_false(v, VEC_NP, selector_error(selector));
    t->cpl = (u8)code_new_cpl(v, selector, raw, rule);
    t->selector = (u16)((selector & ~3u) | t->cpl);
    t->wide = cpu_long(&v->cpu) && (attributes & SEG_L);
    t->raw = raw;
    t->rip = rip;
    return true;
}

bool code_target_check(struct vcpu *v, struct code_target *t)
{
    if (t->wide)
        return canonical(t->rip) || fault_false(v, VEC_GP, 0);
    t->rip = (u32)t->rip;
    return t->rip <= descriptor_limit(t->raw) || fault_false(v, VEC_GP, 0);
}

bool code_target_touch(struct vcpu *v, struct code_target *t) { return descriptor_touch(v, t->selector, &t->raw); }

void code_target_commit(struct vcpu *v, const struct code_target *t)
{
    v->cpu.seg[SEG_CS] = descriptor_segment(t->selector, t->raw);
    v->cpu.cpl = t->cpl;
    v->cpu.rip = t->rip;
}

bool code_target_admit(struct vcpu *v, struct code_target *t, const struct stack *s, unsigned count, unsigned size)
{
    return stack_room(v, s, count, size) && code_target_check(v, t);
}

bool code_target_enter(struct vcpu *v, struct code_target *t, struct stack *s)
{
    if (!stack_touch(v, s) || !code_target_touch(v, t))
        return false;
    code_target_commit(v, t);
    stack_commit(v, s);
    return true;
}

static enum exec code_enter(struct vcpu *v, struct code_target *t)
{
    if (!code_target_check(v, t) || !code_target_touch(v, t))
        return EXEC_FAULT;
    code_target_commit(v, t);
    vcpu_update_mode(v);
    return EXEC_JUMP;
}

/* Completes a CALL whose frame is on `s`. */
static enum exec code_enter_with_stack(struct vcpu *v, struct code_target *t, struct stack *s)
{
    if (!code_target_enter(v, t, s))
        return EXEC_FAULT;
    vcpu_update_mode(v);
    return EXEC_JUMP;
}

/* ---- Call gates --------------------------------------------------------------------------------- */

/* The gate's own privilege and presence; `raw` is its descriptor. */
static bool gate_allows(struct vcpu *v, u16 selector, u64 raw)
{
    unsigned dpl = descriptor_dpl(raw);
    if (dpl < v->cpu.cpl || dpl < selector_rpl(selector))
        return fault_false(v, VEC_GP, selector_error(selector));
    return descriptor_present(raw) || fault_false(v, VEC_NP, selector_error(selector));
}

static bool call_gate_read(struct vcpu *v, u16 selector, u64 raw, struct call_gate *g)
{
    u64 high = 0;
    if (!gate_allows(v, selector, raw))
        return false;
    *g = (struct call_gate){
        .selector = (u16)(raw >> 16), .size = 2, .parameters = raw >> 32 & 31, .offset = raw & 0xffff};
    if (descriptor_type(raw) == SYS_CALL_GATE16)
        return true;
    g->size = 4;
    g->offset |= raw >> 32 & 0xffff0000u;
    if (!cpu_long(&v->cpu))
        return true;
    if (!descriptor_read_high(v, selector, VEC_GP, &high))
        return false;
    g->size = 8;
    g->parameters = 0;
    g->offset |= high << 32;
    return true;
}

/* CALL to an inner level: switches stacks, copies the parameters (SDM vol. 3, 5.8.5). */
static enum exec call_gate_inner(struct vcpu *v, const struct call_gate *g, struct code_target *t, u64 next_rip)
{
    struct stack s;
    u64 parameters[31];
    if (!task_inner_stack(v, t->cpl, 0, &s))
        return EXEC_FAULT;
    for (unsigned k = 0; k < g->parameters; k++)
        if (!stack_read(v, k * g->size, &parameters[k], g->size))
            return EXEC_FAULT;
    if (!code_target_admit(v, t, &s, g->parameters + 4u, g->size))
        return EXEC_FAULT;
    if (!stack_put(v, &s, v->cpu.seg[SEG_SS].selector, g->size) || !stack_put(v, &s, v->cpu.gpr[RSP], g->size))
        return EXEC_FAULT;
    for (unsigned k = g->parameters; k-- > 0;)
        if (!stack_put(v, &s, parameters[k], g->size))
            return EXEC_FAULT;
    if (!stack_put(v, &s, v->cpu.seg[SEG_CS].selector, g->size) || !stack_put(v, &s, next_rip, g->size))
        return EXEC_FAULT;
    return code_enter_with_stack(v, t, &s);
}

static enum exec call_same(struct vcpu *v, struct code_target *t, unsigned size, u64 next_rip)
{
    struct stack s = stack_current(v);
    if (size == 8 && t->wide) { /* a 64-bit gate or CALL: the stack is 64 bits wide even if called from 32-bit code */
        s.wide = true;
        s.mask = UINT64_MAX;
    }
    if (!code_target_admit(v, t, &s, 2, size) || !stack_put(v, &s, v->cpu.seg[SEG_CS].selector, size) ||
        !stack_put(v, &s, next_rip, size))
        return EXEC_FAULT;
    return code_enter_with_stack(v, t, &s);
}

static enum exec far_call_gate(struct vcpu *v, const struct far_request *r, u64 raw)
{
    struct call_gate g;
    struct code_target t;
    enum code_rule rule = r->kind == FAR_JMP ? CODE_GATE_JMP : CODE_GATE;
    if (!call_gate_read(v, r->selector, raw, &g) || !code_target_read(v, g.selector, rule, g.offset, &t))
        return EXEC_FAULT;
    if (r->kind == FAR_JMP)
        return code_enter(v, &t);
    if (t.cpl < v->cpu.cpl)
        return call_gate_inner(v, &g, &t, r->next_rip);
    return call_same(v, &t, g.size, r->next_rip);
}

/* ---- JMP and CALL ------------------------------------------------------------------------------- */

static enum exec far_task(struct vcpu *v, const struct far_request *r, u16 selector, u64 raw)
{
    struct task_request task = {.reason = r->kind == FAR_JMP ? TASK_JMP : TASK_CALL,
                                .selector = selector,
                                .raw = raw,
                                .rip = r->next_rip,
                                .rflags = (u32)cpu_rflags(&v->cpu)};
    return task_switch(v, &task) ? EXEC_JUMP : EXEC_FAULT;
}

static enum exec far_tss(struct vcpu *v, const struct far_request *r, u64 raw)
{
    unsigned dpl = descriptor_dpl(raw);
    if (dpl < v->cpu.cpl || dpl < selector_rpl(r->selector))
        return fault_gp(v, selector_error(r->selector));
    if (!task_descriptor_read(v, r->selector, VEC_GP, false, &raw))
        return EXEC_FAULT;
    return far_task(v, r, r->selector, raw);
}

static enum exec far_task_gate(struct vcpu *v, const struct far_request *r, u64 raw)
{
    u16 selector = (u16)(raw >> 16);
    if (!gate_allows(v, r->selector, raw) || !task_descriptor_read(v, selector, VEC_GP, false, &raw))
        return EXEC_FAULT;
    return far_task(v, r, selector, raw);
}

static enum exec far_system(struct vcpu *v, const struct far_request *r, u64 raw)
{
    bool legacy = !cpu_long(&v->cpu);
    switch (descriptor_type(raw)) {
    case SYS_CALL_GATE32:
        return far_call_gate(v, r, raw);
    case SYS_CALL_GATE16:
        if (legacy)
            return far_call_gate(v, r, raw);
        break;
    case SYS_TASK_GATE:
        if (legacy)
            return far_task_gate(v, r, raw);
        break;
    case SYS_TSS16:
    case SYS_TSS32:
        if (legacy)
            return far_tss(v, r, raw);
        break;
    }
    return fault_gp(v, selector_error(r->selector));
}

static enum exec far_protected(struct vcpu *v, const struct far_request *r)
{
    u64 raw;
    struct code_target t;
    if (selector_null(r->selector))
        return fault_gp(v, 0);
    if (!descriptor_read(v, r->selector, VEC_GP, &raw))
        return EXEC_FAULT;
    if (descriptor_system(raw))
        return far_system(v, r, raw);
    if (!code_target_read(v, r->selector, CODE_DIRECT, r->offset, &t))
        return EXEC_FAULT;
    if (r->kind == FAR_JMP)
        return code_enter(v, &t);
    return call_same(v, &t, r->opsize, r->next_rip);
}

/* Real-address and v86 mode. */
static bool real_target_check(struct vcpu *v, u64 offset)
{
    u32 limit = cpu_v86(&v->cpu) ? 0xffff : v->cpu.seg[SEG_CS].limit;
    return offset <= limit || fault_false(v, VEC_GP, 0);
}

static void enter_real(struct vcpu *v, u16 selector, u64 offset)
{
    segment_load_real(v, SEG_CS, selector);
    v->cpu.rip = offset;
}

static bool call_real(struct vcpu *v, const struct far_request *r)
{
    struct stack s = stack_current(v);
    if (!stack_room(v, &s, 2, r->opsize) || !real_target_check(v, r->offset) ||
        !stack_put(v, &s, v->cpu.seg[SEG_CS].selector, r->opsize) || !stack_put(v, &s, r->next_rip, r->opsize))
        return false;
    stack_commit(v, &s);
    return true;
}

static enum exec far_real(struct vcpu *v, const struct far_request *r)
{
    if (!(r->kind == FAR_CALL ? call_real(v, r) : real_target_check(v, r->offset)))
        return EXEC_FAULT;
    enter_real(v, r->selector, r->offset);
    vcpu_update_mode(v);
    return EXEC_JUMP;
}

enum exec far_transfer(struct vcpu *v, const struct far_request *r)
{
    return cpu_real_segments(&v->cpu) ? far_real(v, r) : far_protected(v, r);
}

/* ---- Returns ------------------------------------------------------------------------------------ */

/* What RET and IRET find on the stack. */
struct return_frame {
    u64 rip, rsp;
    u32 rflags;
    u16 cs, ss;
};

static bool frame_read_cs(struct vcpu *v, unsigned size, struct return_frame *f)
{
    u64 cs;
    if (!stack_read(v, 0, &f->rip, size) || !stack_read(v, size, &cs, size))
        return false;
    f->cs = (u16)cs;
    return true;
}

/* SS:RSP at `displacement`. */
static bool frame_read_stack(struct vcpu *v, s64 displacement, unsigned size, struct return_frame *f)
{
    u64 ss;
    if (!stack_read(v, displacement, &f->rsp, size) || !stack_read(v, displacement + size, &ss, size))
        return false;
    f->ss = (u16)ss;
    return true;
}

/* The stack to return to. A null SS is legal for 64-bit code below privilege level 3. */
static bool return_stack_read(struct vcpu *v, const struct return_frame *f, const struct code_target *t,
                              struct stack *s)
{
    *s = (struct stack){.sp = f->rsp, .load = true, .wide = t->wide, .ss = segment_null(f->ss)};
    bool null_allowed = t->wide && t->cpl < 3 && selector_rpl(f->ss) == t->cpl;
    if (!selector_null(f->ss) || !null_allowed) {
        if (!stack_segment_read(v, f->ss, t->cpl, VEC_GP, &s->raw))
            return false;
        s->ss = descriptor_segment(f->ss, s->raw);
    }
    if (t->wide)
        s->mask = UINT64_MAX;
    else
        s->mask = s->ss.attributes & SEG_DB ? 0xffffffffu : 0xffffu;
    return true;
}

/* Returns to CS:RIP and SS:RSP of the frame; `release` more bytes are dropped from the new stack. */
static bool return_with_stack(struct vcpu *v, const struct return_frame *f, struct code_target *t, u16 release)
{
    struct stack s;
    bool outer = t->cpl > v->cpu.cpl;
    if (!return_stack_read(v, f, t, &s) || !code_target_check(v, t))
        return false;
    s.sp += release;
    if (!code_target_enter(v, t, &s))
        return false;
    if (outer)
        segments_drop(v, t->cpl);
    return true;
}

static enum exec return_real(struct vcpu *v, const struct return_frame *f, unsigned frame_bytes)
{
    if (!real_target_check(v, f->rip))
        return EXEC_FAULT;
    enter_real(v, f->cs, f->rip);
    stack_adjust(v, frame_bytes);
    return EXEC_JUMP;
}

enum exec far_return(struct vcpu *v, unsigned opsize, u16 release)
{
    struct return_frame f;
    struct code_target t;
    unsigned bytes = 2 * opsize + release;
    if (!frame_read_cs(v, opsize, &f))
        return EXEC_FAULT;
    if (cpu_real_segments(&v->cpu)) {
        if (return_real(v, &f, bytes) == EXEC_FAULT)
            return EXEC_FAULT;
        vcpu_update_mode(v);
        return EXEC_JUMP;
    }
    if (!code_target_read(v, f.cs, CODE_RETURN, f.rip, &t))
        return EXEC_FAULT;
    if (t.cpl > v->cpu.cpl) {
        if (!frame_read_stack(v, bytes, opsize, &f) || !return_with_stack(v, &f, &t, release))
            return EXEC_FAULT;
    } else {
        if (!code_target_check(v, &t) || !code_target_touch(v, &t))
            return EXEC_FAULT;
        code_target_commit(v, &t);
        stack_adjust(v, bytes);
    }
    vcpu_update_mode(v);
    return EXEC_JUMP;
}

/* ---- IRET --------------------------------------------------------------------------------------- */

/* Replaces the flags in `mask` by the popped ones. Interrupts may have become deliverable. */
static void iret_flags(struct vcpu *v, u32 popped, u32 mask)
{
    u32 old = (u32)cpu_rflags(&v->cpu);
    cpu_set_rflags_raw(&v->cpu, (old & ~mask) | (popped & mask & FLAGS_DEFINED));
    vm_attend_interrupts(v);
}

static u32 iret_mask(const struct vcpu *v, unsigned opsize)
{
    u32 mask = FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT;
    if (opsize > 2)
        mask |= FLAG_RF | FLAG_AC | FLAG_ID;
    if (v->cpu.cpl <= cpu_iopl(&v->cpu))
        mask |= FLAG_IF;
    if (v->cpu.cpl == 0)
        mask |= opsize > 2 ? FLAG_IOPL | FLAG_VIF | FLAG_VIP : FLAG_IOPL;
    return mask;
}

static bool iret_frame_read(struct vcpu *v, unsigned opsize, struct return_frame *f)
{
    u64 flags;
    if (!frame_read_cs(v, opsize, f) || !stack_read(v, 2 * opsize, &flags, opsize))
        return false;
    f->rflags = (u32)flags;
    return true;
}

/* In real-address mode all flags but VM, VIF and VIP come from the stack; v86 mode keeps IOPL as well. */
static enum exec iret_real(struct vcpu *v, unsigned opsize)
{
    struct return_frame f;
    if (!iret_frame_read(v, opsize, &f) || return_real(v, &f, 3 * opsize) == EXEC_FAULT)
        return EXEC_FAULT;
    u32 mask = opsize == 2 ? 0xffff : ~(FLAG_VM | FLAG_VIF | FLAG_VIP);
    if (cpu_v86(&v->cpu))
        mask &= ~FLAG_IOPL;
    iret_flags(v, f.rflags, mask);
    return EXEC_JUMP;
}

/* IRET in v86 mode with IOPL < 3: IF becomes VIF under the v86 extensions (SDM vol. 3, 20.3.3), otherwise #GP(0). */
static enum exec iret_v86_extended(struct vcpu *v, unsigned opsize)
{
    struct return_frame f;
    if (!(v->cpu.cr4 & CR4_VME) || opsize != 2)
        return fault_gp(v, 0);
    if (!iret_frame_read(v, opsize, &f))
        return EXEC_FAULT;
    if ((f.rflags & FLAG_TF) || ((f.rflags & FLAG_IF) && (v->cpu.rflags & FLAG_VIP)))
        return fault_gp(v, 0);
    if (return_real(v, &f, 3 * opsize) == EXEC_FAULT)
        return EXEC_FAULT;
    u32 vif = f.rflags & FLAG_IF ? FLAG_VIF : 0;
    iret_flags(v, (f.rflags & 0xffff) | vif, (0xffff & ~(FLAG_IOPL | FLAG_IF)) | FLAG_VIF);
    return EXEC_JUMP;
}

/* NT set: the interrupted task's TSS is in the link field. */
static enum exec iret_task(struct vcpu *v, u64 next_rip)
{
    u16 link;
    u64 raw;
    if (!mem_read16_sys(v, v->cpu.tr.base, &link))
        return EXEC_FAULT;
    if (!task_descriptor_read(v, link, VEC_TS, true, &raw))
        return EXEC_FAULT;
    struct task_request task = {
        .reason = TASK_IRET, .selector = link, .raw = raw, .rip = next_rip, .rflags = (u32)cpu_rflags(&v->cpu)};
    return task_switch(v, &task) ? EXEC_JUMP : EXEC_FAULT;
}

/* From privilege level 0 to v86 mode: SDM vol. 3, 20.2.2. */
static enum exec iret_to_v86(struct vcpu *v, const struct return_frame *f)
{
    static const u8 order[] = {SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    u64 esp, selectors[ARRAY_LEN(order)];
    if (!stack_read(v, 12, &esp, 4))
        return EXEC_FAULT;
    for (unsigned k = 0; k < ARRAY_LEN(order); k++)
        if (!stack_read(v, 16 + 4 * k, &selectors[k], 4))
            return EXEC_FAULT;
    if (f->rip > 0xffff)
        return fault_gp(v, 0);
    iret_flags(v, f->rflags, UINT32_MAX);
    v->cpu.cpl = 3;
    v->cpu.rip = f->rip;
    v->cpu.gpr[RSP] = (u32)esp;
    segment_load_real(v, SEG_CS, f->cs);
    for (unsigned k = 0; k < ARRAY_LEN(order); k++)
        segment_load_real(v, (enum seg)order[k], (u16)selectors[k]);
    return EXEC_JUMP;
}

static enum exec iret_protected(struct vcpu *v, unsigned opsize)
{
    struct return_frame f;
    struct code_target t;
    bool long_mode = cpu_long(&v->cpu);
    u32 flags, mask = iret_mask(v, opsize);
    if (quick_iret(v, opsize, &flags)) {
        iret_flags(v, flags, mask);
        return EXEC_JUMP;
    }
    if (!iret_frame_read(v, opsize, &f))
        return EXEC_FAULT;
    if (!long_mode && opsize == 4 && (f.rflags & FLAG_VM) && v->cpu.cpl == 0)
        return iret_to_v86(v, &f);
    if (!code_target_read(v, f.cs, CODE_RETURN, f.rip, &t))
        return EXEC_FAULT;
    /* 64-bit mode pops SS:RSP always (SDM vol. 3, 6.14.3). */
    if (t.cpl > v->cpu.cpl || v->mode == CODE_64) {
        if (!frame_read_stack(v, 3 * opsize, opsize, &f) || !return_with_stack(v, &f, &t, 0))
            return EXEC_FAULT;
    } else {
        if (!code_target_check(v, &t) || !code_target_touch(v, &t))
            return EXEC_FAULT;
        code_target_commit(v, &t);
        stack_adjust(v, 3 * opsize);
    }
    iret_flags(v, f.rflags, mask);
    return EXEC_JUMP;
}

static enum exec iret_by_mode(struct vcpu *v, unsigned opsize, u64 next_rip)
{
    const struct cpu *c = &v->cpu;
    if (!cpu_protected(c))
        return iret_real(v, opsize);
    if (cpu_v86(c))
        return cpu_iopl(c) == 3 ? iret_real(v, opsize) : iret_v86_extended(v, opsize);
    if (!(c->rflags & FLAG_NT))
        return iret_protected(v, opsize);
    return cpu_long(c) ? fault_gp(v, 0) : iret_task(v, next_rip);
}

enum exec far_iret(struct vcpu *v, unsigned opsize, u64 next_rip)
{
    v->cpu.nmi_blocked = 0;
    enum exec result = iret_by_mode(v, opsize, next_rip);
    if (result == EXEC_JUMP)
        vcpu_update_mode(v);
    return result;
}
