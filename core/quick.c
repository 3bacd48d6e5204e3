#include "core/quick.h"

#include "core/segment.h"

enum { GATE_BYTES = 8, GATE_BYTES_LONG = 16, DESCRIPTOR_BYTES = 8 };
enum { TSS32_ESP0 = 4, TSS32_ESP0_BYTES = 6, TSS64_RSP0 = 4, TSS64_IST1 = 0x24 };

/* ---- Memory ------------------------------------------------------------------------------------- */

/* Host memory of guest memory that may be read without further ado, or NULL. */
static const u8 *readable(const struct vcpu *v, enum tlb_rights rights, u64 linear, unsigned size)
{
    const struct tlb_entry *e = tlb_slot((struct tlb_entry *)v->tlb.entries[rights], linear);
    return tlb_hit(e->read_tag, linear, size, v->tlb.epoch) ? (const u8 *)(linear + e->addend) : NULL;
}

static u8 *writable(struct vcpu *v, enum tlb_rights rights, u64 linear, unsigned size)
{
    struct tlb_entry *e = tlb_slot(v->tlb.entries[rights], linear);
    return tlb_hit(e->write_tag, linear, size, v->tlb.write_epoch) ? (u8 *)(linear + e->addend) : NULL;
}

static u64 get64(const u8 *at)
{
    u64 x;
    __builtin_memcpy(&x, at, sizeof x);
    return x;
}
static u32 get32(const u8 *at)
{
    u32 x;
    __builtin_memcpy(&x, at, sizeof x);
    return x;
}
static u16 get16(const u8 *at)
{
    u16 x;
    __builtin_memcpy(&x, at, sizeof x);
    return x;
}

/* A value of a frame of 4- or 8-byte values. */
static u64 get(const u8 *frame, unsigned index, bool wide)
{
    return wide ? get64(frame + index * 8u) : get32(frame + index * 4u);
}
static void put(u8 *frame, unsigned index, bool wide, u64 value)
{
    u32 low = (u32)value;
    if (wide)
        __builtin_memcpy(frame + index * 8u, &value, sizeof value);
    else
        __builtin_memcpy(frame + index * 4u, &low, sizeof low);
}

/* ---- Descriptors -------------------------------------------------------------------------------- */

/* The descriptor of a selector that is not null, in the GDT; 0, which is not present, if it is not at hand. */
static u64 descriptor(const struct vcpu *v, u16 selector)
{
    const struct cpu *c = &v->cpu;
    u32 index = selector & ~7u;
    if (selector_null(selector) || selector_local(selector) || index + DESCRIPTOR_BYTES - 1 > c->gdtr.limit)
        return 0;
    u64 linear = c->gdtr.base + index;
    const u8 *at = readable(v, TLB_SUPERVISOR, cpu_long(c) ? linear : (u32)linear, DESCRIPTOR_BYTES);
    return at ? get64(at) : 0;
}

/* Code of privilege level `dpl` that is not conforming: 64-bit code in long mode. */
static bool usual_code(const struct vcpu *v, u64 raw, unsigned dpl)
{
    const u16 fixed = SEG_P | SEG_S | SEG_CODE | SEG_ACCESSED;
    u16 a = descriptor_attributes(raw);
    if ((a & (fixed | SEG_EXPAND_DOWN | SEG_DPL)) != (fixed | dpl << SEG_DPL_SHIFT))
        return false;
    return !cpu_long(&v->cpu) || (a & (SEG_L | SEG_DB)) == SEG_L;
}

/* A stack of privilege level `dpl`, of 32 bits, without limits. */
static bool usual_stack(u64 raw, unsigned dpl)
{
    const u16 fixed = SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED | SEG_DB;
    u16 a = descriptor_attributes(raw);
    return (a & (fixed | SEG_CODE | SEG_EXPAND_DOWN | SEG_DPL)) == (fixed | dpl << SEG_DPL_SHIFT) &&
           descriptor_limit(raw) == 0xffffffffu;
}

static bool usual_rip(const struct vcpu *v, u64 raw, u64 rip)
{
    return cpu_long(&v->cpu) ? canonical(rip) : rip <= descriptor_limit(raw);
}

/* ---- Events ------------------------------------------------------------------------------------- */

/* Where an event leads. */
struct entrance {
    u16 selector;
    bool interrupt; /* clears IF */
    u64 raw;        /* of CS */
    u64 rip;
    struct segment ss;
    u64 sp; /* before the frame */
};

