/* What empties the TLB and the tables of translated code.
 *
 * With a shadow MMU both hold only what shadow entries say, and hear of every entry that goes: they need emptying when
 * another address space is selected, and for nothing else that a guest does. */
#include "core/vm.h"
#include "mmu/access.h"
#include "mmu/memtable.h"
#include "mmu/shadow.h"

/* Pages that are looked for one by one; for more, everything goes. */
enum { DROPPED_PAGES = 32 };

static void forget_write_entries(struct tlb *t)
{
    struct tlb_entry *e = &t->entries[0][0];
    if (++t->write_epoch <= PAGE_MASK)
        return;
    for (unsigned n = 0; n < TLB_RIGHTS * TLB_ENTRIES; n++)
        e[n].write_tag = 0;
    t->write_epoch = 1;
}

static void forget_entries(struct vcpu *v)
{
    struct tlb *t = &v->tlb;
    forget_write_entries(t);
    if (++t->epoch > PAGE_MASK) {
        memset(t->entries, 0, sizeof t->entries);
        memset(t->watched, 0, sizeof t->watched);
        t->epoch = 1;
    }
    t->fetches++;
    v->vm->memory.epoch++;
    v->vm->stats.tlb_flushes++;
}

static void select_memtable(struct vcpu *v)
{
    if (v->memtables && v->vm->shadow)
        v->memtable = &v->memtables[shadow_space_number(v)];
}

void tlb_forget(struct vcpu *v)
{
    forget_entries(v);
    for (unsigned n = 0; n < v->memtable_count; n++)
        memtable_flush(&v->memtables[n]);
}

void tlb_forget_writes(struct vcpu *v)
{
    forget_write_entries(&v->tlb);
    for (unsigned n = 0; n < v->memtable_count; n++)
        memtable_flush_writes(&v->memtables[n]);
}

void tlb_flush(struct vcpu *v)
{
    v->tlb.modes++;
    tlb_forget(v);
    if (v->vm->shadow)
        shadow_reset(v->vm);
    select_memtable(v);
}

void tlb_invalidate(struct vcpu *v)
{
    v->tlb.modes++;
    if (!v->vm->shadow) {
        tlb_flush(v);
    } else if (shadow_select(v)) {
        forget_entries(v);
        select_memtable(v);
    }
}

void tlb_invalidate_page(struct vcpu *v)
{
    if (!v->vm->shadow)
        tlb_flush(v);
}

void tlb_update_rights(struct vcpu *v)
{
    const struct cpu *c = &v->cpu;
    struct tlb *t = &v->tlb;
    bool ac = c->rflags & FLAG_AC;
    if (c->cpl == 3)
        t->rights = ac && (c->cr0 & CR0_AM) ? TLB_USER_ALIGNED : TLB_USER;
    else
        t->rights = ac && (c->cr4 & CR4_SMAP) ? TLB_SUPERVISOR_AC : TLB_SUPERVISOR;
    t->fetch_rights = c->cpl == 3 ? TLB_USER : TLB_SUPERVISOR;
    t->fetches++; /* CS may have changed as well */
    t->current = t->entries[t->rights];
}

/* ---- What the shadow MMU reports ---------------------------------------------------------------- */

/* In every class of rights: fetches of the supervisor come from another view than its reads. */
static void drop_page(struct tlb *t, u64 linear, bool writes_only)
{
    for (unsigned rights = 0; rights < TLB_RIGHTS; rights++) {
        struct tlb_entry *e = tlb_slot(t->entries[rights], linear);
        u64 tag = linear | t->epoch;
        if (e->write_tag == (linear | t->write_epoch))
            e->write_tag = 0;
        if (!writes_only && (e->read_tag == tag || e->fetch_tag == tag))
            e->read_tag = e->fetch_tag = 0;
        struct tlb_watched *w = tlb_watched_slot(t, (enum tlb_rights)rights, linear);
        if (!writes_only && w->tag == tag)
            w->tag = 0;
    }
}

/* May instructions have been fetched from there? Where code is cached we know; besides, there is the page that the
 * current one came from, whose code may have been written a moment ago. */
static bool concerns_code(const struct vcpu *v, const struct shadow_drop *what)
{
    u64 linear = v->cpu.seg[SEG_CS].base + v->cpu.rip;
    linear = v->mode == CODE_64 ? v->cpu.rip : (u32)linear;
    return what->code || (linear & ~(u64)PAGE_MASK) - what->linear < what->pages << PAGE_SHIFT;
}

static void drop_entries(struct vcpu *v, const struct shadow_drop *what)
{
    if (what->pages > DROPPED_PAGES) {
        forget_entries(v);
    } else {
        for (u64 n = 0; n < what->pages; n++)
            drop_page(&v->tlb, what->linear + n * PAGE_SIZE, what->writes_only);
    }
    if (what->writes_only || !concerns_code(v, what))
        return;
    v->tlb.fetches++;
    v->vm->memory.epoch++;
    vcpu_kick(v); /* the instruction that is executing may be what has changed: it is cut here if it repeats */
}

static void shadow_dropped(void *self, const struct shadow_drop *what)
{
    struct vm *vm = self;
    for (unsigned n = 0; n < vm->vcpu_count; n++) {
        struct vcpu *v = vm->vcpu[n];
        if (what->space < v->memtable_count)
            memtable_drop(&v->memtables[what->space], (enum tlb_rights)what->view, what->linear, what->pages,
                          what->writes_only);
        if (shadow_space_number(v) == what->space)
            drop_entries(v, what);
    }
}

static void shadow_dropped_space(void *self, unsigned space)
{
    struct vm *vm = self;
    for (unsigned n = 0; n < vm->vcpu_count; n++) {
        struct vcpu *v = vm->vcpu[n];
        if (space < v->memtable_count)
            memtable_flush(&v->memtables[space]);
        if (shadow_space_number(v) != space)
            continue;
        forget_entries(v);
        vcpu_kick(v);
    }
}

static void shadow_dropped_all(void *self)
{
    struct vm *vm = self;
    for (unsigned n = 0; n < vm->vcpu_count; n++) {
        struct vcpu *v = vm->vcpu[n];
        for (unsigned space = 0; space < v->memtable_count; space++)
            memtable_flush(&v->memtables[space]);
        forget_entries(v);
        vcpu_kick(v);
    }
}

enum status tlb_use_shadow(struct vm *vm, const struct shadow_config *config)
{
    const struct shadow_listener listener = {vm, shadow_dropped, shadow_dropped_space, shadow_dropped_all};
    return shadow_create(vm, config, &listener);
}
