/* Control and debug registers: MOV to and from CRn and DRn, LMSW, SMSW, CLTS, XGETBV, XSETBV. SDM vol. 2, "MOV"; vol.
 * 3, 2.5, 2.6 and 17.2. A new value is checked whole before anything changes. */
#include "core/exception.h"
#include "core/vm.h"
#include "devices/chipset.h"
#include "mmu/walk.h"
#include "sbe/exec.h"
#include "sbe/handlers.h"

#define CR0_DEFINED \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)
#define CR0_LMSW (CR0_PE | CR0_MP | CR0_EM | CR0_TS)
/* Changes that translations depend on (AM: whether alignment is checked). */
#define CR0_TRANSLATION (CR0_PG | CR0_WP | CR0_PE | CR0_AM)
/* SDM vol. 3, 4.4.1: changes that reload the PDPTE registers. */
#define CR0_PDPTE (CR0_PG | CR0_CD | CR0_NW)
#define CR4_PDPTE (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)
#define CR3_RESERVED (~((1ull << PHYS_ADDRESS_BITS) - 1))
#define CR8_TPR 0xfu

#define DR6_WRITABLE 0xe00fu
#define DR7_WRITABLE 0xffff23ffu
#define XCR0_X87 1u
#define XCR0_SSE 2u
#define XCR0_AVX 4u

/* ---- CR0 ---------------------------------------------------------------------------------------- */

/* Setting PG with LME set activates IA-32e mode; clearing PG in 64-bit mode is impossible (vol. 3, 9.8.5). */
static bool cr0_paging_allowed(const struct cpu *c, u64 value)
{
    bool on = value & CR0_PG;
    if (on == cpu_paging(c))
        return true;
    if (!on)
        return !cpu_code64(c);
    if (!(c->efer & EFER_LME))
        return true;
    return (c->cr4 & CR4_PAE) && !(c->seg[SEG_CS].attributes & SEG_L) && (c->tr.attributes & SYS_WIDE);
}

static bool cr0_allowed(const struct cpu *c, u64 value)
{
    if (value >> 32)
        return false;
    if ((value & CR0_PG) && !(value & CR0_PE))
        return false;
    if ((value & CR0_NW) && !(value & CR0_CD))
        return false;
    return cr0_paging_allowed(c, value);
}

static enum exec write_cr0(struct vcpu *v, u64 value)
{
    struct cpu *c = &v->cpu;
    if (!cr0_allowed(c, value))
        return fault_gp(v, 0);
    value = (value & CR0_DEFINED) | CR0_ET;
    u64 changed = value ^ c->cr0;
    bool pae = (value & CR0_PG) && (c->cr4 & CR4_PAE) && !(c->efer & EFER_LME);
    if (pae && (changed & CR0_PDPTE) && !walk_load_pdptes(v, c->cr3))
        return fault_gp(v, 0);
    c->cr0 = value;
    if (changed & CR0_PG)
        c->efer = (c->efer & ~(u64)EFER_LMA) | ((value & CR0_PG) && (c->efer & EFER_LME) ? EFER_LMA : 0);
    if (changed & CR0_TRANSLATION) {
        tlb_invalidate(v);
        vcpu_update_mode(v);
    }
    return EXEC_NEXT;
}

/* ---- CR3, CR4, CR8 ------------------------------------------------------------------------------ */

static enum exec write_cr3(struct vcpu *v, u64 value)
{
    struct cpu *c = &v->cpu;
    if (cpu_long(c) && (value & CR3_RESERVED))
        return fault_gp(v, 0);
    bool pae = cpu_paging(c) && (c->cr4 & CR4_PAE) && !cpu_long(c);
    if (pae && !walk_load_pdptes(v, value))
        return fault_gp(v, 0);
    c->cr3 = value;
    tlb_invalidate(v);
    return EXEC_NEXT;
}

static enum exec write_cr4(struct vcpu *v, u64 value)
{
    struct cpu *c = &v->cpu;
    if (value & ~cpu_model_cr4_mask(v->vm->config.model))
        return fault_gp(v, 0);
    if (cpu_long(c) && !(value & CR4_PAE))
        return fault_gp(v, 0);
    bool pae = cpu_paging(c) && (value & CR4_PAE) && !cpu_long(c);
    if (pae && ((value ^ c->cr4) & CR4_PDPTE) && !walk_load_pdptes(v, c->cr3))
        return fault_gp(v, 0);
    c->cr4 = value;
    tlb_invalidate(v);
    vcpu_update_mode(v);
    return EXEC_NEXT;
}

static enum exec write_cr8(struct vcpu *v, u64 value)
{
    if (value & ~(u64)CR8_TPR)
        return fault_gp(v, 0);
    chipset_set_cr8(v->vm, v, value);
    vcpu_kick(v);
    return EXEC_NEXT;
}

/* MOV to and from CRn, DRn: 64 bits in 64-bit mode, otherwise 32, whatever the prefixes. */
static inline u64 native_get(const struct vcpu *v, const struct insn *i)
{
    u64 value = v->cpu.gpr[i->rm];
    return v->mode == CODE_64 ? value : (u32)value;
}

static inline enum exec native_set(struct vcpu *v, const struct insn *i, u64 value)
{
    v->cpu.gpr[i->rm] = v->mode == CODE_64 ? value : (u32)value;
    return EXEC_NEXT;
}