static bool gate_read(const struct vcpu *v, const struct event *e, struct entrance *to, unsigned *ist)
{
    bool wide = cpu_long(&v->cpu);
    unsigned bytes = wide ? GATE_BYTES_LONG : GATE_BYTES, at = e->vector * bytes;
    const u8 *host = readable(v, TLB_SUPERVISOR, v->cpu.idtr.base + at, bytes);
    if (at + bytes - 1 > v->cpu.idtr.limit || !host)
        return false;
    u64 raw = get64(host);
    unsigned type = raw >> 40 & 0x1f;
    bool software = e->type == EVENT_SOFTWARE || e->type == EVENT_SOFTWARE_TRAP;
    if ((type | 1) != SYS_TRAP_GATE32 || !descriptor_present(raw) || (software && descriptor_dpl(raw) < v->cpu.cpl))
        return false;
    to->selector = (u16)(raw >> 16) & ~3u;
    to->interrupt = !(type & 1);
    to->rip = (raw & 0xffff) | (raw >> 32 & 0xffff0000u) | (wide ? get64(host + 8) << 32 : 0);
    to->raw = descriptor(v, to->selector);
    *ist = wide ? raw >> 32 & 7 : 0;
    return usual_code(v, to->raw, 0) && usual_rip(v, to->raw, to->rip);
}

static bool inner_stack_32(const struct vcpu *v, struct entrance *to)
{
    const struct segment *tr = &v->cpu.tr;
    const u8 *host = readable(v, TLB_SUPERVISOR, (u32)(tr->base + TSS32_ESP0), TSS32_ESP0_BYTES);
    if (!(tr->attributes & SYS_WIDE) || tr->limit < TSS32_ESP0 + TSS32_ESP0_BYTES - 1 || !host)
        return false;
    u16 selector = get16(host + 4);
    u64 raw = descriptor(v, selector);
    to->sp = get32(host);
    to->ss = descriptor_segment(selector, raw);
    return selector_rpl(selector) == 0 && usual_stack(raw, 0);
}

static bool inner_stack_64(const struct vcpu *v, unsigned ist, struct entrance *to)
{
    const struct segment *tr = &v->cpu.tr;
    unsigned at = ist ? TSS64_IST1 + (ist - 1) * 8 : TSS64_RSP0;
    const u8 *host = readable(v, TLB_SUPERVISOR, tr->base + at, sizeof(u64));
    if (at + 7 > tr->limit || !host)
        return false;
    to->sp = get64(host);
    if (v->cpu.cpl != 0)
        to->ss = segment_null(0);
    return true;
}

static bool stack_find(const struct vcpu *v, unsigned ist, struct entrance *to)
{
    to->ss = v->cpu.seg[SEG_SS];
    to->sp = v->cpu.gpr[RSP];
    if (cpu_long(&v->cpu))
        return v->mode == CODE_64 && ((v->cpu.cpl == 0 && !ist) || inner_stack_64(v, ist, to));
    to->sp = (u32)to->sp;
    if (v->cpu.cpl != 0)
        return inner_stack_32(v, to);
    return v->stack32 && (v->seg_flat[SEG_SS] & SEG_FLAT_WRITE);
}

/* The host memory of a frame of `count` values below the stack pointer, which moves. */
static u8 *frame_make(struct vcpu *v, struct entrance *to, unsigned count)
{
    bool wide = cpu_long(&v->cpu);
    unsigned bytes = count * (wide ? 8u : 4u);
    if (!wide && to->sp < bytes)
        return NULL;
    to->sp = (wide ? to->sp & ~15ull : to->sp) - bytes;
    return writable(v, rights_at(v, 0), wide ? to->sp : (u32)(to->ss.base + to->sp), bytes);
}

static void entrance_take(struct vcpu *v, const struct entrance *to)
{
    struct cpu *c = &v->cpu;
    c->seg[SEG_CS] = descriptor_segment(to->selector, to->raw);
    c->seg[SEG_SS] = to->ss;
    c->cpl = 0;
    c->rip = to->rip;
    c->gpr[RSP] = to->sp;
    c->rflags &= ~(FLAG_TF | FLAG_NT | FLAG_RF | FLAG_VM | (to->interrupt ? FLAG_IF : 0));
    c->int_shadow = 0;
    c->mov_ss_shadow = 0;
    vcpu_update_mode(v);
}

