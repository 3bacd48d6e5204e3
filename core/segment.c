/* Segmentation: linear addresses, descriptors, segment register loads, the stack. */
#include "core/segment.h"

enum { REAL_LIMIT = 0xffff };

/* Rights of a memory access in protected mode (SDM vol. 3, 5.5). Real-address and v86 mode have no types. */
static bool access_allowed(const struct vcpu *v, const struct segment *s, enum access access)
{
    if (s->attributes & SEG_UNUSABLE)
        return false;
    if (cpu_real_segments(&v->cpu) || access == ACCESS_FETCH)
        return true;
    bool code = s->attributes & SEG_CODE;
    if (access == ACCESS_WRITE)
        return !code && (s->attributes & SEG_WRITABLE);
    return !code || (s->attributes & SEG_WRITABLE);
}

/* SDM vol. 3, 5.3. An access that runs past offset 2^32 - 1 faults even in a 4 GiB segment; the manual leaves that case
 * to the implementation. */
static bool limit_allows(const struct segment *s, u64 offset, unsigned size)
{
    u64 last = offset + size - 1;
    if ((s->attributes & (SEG_CODE | SEG_EXPAND_DOWN)) != SEG_EXPAND_DOWN)
        return last <= s->limit;
    u64 top = s->attributes & SEG_DB ? 0xffffffffu : 0xffffu;
    return offset > s->limit && last <= top;
}

bool seg_linear_slow(struct vcpu *v, enum seg seg, u64 offset, unsigned size, enum access access, u64 *linear)
{
    const struct segment *s = &v->cpu.seg[seg];
    enum vector vector = seg == SEG_SS ? VEC_SS : VEC_GP;
    if (v->mode == CODE_64) {
        u64 at = seg >= SEG_FS ? offset + s->base : offset;
        if (!canonical(at) || !canonical(at + size - 1))
            return fault_false(v, vector, 0);
        *linear = at;
        return true;
    }
    /* SS is writable data, or null in a compatibility-mode program below privilege level 3. */
    if (!access_allowed(v, s, access) || !limit_allows(s, offset, size))
        return fault_false(v, vector, 0);
    *linear = (u32)(s->base + offset);
    return true;
}

struct segment descriptor_segment(u16 selector, u64 raw)
{
    return (struct segment){.selector = selector,
                            .attributes = descriptor_attributes(raw),
                            .limit = descriptor_limit(raw),
                            .base = descriptor_base(raw)};
}

/* The DPL of a null SS follows the RPL, as it is the CPL. */
struct segment segment_null(u16 selector)
{
    return (struct segment){.selector = selector,
                            .attributes = (u16)(SEG_UNUSABLE | selector_rpl(selector) << SEG_DPL_SHIFT)};
}

/* Address of `bytes` at the descriptor's index; false beyond the table. */
static bool descriptor_address(const struct vcpu *v, u16 selector, unsigned bytes, u64 *linear)
{
    const struct cpu *c = &v->cpu;
    u32 index = selector & ~7u;
    bool local = selector_local(selector);
    if (local && (c->ldtr.attributes & SEG_UNUSABLE))
        return false;
    if (index + bytes - 1 > (local ? c->ldtr.limit : c->gdtr.limit))
        return false;
    u64 at = (local ? c->ldtr.base : c->gdtr.base) + index;
    *linear = cpu_long(c) ? at : (u32)at;
    return true;
}

enum descriptor_lookup descriptor_lookup(struct vcpu *v, u16 selector, u64 *raw)
{
    u64 linear;
    if (!descriptor_address(v, selector, 8, &linear))
        return DESCRIPTOR_ABSENT;
    return mem_read64_sys(v, linear, raw) ? DESCRIPTOR_FOUND : DESCRIPTOR_FAULT;
}

