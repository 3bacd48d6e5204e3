#include "core/stops.h"

#include "core/vm.h"
#include "mmu/access.h"

/* Entries made before know nothing of a new stop, and those made since would for ever be missing after it has gone. */
void stops_renew(struct vm *vm)
{
    for (unsigned n = 0; n < vm->vcpu_count; n++) {
        tlb_flush(vm->vcpu[n]);
        vcpu_update_mode(vm->vcpu[n]);
    }
}

static bool same(const struct stop_point *a, const struct stop_point *b)
{
    return a->linear == b->linear && a->length == b->length && a->kind == b->kind;
}

bool stops_add(struct vm *vm, struct stop_point point)
{
    struct stops *s = vm->stops;
    if (s->count == STOPS_MAX || (unsigned)point.kind >= STOP_KINDS || !point.length || point.length > STOP_LENGTH_MAX)
        return false;
    s->point[s->count++] = point;
    s->executions += point.kind == STOP_EXECUTE;
    stops_renew(vm);
    return true;
}

bool stops_remove(struct vm *vm, struct stop_point point)
{
    struct stops *s = vm->stops;
    for (unsigned n = 0; n < s->count; n++) {
        if (!same(&s->point[n], &point))
            continue;
        s->point[n] = s->point[--s->count];
        s->executions -= point.kind == STOP_EXECUTE;
        stops_renew(vm);
        return true;
    }
    return false;
}

void stops_clear(struct vm *vm)
{
    vm->stops->count = vm->stops->executions = 0;
    vm->stops->hit = false;
    stops_renew(vm);
}

bool stops_execution_at(const struct stops *s, u64 linear)
{
    for (unsigned n = 0; s->executions && n < s->count; n++)
        if (s->point[n].kind == STOP_EXECUTE && s->point[n].linear == linear)
            return true;
    return false;
}

static void record(struct vcpu *v, struct stop_point point, u64 icount)
{
    struct stops *s = v->vm->stops;
    vcpu_kick(v);
    if (s->hit)
        return; /* the first of an instruction counts */
    s->hit = true;
    s->hit_point = point;
    s->hit_icount = icount;
}

static u64 code_address(const struct vcpu *v)
{
    const struct cpu *c = &v->cpu;
    return v->mode == CODE_64 ? c->rip : (u32)(c->seg[SEG_CS].base + c->rip);
}

void stops_pass(struct vm *vm)
{
    vm->stops->passed = vm->vcpu[0]->cpu.icount;
    vm->stops->passed_linear = code_address(vm->vcpu[0]);
}

bool stops_before(struct vcpu *v)
{
    const struct stops *s = v->vm->stops;
    const struct cpu *c = &v->cpu;
    u64 linear = code_address(v);
    if (!s || (c->rflags & FLAG_RF) || !stops_execution_at(s, linear) ||
        (c->icount == s->passed && linear == s->passed_linear))
        return false;
    record(v, (struct stop_point){.linear = linear, .length = 1, .kind = STOP_EXECUTE}, c->icount);
    return true;
}

static bool kind_matches(enum stop_kind kind, bool write)
{
    return kind == STOP_ACCESS || kind == (write ? STOP_WRITE : STOP_READ);
}

void stops_match(struct vcpu *v, u64 linear, unsigned size, bool write)
{
    const struct stops *s = v->vm->stops;
    for (unsigned n = 0; n < s->count; n++) {
        struct stop_point p = s->point[n];
        if (!kind_matches(p.kind, write) || (linear - p.linear >= p.length && p.linear - linear >= size))
            continue;
        if (linear - p.linear < p.length)
            p.linear = linear;
        record(v, p, v->cpu.icount);
        return;
    }
}

bool stops_data_in_page(const struct stops *s, u64 linear)
{
    u64 page = linear & ~(u64)PAGE_MASK;
    for (unsigned n = 0; n < s->count; n++) {
        const struct stop_point *p = &s->point[n];
        if (p->kind != STOP_EXECUTE && (p->linear - page < PAGE_SIZE || page - p->linear < p->length))
            return true;
    }
    return false;
}
