/* Instructions on the system flags: PUSHF, POPF, CLI, STI, CLAC, STAC. Who may change IF and IOPL depends on CPL,
 * IOPL and the virtual-8086 extensions: SDM vol. 2, tables 3-7, 4-16 and 4-18; vol. 3, chapter 20. */
#include "core/vm.h"
#include "sbe/exec.h"
#include "sbe/handlers.h"

#define POPF_16 (FLAGS_ARITH | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT)
#define POPF_32 (POPF_16 | FLAG_AC | FLAG_ID)

/* Flags that the run loop and vcpu_update_mode() look at. */
#define FLAGS_MODE (FLAG_TF | FLAG_RF | FLAG_AC)

/* How the present mode treats IF: SDM vol. 3, 20.3 and 20.4. */
enum interrupt_flag { IF_REAL, IF_VIRTUAL, IF_FORBIDDEN };

static enum interrupt_flag interrupt_flag(const struct cpu *c)
{
    if (!cpu_protected(c) || c->cpl <= cpu_iopl(c))
        return IF_REAL;
    if (cpu_v86(c))
        return c->cr4 & CR4_VME ? IF_VIRTUAL : IF_FORBIDDEN;
    return c->cpl == 3 && (c->cr4 & CR4_PVI) ? IF_VIRTUAL : IF_FORBIDDEN;
}

enum exec op_cli(struct vcpu *v, const struct insn *i)
{
    (void)i;
    enum interrupt_flag kind = interrupt_flag(&v->cpu);
    if (kind == IF_FORBIDDEN)
        return fault_gp(v, 0);
    v->cpu.rflags &= kind == IF_REAL ? ~FLAG_IF : ~FLAG_VIF;
    return EXEC_NEXT;
}

enum exec op_sti(struct vcpu *v, const struct insn *i)
{
    (void)i;
    struct cpu *c = &v->cpu;
    enum interrupt_flag kind = interrupt_flag(c);
    if (kind == IF_FORBIDDEN || (kind == IF_VIRTUAL && (c->rflags & FLAG_VIP)))
        return fault_gp(v, 0);
    if (kind == IF_VIRTUAL) {
        c->rflags |= FLAG_VIF;
        return EXEC_NEXT;
    }
    if (!(c->rflags & FLAG_IF)) {
        c->rflags |= FLAG_IF;
        c->int_shadow = 1;
        v->stepping = true; /* what vcpu_update_mode() would find new */
        vm_attend_interrupts(v);
    }
    return EXEC_NEXT;
}

enum exec op_pushf(struct vcpu *v, const struct insn *i)
{
    struct cpu *c = &v->cpu;
    u64 image = cpu_rflags(c) & ~(u64)(FLAG_VM | FLAG_RF);
    if (cpu_v86(c) && cpu_iopl(c) < 3) {
        if (i->opsize != 2 || !(c->cr4 & CR4_VME))
            return fault_gp(v, 0);
        /* SDM vol. 3, 20.3.1.2: the image shows VIF as IF, and IOPL 3. */
        image = (image & ~(u64)FLAG_IF) | FLAG_IOPL | (c->rflags & FLAG_VIF ? FLAG_IF : 0);
    }
    return stack_push(v, image, i->opsize) ? EXEC_NEXT : EXEC_FAULT;
}

/* Takes over the bits of `image` under `mask`; RF is cleared (table 4-18). */
static void load_flags(struct vcpu *v, u64 image, u32 mask)
{
    struct cpu *c = &v->cpu;
    u32 old = (u32)cpu_rflags(c);
    u32 flags = ((old & ~mask) | ((u32)image & mask)) & ~FLAG_RF;
    cpu_set_rflags_raw(c, flags);
    if ((old ^ flags) & FLAGS_MODE)
        vcpu_update_mode(v);
    if (flags & ~old & FLAG_IF)
        vm_attend_interrupts(v);
}

/* POPF in virtual-8086 mode with IOPL < 3: IF goes to VIF, with VME and 16 bits only. */
static enum exec popf_virtual(struct vcpu *v, const struct insn *i)
{
    struct cpu *c = &v->cpu;
    u64 image;
    if (i->opsize != 2 || !(c->cr4 & CR4_VME))
        return fault_gp(v, 0);
    if (!stack_read(v, 0, &image, 2))
        return EXEC_FAULT;
    if ((image & FLAG_TF) || ((image & FLAG_IF) && (c->rflags & FLAG_VIP)))
        return fault_gp(v, 0);
    stack_adjust(v, 2);
    load_flags(v, image, POPF_16 & ~(FLAG_IF | FLAG_IOPL));
    c->rflags = (c->rflags & ~FLAG_VIF) | (image & FLAG_IF ? FLAG_VIF : 0);
    return EXEC_NEXT;
}

enum exec op_popf(struct vcpu *v, const struct insn *i)
{
    struct cpu *c = &v->cpu;
    if (cpu_v86(c) && cpu_iopl(c) < 3)
        return popf_virtual(v, i);
    u32 mask = i->opsize == 2 ? POPF_16 : POPF_32;
    if (c->cpl > 0)
        mask &= ~FLAG_IOPL;
    if (c->cpl > cpu_iopl(c))
        mask &= ~FLAG_IF;
    u64 image;
    if (!stack_pop(v, &image, i->opsize))
        return EXEC_FAULT;
    load_flags(v, image, mask);
    return EXEC_NEXT;
}

static enum exec set_ac(struct vcpu *v, u32 ac)
{
    struct cpu *c = &v->cpu;
    if (c->cpl > 0)
        return fault_ud(v);
    c->rflags = (c->rflags & ~FLAG_AC) | ac;
    tlb_update_rights(v);
    return EXEC_NEXT;
}

enum exec op_clac(struct vcpu *v, const struct insn *i)
{
    (void)i;
    return set_ac(v, 0);
}

enum exec op_stac(struct vcpu *v, const struct insn *i)
{
    (void)i;
    return set_ac(v, FLAG_AC);
}
