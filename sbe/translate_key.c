/* What a block's code takes for granted about the processor's mode, in 32 bits. */
#include "core/vm.h"
#include "core/segment.h"
#include "sbe/fpu_thunk.h"
#include "sbe/translate.h"

enum { LIMIT_SHORT = 0xffff };
#define LIMIT_WHOLE 0xffffffffu

static bool segment_based(const struct segment *s)
{
    u32 wanted = SEG_P | SEG_S | SEG_WRITABLE;
    return s->limit == LIMIT_WHOLE && (s->attributes & (wanted | SEG_CODE | SEG_EXPAND_DOWN | SEG_UNUSABLE)) == wanted;
}

static u32 unit_keys(const struct vcpu *v)
{
    const struct cpu *c = &v->cpu;
    if ((c->cr0 & (CR0_EM | CR0_TS)) || v->thunks->is_volatile)
        return 0;
    return KEY_X87 | (c->cr4 & CR4_OSFXSR ? KEY_SSE : 0);
}

static u32 keys_32(const struct vcpu *v)
{
    const struct cpu *c = &v->cpu;
    u32 key = (cpu_protected(c) ? 0 : KEY_REAL) | (cpu_long(c) ? KEY_COMPATIBLE : 0);
    for (unsigned seg = 0; seg < SEG_COUNT; seg++)
        key |= v->seg_flat[seg] == (SEG_FLAT_READ | SEG_FLAT_WRITE) ? KEY_FLAT(seg) : 0;
    if (!v->stack32)
        key &= ~KEY_FLAT(SEG_SS);
    for (unsigned seg = SEG_FS; seg <= SEG_GS; seg++)
        key |= segment_based(&c->seg[seg]) ? KEY_BASED(seg) : 0;
    return key;
}

/* ---- 16-bit code -------------------------------------------------------------------------------- */

static bool segment_low(const struct cpu *c, enum seg seg)
{
    const struct segment *s = &c->seg[seg];
    bool code = s->attributes & SEG_CODE;
    if ((s->attributes & SEG_UNUSABLE) || s->limit < LIMIT_SHORT || (!code && (s->attributes & SEG_EXPAND_DOWN)))
        return false;
    if (cpu_real_segments(c))
        return true; /* no types: core/segment.c */
    return (s->attributes & SEG_WRITABLE) && (!code || seg == SEG_CS);
}

static u32 segment_key_16(const struct vcpu *v, enum seg seg)
{
    if (seg == SEG_SS && v->stack32)
        return 0;
    if (v->seg_flat[seg] == (SEG_FLAT_READ | SEG_FLAT_WRITE))
        return KEY_FLAT(seg);
    if (segment_based(&v->cpu.seg[seg]))
        return KEY_BASED(seg);
    return segment_low(&v->cpu, seg) ? KEY_LOW(seg) : 0;
}

/* Does segment_load_real() leave limit and attributes of the data segments as they are? */
static bool loads_are_simple(const struct cpu *c)
{
    const u16 data = SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED;
    const bool v86 = cpu_v86(c);
    for (unsigned seg = 0; seg < SEG_COUNT; seg++) {
        const struct segment *s = &c->seg[seg];
        u16 wanted = v86 ? data | SEG_DPL : (u16)((s->attributes & (SEG_DB | SEG_G | SEG_AVL)) | data);
        if (seg != SEG_CS && seg != SEG_SS && (s->attributes != wanted || (v86 && s->limit != LIMIT_SHORT)))
            return false;
    }
    return true;
}

static u32 keys_16(const struct vcpu *v)
{
    const struct cpu *c = &v->cpu;
    u32 key = KEY_CODE16 | (c->seg[SEG_CS].limit == LIMIT_SHORT ? KEY_SHORT : 0) | (cpu_v86(c) ? KEY_V86 : 0);
    if (cpu_real_segments(c) && loads_are_simple(c))
        key |= KEY_REAL;
    for (unsigned seg = 0; seg < SEG_COUNT; seg++)
        key |= segment_key_16(v, (enum seg)seg);
    return key;
}

u32 block_key(const struct vcpu *v)
{
    const struct cpu *c = &v->cpu;
    u32 key = (c->cpl == 3 ? KEY_USER : 0) | (c->cpl == 0 ? KEY_SYSTEM : 0) | unit_keys(v);
    key |= (!v->vm->clock.rate ? KEY_TSC : 0) | (c->cr4 & CR4_TSD ? KEY_TSD : 0);
    key |= c->rflags & FLAG_DF ? KEY_DOWN : 0;
    if (v->mode == CODE_64)
        return key | KEY_WIDE;
    const struct segment *cs = &c->seg[SEG_CS];
    if (v->mode == CODE_32)
        return cs->base != 0 || cs->limit != LIMIT_WHOLE ? KEY_NONE : key | keys_32(v);
    return cs->limit != LIMIT_SHORT && cs->limit != LIMIT_WHOLE ? KEY_NONE : key | keys_16(v);
}

u32 key_after_call(u32 key, bool system)
{
    u32 ring = system ? KEY_SYSTEM : KEY_USER, flat = key & KEY_WIDE ? 0 : KEY_FLAT(SEG_SS);
    return (key & ~(KEY_SYSTEM | KEY_USER | KEY_DOWN)) | ring | flat;
}
