/* System instructions that fit no family: descriptor-table registers, caches, waiting, identification, MSRs; and the
 * run-time conditions that isa.def attaches to rows. */
#include "core/cpuid.h"
#include "core/msr.h"
#include "core/vm.h"
#include "sbe/exec.h"
#include "sbe/handlers.h"

/* ---- What the rows ask for ---------------------------------------------------------------------- */

/* CR0.EM, CR0.TS and CR4.OSFXSR: SDM vol. 3, 2.5, table 9-3 and 13.1.4. */
static bool unit_forbidden(struct vcpu *v, u32 attributes)
{
    const struct cpu *c = &v->cpu;
    if (attributes & (A_MMX | A_SSE)) {
        if ((c->cr0 & CR0_EM) || ((attributes & A_SSE) && !(c->cr4 & CR4_OSFXSR))) {
            fault_ud(v);
            return true;
        }
        if (!(c->cr0 & CR0_TS))
            return false;
    } else if (attributes & A_X87) {
        if (!(c->cr0 & (CR0_EM | CR0_TS)))
            return false;
    } else if ((c->cr0 & (CR0_MP | CR0_TS)) != (CR0_MP | CR0_TS)) {
        return false; /* WAIT: MP and TS together */
    }
    fault_vector(v, VEC_NM);
    return true;
}

bool insn_forbidden(struct vcpu *v, const struct insn *i)
{
    const struct isa_row *row = &isa_rows[i->row];
    u32 attributes = row->attributes;
    const struct cpu *c = &v->cpu;
    if (!model_has(v->vm->config.model, (enum feature)row->feature) ||
        ((attributes & A_PROT) && cpu_real_segments(c))) {
        fault_ud(v);
        return true;
    }
    if ((attributes & A_CPL0) && c->cpl > 0) {
        fault_gp(v, 0);
        return true;
    }
    return (attributes & (A_X87 | A_WAITING | A_MMX | A_SSE)) && unit_forbidden(v, attributes);
}

/* ---- Descriptor-table registers ----------------------------------------------------------------- */

/* A pseudo-descriptor: 16-bit limit, then a base of 8 bytes in 64-bit mode, else 4 (SDM vol. 3, 3.5.1). */
static unsigned pseudo_size(const struct vcpu *v) { return v->mode == CODE_64 ? 10 : 6; }

/* All 32 base bits are stored whatever the operand size (SDM vol. 2, "SGDT", "SIDT"). */
static enum exec store_table(struct vcpu *v, const struct insn *i, const struct table_register *table)
{
    u8 image[10];
    u16 limit = (u16)table->limit;
    u64 linear;
    if ((v->cpu.cr4 & CR4_UMIP) && v->cpu.cpl > 0)
        return fault_gp(v, 0);
    if (!insn_linear(v, i, pseudo_size(v), ACCESS_WRITE, &linear))
        return EXEC_FAULT;
    memcpy(image, &limit, 2);
    memcpy(image + 2, &table->base, 8);
    return mem_write_slow(v, linear, image, pseudo_size(v), (enum tlb_rights)v->tlb.rights) ? EXEC_NEXT : EXEC_FAULT;
}

/* A 16-bit operand size loads a 24-bit base; 64-bit mode ignores it and wants a canonical one. */
static enum exec load_table(struct vcpu *v, const struct insn *i, struct table_register *table)
{
    u8 image[10] = {0};
    u16 limit;
    u64 linear, base;
    if (!insn_linear(v, i, pseudo_size(v), ACCESS_READ, &linear) ||
        !mem_read_slow(v, linear, image, pseudo_size(v), (enum tlb_rights)v->tlb.rights))
        return EXEC_FAULT;
    memcpy(&limit, image, 2);
    memcpy(&base, image + 2, 8);
    if (v->mode == CODE_64 && !canonical(base))
        return fault_gp(v, 0);
    if (v->mode != CODE_64 && i->opsize == 2)
        base &= 0xffffff;
    *table = (struct table_register){.base = base, .limit = limit};
    return EXEC_NEXT;
}

enum exec op_sgdt(struct vcpu *v, const struct insn *i) { return store_table(v, i, &v->cpu.gdtr); }
enum exec op_sidt(struct vcpu *v, const struct insn *i) { return store_table(v, i, &v->cpu.idtr); }
enum exec op_lgdt(struct vcpu *v, const struct insn *i) { return load_table(v, i, &v->cpu.gdtr); }
enum exec op_lidt(struct vcpu *v, const struct insn *i) { return load_table(v, i, &v->cpu.idtr); }