enum exec op_mov_cr_r(struct vcpu *v, const struct insn *i)
{
    u64 value = native_get(v, i);
    switch (i->reg) {
    case 0: return write_cr0(v, value);
    case 2: v->cpu.cr2 = value; return EXEC_NEXT;
    case 3: return write_cr3(v, value);
    case 4: return write_cr4(v, value);
    case 8: return write_cr8(v, value);
    default: return fault_ud(v);
    }
}

enum exec op_mov_r_cr(struct vcpu *v, const struct insn *i)
{
    const struct cpu *c = &v->cpu;
    switch (i->reg) {
    case 0: return native_set(v, i, c->cr0);
    case 2: return native_set(v, i, c->cr2);
    case 3: return native_set(v, i, c->cr3);
    case 4: return native_set(v, i, c->cr4);
    case 8: return native_set(v, i, chipset_get_cr8(v->vm, v));
    default: return fault_ud(v);
    }
}

enum exec op_lmsw(struct vcpu *v, const struct insn *i)
{
    u16 word;
    if (!rm_read_16(v, i, &word))
        return EXEC_FAULT;
    /* PE can be set but not cleared. */
    return write_cr0(v, (v->cpu.cr0 & ~(u64)(CR0_LMSW & ~CR0_PE)) | (word & CR0_LMSW));
}

/* SDM vol. 3, 2.5, CR4.UMIP: SGDT, SIDT, SLDT, SMSW and STR are for CPL 0 then. */
enum exec op_smsw(struct vcpu *v, const struct insn *i)
{
    u64 cr0 = v->cpu.cr0;
    if ((v->cpu.cr4 & CR4_UMIP) && v->cpu.cpl > 0)
        return fault_gp(v, 0);
    if (insn_is_memory(i) || i->opsize == 2)
        return rm_write_16(v, i, (u16)cr0) ? EXEC_NEXT : EXEC_FAULT;
    v->cpu.gpr[i->rm] = cr0;
    return EXEC_NEXT;
}

enum exec op_clts(struct vcpu *v, const struct insn *i)
{
    (void)i;
    v->cpu.cr0 &= ~(u64)CR0_TS;
    return EXEC_NEXT;
}

/* ---- Debug registers ---------------------------------------------------------------------------- */

/* The register that the instruction may access now: DR4 and DR5 are DR6 and DR7 unless CR4.DE is set. False: fault. */
static bool debug_register(struct vcpu *v, const struct insn *i, unsigned *reg)
{
    struct cpu *c = &v->cpu;
    *reg = i->reg;
    bool alias = *reg == 4 || *reg == 5;
    if (*reg > 7 || (alias && (c->cr4 & CR4_DE))) {
        fault_ud(v);
        return false;
    }
    if (c->cpl > 0) {
        fault_gp(v, 0);
        return false;
    }
    if (c->dr[7] & DR7_GD) {
        fault_vector(v, VEC_DB);
        v->fault.dr6 = DR6_BD;
        return false;
    }
    if (alias)
        *reg += 2;
    return true;
}

enum exec op_mov_r_dr(struct vcpu *v, const struct insn *i)
{
    unsigned reg;
    if (!debug_register(v, i, &reg))
        return EXEC_FAULT;
    return native_set(v, i, v->cpu.dr[reg]);
}

enum exec op_mov_dr_r(struct vcpu *v, const struct insn *i)
{
    struct cpu *c = &v->cpu;
    u64 value = native_get(v, i);
    unsigned reg;
    if (!debug_register(v, i, &reg))
        return EXEC_FAULT;
    if (reg >= 6 && value >> 32)
        return fault_gp(v, 0);
    bool armed = debug_data_armed(c);
    if (reg == 6)
        value = (value & DR6_WRITABLE) | DR6_FIXED;
    else if (reg == 7)
        value = (value & DR7_WRITABLE) | DR7_FIXED;
    c->dr[reg] = value;
    /* While breakpoints are armed no translation may bypass their check. */
    if (armed || debug_data_armed(c)) {
        tlb_forget(v);
        vcpu_update_mode(v);
    }
    return EXEC_NEXT;
}

/* ---- XCR0 --------------------------------------------------------------------------------------- */

enum exec op_xgetbv(struct vcpu *v, const struct insn *i)
{
    (void)i;
    struct cpu *c = &v->cpu;
    if (!(c->cr4 & CR4_OSXSAVE))
        return fault_ud(v);
    if ((u32)c->gpr[RCX] != 0)
        return fault_gp(v, 0);
    c->gpr[RAX] = (u32)c->xcr0;
    c->gpr[RDX] = c->xcr0 >> 32;
    return EXEC_NEXT;
}

enum exec op_xsetbv(struct vcpu *v, const struct insn *i)
{
    (void)i;
    struct cpu *c = &v->cpu;
    u64 value = c->gpr[RDX] << 32 | (u32)c->gpr[RAX];
    if (!(c->cr4 & CR4_OSXSAVE))
        return fault_ud(v);
    if (c->cpl > 0 || (u32)c->gpr[RCX] != 0)
        return fault_gp(v, 0);
    if (!(value & XCR0_X87) || (value & ~cpu_model_xcr0_mask(v->vm->config.model)) ||
        ((value & XCR0_AVX) && !(value & XCR0_SSE)))
        return fault_gp(v, 0);
    c->xcr0 = value;
    return EXEC_NEXT;
}
