/* Segmentation: linear addresses, descriptor loads, the stack. SDM vol. 3, chapters 3 and 5. */
#ifndef REPRISE_CORE_SEGMENT_H
#define REPRISE_CORE_SEGMENT_H

#include "core/vcpu.h"
#include "mmu/access.h"

/* vcpu.seg_flat bits: base 0, limit 4 GiB - 1, present, expand-up, and readable / writable. */
#define SEG_FLAT_READ 1u
#define SEG_FLAT_WRITE 2u

static inline bool canonical(u64 linear) { return (u64)((s64)(linear << 16) >> 16) == linear; }

/* Records a fault with an error code; for accessors that answer false. */
static inline bool fault_false(struct vcpu *v, enum vector vector, u32 error)
{
    fault_error(v, vector, error);
    return false;
}

/* The general case of seg_linear(). */
bool seg_linear_slow(struct vcpu *v, enum seg seg, u64 offset, unsigned size, enum access access, u64 *linear);

/* Linear address of seg:offset for an access of `size` bytes. `offset` is already truncated to the address size.
 * Checks limit, rights, canonical form; #GP(0) or #SS(0) recorded and false returned otherwise. */
static inline bool seg_linear(struct vcpu *v, enum seg seg, u64 offset, unsigned size, enum access access, u64 *linear)
{
    u8 want = access == ACCESS_WRITE ? SEG_FLAT_WRITE : SEG_FLAT_READ;
    if (v->mode == CODE_64) {
        u64 at = seg >= SEG_FS ? offset + v->cpu.seg[seg].base : offset;
        if (__builtin_expect(canonical(at) && canonical(at + size - 1), 1)) {
            *linear = at;
            return true;
        }
    } else if (__builtin_expect((v->seg_flat[seg] & want) && offset + size - 1 <= 0xffffffffu, 1)) {
        *linear = offset;
        return true;
    }
    return seg_linear_slow(v, seg, offset, size, access, linear);
}

/* System descriptor types, SDM vol. 3, table 3-2. In long mode the 32-bit ones are the 64-bit ones, the 16-bit ones and
 * the task gate do not exist. */
enum {
    SYS_TSS16 = 0x1,
    SYS_LDT = 0x2,
    SYS_TSS16_BUSY = 0x3,
    SYS_CALL_GATE16 = 0x4,
    SYS_TASK_GATE = 0x5,
    SYS_INTERRUPT_GATE16 = 0x6,
    SYS_TRAP_GATE16 = 0x7,
    SYS_TSS32 = 0x9,
    SYS_TSS32_BUSY = 0xb,
    SYS_CALL_GATE32 = 0xc,
    SYS_INTERRUPT_GATE32 = 0xe,
    SYS_TRAP_GATE32 = 0xf,
    SYS_WIDE = 0x8, /* set in the 32-bit forms of gates and TSS */
    SYS_TSS_BUSY = 0x2,
};

/* A selector that names nothing: index 0 of the GDT, whatever its RPL. */
static inline bool selector_null(u16 selector) { return !(selector & ~3u); }
static inline unsigned selector_rpl(u16 selector) { return selector & 3u; }
static inline bool selector_local(u16 selector) { return selector & 4u; }
/* The error code that blames `selector` (SDM vol. 3, 6.13). */
static inline u32 selector_error(u16 selector) { return selector & 0xfffcu; }

/* Descriptors are handled as the raw 8 bytes of their table entry, and accessors. */
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

static inline unsigned descriptor_dpl(u64 raw) { return raw >> 45 & 3; }
static inline unsigned descriptor_type(u64 raw) { return raw >> 40 & 0xf; }
static inline bool descriptor_system(u64 raw) { return !(raw >> 44 & 1); }
static inline bool descriptor_present(u64 raw) { return raw >> 47 & 1; }

/* The segment register contents that a load of this descriptor gives; pure. */
struct segment descriptor_segment(u16 selector, u64 raw);
/* The segment register contents after a load of a null selector. */
struct segment segment_null(u16 selector);

/* Finds the descriptor that `selector` names. DESCRIPTOR_ABSENT: beyond its table, or no LDT; nothing is recorded.
 * DESCRIPTOR_FAULT: the table itself caused a page fault, which is recorded. */
enum descriptor_lookup { DESCRIPTOR_FOUND, DESCRIPTOR_ABSENT, DESCRIPTOR_FAULT };
enum descriptor_lookup descriptor_lookup(struct vcpu *v, u16 selector, u64 *raw);

/* Reads the 8-byte descriptor that `selector` names (GDT or LDT). A selector beyond its table, or an unusable LDT,
 * records `vector`(selector & ~3) and returns false; page faults likewise. exception_deliver() adds EXT. */
