/* Delivery of events: real-address mode, v86 redirection, protected mode, long mode; double and triple faults.
 *
 * Each deliver_* function checks and writes everything before it changes the first register, so that a fault on the way
 * finds the state as it was; the loop in deliver() then decides what that fault becomes. */
#include "core/exception.h"

#include "core/far.h"
#include "core/quick.h"
#include "core/segment.h"
#include "core/task.h"
#include "core/trace.h"
#include "core/vm.h"

/* One attempt to deliver one event. */
struct delivery {
    const struct event *event;
    u64 rip;     /* for the frame */
    u32 rflags;  /* for the frame: RF as the class of event wants */
    u32 blame;   /* error code that names the IDT entry */
};

/* An interrupt or trap gate, decoded. */
struct event_gate {
    u16 selector;
    u8 size;   /* of what is pushed: 2, 4, or 8 in long mode */
    u8 ist;
    bool interrupt; /* clears IF */
    u64 offset;
};

#define ERROR_EXT 1u
#define ERROR_IDT 2u
enum { REDIRECTION_BYTES = 32 };

/* INT n, INT3 and INTO: the program asked for it, EXT stays clear and the gate's DPL counts. INT1 is not among them. */
static bool by_program(const struct event *e) { return e->type == EVENT_SOFTWARE || e->type == EVENT_SOFTWARE_TRAP; }
static bool by_instruction(const struct event *e) { return by_program(e) || e->type == EVENT_ICEBP; }

/* ---- Common parts ------------------------------------------------------------------------------- */

/* The flags that every handler starts without (SDM vol. 3, 6.12.1.2), and the end of HLT and shadows. */
static void enter_handler(struct vcpu *v, u32 clear)
{
    struct cpu *c = &v->cpu;
    c->rflags &= ~clear;
    c->int_shadow = 0;
    c->mov_ss_shadow = 0;
    vcpu_update_mode(v);
}

/* Room on `s` for a frame of `count` values and the error code, and a valid target: what comes before the first push. */
static bool frame_admit(struct vcpu *v, const struct stack *s, const struct delivery *d, struct code_target *t,
                        unsigned count, unsigned size)
{
    return code_target_admit(v, t, s, count + d->event->has_error, size);
}

static bool frame_put(struct vcpu *v, struct stack *s, const struct delivery *d, unsigned size)
{
    bool ok = stack_put(v, s, d->rflags, size) && stack_put(v, s, v->cpu.seg[SEG_CS].selector, size) &&
              stack_put(v, s, d->rip, size);
    if (!ok || !d->event->has_error)
        return ok;
    return stack_put(v, s, d->event->error, size);
}

/* ---- Real-address mode, and v86 by the redirection bitmap --------------------------------------- */

/* Enters the handler of an interrupt vector table at `table`; `flags` is the image for the frame. */
static bool vector_table_enter(struct vcpu *v, u64 table, const struct delivery *d, u16 flags)
{
    u32 entry;
    struct stack s = stack_current(v);
    if (!mem_read32_sys(v, table + d->event->vector * 4u, &entry))
        return false;
    if (!stack_room(v, &s, 3, 2))
        return false;
    if (!cpu_v86(&v->cpu) && (entry & 0xffff) > v->cpu.seg[SEG_CS].limit)
        return fault_false(v, VEC_GP, 0);
    if (!stack_put(v, &s, flags, 2) || !stack_put(v, &s, v->cpu.seg[SEG_CS].selector, 2) ||
        !stack_put(v, &s, d->rip, 2))
        return false;
    /* Only now (SDM vol. 2, "INT n", REAL-ADDRESS-MODE): the frame may lie over the vector. */
    if (!mem_read32_sys(v, table + d->event->vector * 4u, &entry))
        return false;
    segment_load_real(v, SEG_CS, (u16)(entry >> 16));
    v->cpu.rip = entry & 0xffff;
    stack_commit(v, &s);
    return true;
}