bool quick_deliver(struct vcpu *v, const struct event *event, const struct quick_frame *frame)
{
    const struct cpu *c = &v->cpu;
    bool wide = cpu_long(c);
    struct entrance to;
    unsigned ist, error = event->has_error;
    if (cpu_v86(c) || !gate_read(v, event, &to, &ist) || !stack_find(v, ist, &to))
        return false;
    bool stack = wide || c->cpl != 0;
    u8 *host = frame_make(v, &to, 3 + 2 * stack + error);
    if (!host)
        return false;
    if (error)
        put(host, 0, wide, event->error);
    put(host, error, wide, frame->rip);
    put(host, error + 1, wide, c->seg[SEG_CS].selector);
    put(host, error + 2, wide, frame->rflags);
    if (stack) {
        put(host, error + 3, wide, c->gpr[RSP]);
        put(host, error + 4, wide, c->seg[SEG_SS].selector);
    }
    entrance_take(v, &to);
    return true;
}

/* ---- IRET --------------------------------------------------------------------------------------- */

/* What an IRET returns to. */
struct exit_frame {
    u64 rip, rsp, cs_raw, ss_raw;
    u32 rflags;
    u16 cs, ss;
    bool stack; /* SS:RSP are popped */
};

static bool exit_code_find(const struct vcpu *v, struct exit_frame *f)
{
    unsigned ring = selector_rpl(f->cs);
    f->cs_raw = descriptor(v, f->cs);
    return ring >= v->cpu.cpl && usual_code(v, f->cs_raw, ring) && usual_rip(v, f->cs_raw, f->rip);
}

/* SS is null, as 64-bit systems have it, or an ordinary stack. */
static bool exit_stack_find(const struct vcpu *v, struct exit_frame *f)
{
    unsigned ring = selector_rpl(f->cs);
    if (selector_rpl(f->ss) != ring)
        return false;
    if (selector_null(f->ss))
        return cpu_long(&v->cpu) && ring < 3;
    f->ss_raw = descriptor(v, f->ss);
    return usual_stack(f->ss_raw, ring);
}

/* Reads the frame. Legacy modes: the stack is flat. */
static bool exit_frame_read(const struct vcpu *v, bool wide, struct exit_frame *f)
{
    u64 rsp = wide ? v->cpu.gpr[RSP] : (u32)v->cpu.gpr[RSP];
    unsigned size = wide ? 8 : 4;
    if (!wide && !(v->stack32 && (v->seg_flat[SEG_SS] & SEG_FLAT_READ)))
        return false;
    const u8 *host = readable(v, (enum tlb_rights)v->tlb.rights, rsp, 3 * size);
    if (!host)
        return false;
    *f = (struct exit_frame){.rip = get(host, 0, wide), .cs = (u16)get(host, 1, wide), .rflags = (u32)get(host, 2, wide)};
    f->stack = wide || selector_rpl(f->cs) != v->cpu.cpl;
    if (f->stack && !readable(v, (enum tlb_rights)v->tlb.rights, rsp, 5 * size))
        return false;
    f->rsp = f->stack ? get(host, 3, wide) : rsp + 3 * size;
    f->ss = f->stack ? (u16)get(host, 4, wide) : 0;
    return wide || f->rsp <= 0xffffffffu;
}

bool quick_iret(struct vcpu *v, unsigned opsize, u32 *rflags)
{
    struct cpu *c = &v->cpu;
    struct exit_frame f;
    bool wide = v->mode == CODE_64, outer;
    if (opsize != (wide ? 8u : 4u) || cpu_long(c) != wide || !exit_frame_read(v, wide, &f))
        return false;
    if ((!wide && (f.rflags & FLAG_VM)) || !exit_code_find(v, &f) || (f.stack && !exit_stack_find(v, &f)))
        return false;
    outer = selector_rpl(f.cs) > c->cpl;
    *rflags = f.rflags;
    c->seg[SEG_CS] = descriptor_segment(f.cs, f.cs_raw);
    if (f.stack)
        c->seg[SEG_SS] = selector_null(f.ss) ? segment_null(f.ss) : descriptor_segment(f.ss, f.ss_raw);
    c->cpl = (u8)selector_rpl(f.cs);
    c->rip = f.rip;
    c->gpr[RSP] = f.rsp;
    if (outer)
        segments_drop(v, c->cpl);
    return true;
}
