/* Handlers: segment registers, LDTR and TR, and the instructions that look at descriptors. */
#include "sbe/far_pointer.h"
#include "sbe/handlers.h"

/* What a MOV or POP to SS starts: one instruction without interrupts and debug traps (SDM vol. 3, 6.8.3). */
static void stack_shadow(struct vcpu *v)
{
    v->cpu.int_shadow = 1;
    v->cpu.mov_ss_shadow = 1;
    v->stepping = true;
}

/* A word from a segment register: 16 bits to memory, zero-extended to the operand size in a register (SDM vol. 2, "MOV",
 * "SLDT", "STR"). */
static enum exec store_selector(struct vcpu *v, const struct insn *i, u16 selector)
{
    if (!insn_is_memory(i) && i->opsize > 2) {
        reg_set_64(v, i->rm_at, selector);
        return EXEC_NEXT;
    }
    return rm_write_16(v, i, selector) ? EXEC_NEXT : EXEC_FAULT;
}

/* ---- MOV, PUSH, POP ----------------------------------------------------------------------------- */

enum exec op_mov_rm_sreg(struct vcpu *v, const struct insn *i)
{
    return store_selector(v, i, v->cpu.seg[i->reg & 7].selector);
}

enum exec op_mov_sreg_rm(struct vcpu *v, const struct insn *i)
{
    u16 selector;
    enum seg seg = i->reg & 7;
    if (!rm_read_16(v, i, &selector) || segment_load(v, seg, selector) == EXEC_FAULT)
        return EXEC_FAULT;
    if (seg == SEG_SS)
        stack_shadow(v);
    return EXEC_NEXT;
}

/* With a 32-bit operand size only 16 bits are written, as all recent Intel processors do (SDM vol. 2, "PUSH"); with 64
 * bits the selector is zero-extended. */
static enum exec push_sreg(struct vcpu *v, const struct insn *i, enum seg seg)
{
    unsigned written = i->opsize == 4 ? 2 : i->opsize;
    if (!stack_write(v, -(s64)i->opsize, v->cpu.seg[seg].selector, written))
        return EXEC_FAULT;
    stack_adjust(v, -(s64)i->opsize);
    return EXEC_NEXT;
}

/* Only 16 bits are read. RSP moves by the operand size under the old SS, even if that is what changes. */
static enum exec pop_sreg(struct vcpu *v, const struct insn *i, enum seg seg)
{
    u64 selector, before = v->cpu.gpr[RSP];
    if (!stack_read(v, 0, &selector, 2))
        return EXEC_FAULT;
    stack_adjust(v, i->opsize);
    u64 after = v->cpu.gpr[RSP];
    v->cpu.gpr[RSP] = before;
    if (segment_load(v, seg, (u16)selector) == EXEC_FAULT)
        return EXEC_FAULT;
    v->cpu.gpr[RSP] = after;
    return EXEC_NEXT;
}

enum exec op_push_es(struct vcpu *v, const struct insn *i) { return push_sreg(v, i, SEG_ES); }
enum exec op_push_cs(struct vcpu *v, const struct insn *i) { return push_sreg(v, i, SEG_CS); }
enum exec op_push_ss(struct vcpu *v, const struct insn *i) { return push_sreg(v, i, SEG_SS); }
enum exec op_push_ds(struct vcpu *v, const struct insn *i) { return push_sreg(v, i, SEG_DS); }
enum exec op_push_fs(struct vcpu *v, const struct insn *i) { return push_sreg(v, i, SEG_FS); }
enum exec op_push_gs(struct vcpu *v, const struct insn *i) { return push_sreg(v, i, SEG_GS); }
enum exec op_pop_es(struct vcpu *v, const struct insn *i) { return pop_sreg(v, i, SEG_ES); }
enum exec op_pop_ds(struct vcpu *v, const struct insn *i) { return pop_sreg(v, i, SEG_DS); }
enum exec op_pop_fs(struct vcpu *v, const struct insn *i) { return pop_sreg(v, i, SEG_FS); }
enum exec op_pop_gs(struct vcpu *v, const struct insn *i) { return pop_sreg(v, i, SEG_GS); }

enum exec op_pop_ss(struct vcpu *v, const struct insn *i)
{
    if (pop_sreg(v, i, SEG_SS) == EXEC_FAULT)
        return EXEC_FAULT;
    stack_shadow(v);
    return EXEC_NEXT;
}

/* ---- LDS and its kin ---------------------------------------------------------------------------- */

static enum exec load_far_pointer(struct vcpu *v, const struct insn *i, enum seg seg)
{
    u64 offset;
    u16 selector;
    if (!far_pointer_read(v, i, &offset, &selector) || segment_load(v, seg, selector) == EXEC_FAULT)
        return EXEC_FAULT;
    switch (i->opsize) {
    case 2: reg_set_16(v, i->reg_at, (u16)offset); break;
    case 4: reg_set_32(v, i->reg_at, (u32)offset); break;
    default: reg_set_64(v, i->reg_at, offset); break;
    }
    return EXEC_NEXT;
}

enum exec op_les(struct vcpu *v, const struct insn *i) { return load_far_pointer(v, i, SEG_ES); }
enum exec op_lds(struct vcpu *v, const struct insn *i) { return load_far_pointer(v, i, SEG_DS); }
enum exec op_lss(struct vcpu *v, const struct insn *i) { return load_far_pointer(v, i, SEG_SS); }
enum exec op_lfs(struct vcpu *v, const struct insn *i) { return load_far_pointer(v, i, SEG_FS); }
enum exec op_lgs(struct vcpu *v, const struct insn *i) { return load_far_pointer(v, i, SEG_GS); }

/* ---- LDTR and TR -------------------------------------------------------------------------------- */