static bool deliver_real(struct vcpu *v, const struct delivery *d)
{
    if (d->event->vector * 4u + 3 > v->cpu.idtr.limit)
        return fault_false(v, VEC_GP, d->blame);
    if (!vector_table_enter(v, v->cpu.idtr.base, d, (u16)d->rflags))
        return false;
    enter_handler(v, FLAG_IF | FLAG_TF | FLAG_AC | FLAG_RF);
    return true;
}

/* The bit for this vector in the TSS's redirection bitmap: *redirect is true if the v86 program's own handler runs. */
static bool redirection_read(struct vcpu *v, u8 vector, bool *redirect)
{
    const struct segment *tr = &v->cpu.tr;
    u16 map;
    u8 bits;
    if (TSS32_IO_MAP_BASE + 1 > tr->limit)
        return fault_false(v, VEC_GP, 0);
    if (!mem_read16_sys(v, tr->base + TSS32_IO_MAP_BASE, &map))
        return false;
    u32 at = map - REDIRECTION_BYTES + vector / 8u;
    if (at > tr->limit)
        return fault_false(v, VEC_GP, 0);
    if (!mem_read8_sys(v, tr->base + at, &bits))
        return false;
    *redirect = !(bits >> (vector & 7) & 1);
    return true;
}

/* INT n under CR4.VME through the program's own vector table (SDM vol. 3, 20.3.3). With IOPL < 3, VIF stands for IF. */
static bool deliver_redirected(struct vcpu *v, const struct delivery *d)
{
    u32 flags = d->rflags, clear = FLAG_TF | FLAG_RF | FLAG_IF;
    if (cpu_iopl(&v->cpu) < 3) {
        flags = (flags & ~FLAG_IF) | FLAG_IOPL | (flags & FLAG_VIF ? FLAG_IF : 0);
        clear = FLAG_TF | FLAG_RF | FLAG_VIF;
    }
    if (!vector_table_enter(v, 0, d, (u16)flags))
        return false;
    enter_handler(v, clear);
    return true;
}

/* ---- Gates -------------------------------------------------------------------------------------- */

/* Checks common to all gates (SDM vol. 2, "INT n"): type, DPL for software interrupts, presence. `types` is a mask. */
static bool gate_check(struct vcpu *v, const struct delivery *d, u64 raw, unsigned types)
{
    if (!descriptor_system(raw) || !(types >> descriptor_type(raw) & 1))
        return fault_false(v, VEC_GP, d->blame);
    if (by_program(d->event) && descriptor_dpl(raw) < v->cpu.cpl)
        return fault_false(v, VEC_GP, d->blame);
    return descriptor_present(raw) || fault_false(v, VEC_NP, d->blame);
}

static struct event_gate gate_decode(u64 raw)
{
    struct event_gate g = {.selector = (u16)(raw >> 16), .size = 2, .offset = raw & 0xffff};
    unsigned type = descriptor_type(raw);
    g.interrupt = !(type & 1);
    if (type & SYS_WIDE) {
        g.size = 4;
        g.offset |= raw >> 32 & 0xffff0000u;
    }
    return g;
}

static u32 gate_clears(const struct event_gate *g)
{
    return FLAG_TF | FLAG_NT | FLAG_RF | FLAG_VM | (g->interrupt ? FLAG_IF : 0);
}

/* A task gate: the handler is a task. The error code goes to the new task's stack. */
static bool deliver_task(struct vcpu *v, const struct delivery *d, u16 selector)
{
    struct task_request task = {.reason = TASK_EVENT, .selector = selector, .rip = d->rip, .rflags = d->rflags};
    if (!task_descriptor_read(v, selector, VEC_GP, false, &task.raw))
        return false;
    bool wide = descriptor_type(task.raw) & SYS_WIDE;
    if (!task_switch(v, &task) || (d->event->has_error && !stack_push(v, d->event->error, wide ? 4 : 2)))
        return false;
    enter_handler(v, 0);
    return true;
}

