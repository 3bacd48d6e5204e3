#include "sim/known_stretch.h"

#include "sbe/decode.h"
#include "sim/dump.h"
#include "sim/state_diff.h"

#include <string.h>

static bool ends_block(u8 cls) { return cls == CLS_BRANCH || cls == CLS_CALLOUT || cls == CLS_STRING; }

void known_stretch_decode(struct known_stretch *s, struct vcpu *v, u64 rip, unsigned max)
{
    u64 page = (v->cpu.seg[SEG_CS].base + rip) >> PAGE_SHIFT;
    s->count = 0;
    while (s->count < max && (v->cpu.seg[SEG_CS].base + rip) >> PAGE_SHIFT == page) {
        u8 bytes[INSN_MAX];
        struct insn insn;
        unsigned available = dump_code(v, rip, bytes, INSN_MAX);
        bool known = decode(bytes, available, (enum code_mode)v->mode, &insn) == DECODE_OK;
        s->rows[s->count++] = known ? insn.row : ISA_INVALID;
        s->opsize = known ? insn.opsize : 0;
        s->rex = known ? insn.rex : 0;
        s->disp = known ? (u32)insn.disp : 0;
        if (!known || ends_block(isa_rows[insn.row].cls))
            break;
        rip += insn.length;
    }
}

/* Accesses beyond a limit, and what became of them where another exception was being delivered. */
static u64 limit_faults_of(const struct vm *vm)
{
    const u64 *n = vm->stats.exceptions;
    return n[VEC_GP] + n[VEC_SS] + n[VEC_DF];
}

static u64 faults_of(const struct vm *vm)
{
    u64 sum = 0;
    for (unsigned n = 0; n < ARRAY_LEN(vm->stats.exceptions); n++)
        sum += vm->stats.exceptions[n];
    return sum;
}

void known_stretch_begin(struct known_stretch *s, const struct vcpu *v)
{
    s->before = v->cpu;
    s->faults = faults_of(v->vm);
    s->limit_faults = limit_faults_of(v->vm);
    s->count = 0;
}

void known_stretch_end(struct known_stretch *s, const struct vm *ours) 
{
    s->faulted = faults_of(ours) != s->faults;
    s->faulted_again = faults_of(ours) - s->faults > 1;
    s->unit_pending = ours->vcpu[0]->cpu.fpu.fxsave[2] & 0x80; /* FSW.ES */
    s->shut_down = ours->vcpu[0]->cpu.activity == ACTIVITY_SHUTDOWN;
    s->limit_faulted = limit_faults_of(ours) != s->limit_faults || s->shut_down;
}

static bool same_code(const struct cpu *a, const struct cpu *b)
{
    return !memcmp(&a->seg[SEG_CS], &b->seg[SEG_CS], sizeof a->seg[SEG_CS]) && a->cr0 == b->cr0 && a->cr3 == b->cr3 &&
           a->efer == b->efer;
}

/* What has just been executed, in the mode that it was executed in. */
static void decode_behind(struct known_stretch *s, struct vcpu *v)
{
    if (same_code(&v->cpu, &s->before)) {
        known_stretch_decode(s, v, s->before.rip, 1);
        return;
    }
    struct cpu now = v->cpu;
    v->cpu = s->before;
    vcpu_update_mode(v);
    known_stretch_decode(s, v, v->cpu.rip, 1);
    v->cpu = now;
    vcpu_update_mode(v);
}

/* Flags are most of what differs, and nothing is derived from them. */
static bool only_flags_differ(const struct vm *ours, struct vm *theirs)
{
    struct cpu *c = &theirs->vcpu[0]->cpu;
    u32 flags = c->aflags;
    c->aflags = ours->vcpu[0]->cpu.aflags;
    bool only = state_same(ours, theirs);
    c->aflags = flags;
    return only;
}

bool known_stretch_explain(struct known_stretch *s, struct vm *ours, struct vm *theirs, u64 counts[KNOWN_ROWS_MAX])
{
    struct vcpu *v = theirs->vcpu[0];
    if (!s->count)
        decode_behind(s, ours->vcpu[0]);
    bool flags = only_flags_differ(ours, theirs);
    if (!known_differences_adopt(theirs->config.engine, s, &ours->vcpu[0]->cpu, &v->cpu, counts))
        return false;
    if (!flags)
        vcpu_update_mode(v);
    return true;
}
