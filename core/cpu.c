/* Processor state after RESET, and what is derived from it. */
#include "core/cpu.h"
#include "core/cpuid.h"
#include "core/exception.h"
#include "core/segment.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "mmu/access.h"
#include "sbe/fpu.h"

/* SDM vol. 3, 10.4.4 (enabled, bootstrap processor, default base) and 11.12.4 */
#define APIC_BASE_RESET 0xfee00900u
#define PAT_RESET 0x0007040600070406ull
/* Fast strings on; branch trace and precise event storage unavailable (SDM vol. 4, IA32_MISC_ENABLE). */
#define MISC_ENABLE_RESET 0x1801u
#define MISC_ENABLE_MONITOR 0x40000u
#define FEATURE_CONTROL_LOCKED 1u

enum { RESET_CS = 0xf000, RESET_IP = 0xfff0 };

static void reset_segments(struct cpu *c)
{
    const struct segment data = {.attributes = SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED, .limit = 0xffff};
    for (unsigned i = 0; i < SEG_COUNT; i++)
        c->seg[i] = data;
    c->seg[SEG_CS] = (struct segment){.selector = RESET_CS,
        .attributes = SEG_P | SEG_S | SEG_CODE | SEG_WRITABLE | SEG_ACCESSED, .limit = 0xffff, .base = 0xffff0000};
    c->ldtr = (struct segment){.attributes = SEG_P | 2, .limit = 0xffff};
    c->tr = (struct segment){.attributes = SEG_P | 11, .limit = 0xffff};
    c->gdtr = (struct table_register){.limit = 0xffff};
    c->idtr = (struct table_register){.limit = 0xffff};
}

void cpu_reset(struct cpu *c, const struct cpu_model *model)
{
    u64 icount = c->icount;
    memset(c, 0, sizeof *c);
    c->icount = icount;
    c->rflags = FLAG_FIXED;
    c->rip = RESET_IP;
    c->gpr[RDX] = model->signature;
    reset_segments(c);
    c->cr0 = CR0_CD | CR0_NW | CR0_ET;
    c->xcr0 = 1;
    c->dr[6] = DR6_FIXED;
    c->dr[7] = DR7_FIXED;
    c->pat = PAT_RESET;
    c->apic_base = APIC_BASE_RESET;
    c->misc_enable = MISC_ENABLE_RESET | (model_has(model, FEAT_MONITOR) ? MISC_ENABLE_MONITOR : 0);
    c->feature_control = FEATURE_CONTROL_LOCKED;
    c->activity = ACTIVITY_RUNNING;
    fpu_reset(c);
}

/* What accesses through a segment with base 0 and limit 4 GiB - 1 need no check, by descriptor type. An expand-down
 * segment of that limit holds nothing at all. */
static const u8 flat_by_type[16] = {
    [0] = SEG_FLAT_READ, [1] = SEG_FLAT_READ,
    [2] = SEG_FLAT_READ | SEG_FLAT_WRITE, [3] = SEG_FLAT_READ | SEG_FLAT_WRITE,
    [10] = SEG_FLAT_READ, [11] = SEG_FLAT_READ, [14] = SEG_FLAT_READ, [15] = SEG_FLAT_READ,
};

static inline u8 flat_rights(const struct segment *s)
{
    if (s->base != 0 || s->limit != 0xffffffffu || (s->attributes & (SEG_P | SEG_S | SEG_UNUSABLE)) != (SEG_P | SEG_S))
        return 0;
    return flat_by_type[s->attributes & SEG_TYPE];
}

static inline u64 stack_mask_of(const struct vcpu *v)
{
    if (v->stack64)
        return UINT64_MAX;
    return v->stack32 ? 0xffffffffu : 0xffffu;
}

bool vcpu_guest_steps(const struct cpu *c)
{
    return (c->rflags & (FLAG_TF | FLAG_RF)) || c->int_shadow || c->mov_ss_shadow || c->pending_db ||
           debug_data_armed(c);
}

void vcpu_update_mode(struct vcpu *v)
{
    const struct cpu *c = &v->cpu;
    if (cpu_code64(c))
        v->mode = CODE_64;
    else
        v->mode = c->seg[SEG_CS].attributes & SEG_DB ? CODE_32 : CODE_16;
    v->stack64 = v->mode == CODE_64;
    v->stack32 = !v->stack64 && (c->seg[SEG_SS].attributes & SEG_DB);
    v->stack_mask = stack_mask_of(v);
    v->rip_mask = v->mode == CODE_64 ? UINT64_MAX : 0xffffffffu;
    for (unsigned i = 0; i < SEG_COUNT; i++)
        v->seg_flat[i] = flat_rights(&c->seg[i]);
    v->stepping = vcpu_guest_steps(c) || (v->vm->stops && v->vm->stops->executions);
    tlb_update_rights(v);
}