/* To privilege level 0 from v86 mode: the data segments go to the frame and become null (SDM vol. 3, 20.3.1). */
static bool deliver_from_v86(struct vcpu *v, const struct delivery *d, const struct event_gate *g,
                             struct code_target *t)
{
    static const u8 order[] = {SEG_GS, SEG_FS, SEG_DS, SEG_ES};
    struct stack s;
    if (t->cpl != 0)
        return fault_false(v, VEC_GP, selector_error(t->selector));
    if (!task_inner_stack(v, 0, 0, &s) || !frame_admit(v, &s, d, t, ARRAY_LEN(order) + 5, g->size))
        return false;
    for (unsigned k = 0; k < ARRAY_LEN(order); k++)
        if (!stack_put(v, &s, v->cpu.seg[order[k]].selector, g->size))
            return false;
    if (!stack_put(v, &s, v->cpu.seg[SEG_SS].selector, g->size) || !stack_put(v, &s, v->cpu.gpr[RSP], g->size) ||
        !frame_put(v, &s, d, g->size) || !code_target_enter(v, t, &s))
        return false;
    for (unsigned k = 0; k < ARRAY_LEN(order); k++)
        v->cpu.seg[order[k]] = segment_null(0);
    return true;
}

static bool deliver_inner(struct vcpu *v, const struct delivery *d, const struct event_gate *g, struct code_target *t)
{
    struct stack s;
    return task_inner_stack(v, t->cpl, 0, &s) && frame_admit(v, &s, d, t, 5, g->size) &&
           stack_put(v, &s, v->cpu.seg[SEG_SS].selector, g->size) && stack_put(v, &s, v->cpu.gpr[RSP], g->size) &&
           frame_put(v, &s, d, g->size) && code_target_enter(v, t, &s);
}

static bool deliver_same(struct vcpu *v, const struct delivery *d, const struct event_gate *g, struct code_target *t)
{
    struct stack s = stack_current(v);
    return frame_admit(v, &s, d, t, 3, g->size) && frame_put(v, &s, d, g->size) && code_target_enter(v, t, &s);
}

static bool deliver_protected(struct vcpu *v, const struct delivery *d)
{
    const unsigned types = 1u << SYS_TASK_GATE | 1u << SYS_INTERRUPT_GATE16 | 1u << SYS_TRAP_GATE16 |
                           1u << SYS_INTERRUPT_GATE32 | 1u << SYS_TRAP_GATE32;
    u64 raw;
    struct code_target t;
    unsigned at = d->event->vector * 8u;
    if (at + 7 > v->cpu.idtr.limit)
        return fault_false(v, VEC_GP, d->blame);
    if (!mem_read64_sys(v, v->cpu.idtr.base + at, &raw) || !gate_check(v, d, raw, types))
        return false;
    if (descriptor_type(raw) == SYS_TASK_GATE)
        return deliver_task(v, d, (u16)(raw >> 16));
    struct event_gate g = gate_decode(raw);
    if (!code_target_read(v, g.selector, CODE_GATE, g.offset, &t))
        return false;
    bool ok;
    if (cpu_v86(&v->cpu))
        ok = deliver_from_v86(v, d, &g, &t);
    else if (t.cpl < v->cpu.cpl)
        ok = deliver_inner(v, d, &g, &t);
    else
        ok = deliver_same(v, d, &g, &t);
    if (ok)
        enter_handler(v, gate_clears(&g));
    return ok;
}

