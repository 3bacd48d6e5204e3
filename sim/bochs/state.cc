/* Registers on their way to and from Bochs. */
#include "plugin.h"

#include <string.h>

enum { FXSAVE_TAGS = 4, FXSAVE_MXCSR = 24, FXSAVE_ST = 32, FXSAVE_XMM = 160, FXSAVE_STRIDE = 16, ST_BYTES = 10 };
/* Bits of bochs_segment.attributes that are not simply the descriptor's. */
enum { UNUSABLE = 0x100 };
/* Of debug_trap: a breakpoint's condition has held. */
enum { TRAP_HIT = 1 << 12, DR6_BREAKPOINTS = 0xf, DR6_TRAPS = 0xe000 };
/* A step that is due after the next instruction anyway (behind MOV SS) is not pending to the simulator. */
enum { DR6_PENDING = DR6_BREAKPOINTS | (DR6_TRAPS & ~0x4000) };

/* In real-address mode Bochs makes CS a data segment; a processor keeps its type until CS is loaded (SDM vol. 3, 9.9.2). */
static bochs_segment real_cs;
enum { CS_KEPT = 0x9f }; /* type, S, P */

static void segment_in(bx_segment_reg_t *to, const bochs_segment *from)
{
    unsigned a = from->attributes;
    parse_selector(from->selector, &to->selector);
    to->cache.valid = a & UNUSABLE ? 0 : SegValidCache;
    to->cache.type = a & 15;
    to->cache.segment = a >> 4 & 1;
    to->cache.dpl = a >> 5 & 3;
    to->cache.p = a >> 7 & 1;
    to->cache.u.segment.avl = a >> 12 & 1;
    to->cache.u.segment.l = a >> 13 & 1;
    to->cache.u.segment.d_b = a >> 14 & 1;
    to->cache.u.segment.g = a >> 15 & 1;
    to->cache.u.segment.base = from->base;
    to->cache.u.segment.limit_scaled = from->limit;
}

/* Of an unusable segment Bochs keeps what was there before, where nobody sees it: it becomes what a null selector loads. */
static void segment_out(bochs_segment *to, const bx_segment_reg_t *from, bool long_mode)
{
    const bx_descriptor_t *c = &from->cache;
    to->selector = from->selector.value;
    if (!c->valid) {
        to->attributes = (uint16_t)(UNUSABLE | (from->selector.value & 3) << 5);
        to->limit = 0;
        to->base = long_mode ? c->u.segment.base : 0;
        return;
    }
    to->attributes = (uint16_t)(c->type | c->segment << 4 | c->dpl << 5 | c->p << 7 | c->u.segment.avl << 12 |
                                c->u.segment.l << 13 | c->u.segment.d_b << 14 | c->u.segment.g << 15);
    to->limit = c->u.segment.limit_scaled;
    to->base = c->u.segment.base;
}

/* ---- FPU ---------------------------------------------------------------------------------------------- */

static Bit16u word_at(const uint8_t *from)
{
    Bit16u word;
    memcpy(&word, from, sizeof word);
    return word;
}

static void fpu_in(const bochs_state *s)
{
    i387_t *f = &BX_CPU_THIS_PTR the_i387;
    f->cwd = word_at(s->fxsave);
    f->swd = word_at(s->fxsave + 2);
    f->tos = f->swd >> 11 & 7;
    for (unsigned n = 0; n < 8; n++) {
        floatx80 *st = &f->st_space[(n + f->tos) & 7];
        memcpy(&st->signif, s->fxsave + FXSAVE_ST + n * FXSAVE_STRIDE, 8);
        st->signExp = word_at(s->fxsave + FXSAVE_ST + n * FXSAVE_STRIDE + 8);
    }
    f->twd = unpack_FPU_TW(f, s->fxsave[FXSAVE_TAGS]);
    f->foo = s->fop;
    f->fip = s->fip;
    f->fdp = s->fdp;
    f->fcs = s->fcs;
    f->fds = s->fds;
    memcpy(&BX_CPU_THIS_PTR mxcsr.mxcsr, s->fxsave + FXSAVE_MXCSR, 4);
    for (unsigned n = 0; n < 16; n++)
        memcpy(&BX_CPU_THIS_PTR vmm[n], s->fxsave + FXSAVE_XMM + n * FXSAVE_STRIDE, FXSAVE_STRIDE);
}

