/* Fast system calls and the FS and GS bases: SYSENTER, SYSEXIT, SYSCALL, SYSRET, SWAPGS, RDFSBASE and kin. The code and
 * stack segments they load are fixed, not read from a table: SDM vol. 2, each instruction's "Operation". */
#include "core/exception.h"
#include "core/vm.h"
#include "sbe/exec.h"
#include "sbe/handlers.h"

#define SELECTOR_RPL 3u
#define SELECTOR_NULL_BITS 0xfffcu
/* What SYSRET takes from R11: all defined flags but RF and VM. */
#define SYSRET_FLAGS 0x3c7fd7u

enum code_kind { CODE_LEGACY, CODE_LONG };

/* Loads flat CS and SS of privilege level `cpl`, which becomes CPL. */
static void load_flat(struct vcpu *v, u16 cs, u16 ss, unsigned cpl, enum code_kind kind)
{
    u16 common = (u16)(SEG_P | SEG_S | SEG_G | SEG_ACCESSED | SEG_WRITABLE | cpl << SEG_DPL_SHIFT);
    v->cpu.seg[SEG_CS] = (struct segment){.selector = cs,
        .attributes = (u16)(common | SEG_CODE | (kind == CODE_LONG ? SEG_L : SEG_DB)), .limit = 0xffffffff};
    v->cpu.seg[SEG_SS] = (struct segment){.selector = ss, .attributes = (u16)(common | SEG_DB), .limit = 0xffffffff};
    v->cpu.cpl = (u8)cpl;
}

enum exec op_sysenter(struct vcpu *v, const struct insn *i)
{
    (void)i;
    struct cpu *c = &v->cpu;
    u16 cs = (u16)c->sysenter_cs & SELECTOR_NULL_BITS;
    if (!cpu_protected(c) || cs == 0)
        return fault_gp(v, 0);
    c->rflags &= ~(FLAG_VM | FLAG_IF);
    load_flat(v, cs, (u16)(cs + 8), 0, cpu_long(c) ? CODE_LONG : CODE_LEGACY);
    c->gpr[RSP] = cpu_long(c) ? c->sysenter_esp : (u32)c->sysenter_esp;
    c->rip = cpu_long(c) ? c->sysenter_eip : (u32)c->sysenter_eip;
    vcpu_update_mode(v);
    return EXEC_JUMP;
}

enum exec op_sysexit(struct vcpu *v, const struct insn *i)
{
    struct cpu *c = &v->cpu;
    u16 base = (u16)c->sysenter_cs & SELECTOR_NULL_BITS;
    bool wide = i->opsize == 8;
    if (!cpu_protected(c) || c->cpl != 0 || base == 0)
        return fault_gp(v, 0);
    if (wide && (!canonical(c->gpr[RCX]) || !canonical(c->gpr[RDX])))
        return fault_gp(v, 0);
    u16 cs = (u16)(base + (wide ? 32 : 16));
    load_flat(v, cs | SELECTOR_RPL, (u16)(cs + 8) | SELECTOR_RPL, 3, wide ? CODE_LONG : CODE_LEGACY);
    c->gpr[RSP] = wide ? c->gpr[RCX] : (u32)c->gpr[RCX];
    c->rip = wide ? c->gpr[RDX] : (u32)c->gpr[RDX];
    vcpu_update_mode(v);
    return EXEC_JUMP;
}

/* After SYSCALL and SYSRET it is the TF that they leave which decides on a single-step trap, not the one they found: a
 * system that masks TF is not stepped, and back in a stepped program SYSRET traps, as if SYSCALL had just retired. The
 * manual does not say so; processors do it, and systems that mask TF rely on it. */
static void trap_by_new_flags(struct cpu *c, u64 old_flags)
{
    bool before = old_flags & FLAG_TF, after = c->rflags & FLAG_TF;
    if (before && !after)
        c->pending_db |= PENDING_DB_NO_STEP;
    else if (after && !before)
        c->pending_db |= DR6_BS;
}

enum exec op_syscall(struct vcpu *v, const struct insn *i)
{
    struct cpu *c = &v->cpu;
    if (v->mode != CODE_64 || !(c->efer & EFER_SCE))
        return fault_ud(v);
    u64 flags = cpu_rflags(c) & ~(u64)FLAG_RF; /* as every saved image that does not serve a restart */
    u16 cs = (u16)(c->star >> 32) & SELECTOR_NULL_BITS;
    c->gpr[RCX] = c->rip + i->length;
    c->gpr[R11] = flags;
    c->rip = c->lstar;
    cpu_set_rflags_raw(c, flags & ~c->sfmask);
    trap_by_new_flags(c, flags);
    load_flat(v, cs, (u16)((u16)(c->star >> 32) + 8), 0, CODE_LONG);
    vcpu_update_mode(v);
    return EXEC_JUMP;
}

enum exec op_sysret(struct vcpu *v, const struct insn *i)
{
    struct cpu *c = &v->cpu;
    bool wide = i->opsize == 8;
    if (v->mode != CODE_64 || !(c->efer & EFER_SCE))
        return fault_ud(v);
    if (c->cpl != 0 || (wide && !canonical(c->gpr[RCX])))
        return fault_gp(v, 0);
    u16 base = (u16)(c->star >> 48);
    u32 old_flags = c->rflags;
    c->rip = wide ? c->gpr[RCX] : (u32)c->gpr[RCX];
    cpu_set_rflags_raw(c, c->gpr[R11] & SYSRET_FLAGS);
    trap_by_new_flags(c, old_flags);
    load_flat(v, (u16)(base + (wide ? 16 : 0)) | SELECTOR_RPL, (u16)(base + 8) | SELECTOR_RPL, 3,
              wide ? CODE_LONG : CODE_LEGACY);
    vcpu_update_mode(v);
    vm_attend_interrupts(v);
    return EXEC_JUMP;
}

/* 64-bit mode only, where nothing that vcpu_update_mode() derives depends on GS's base. */
enum exec op_swapgs(struct vcpu *v, const struct insn *i)
{
    (void)i;
    struct cpu *c = &v->cpu;
    u64 base = c->seg[SEG_GS].base;
    c->seg[SEG_GS].base = c->kernel_gs_base;
    c->kernel_gs_base = base;
    return EXEC_NEXT;
}

static enum exec read_base(struct vcpu *v, const struct insn *i, enum seg seg)
{
    if (!(v->cpu.cr4 & CR4_FSGSBASE))
        return fault_ud(v);
    u64 base = v->cpu.seg[seg].base;
    v->cpu.gpr[i->rm] = i->opsize == 8 ? base : (u32)base;
    return EXEC_NEXT;
}

static enum exec write_base(struct vcpu *v, const struct insn *i, enum seg seg)
{
    if (!(v->cpu.cr4 & CR4_FSGSBASE))
        return fault_ud(v);
    u64 base = i->opsize == 8 ? v->cpu.gpr[i->rm] : (u32)v->cpu.gpr[i->rm];
    if (!canonical(base))
        return fault_gp(v, 0);
    v->cpu.seg[seg].base = base;
    return EXEC_NEXT;
}

enum exec op_rdfsbase(struct vcpu *v, const struct insn *i) { return read_base(v, i, SEG_FS); }
enum exec op_rdgsbase(struct vcpu *v, const struct insn *i) { return read_base(v, i, SEG_GS); }
enum exec op_wrfsbase(struct vcpu *v, const struct insn *i) { return write_base(v, i, SEG_FS); }
enum exec op_wrgsbase(struct vcpu *v, const struct insn *i) { return write_base(v, i, SEG_GS); }