/* Long mode: 16-byte gates, an aligned stack, SS:RSP always pushed (SDM vol. 3, 6.14). */
static bool deliver_long(struct vcpu *v, const struct delivery *d)
{
    u64 raw, high;
    struct code_target t;
    struct stack s = stack_current(v);
    unsigned at = d->event->vector * 16u;
    if (at + 15 > v->cpu.idtr.limit)
        return fault_false(v, VEC_GP, d->blame);
    if (!mem_read64_sys(v, v->cpu.idtr.base + at, &raw) || !mem_read64_sys(v, v->cpu.idtr.base + at + 8, &high))
        return false;
    if (!gate_check(v, d, raw, 1u << SYS_INTERRUPT_GATE32 | 1u << SYS_TRAP_GATE32))
        return false;
    struct event_gate g = gate_decode(raw);
    g.offset |= high << 32;
    g.ist = raw >> 32 & 7;
    if (!code_target_read(v, g.selector, CODE_GATE, g.offset, &t))
        return false;
    if (t.cpl < v->cpu.cpl || g.ist) {
        if (!task_inner_stack(v, t.cpl, g.ist, &s))
            return false;
    }
    s.wide = true;
    s.mask = UINT64_MAX;
    s.sp &= ~15ull;
    if (!frame_admit(v, &s, d, &t, 5, 8) || !stack_put(v, &s, v->cpu.seg[SEG_SS].selector, 8) ||
        !stack_put(v, &s, v->cpu.gpr[RSP], 8) || !frame_put(v, &s, d, 8) || !code_target_enter(v, &t, &s))
        return false;
    enter_handler(v, gate_clears(&g));
    return true;
}

/* INT n in v86 mode depends on the redirection bitmap and on IOPL; INT3, INTO and INT1 do not (SDM vol. 3, 20.2.7). */
static bool deliver_v86_software(struct vcpu *v, const struct delivery *d)
{
    bool redirect = false;
    if ((v->cpu.cr4 & CR4_VME) && !redirection_read(v, d->event->vector, &redirect))
        return false;
    if (redirect)
        return deliver_redirected(v, d);
    if (cpu_iopl(&v->cpu) < 3)
        return fault_false(v, VEC_GP, 0);
    return deliver_protected(v, d);
}

static bool deliver_by_mode(struct vcpu *v, const struct delivery *d)
{
    if (!cpu_protected(&v->cpu))
        return deliver_real(v, d);
    if (quick_deliver(v, d->event, &(struct quick_frame){d->rip, d->rflags}))
        return true;
    if (cpu_long(&v->cpu))
        return deliver_long(v, d);
    if (cpu_v86(&v->cpu) && d->event->type == EVENT_SOFTWARE)
        return deliver_v86_software(v, d);
    return deliver_protected(v, d);
}

/* ---- Faults during delivery --------------------------------------------------------------------- */

enum fault_class { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE_FAULT };

/* SDM vol. 3, table 6-4. */
static enum fault_class class_of(const struct event *e)
{
    const u32 contributory = 1u << VEC_DE | 1u << VEC_TS | 1u << VEC_NP | 1u << VEC_SS | 1u << VEC_GP;
    if (e->type != EVENT_EXCEPTION)
        return BENIGN;
    if (e->vector == VEC_PF)
        return PAGE_FAULT;
    if (e->vector == VEC_DF)
        return DOUBLE_FAULT;
    return e->vector < 32 && (contributory >> e->vector & 1) ? CONTRIBUTORY : BENIGN;
}

/* `second` was met while delivering *now; decides what is delivered next (SDM vol. 3, table 6-5). False: shutdown. */
static bool escalate(struct event *now, const struct event *second)
{
    enum fault_class first_class = class_of(now), second_class = class_of(second);
    bool serial = second_class == BENIGN || first_class == BENIGN ||
                  (first_class == CONTRIBUTORY && second_class == PAGE_FAULT);
    if (!serial && first_class == DOUBLE_FAULT)
        return false;
    if (serial)
        *now = *second;
    else
        *now = (struct event){.vector = VEC_DF, .type = EVENT_EXCEPTION, .has_error = true};
    return true;
}

/* The EXT bit of a fault that an event not asked for by the program has caused (SDM vol. 3, 6.13). */
static void mark_external(struct event *fault)
{
    const u32 selector_faults = 1u << VEC_TS | 1u << VEC_NP | 1u << VEC_SS | 1u << VEC_GP;
    if (fault->vector < 32 && (selector_faults >> fault->vector & 1))
        fault->error |= ERROR_EXT;
}

/* RF in the frame keeps the instruction breakpoint of a faulting instruction from recurring when it is restarted. #DB
 * is a trap, or an instruction breakpoint whose handler decides itself, unless it is general detect (SDM vol. 3,
 * 17.3.1.1). */