static void fpu_out(bochs_state *s)
{
    const i387_t *f = &BX_CPU_THIS_PTR the_i387;
    Bit16u status = f->get_status_word();
    memcpy(s->fxsave, &f->cwd, 2);
    memcpy(s->fxsave + 2, &status, 2);
    s->fxsave[FXSAVE_TAGS] = 0;
    for (unsigned n = 0; n < 8; n++) {
        const floatx80 *st = &f->st_space[(n + f->tos) & 7];
        memcpy(s->fxsave + FXSAVE_ST + n * FXSAVE_STRIDE, &st->signif, 8);
        memcpy(s->fxsave + FXSAVE_ST + n * FXSAVE_STRIDE + 8, &st->signExp, 2);
        s->fxsave[FXSAVE_TAGS] |= (f->twd >> 2 * n & 3) != 3 ? 1 << n : 0;
    }
    s->fop = f->foo;
    s->fip = f->fip;
    s->fdp = f->fdp;
    s->fcs = f->fcs;
    s->fds = f->fds;
    memcpy(s->fxsave + FXSAVE_MXCSR, &BX_CPU_THIS_PTR mxcsr.mxcsr, 4);
    for (unsigned n = 0; n < 16; n++)
        memcpy(s->fxsave + FXSAVE_XMM + n * FXSAVE_STRIDE, &BX_CPU_THIS_PTR vmm[n], FXSAVE_STRIDE);
}

/* ---- Everything else ---------------------------------------------------------------------------------- */

static void system_in(const bochs_state *s)
{
    for (unsigned n = 0; n < 6; n++)
        segment_in(&BX_CPU_THIS_PTR sregs[n], &s->seg[n]);
    real_cs = s->seg[BX_SEG_REG_CS];
    segment_in(&BX_CPU_THIS_PTR ldtr, &s->ldtr);
    segment_in(&BX_CPU_THIS_PTR tr, &s->tr);
    BX_CPU_THIS_PTR sregs[BX_SEG_REG_CS].selector.rpl = s->cpl; /* where Bochs has the CPL */
    BX_CPU_THIS_PTR gdtr.base = s->gdtr_base;
    BX_CPU_THIS_PTR gdtr.limit = (Bit16u)s->gdtr_limit;
    BX_CPU_THIS_PTR idtr.base = s->idtr_base;
    BX_CPU_THIS_PTR idtr.limit = (Bit16u)s->idtr_limit;
    BX_CPU_THIS_PTR cr0.set32((Bit32u)s->cr0);
    BX_CPU_THIS_PTR cr2 = s->cr2;
    BX_CPU_THIS_PTR cr3 = s->cr3;
    BX_CPU_THIS_PTR cr4.set32((Bit32u)s->cr4);
    BX_CPU_THIS_PTR efer.set32((Bit32u)s->efer);
    BX_CPU_THIS_PTR xcr0.set32((Bit32u)s->xcr0);
    memcpy(BX_CPU_THIS_PTR dr, s->dr, sizeof BX_CPU_THIS_PTR dr);
    BX_CPU_THIS_PTR dr6.set32((Bit32u)s->dr[6]);
    BX_CPU_THIS_PTR dr7.set32((Bit32u)s->dr[7]);
    memcpy(BX_CPU_THIS_PTR PDPTR_CACHE.entry, s->pdpte, sizeof s->pdpte);
    bx_regs_msr_t *m = &BX_CPU_THIS_PTR msr;
    m->sysenter_cs_msr = (Bit32u)s->sysenter_cs;
    m->sysenter_esp_msr = s->sysenter_esp;
    m->sysenter_eip_msr = s->sysenter_eip;
    m->star = s->star;
    m->lstar = s->lstar;
    m->cstar = s->cstar;
    m->fmask = (Bit32u)s->sfmask;
    m->kernelgsbase = s->kernel_gs_base;
    m->tsc_aux = (Bit32u)s->tsc_aux;
}