bool descriptor_read(struct vcpu *v, u16 selector, enum vector vector, u64 *raw)
{
    enum descriptor_lookup found = descriptor_lookup(v, selector, raw);
    if (found == DESCRIPTOR_ABSENT)
        fault_error(v, vector, selector_error(selector));
    return found == DESCRIPTOR_FOUND;
}

bool descriptor_read_high(struct vcpu *v, u16 selector, enum vector vector, u64 *raw)
{
    u64 linear;
    if (!descriptor_address(v, selector, 16, &linear))
        return fault_false(v, vector, selector_error(selector));
    if (!mem_read64_sys(v, linear + 8, raw))
        return false;
    if (*raw >> 40 & 0x1f)
        return fault_false(v, vector, selector_error(selector));
    return true;
}

bool descriptor_write(struct vcpu *v, u16 selector, u64 raw)
{
    u64 linear;
    if (!descriptor_address(v, selector, 8, &linear))
        return fault_false(v, VEC_GP, selector_error(selector));
    return mem_write8_sys(v, linear + 5, (u8)(raw >> 40));
}

bool descriptor_touch(struct vcpu *v, u16 selector, u64 *raw)
{
    const u64 accessed = (u64)SEG_ACCESSED << 40;
    if (*raw & accessed)
        return true;
    if (!descriptor_write(v, selector, *raw | accessed))
        return false;
    *raw |= accessed;
    return true;
}

bool stack_segment_read(struct vcpu *v, u16 selector, unsigned cpl, enum vector vector, u64 *raw)
{
    if (selector_null(selector))
        return fault_false(v, vector, 0);
    if (!descriptor_read(v, selector, vector, raw))
        return false;
    u16 kind = descriptor_attributes(*raw) & (SEG_S | SEG_CODE | SEG_WRITABLE);
    if (selector_rpl(selector) != cpl || descriptor_dpl(*raw) != cpl || kind != (SEG_S | SEG_WRITABLE))
        return fault_false(v, vector, selector_error(selector));
    if (!descriptor_present(*raw))
        return fault_false(v, VEC_SS, selector_error(selector));
    return true;
}

bool segment_load_data(struct vcpu *v, enum seg seg, u16 selector, enum vector vector)
{
    if (selector_null(selector)) {
        v->cpu.seg[seg] = segment_null(selector);
        return true;
    }
    u64 raw;
    if (!descriptor_read(v, selector, vector, &raw))
        return false;
    u16 attributes = descriptor_attributes(raw);
    bool code = attributes & SEG_CODE;
    bool conforming = code && (attributes & SEG_EXPAND_DOWN);
    unsigned dpl = descriptor_dpl(raw);
    bool readable = (attributes & SEG_S) && (!code || (attributes & SEG_WRITABLE));
    bool privileged = conforming || (selector_rpl(selector) <= dpl && v->cpu.cpl <= dpl);
    if (!readable || !privileged)
        return fault_false(v, vector, selector_error(selector));
    if (!(attributes & SEG_P))
        return fault_false(v, VEC_NP, selector_error(selector));
    if (!descriptor_touch(v, selector, &raw))
        return false;
    v->cpu.seg[seg] = descriptor_segment(selector, raw);
    return true;
}

/* A null SS is legal in 64-bit mode below privilege level 3 (SDM vol. 3, 5.4.1.1). */
static bool segment_load_ss(struct vcpu *v, u16 selector)
{
    if (selector_null(selector) && v->mode == CODE_64 && v->cpu.cpl < 3 && selector_rpl(selector) == v->cpu.cpl) {
        v->cpu.seg[SEG_SS] = segment_null(selector);
        return true;
    }
    u64 raw;
    if (!stack_segment_read(v, selector, v->cpu.cpl, VEC_GP, &raw) || !descriptor_touch(v, selector, &raw))
        return false;
    v->cpu.seg[SEG_SS] = descriptor_segment(selector, raw);
    return true;
}

