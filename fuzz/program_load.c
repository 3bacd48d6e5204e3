/* From a program to bytes in memory, and to the processor's state before the first instruction. */
#include "core/cpuid.h"
#include "core/segment.h"
#include "fuzz/world.h"
#include "mmu/access.h"

#include <string.h>

/* Handlers of ours, beside those of the image. */
enum { STUB_RETURN = GUEST_STUBS + 0x100, STUB_SLOT = GUEST_STUBS + 0x140, STUB_SLOT_ERROR = GUEST_STUBS + 0x180 };
#define WITH_ERROR (1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 17)
enum { OWN_DESCRIPTORS = 0xa8, DATA_BYTES = 6 * PAGE_SIZE };

/* ---- Code ----------------------------------------------------------------------------------------- */

static unsigned clamp(const struct program *p, unsigned target) { return target < p->count ? target : p->count; }

/* The displacement from instruction `n` to its target, or to the nearest instruction on the way that it reaches. */
static s64 displacement(const struct program *p, const u16 *offset, unsigned n)
{
    const struct program_insn *i = &p->insn[n];
    unsigned target = clamp(p, i->target);
    for (;;) {
        s64 distance = (s64)offset[target] - offset[n] - i->length;
        if (i->fix_size > 1 || (distance >= INT8_MIN && distance <= INT8_MAX))
            return distance;
        target += target > n ? -1u : 1;
    }
}

static void put_fixup(const struct program *p, const u16 *offset, unsigned n, u8 *at)
{
    const struct program_insn *i = &p->insn[n];
    s64 value = 0;
    if (i->fixup == FIXUP_NONE)
        return;
    if (i->fixup == FIXUP_RELATIVE)
        value = displacement(p, offset, n);
    else
        value = (s64)p->origin + offset[clamp(p, i->target)] + i->addend - p->segment[SEG_CS].base;
    memcpy(at + i->fix_at, &value, i->fix_size);
}

/* Does nothing, in one instruction, in every mode: as many prefixes as there is room for before a NOP. */
static void put_filler(u8 *at, unsigned bytes)
{
    static const u8 nop3[3] = {0x0f, 0x1f, 0xc0};
    memset(at, 0x66, bytes);
    if (bytes >= sizeof nop3)
        memcpy(at + bytes - sizeof nop3, nop3, sizeof nop3);
    else if (bytes)
        at[bytes - 1] = 0x90;
}

unsigned program_layout(const struct program *p, u8 code[PROGRAM_BYTES], u16 offset[PROGRAM_INSNS + 1])
{
    unsigned size = 0;
    for (unsigned n = 0; n < p->count; n++) {
        offset[n] = (u16)size;
        size += p->after == AFTER_SLOT ? PROGRAM_SLOT : p->insn[n].length;
    }
    offset[p->count] = (u16)size;
    for (unsigned n = 0; n < p->count; n++) {
        const struct program_insn *i = &p->insn[n];
        u8 *at = code + offset[n];
        memcpy(at, i->bytes, i->length);
        put_fixup(p, offset, n, at);
        put_filler(at + i->length, offset[n + 1] - offset[n] - i->length);
    }
    return size;
}

/* ---- Handlers ------------------------------------------------------------------------------------- */

/* IRET; and: IP = (IP & ~15) + 16, IRET, without and with an error code on the stack. */
static void put_handlers(struct vm *vm, const struct program *p, unsigned size)
{
    static const u8 return16[] = {0xcf}, return64[] = {0x48, 0xcf};
    static const u8 slot16[] = {0x55, 0x89, 0xe5, 0x83, 0x66, 0x02, 0xf0, 0x83, 0x46, 0x02, 0x10, 0x5d, 0xcf};
    static const u8 slot32[] = {0x83, 0xc4, 0x04, 0x83, 0x24, 0x24, 0xf0, 0x83, 0x04, 0x24, 0x10, 0xcf};
    static const u8 slot64[] = {0x48, 0x83, 0xc4, 0x08, 0x48, 0x83, 0x24, 0x24, 0xf0, 0x48, 0x83, 0x04, 0x24, 0x10,
                                0x48, 0xcf};
    const u8 *slot = size == 2 ? slot16 : size == 4 ? slot32 : slot64;
    unsigned bytes = size == 2 ? sizeof slot16 : size == 4 ? sizeof slot32 : sizeof slot64;
    unsigned skip = size == 2 ? 0 : size == 4 ? 3 : 4; /* what drops the error code */
    physmem_load(&vm->memory, gpa(STUB_RETURN), size == 8 ? return64 : return16, size == 8 ? 2 : 1);
    physmem_load(&vm->memory, gpa(STUB_SLOT), slot + skip, bytes - skip);
    physmem_load(&vm->memory, gpa(STUB_SLOT_ERROR), slot, bytes);
    for (unsigned vector = 0; vector < 32 && p->after == AFTER_SLOT; vector++)
        guest_image_set_handler(vm, (enum guest_mode)p->mode, vector,
                                size > 2 && (WITH_ERROR >> vector & 1) ? STUB_SLOT_ERROR : STUB_SLOT);
    guest_image_set_handler(vm, (enum guest_mode)p->mode, VEC_DB, STUB_RETURN);
    guest_image_set_handler(vm, (enum guest_mode)p->mode, VEC_BP, STUB_RETURN);
    guest_image_set_handler(vm, (enum guest_mode)p->mode, VEC_OF, STUB_RETURN);
}