static bool restarts(const struct event *e)
{
    if (e->type != EVENT_EXCEPTION || e->vector == VEC_MC)
        return false;
    return e->vector != VEC_DB || (e->dr6 & DR6_BD);
}

/* What is visible of an event even if its delivery fails. */
static void event_raised(struct vcpu *v, const struct event *e)
{
    struct cpu *c = &v->cpu;
    if (e->type == EVENT_NMI)
        c->nmi_blocked = 1;
    if (e->type != EVENT_EXCEPTION)
        return;
    c->pending_db = 0;
    if (e->vector == VEC_PF)
        c->cr2 = e->cr2;
    if (e->vector == VEC_DB) {
        c->dr[6] = (c->dr[6] & ~0xfull) | e->dr6;
        c->dr[7] &= ~(u64)DR7_GD;
    }
}

static bool deliver_once(struct vcpu *v, const struct event *e, u64 rip)
{
    struct delivery d = {.event = e, .rip = rip, .rflags = (u32)cpu_rflags(&v->cpu)};
    d.blame = e->vector * 8u | ERROR_IDT;
    if (restarts(e))
        d.rflags |= FLAG_RF;
    event_raised(v, e);
    bool tf = v->cpu.rflags & FLAG_TF;
    if (!deliver_by_mode(v, &d))
        return false;
    v->cpu.activity = ACTIVITY_RUNNING;
    if (by_instruction(e) && tf)
        v->cpu.pending_db |= PENDING_DB_NO_STEP;
    return true;
}

static void shut_down(struct vcpu *v)
{
    v->cpu.activity = ACTIVITY_SHUTDOWN;
    vcpu_kick(v);
}

static void event_report(struct vcpu *v, const struct event *e)
{
    struct vm *vm = v->vm;
    bool interrupt = e->type == EVENT_EXTERNAL || e->type == EVENT_NMI;
    if (e->vector < ARRAY_LEN(vm->stats.exceptions) && !interrupt)
        vm->stats.exceptions[e->vector]++;
    if (vm->tracer)
        trace_emit(vm, &(struct trace_event){.kind = interrupt ? TRACE_INTERRUPT : TRACE_EXCEPTION,
                                             .vector = e->vector, .address = e->cr2, .value = e->error});
}

/* By table 6-5 some faults take turns for ever: #AC, when its handler's user stack is misaligned, with itself, or with
 * #PF. Processors hang in that; we shut down. No chain that ends is as long as this. */
enum { ATTEMPTS_MAX = 8 };

static enum exec deliver(struct vcpu *v, const struct event *event, u64 rip)
{
    struct event now = *event;
    for (unsigned attempts = 1;; attempts++) {
        event_report(v, &now);
        if (deliver_once(v, &now, rip))
            return EXEC_JUMP;
        if (!by_program(&now))
            mark_external(&v->fault);
        if (by_instruction(&now))
            return EXEC_FAULT;
        if (v->fault.vector == VEC_PF)
            v->cpu.cr2 = v->fault.cr2; /* even if it becomes a double fault (SDM vol. 3, 6.15, "Interrupt 14") */
        if (attempts == ATTEMPTS_MAX || !escalate(&now, &v->fault)) {
            shut_down(v);
            return EXEC_JUMP;
        }
        rip = v->cpu.rip; /* that of the new task, if a task switch has failed half-way */
    }
}

enum exec exception_deliver(struct vcpu *v, const struct event *event) { return deliver(v, event, v->cpu.rip); }

/* The attempt takes its time, like an instruction: a handler that faults at its first instruction for ever must not
 * stop the clock. */
void exception_deliver_fault(struct vcpu *v)
{
    v->cpu.icount++;
    deliver(v, &v->fault, v->cpu.rip);
}

enum exec exception_software(struct vcpu *v, u8 vector, enum event_type type, u64 next_rip)
{
    struct event event = {.vector = vector, .type = (u8)type};
    return deliver(v, &event, next_rip);
}