void segment_load_real(struct vcpu *v, enum seg seg, u16 selector)
{
    struct segment *s = &v->cpu.seg[seg];
    const u16 data = SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED;
    s->selector = selector;
    s->base = (u64)selector << 4;
    if (cpu_v86(&v->cpu)) {
        s->limit = REAL_LIMIT;
        s->attributes = data | SEG_DPL;
    } else {
        s->attributes = (u16)((s->attributes & (SEG_DB | SEG_G | SEG_AVL)) | data);
    }
}

enum exec segment_load(struct vcpu *v, enum seg seg, u16 selector)
{
    if (cpu_real_segments(&v->cpu))
        segment_load_real(v, seg, selector);
    else if (!(seg == SEG_SS ? segment_load_ss(v, selector) : segment_load_data(v, seg, selector, VEC_GP)))
        return EXEC_FAULT;
    vcpu_update_mode(v);
    return EXEC_NEXT;
}

void segments_drop(struct vcpu *v, unsigned cpl)
{
    static const u8 data_segments[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    for (unsigned k = 0; k < ARRAY_LEN(data_segments); k++) {
        struct segment *s = &v->cpu.seg[data_segments[k]];
        bool conforming = (s->attributes & (SEG_CODE | SEG_EXPAND_DOWN)) == (SEG_CODE | SEG_EXPAND_DOWN);
        if (s->attributes & SEG_UNUSABLE)
            s->selector = 0; /* null already; a base that 64-bit mode gave it stays */
        else if (!conforming && seg_dpl(s) < cpl)
            *s = segment_null(0);
    }
}

bool ldtr_load(struct vcpu *v, u16 selector, enum vector vector, enum vector absent)
{
    if (selector_null(selector)) {
        v->cpu.ldtr = segment_null(selector);
        return true;
    }
    u64 raw, high = 0;
    if (selector_local(selector))
        return fault_false(v, vector, selector_error(selector));
    if (!descriptor_read(v, selector, vector, &raw))
        return false;
    if (!descriptor_system(raw) || descriptor_type(raw) != SYS_LDT)
        return fault_false(v, vector, selector_error(selector));
    if (!descriptor_present(raw))
        return fault_false(v, absent, selector_error(selector));
    if (cpu_long(&v->cpu) && !descriptor_read_high(v, selector, vector, &high))
        return false;
    struct segment s = descriptor_segment(selector, raw);
    s.base |= high << 32;
    if (!canonical(s.base))
        return fault_false(v, vector, selector_error(selector));
    v->cpu.ldtr = s;
    return true;
}

bool tr_load(struct vcpu *v, u16 selector)
{
    u64 raw, high = 0;
    const u64 busy = (u64)SYS_TSS_BUSY << 40;
    bool long_mode = cpu_long(&v->cpu);
    if (selector_null(selector))
        return fault_false(v, VEC_GP, 0);
    if (selector_local(selector))
        return fault_false(v, VEC_GP, selector_error(selector));
    if (!descriptor_read(v, selector, VEC_GP, &raw))
        return false;
    unsigned type = descriptor_type(raw);
    if (!descriptor_system(raw) || !(type == SYS_TSS32 || (type == SYS_TSS16 && !long_mode)))
        return fault_false(v, VEC_GP, selector_error(selector));
    if (!descriptor_present(raw))
        return fault_false(v, VEC_NP, selector_error(selector));
    if (long_mode && !descriptor_read_high(v, selector, VEC_GP, &high))
        return false;
    struct segment s = descriptor_segment(selector, raw | busy);
    s.base |= high << 32;
    if (!canonical(s.base))
        return fault_false(v, VEC_GP, selector_error(selector));
    if (!descriptor_write(v, selector, raw | busy))
        return false;
    v->cpu.tr = s;
    return true;
}

static bool mem_read_sized(struct vcpu *v, u64 linear, u64 *value, unsigned size)
{
    u16 word;
    u32 dword;
    switch (size) {
    case 2:
        if (!mem_read16(v, linear, &word))
            return false;
        *value = word;
        return true;
    case 4:
        if (!mem_read32(v, linear, &dword))
            return false;
        *value = dword;
        return true;
    default:
        return mem_read64(v, linear, value);
    }
}

static bool mem_write_sized(struct vcpu *v, u64 linear, u64 value, unsigned size)
{
    switch (size) {
    case 2: return mem_write16(v, linear, (u16)value);
    case 4: return mem_write32(v, linear, (u32)value);
    default: return mem_write64(v, linear, value);
    }
}

bool stack_read(struct vcpu *v, s64 displacement, u64 *value, unsigned size)
{
    u64 linear, sp = (v->cpu.gpr[RSP] + (u64)displacement) & v->stack_mask;
    return seg_linear(v, SEG_SS, sp, size, ACCESS_READ, &linear) && mem_read_sized(v, linear, value, size);
}

bool stack_write(struct vcpu *v, s64 displacement, u64 value, unsigned size)
{
    u64 linear, sp = (v->cpu.gpr[RSP] + (u64)displacement) & v->stack_mask;
    return seg_linear(v, SEG_SS, sp, size, ACCESS_WRITE, &linear) && mem_write_sized(v, linear, value, size);
}

bool stack_push(struct vcpu *v, u64 value, unsigned size)
{
    if (!stack_write(v, -(s64)size, value, size))
        return false;
    stack_adjust(v, -(s64)size);
    return true;
}

bool stack_pop(struct vcpu *v, u64 *value, unsigned size)
{
    if (!stack_read(v, 0, value, size))
        return false;
    stack_adjust(v, size);
    return true;
}

enum tlb_rights rights_at(const struct vcpu *v, unsigned cpl)
{
    if (cpl == 3)
        return TLB_USER;
    bool override = (v->cpu.cr4 & CR4_SMAP) && (v->cpu.rflags & FLAG_AC);
    return override ? TLB_SUPERVISOR_AC : TLB_SUPERVISOR;
}

struct stack stack_current(const struct vcpu *v)
{
    return (struct stack){.ss = v->cpu.seg[SEG_SS],
                          .sp = v->cpu.gpr[RSP],
                          .mask = v->stack_mask,
                          .wide = v->mode == CODE_64,
                          .rights = v->tlb.rights};
}

static bool stack_allows(const struct stack *s, u64 sp, unsigned size)
{
    if (s->wide)
        return canonical(sp) && canonical(sp + size - 1);
    return !(s->ss.attributes & SEG_UNUSABLE) && limit_allows(&s->ss, sp, size);
}

bool stack_room(struct vcpu *v, const struct stack *s, unsigned count, unsigned size)
{
    for (unsigned n = 1; n <= count; n++)
        if (!stack_allows(s, (s->sp - n * size) & s->mask, size))
            return fault_false(v, VEC_SS, s->error);
    return true;
}

bool stack_put(struct vcpu *v, struct stack *s, u64 value, unsigned size)
{
    u64 sp = (s->sp - size) & s->mask;
    u64 linear = s->wide ? sp : (u32)(s->ss.base + sp);
    if (!stack_allows(s, sp, size))
        return fault_false(v, VEC_SS, s->error);
    if (!mem_write_slow(v, linear, &value, size, (enum tlb_rights)s->rights))
        return false;
    s->sp = sp;
    return true;
}

bool stack_touch(struct vcpu *v, struct stack *s)
{
    if (!s->load || selector_null(s->ss.selector))
        return true;
    if (!descriptor_touch(v, s->ss.selector, &s->raw))
        return false;
    s->ss = descriptor_segment(s->ss.selector, s->raw);
    return true;
}

void stack_commit(struct vcpu *v, const struct stack *s)
{
    if (s->load)
        v->cpu.seg[SEG_SS] = s->ss;
    stack_set(v, s->mask, s->sp);
}