/* ---- State ---------------------------------------------------------------------------------------- */

static u64 descriptor_of(const struct program_segment *s)
{
    u32 limit = s->attributes & SEG_G ? s->limit >> PAGE_SHIFT : s->limit;
    u64 raw = (limit & 0xffff) | (u64)(s->base & 0xffffff) << 16 | (u64)(s->base >> 24) << 56;
    return raw | (u64)s->attributes << 40 | (u64)(limit & 0xf0000) << 32;
}

/* Each has its own descriptor, so that returns from handlers find it again. */
static void set_segment(struct vm *vm, enum seg n, struct program_segment s)
{
    struct vcpu *v = vm->vcpu[0];
    u16 selector = (u16)((OWN_DESCRIPTORS + 8 * (unsigned)n) | v->cpu.cpl);
    if (cpu_real_segments(&v->cpu)) {
        segment_load_real(v, n, (u16)(s.base >> 4));
        return;
    }
    if (cpu_code64(&v->cpu)) {
        v->cpu.seg[n].base = s.base;
        return;
    }
    s.attributes |= (u16)(v->cpu.cpl << SEG_DPL_SHIFT);
    u64 raw = descriptor_of(&s);
    physmem_load(&vm->memory, gpa(GUEST_GDT + (selector & ~7u)), &raw, sizeof raw);
    v->cpu.seg[n] = descriptor_segment(selector, raw);
}

static void set_unit(struct cpu *c, u64 seed)
{
    struct random r = {.state = seed};
    enum { FX_MXCSR = 24, FX_ST = 32, FX_XMM = 160 };
    u16 fcw = one_in(&r, 4) ? (u16)(0x40 | (random_next(&r) & 0x0f3f)) : 0x37f;
    u32 mxcsr = one_in(&r, 6) ? (u32)(random_next(&r) & 0xffc0) : 0x1f80;
    memcpy(c->fpu.fxsave, &fcw, 2);
    c->fpu.fxsave[4] = (u8)(one_in(&r, 2) ? 0 : random_next(&r));
    memcpy(c->fpu.fxsave + FX_MXCSR, &mxcsr, 4);
    for (unsigned n = 0; n < 8; n++) {
        u64 mantissa = random_next(&r) | (one_in(&r, 8) ? 0 : 1ull << 63);
        u16 exponent = (u16)(one_in(&r, 4) ? random_next(&r) : 16383 - 32 + random_below(&r, 64));
        memcpy(c->fpu.fxsave + FX_ST + 16 * n, &mantissa, 8);
        memcpy(c->fpu.fxsave + FX_ST + 16 * n + 8, &exponent, 2);
    }
    for (unsigned n = 0; n < 256; n += 8) {
        u64 word = (random_next(&r) & 0x800fffffffffffff) | (u64)(1023 - 16 + random_below(&r, 32)) << 52;
        if (one_in(&r, 3))
            word = program_value(&r);
        memcpy(c->fpu.fxsave + FX_XMM + n, &word, 8);
    }
}

static void put_data(struct vm *vm, u64 seed)
{
    struct random r = {.state = seed};
    u64 words[PAGE_SIZE / 8];
    for (u64 at = 0; at < DATA_BYTES; at += PAGE_SIZE) {
        for (unsigned n = 0; n < ARRAY_LEN(words); n++)
            words[n] = n % 8 == 3 ? program_address(&r, CODE_32) : n % 8 == 5 ? program_value(&r) : random_next(&r);
        physmem_load(&vm->memory, gpa(GUEST_DATA + at), words, sizeof words);
    }
}

void program_load(const struct program *p, struct vm *vm)
{
    struct vcpu *v = vm->vcpu[0];
    u8 code[PROGRAM_BYTES];
    u16 offset[PROGRAM_INSNS + 1];
    guest_image_build(vm, (enum guest_mode)p->mode, p->options);
    put_handlers(vm, p, v->cpu.efer & EFER_LMA ? 8 : p->mode == GUEST_REAL ? 2 : 4);
    put_data(vm, p->data_seed);
    physmem_load(&vm->memory, gpa(p->origin), code, program_layout(p, code, offset));
    for (unsigned n = 0; n < SEG_COUNT; n++)
        if (p->segment[n].attributes)
            set_segment(vm, (enum seg)n, p->segment[n]);
    memcpy(v->cpu.gpr, p->gpr, sizeof p->gpr);
    v->cpu.aflags = p->flags;
    v->cpu.rip = p->origin - p->segment[SEG_CS].base;
    set_unit(&v->cpu, p->unit_seed);
    world_apply(p, vm);
    tlb_flush(v);
    vcpu_update_mode(v);
}
