/* The architectural state of one virtual processor, as plain data: a snapshot is a copy of struct cpu.
 *
 * Everything the guest can observe of a processor is here, and nothing else: no pointers, no caches. What
 * is derived from it (TLB, decoded instructions, current mode) lives in struct vcpu (core/vcpu.h). */
#ifndef REPRISE_CORE_CPU_H
#define REPRISE_CORE_CPU_H

#include "core/types.h"
#include "core/x86.h"

/* A segment register with its hidden part. The attribute word keeps the descriptor's own bit order
 * (SDM vol. 3, 3.4.5: descriptor bits 40..55 without the limit): type 0..3, S 4, DPL 5..6, P 7, AVL 12, L 13,
 * D/B 14, G 15. Bit 8 is ours: the segment is unusable (loaded with a null selector). */
struct segment {
    u16 selector;
    u16 attributes;
    u32 limit; /* in bytes, already scaled by G */
    u64 base;
};

#define SEG_TYPE 0x000fu
#define SEG_ACCESSED 0x0001u
#define SEG_WRITABLE 0x0002u /* data: writable; code: readable */
#define SEG_EXPAND_DOWN 0x0004u /* data: expand-down; code: conforming */
#define SEG_CODE 0x0008u
#define SEG_S 0x0010u
#define SEG_DPL 0x0060u
#define SEG_DPL_SHIFT 5
#define SEG_P 0x0080u
#define SEG_UNUSABLE 0x0100u
#define SEG_AVL 0x1000u
#define SEG_L 0x2000u
#define SEG_DB 0x4000u
#define SEG_G 0x8000u

struct table_register {
    u64 base;
    u32 limit;
};

enum activity { ACTIVITY_RUNNING, ACTIVITY_HALTED, ACTIVITY_SHUTDOWN };

enum { MTRR_VARIABLE_COUNT = 8, MTRR_FIXED_COUNT = 11 };

/* x87, MMX and SSE registers in the FXSAVE64 layout (SDM vol. 1, 10.5.1). The pointers in it are not kept
 * current: fpu.{fip,fdp,fop,fcs,fds} hold the guest's own. While vcpu.fpu_live the processor holds the
 * newest registers and this copy is stale; fpu_park() refreshes it. */
struct fpu {
    _Alignas(64) u8 fxsave[512];
    u64 fip, fdp;
    u16 fop, fcs, fds;
};

struct cpu {
    u64 gpr[GPR_COUNT];
    u64 rip;
    u32 aflags; /* CF PF AF ZF SF OF at their RFLAGS positions, and nothing else */
    u32 rflags; /* all other RFLAGS bits; FLAG_FIXED always set; see cpu_rflags() */
    struct segment seg[SEG_COUNT];
    struct segment ldtr, tr;
    struct table_register gdtr, idtr;
    u64 cr0, cr2, cr3, cr4, efer, xcr0; /* CR8 is the local APIC's TPR */
    u64 dr[8]; /* 4 and 5 unused */
    u64 pdpte[4]; /* PAE: loaded by MOV to CR3 and kept, SDM vol. 3, 4.4.1 */
    u64 sysenter_cs, sysenter_esp, sysenter_eip;
    u64 star, lstar, cstar, sfmask, kernel_gs_base, tsc_aux;
    u64 pat, apic_base, misc_enable, tsc_adjust, mcg_status, feature_control, bios_sign_id, spec_ctrl;
    u64 mtrr_def_type, mtrr_fixed[MTRR_FIXED_COUNT], mtrr_variable[2 * MTRR_VARIABLE_COUNT];
    s64 tsc_offset; /* guest TSC = vm_tsc() + tsc_offset */
    u64 icount; /* instructions retired; each REP iteration counts as one */
    u8 cpl;
    u8 activity; /* enum activity */
    u8 int_shadow; /* STI or MOV SS just executed: no interrupt (and for MOV SS no #DB) before the next instruction */
    u8 mov_ss_shadow;
    u8 nmi_blocked, nmi_pending;
    u32 pending_db; /* DR6 bits of traps to deliver at this instruction boundary */
    struct fpu fpu;
};

static inline u64 cpu_rflags(const struct cpu *c) { return c->rflags | c->aflags; }

static inline void cpu_set_rflags_raw(struct cpu *c, u64 flags)
{
    c->aflags = (u32)flags & FLAGS_ARITH;
    c->rflags = ((u32)flags & ~FLAGS_ARITH) | FLAG_FIXED;
}

static inline bool cpu_protected(const struct cpu *c) { return (c->cr0 & CR0_PE) != 0; }
static inline bool cpu_v86(const struct cpu *c) { return (c->rflags & FLAG_VM) != 0; }
/* Real-address mode or virtual-8086 mode: segment loads do not read descriptors. */
static inline bool cpu_real_segments(const struct cpu *c) { return !cpu_protected(c) || cpu_v86(c); }
static inline bool cpu_long(const struct cpu *c) { return (c->efer & EFER_LMA) != 0; }
static inline bool cpu_paging(const struct cpu *c) { return (c->cr0 & CR0_PG) != 0; }
static inline bool cpu_code64(const struct cpu *c) { return cpu_long(c) && (c->seg[SEG_CS].attributes & SEG_L); }
static inline unsigned cpu_iopl(const struct cpu *c) { return (c->rflags & FLAG_IOPL) >> FLAG_IOPL_SHIFT; }
static inline unsigned seg_dpl(const struct segment *s) { return (s->attributes & SEG_DPL) >> SEG_DPL_SHIFT; }

/* The state after RESET or power-up (SDM vol. 3, table 9-1). `model` fixes what differs between processors. icount is
 * kept: it is the machine's time, not the processor's. The caller restarts the TSC by tsc_offset = -vm_tsc(). */
struct cpu_model;
void cpu_reset(struct cpu *c, const struct cpu_model *model);

#endif