static bool prevented_by_umip(struct vcpu *v)
{
    if (!(v->cpu.cr4 & CR4_UMIP) || v->cpu.cpl == 0)
        return false;
    fault_gp(v, 0);
    return true;
}

enum exec op_sldt(struct vcpu *v, const struct insn *i)
{
    return prevented_by_umip(v) ? EXEC_FAULT : store_selector(v, i, v->cpu.ldtr.selector);
}

enum exec op_str(struct vcpu *v, const struct insn *i)
{
    return prevented_by_umip(v) ? EXEC_FAULT : store_selector(v, i, v->cpu.tr.selector);
}

enum exec op_lldt(struct vcpu *v, const struct insn *i)
{
    u16 selector;
    return rm_read_16(v, i, &selector) && ldtr_load(v, selector, VEC_GP, VEC_NP) ? EXEC_NEXT : EXEC_FAULT;
}

enum exec op_ltr(struct vcpu *v, const struct insn *i)
{
    u16 selector;
    return rm_read_16(v, i, &selector) && tr_load(v, selector) ? EXEC_NEXT : EXEC_FAULT;
}

/* ---- LAR, LSL, VERR, VERW, ARPL ----------------------------------------------------------------- */

static enum exec set_zf(struct vcpu *v, bool zf)
{
    v->cpu.aflags = (v->cpu.aflags & ~FLAG_ZF) | (zf ? FLAG_ZF : 0);
    return EXEC_NEXT;
}

/* System descriptor types that LAR and LSL accept (SDM vol. 2, tables 3-53 and 3-57), as masks of types. */
enum { LAR_LEGACY = 0x1a3e, LAR_LONG = 0x1a04, LSL_LEGACY = 0x0a0e, LSL_LONG = 0x0a04 };

static bool conforming_code(u64 raw)
{
    const u16 kind = SEG_S | SEG_CODE | SEG_EXPAND_DOWN;
    return (descriptor_attributes(raw) & kind) == kind;
}

static bool privilege_reaches(const struct vcpu *v, u16 selector, u64 raw)
{
    unsigned dpl = descriptor_dpl(raw);
    return conforming_code(raw) || (v->cpu.cpl <= dpl && selector_rpl(selector) <= dpl);
}

/* The descriptor of the selector in the r/m operand. False: only a fault ends the instruction; otherwise *visible says
 * whether there is one that this privilege level may see. */
static bool descriptor_inspect(struct vcpu *v, const struct insn *i, u64 *raw, bool *visible)
{
    u16 selector;
    *visible = false;
    if (!rm_read_16(v, i, &selector))
        return false;
    if (selector_null(selector))
        return true;
    enum descriptor_lookup found = descriptor_lookup(v, selector, raw);
    *visible = found == DESCRIPTOR_FOUND && privilege_reaches(v, selector, *raw);
    return found != DESCRIPTOR_FAULT;
}

static bool type_among(const struct vcpu *v, u64 raw, u32 legacy, u32 long_mode)
{
    if (!descriptor_system(raw))
        return true;
    return (cpu_long(&v->cpu) ? long_mode : legacy) >> descriptor_type(raw) & 1;
}

static enum exec inspect_result(struct vcpu *v, const struct insn *i, u32 value)
{
    if (i->opsize == 2)
        reg_set_16(v, i->reg_at, (u16)value);
    else
        reg_set_64(v, i->reg_at, value);
    return set_zf(v, true);
}

enum exec op_lar(struct vcpu *v, const struct insn *i)
{
    u64 raw;
    bool visible;
    if (!descriptor_inspect(v, i, &raw, &visible))
        return EXEC_FAULT;
    if (!visible || !type_among(v, raw, LAR_LEGACY, LAR_LONG))
        return set_zf(v, false);
    /* The manual leaves bits 19:16 undefined; processors leave the limit there. */
    return inspect_result(v, i, (u32)(raw >> 32) & 0x00ffff00);
}

enum exec op_lsl(struct vcpu *v, const struct insn *i)
{
    u64 raw;
    bool visible;
    if (!descriptor_inspect(v, i, &raw, &visible))
        return EXEC_FAULT;
    if (!visible || !type_among(v, raw, LSL_LEGACY, LSL_LONG))
        return set_zf(v, false);
    return inspect_result(v, i, descriptor_limit(raw));
}

enum exec op_verr(struct vcpu *v, const struct insn *i)
{
    u64 raw;
    bool visible;
    if (!descriptor_inspect(v, i, &raw, &visible))
        return EXEC_FAULT;
    if (!visible)
        return set_zf(v, false);
    u16 a = descriptor_attributes(raw);
    return set_zf(v, (a & SEG_S) && (!(a & SEG_CODE) || (a & SEG_WRITABLE)));
}

enum exec op_verw(struct vcpu *v, const struct insn *i)
{
    u64 raw;
    bool visible;
    if (!descriptor_inspect(v, i, &raw, &visible))
        return EXEC_FAULT;
    if (!visible)
        return set_zf(v, false);
    return set_zf(v, (descriptor_attributes(raw) & (SEG_S | SEG_CODE | SEG_WRITABLE)) == (SEG_S | SEG_WRITABLE));
}

enum exec op_arpl(struct vcpu *v, const struct insn *i)
{
    u16 selector, rpl = reg_get_16(v, i->reg_at) & 3;
    struct mem_rmw rmw;
    if (!rm_open_16(v, i, &rmw, &selector))
        return EXEC_FAULT;
    if (selector_rpl(selector) >= rpl)
        return set_zf(v, false);
    rm_close_16(v, i, &rmw, (u16)((selector & ~3u) | rpl));
    return set_zf(v, true);
}