void state_load(const bochs_state *s)
{
    for (unsigned n = 0; n < 16; n++)
        BX_CPU_THIS_PTR gen_reg[n].rrx = s->gpr[n];
    RIP = BX_CPU_THIS_PTR prev_rip = s->rip;
    BX_CPU_THIS_PTR speculative_rsp = false;
    system_in(s);
    fpu_in(s);
    BX_CPU_THIS_PTR eflags = s->rflags;
    BX_CPU_THIS_PTR setEFlagsOSZAPC(s->rflags);
    BX_CPU_THIS_PTR icount = s->icount;
    BX_CPU_THIS_PTR inhibit_mask = s->mov_ss_shadow ? BX_INHIBIT_INTERRUPTS_BY_MOVSS
                                   : s->int_shadow ? BX_INHIBIT_INTERRUPTS : 0;
    BX_CPU_THIS_PTR inhibit_icount = s->icount;
    BX_CPU_THIS_PTR debug_trap = (s->pending_db & (DR6_BREAKPOINTS | DR6_TRAPS)) |
                                 (s->pending_db & DR6_BREAKPOINTS ? TRAP_HIT : 0);
    BX_CPU_THIS_PTR activity_state = BX_CPU_C::BX_ACTIVITY_STATE_ACTIVE;
    BX_CPU_THIS_PTR EXT = 0;
    BX_CPU_THIS_PTR last_exception_type = 0;
    BX_CPU_THIS_PTR pending_event = 0;
    BX_CPU_THIS_PTR event_mask = s->nmi_blocked ? BX_EVENT_NMI : 0;
    BX_CPU_THIS_PTR invalidate_prefetch_q();
    BX_CPU_THIS_PTR invalidate_stack_cache();
    BX_CPU_THIS_PTR handleInterruptMaskChange();
    BX_CPU_THIS_PTR handleAlignmentCheck();
    BX_CPU_THIS_PTR handleCpuModeChange();
    BX_CPU_THIS_PTR handleFpuMmxModeChange();
    BX_CPU_THIS_PTR handleSseModeChange();
    BX_CPU_THIS_PTR handleAvxModeChange();
    BX_CPU_THIS_PTR async_event = 0;
}

static void system_out(bochs_state *s)
{
    bool long_mode = BX_CPU_THIS_PTR efer.get_LMA();
    for (unsigned n = 0; n < 6; n++)
        segment_out(&s->seg[n], &BX_CPU_THIS_PTR sregs[n], long_mode);
    segment_out(&s->ldtr, &BX_CPU_THIS_PTR ldtr, false);
    segment_out(&s->tr, &BX_CPU_THIS_PTR tr, false);
    bochs_segment *cs = &s->seg[BX_SEG_REG_CS];
    if (BX_CPU_THIS_PTR real_mode() && cs->selector == real_cs.selector && cs->base == real_cs.base)
        cs->attributes = (uint16_t)((cs->attributes & ~CS_KEPT) | (real_cs.attributes & CS_KEPT));
    real_cs = *cs;
    s->cpl = CPL;
    s->gdtr_base = BX_CPU_THIS_PTR gdtr.base;
    s->gdtr_limit = BX_CPU_THIS_PTR gdtr.limit;
    s->idtr_base = BX_CPU_THIS_PTR idtr.base;
    s->idtr_limit = BX_CPU_THIS_PTR idtr.limit;
    s->cr0 = BX_CPU_THIS_PTR cr0.get32();
    s->cr2 = BX_CPU_THIS_PTR cr2;
    s->cr3 = BX_CPU_THIS_PTR cr3;
    s->cr4 = BX_CPU_THIS_PTR cr4.get32();
    s->efer = BX_CPU_THIS_PTR efer.get32();
    s->xcr0 = BX_CPU_THIS_PTR xcr0.get32();
    memcpy(s->dr, BX_CPU_THIS_PTR dr, sizeof BX_CPU_THIS_PTR dr);
    s->dr[6] = BX_CPU_THIS_PTR dr6.get32();
    s->dr[7] = BX_CPU_THIS_PTR dr7.get32();
    memcpy(s->pdpte, BX_CPU_THIS_PTR PDPTR_CACHE.entry, sizeof s->pdpte);
    s->kernel_gs_base = BX_CPU_THIS_PTR msr.kernelgsbase;
}

static bochs_activity activity()
{
    switch (BX_CPU_THIS_PTR activity_state) {
    case BX_CPU_C::BX_ACTIVITY_STATE_ACTIVE: return BOCHS_RUNNING;
    case BX_CPU_C::BX_ACTIVITY_STATE_HLT: return BOCHS_HALTED;
    default: return BOCHS_SHUTDOWN;
    }
}

void state_store(bochs_state *s)
{
    for (unsigned n = 0; n < 16; n++)
        s->gpr[n] = BX_CPU_THIS_PTR gen_reg[n].rrx;
    s->rip = RIP;
    s->rflags = BX_CPU_THIS_PTR read_eflags();
    system_out(s);
    fpu_out(s);
    s->icount = BX_CPU_THIS_PTR icount;
    s->mov_ss_shadow = BX_CPU_THIS_PTR interrupts_inhibited(BX_INHIBIT_INTERRUPTS_BY_MOVSS);
    s->int_shadow = BX_CPU_THIS_PTR interrupts_inhibited(BX_INHIBIT_INTERRUPTS);
    s->nmi_blocked = BX_CPU_THIS_PTR is_masked_event(BX_EVENT_NMI);
    Bit32u trap = BX_CPU_THIS_PTR debug_trap;
    s->pending_db = trap & 0xf000 ? trap & DR6_PENDING : 0;
    s->activity = activity();
}
