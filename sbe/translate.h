/* The translator: guest code into host code, a block at a time, in named passes.
 *
 *   key       sums up what a block's code may take for granted                    translate_key.c
 *   scan      decodes to a branch, a page end or BLOCK_INSNS instructions         translate.c
 *   classify  says what is done with each instruction                             classify.c
 *   place     where guest registers live in the host                              translate_registers.c
 *   emit      writes the code: data (translate_data.c), memory (translate_memory.c, translate_window.c), stack
 *             and segment registers (translate_stack.c), branches (translate_flow.c), other sensitive instructions and
 *             strings (translate_system.c), fixed stubs (translate_stubs.c)
 *
 * In translated code the guest's arithmetic flags are the host's, always: no sequence of ours writes flags between guest
 * instructions. So flags are exact at every access that may fault and at every exit, and no liveness has to be proved.
 *
 * Host registers: RSP the vCPU (sbe/context.h), RCX scratch (addends, counts, JRCXZ), R10 scratch (addresses), R12 the
 * instruction counter, R13 and R14 the write and read table with shift counts in their low bits. Guest registers live in
 * those of the same name but RCX in R11 and RSP in R15; what is left over lives in the vCPU (enum gpr R10..R15). Beside
 * 32-bit code, R9 and R8 are the beginning and the end of the window (mmu/window.h), if there are windows. 16-bit code
 * is 32-bit code in all this, "narrow"; it accesses memory by tables only.
 *
 * Counting: R12 is COUNTER_BIAS + instructions left. A block subtracts its length on entry and leaves at once if the bias
 * is touched, so that it only runs if it runs whole; a side exit gives back what it did not execute. */
#ifndef REPRISE_SBE_TRANSLATE_H
#define REPRISE_SBE_TRANSLATE_H

#include "core/engine.h"
#include "sbe/codecache.h"
#include "sbe/emit.h"

enum { HOST_ADDEND = RCX, HOST_ADDRESS = R10, HOST_COUNTER = R12, HOST_WRITE_TABLE = R13, HOST_READ_TABLE = R14 };
enum { HOST_WINDOW = R9, HOST_WINDOW_END = R8 }; /* beside 32-bit code only */

/* Shift counts in the tables' low bits, and with them the bias of the counter: SHRX by R14 must give 0 below it. */
enum {
    NARROW_SHIFT = PAGE_SHIFT, /* in R14: 32-bit addresses: page number = address >> 12 */
    NARROW_SHIFT_REST = 8,     /* in R13: 12 + 12 + 8 = 32 */
    WIDE_SHIFT_LEFT = 16,      /* in R13: 64-bit addresses: << 16 >> 28 */
    WIDE_SHIFT_RIGHT = 28,     /* in R14 */
};
/* What is in the low bits of the table registers. */
static inline unsigned table_bias(bool wide, bool write)
{
    if (!wide)
        return write ? NARROW_SHIFT_REST : NARROW_SHIFT;
    return write ? WIDE_SHIFT_LEFT : WIDE_SHIFT_RIGHT;
}
static inline u64 counter_bias(bool wide) { return 1ull << (wide ? WIDE_SHIFT_RIGHT : NARROW_SHIFT); }

/* Mode bits that translated code depends on. */
#define KEY_USER 0x1u   /* CPL 3 */
#define KEY_WIDE 0x2u   /* 64-bit code; else 32-bit code with a flat CS, or 16-bit code */
#define KEY_SSE 0x4u    /* SSE instructions execute: CR0.EM, CR0.TS, CR4.OSFXSR */
#define KEY_X87 0x8u    /* x87 instructions execute: CR0.EM, CR0.TS */
/* 16- and 32-bit code, one of these at most for each segment; of SS only if the stack is as wide as code.
 * FLAT: base 0, limit 4 GiB - 1. BASED: the same with any base; in 32-bit code for FS and GS only. LOW: 16-bit code, any
 * base, offsets 0 to 0xffff at least. All of them readable and writable, but a LOW CS, which may be read only. */
#define KEY_FLAT(seg) (0x10u << (seg))
#define KEY_LOW(seg) (0x20000u << (seg))
#define KEY_BASED(seg) (0x800000u << (seg))
#define KEY_SHORT 0x400u   /* the limit of CS is 64 KiB - 1, else 4 GiB - 1 */
#define KEY_V86 0x800u
#define KEY_SYSTEM 0x1000u /* CPL 0 */
#define KEY_TSC 0x2000u    /* an instruction takes a nanosecond */
#define KEY_DOWN 0x4000u   /* RFLAGS.DF */
#define KEY_CODE16 0x8000u /* 16-bit code */
#define KEY_REAL 0x10000u  /* loading a data segment changes its selector and base, and nothing else: no protected mode, or v86 */
#define KEY_COMPATIBLE 0x20000000u /* 32-bit code in long mode */
#define KEY_TSD 0x40000000u        /* RDTSC is for CPL 0 alone: CR4.TSD */
#define KEY_NONE 0xffffffffu /* code that is not translated */

u32 block_key(const struct vcpu *v);
/* The key behind SYSENTER or SYSCALL (`system`), or SYSEXIT or SYSRET to code of the same width, by that before. */
u32 key_after_call(u32 key, bool system);
static inline bool block_key_wide(u32 key) { return key & KEY_WIDE; }

/* The upper half of a block's `rip`, by which it is found: the base of CS. 64-bit code has none. */
static inline u64 code_tag(const struct vcpu *v)
{
    return v->mode == CODE_64 ? 0 : (u64)(u32)v->cpu.seg[SEG_CS].base << 32;
}
static inline u64 block_rip(const struct block *b) { return block_key_wide(b->key) ? b->rip : (u32)b->rip; }
/* Where in RAM the instruction at `rip` of a block lies. */
static inline u64 block_offset(const struct block *b, u64 rip) { return b->offset + (u32)(rip - b->rip); }

static inline u64 code_linear_at(const struct vcpu *v, u64 rip)
{
    return v->mode == CODE_64 ? rip : (u32)(v->cpu.seg[SEG_CS].base + rip);
}

/* The linear address of the page behind that of `linear`. */
static inline u64 code_page_behind(u64 linear, bool wide)
{
    u64 behind = (linear | PAGE_MASK) + 1;
    return wide ? behind : (u32)behind;
}

/* Translates the block at CS:RIP, whose first byte lies at `offset` in RAM. 0 if its first instruction cannot be
 * translated: it is none, or the rest of it lies in another page that is not RAM. */
u32 translate_block(struct vcpu *v, u64 offset, u32 key);

/* What translating from CS:RIP on would give, for people to read; nothing of it is kept. False as above, or for want of space. */
bool translate_explain(struct vcpu *v, u64 offset, u32 key, struct engine_code *code);

/* Writes the code that enters and leaves translated code; returns its size. */
u32 translate_fixed_stubs(struct vcpu *v);

/* Called by the fixed stubs with the guest's state in the vCPU. They return where to go on in translated code, or NULL
 * to leave. Defined in engine_sbe.c. */
const u8 *sbe_site(struct vcpu *v, u32 site);
const u8 *sbe_link(struct vcpu *v, u32 link);
const u8 *sbe_budget(struct vcpu *v, u32 block);
const u8 *sbe_indirect(struct vcpu *v, u64 target);

#endif