/* ---- TLB, caches, waiting ----------------------------------------------------------------------- */

/* The operand is an address only: neither its segment nor its page is checked. */
enum exec op_invlpg(struct vcpu *v, const struct insn *i)
{
    (void)i;
    tlb_invalidate_page(v);
    return EXEC_NEXT;
}

/* The model has no caches that a guest could see. */
enum exec op_wbinvd(struct vcpu *v, const struct insn *i)
{
    (void)v;
    (void)i;
    return EXEC_NEXT;
}

enum exec op_hlt(struct vcpu *v, const struct insn *i)
{
    (void)i;
    v->cpu.activity = ACTIVITY_HALTED;
    v->vm->stats.halts++;
    vcpu_kick(v);
    return EXEC_NEXT;
}

/* MONITOR reads its address as a byte load would, and arms nothing. */
enum exec op_monitor(struct vcpu *v, const struct insn *i)
{
    u64 linear;
    u8 byte;
    if (v->cpu.cpl > 0)
        return fault_ud(v);
    if ((u32)v->cpu.gpr[RCX] != 0)
        return fault_gp(v, 0);
    if (!seg_linear(v, (enum seg)i->seg, address_register(v, i, RAX), 1, ACCESS_READ, &linear) ||
        !mem_read8(v, linear, &byte))
        return EXEC_FAULT;
    return EXEC_NEXT;
}

/* Extension 0 of ECX, "break on masked interrupts", is the only one enumerated. */
enum exec op_mwait(struct vcpu *v, const struct insn *i)
{
    (void)i;
    if (v->cpu.cpl > 0)
        return fault_ud(v);
    return (u32)v->cpu.gpr[RCX] & ~1u ? fault_gp(v, 0) : EXEC_NEXT;
}

/* There is no system-management mode to return from. */
enum exec op_rsm(struct vcpu *v, const struct insn *i)
{
    (void)i;
    return fault_ud(v);
}

/* ---- Identification, time, MSRs ----------------------------------------------------------------- */

enum exec op_cpuid(struct vcpu *v, const struct insn *i)
{
    (void)i;
    struct cpu *c = &v->cpu;
    u32 leaf = (u32)c->gpr[RAX];
    struct cpuid_result r = cpuid_leaf(v->vm->config.model, c, leaf, (u32)c->gpr[RCX], v->index);
    /* SDM vol. 3, 9.11.7.1: leaf 1 puts the microcode revision into IA32_BIOS_SIGN_ID. */
    if (leaf == 1)
        c->bios_sign_id = CPU_MICROCODE_REVISION << 32;
    c->gpr[RAX] = r.eax;
    c->gpr[RBX] = r.ebx;
    c->gpr[RCX] = r.ecx;
    c->gpr[RDX] = r.edx;
    return EXEC_NEXT;
}

static enum exec read_time(struct vcpu *v)
{
    struct cpu *c = &v->cpu;
    if ((c->cr4 & CR4_TSD) && c->cpl > 0)
        return fault_gp(v, 0);
    u64 tsc = vm_tsc(v->vm) + (u64)c->tsc_offset;
    c->gpr[RAX] = (u32)tsc;
    c->gpr[RDX] = tsc >> 32;
    return EXEC_NEXT;
}

enum exec op_rdtsc(struct vcpu *v, const struct insn *i)
{
    (void)i;
    return read_time(v);
}

enum exec op_rdtscp(struct vcpu *v, const struct insn *i)
{
    (void)i;
    enum exec result = read_time(v);
    if (result == EXEC_NEXT)
        v->cpu.gpr[RCX] = (u32)v->cpu.tsc_aux;
    return result;
}

/* No model has performance counters, so every index is out of range. */
enum exec op_rdpmc(struct vcpu *v, const struct insn *i)
{
    (void)i;
    return fault_gp(v, 0);
}

enum exec op_rdmsr(struct vcpu *v, const struct insn *i)
{
    (void)i;
    struct cpu *c = &v->cpu;
    u64 value;
    if (!msr_read(v, (u32)c->gpr[RCX], &value))
        return fault_gp(v, 0);
    c->gpr[RAX] = (u32)value;
    c->gpr[RDX] = value >> 32;
    return EXEC_NEXT;
}

enum exec op_wrmsr(struct vcpu *v, const struct insn *i)
{
    (void)i;
    const struct cpu *c = &v->cpu;
    u64 value = c->gpr[RDX] << 32 | (u32)c->gpr[RAX];
    return msr_write(v, (u32)c->gpr[RCX], value) ? EXEC_NEXT : fault_gp(v, 0);
}
