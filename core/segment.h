/* Segmentation: linear addresses, descriptor loads, the stack. SDM vol. 3, chapters 3 and 5. */
#ifndef REPRISE_CORE_SEGMENT_H
#define REPRISE_CORE_SEGMENT_H

#include "core/vcpu.h"
#include "mmu/access.h"

/* vcpu.seg_flat bits: base 0, limit 4 GiB - 1, present, expand-up, and readable / writable. */
#define SEG_FLAT_READ 1u
#define SEG_FLAT_WRITE 2u

static inline bool canonical(u64 linear) { return (u64)((s64)(linear << 16) >> 16) == linear; }

/* The general case of seg_linear(). */
bool seg_linear_slow(struct vcpu *v, enum seg seg, u64 offset, unsigned size, enum access access, u64 *linear);

/* Linear address of seg:offset for an access of `size` bytes. `offset` is already truncated to the address size.
 * Checks limit, rights, canonical form; #GP(0) or #SS(0) recorded and false returned otherwise. */
static inline bool seg_linear(struct vcpu *v, enum seg seg, u64 offset, unsigned size, enum access access, u64 *linear)
{
    u8 want = access == ACCESS_WRITE ? SEG_FLAT_WRITE : SEG_FLAT_READ;
    if (__builtin_expect(v->mode != CODE_64 && (v->seg_flat[seg] & want) && offset + size - 1 <= 0xffffffffu, 1)) {
        *linear = offset;
        return true;
    }
    return seg_linear_slow(v, seg, offset, size, access, linear);
}

/* A descriptor as it stands in a table: the raw 8 bytes, and accessors. Loads never change guest state. */
struct descriptor {
    u64 raw;
    u64 high; /* base 63..32 for 16-byte system descriptors in long mode */
};

static inline u16 descriptor_attributes(u64 raw) { return (u16)(raw >> 40) & 0xf0ff; }
static inline u32 descriptor_limit(u64 raw)
{
    u32 limit = (u32)(raw & 0xffff) | (u32)((raw >> 32) & 0xf0000);
    return raw >> 55 & 1 ? limit << 12 | 0xfff : limit;
}
static inline u32 descriptor_base(u64 raw)
{
    return (u32)(raw >> 16 & 0xffffff) | (u32)(raw >> 32 & 0xff000000);
}

/* Reads the 8-byte descriptor that `selector` names (GDT or LDT). A selector beyond its table, or an unusable LDT,
 * records `vector`(selector & ~3 | external) and returns false; page faults likewise. */
bool descriptor_read(struct vcpu *v, u16 selector, enum vector vector, u64 *raw);
/* The upper 8 bytes of a 16-byte descriptor at the next index. */
bool descriptor_read_high(struct vcpu *v, u16 selector, enum vector vector, u64 *raw);
/* Sets the accessed bit (or a TSS's busy bit) in the table. */
bool descriptor_write(struct vcpu *v, u16 selector, u64 raw);

/* MOV, POP, LDS…: loads ES, SS, DS, FS or GS with every check of SDM vol. 2 "MOV" (or real/v86 semantics). */
enum exec segment_load(struct vcpu *v, enum seg seg, u16 selector);
/* Sets a segment register in real or v86 mode: base = selector << 4; rights and limit by mode. */
void segment_load_real(struct vcpu *v, enum seg seg, u16 selector);

/* The stack as SS, SS.B and the mode define it. push and pop of `size` 2, 4 or 8 move RSP only when the access
 * succeeded. stack_read/_write at RSP + displacement do not move it. */
bool stack_push(struct vcpu *v, u64 value, unsigned size);
bool stack_pop(struct vcpu *v, u64 *value, unsigned size);
bool stack_read(struct vcpu *v, s64 displacement, u64 *value, unsigned size);
bool stack_write(struct vcpu *v, s64 displacement, u64 value, unsigned size);
/* Adds to RSP under the stack mask, keeping the bits outside it. */
static inline void stack_adjust(struct vcpu *v, s64 bytes)
{
    u64 sp = v->cpu.gpr[RSP];
    u64 moved = (sp & ~v->stack_mask) | ((sp + (u64)bytes) & v->stack_mask);
    v->cpu.gpr[RSP] = v->stack_mask == 0xffffffffu ? (u32)moved : moved;
}

#endif