bool descriptor_read(struct vcpu *v, u16 selector, enum vector vector, u64 *raw);
/* The upper 8 bytes of a 16-byte descriptor, at the next index. Their type field must be zero: `vector`(selector). */
bool descriptor_read_high(struct vcpu *v, u16 selector, enum vector vector, u64 *raw);
/* Writes back the access byte: the accessed bit, or a TSS's busy bit. False: page fault recorded. */
bool descriptor_write(struct vcpu *v, u16 selector, u64 raw);
/* Sets the accessed bit in *raw and, unless it was set, in the table. */
bool descriptor_touch(struct vcpu *v, u16 selector, u64 *raw);

/* Reads the descriptor of a stack segment for privilege `cpl` and checks it: null, type, RPL and DPL give
 * `vector`(selector), absence #SS(selector). */
bool stack_segment_read(struct vcpu *v, u16 selector, unsigned cpl, enum vector vector, u64 *raw);

/* MOV, POP, LDS…: loads ES, SS, DS, FS or GS with every check of SDM vol. 2 "MOV" (or real/v86 semantics), and
 * recomputes the mode. EXEC_NEXT or EXEC_FAULT. */
enum exec segment_load(struct vcpu *v, enum seg seg, u16 selector);
/* ES, DS, FS or GS with `vector` for what is otherwise #GP: task switches use #TS. Does not recompute the mode. */
bool segment_load_data(struct vcpu *v, enum seg seg, u16 selector, enum vector vector);
/* Sets a segment register in real or v86 mode: base = selector << 4. v86: limit 0xffff and DPL 3. Real: the limit stays
 * what it was (SDM vol. 3, 9.9.1). Does not recompute the mode. */
void segment_load_real(struct vcpu *v, enum seg seg, u16 selector);
/* Nulls data segments that the privilege level `cpl` may not keep after a return to it, and clears the RPL of null
 * selectors (SDM vol. 2, "RET"). */
void segments_drop(struct vcpu *v, unsigned cpl);

/* LLDT and the LDT field of a TSS: `vector` for all but absence, which is `absent`(selector). */
bool ldtr_load(struct vcpu *v, u16 selector, enum vector vector, enum vector absent);
/* LTR: loads TR and marks the TSS busy. */
bool tr_load(struct vcpu *v, u16 selector);

/* The stack as SS, SS.B and the mode define it. push and pop of `size` 2, 4 or 8 move RSP only when the access
 * succeeded. stack_read/_write at RSP + displacement do not move it. */
bool stack_push(struct vcpu *v, u64 value, unsigned size);
bool stack_pop(struct vcpu *v, u64 *value, unsigned size);
bool stack_read(struct vcpu *v, s64 displacement, u64 *value, unsigned size);
bool stack_write(struct vcpu *v, s64 displacement, u64 value, unsigned size);
/* Sets RSP as a stack with this mask does: bits outside a 16-bit SP stay, bits above ESP become zero. */
static inline void stack_set(struct vcpu *v, u64 mask, u64 sp)
{
    u64 *rsp = &v->cpu.gpr[RSP];
    if (mask == 0xffff)
        *rsp = (u32)((*rsp & ~mask) | (sp & mask));
    else
        *rsp = sp & mask;
}
/* Adds to RSP under the stack mask, keeping the bits outside it. */
static inline void stack_adjust(struct vcpu *v, s64 bytes)
{
    u64 sp = v->cpu.gpr[RSP];
    u64 moved = (sp & ~v->stack_mask) | ((sp + (u64)bytes) & v->stack_mask);
    v->cpu.gpr[RSP] = v->stack_mask == 0xffffffffu ? (u32)moved : moved;
}

/* A stack under construction: frames are written to it before any register changes, so that a fault on the way leaves
 * the old state whole. */
struct stack {
    struct segment ss;
    u64 sp;
    u64 mask;
    u64 raw;   /* descriptor of ss, where `load` */
    bool load; /* ss is new: stack_commit() loads it */
    bool wide; /* 64-bit: canonical addresses instead of limits */
    u8 rights; /* enum tlb_rights of the pushes */
    u32 error; /* of #SS on a limit violation */
};
/* The current stack of the vCPU. */
struct stack stack_current(const struct vcpu *v);
/* Limit or canonical checks of `count` pushes of `size` bytes, all before the first: #SS(error) recorded and false. */
bool stack_room(struct vcpu *v, const struct stack *s, unsigned count, unsigned size);
/* Pushes `size` bytes; #SS(error) or #PF recorded and false otherwise. */
bool stack_put(struct vcpu *v, struct stack *s, u64 value, unsigned size);
/* Sets the accessed bit of a new SS: the last step that can fault. */
bool stack_touch(struct vcpu *v, struct stack *s);
/* Makes it current. The caller recomputes the mode. */
void stack_commit(struct vcpu *v, const struct stack *s);
/* Rights of data accesses made at privilege `cpl`. */
enum tlb_rights rights_at(const struct vcpu *v, unsigned cpl);

#endif
