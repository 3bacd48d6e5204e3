#include "fuzz/world.h"

#include "mmu/access.h"
#include "mmu/walk.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* One change: `size` bytes at a guest-physical address. */
struct change {
    const char *what;
    u64 at, value;
    unsigned size;
};

enum { GDT_SLOTS = 24, IDT_GATES = 0x90, PROGRAM_PAGES = 12, LDT_SLOTS = 4 };

static const struct change nothing = {.what = "nothing"};

/* ---- Page tables ---------------------------------------------------------------------------------- */

/* Tables as guest_image.c lays them out; an entry in front of the last level maps a large page with PS. */
static struct change change_table(const struct program *p, struct random *r)
{
    bool narrow = p->mode == GUEST_PAGED_32, pae = p->mode == GUEST_PAGED_PAE;
    unsigned bytes = narrow ? 4 : 8, level = one_in(r, 3) ? 1 + random_below(r, 3) : 0, page = 0;
    u64 at, frame, flags = (random_next(r) & 0x1ff) | (one_in(r, 6) ? 0 : 1) | (one_in(r, 2) ? 6 : 0);
    if (level == 0 || (narrow && level > 1)) {
        page = GUEST_USER_PAGES + random_below(r, PROGRAM_PAGES);
        at = GUEST_TABLES + 0x4000 + page * bytes;
        frame = one_in(r, 3) ? GUEST_USER_PAGES + random_below(r, PROGRAM_PAGES) : page;
        if (one_in(r, 2))
            flags &= ~0x80ull; /* PAT */
    } else if (level == 1) {
        at = GUEST_TABLES + (narrow ? 0 : 0x2000);
        frame = flags & 0x80 ? 0 : (GUEST_TABLES + 0x4000) >> PAGE_SHIFT;
    } else {
        at = level == 2 && !pae ? GUEST_TABLES + 0x1000 : GUEST_TABLES;
        frame = (level == 2 && !pae ? GUEST_TABLES + 0x2000 : pae ? GUEST_TABLES + 0x2000 : GUEST_TABLES + 0x1000) >> PAGE_SHIFT;
        flags = pae && !one_in(r, 3) ? 1 : flags & ~0x80ull;
    }
    u64 value = frame << PAGE_SHIFT | flags;
    if (!narrow && one_in(r, 4))
        value |= 1ull << 63; /* NX, or reserved */
    if (one_in(r, 12))
        value |= 1ull << (narrow ? 13 + random_below(r, 9) : 40 + random_below(r, 23));
    return (struct change){"page table", at, narrow ? (u32)value : value, bytes};
}

/* ---- Descriptors ---------------------------------------------------------------------------------- */

static u64 random_descriptor(struct random *r)
{
    static const u32 bases[] = {0, 0, 0, GUEST_TSS, GUEST_TSS_OTHER, GUEST_TSS_16, GUEST_DATA, 0xfffff000};
    static const u32 limits[] = {0xfffff, 0xfffff, 0xffff, 0xfff, 0x67, 0x66, 0x2b, 0x2a, 0x8, 0};
    u64 base = bases[random_below(r, ARRAY_LEN(bases))], limit = limits[random_below(r, ARRAY_LEN(limits))];
    u64 access = (random_next(r) & 0x7f) | (one_in(r, 8) ? 0 : 0x80), flags = random_next(r) & 0xf;
    if (one_in(r, 3)) /* a system descriptor: call and task gates, task segments, LDT */
        access &= ~0x10ull;
    return (limit & 0xffff) | (base & 0xffffff) << 16 | access << 40 | (limit >> 16 & 15) << 48 | flags << 52 | base >> 24 << 56;
}

static u16 random_selector(struct random *r)
{
    return (u16)(8 * random_below(r, GDT_SLOTS) | (one_in(r, 2) ? random_below(r, 4) : 0) | (one_in(r, 12) ? 4 : 0));
}

static u64 random_gate(struct random *r)
{
    static const u32 offsets[] = {GUEST_STUBS, GUEST_STUBS + 0x40, GUEST_CODE + 0x100, GUEST_CODE + 0x200};
    static const u8 types[] = {5, 6, 7, 0xe, 0xf, 0xe, 0xf, 0xc, 4, 0};
    u64 type = types[random_below(r, ARRAY_LEN(types))] | (random_next(r) & 0x60) | (one_in(r, 8) ? 0 : 0x80);
    u64 offset = offsets[random_below(r, ARRAY_LEN(offsets))];
    return (offset & 0xffff) | (u64)random_selector(r) << 16 | (random_next(r) & 7) << 32 | type << 40;
}

static struct change change_gdt(struct random *r)
{
    unsigned slot = 1 + random_below(r, GDT_SLOTS - 1);
    return (struct change){"GDT", GUEST_GDT + 8 * slot, one_in(r, 3) ? random_gate(r) : random_descriptor(r), 8};
}

static struct change change_ldt(struct random *r)
{
    return (struct change){"LDT", GUEST_LDT + 8 * random_below(r, LDT_SLOTS), random_descriptor(r), 8};
}

static struct change change_idt(const struct program *p, struct random *r)
{
    unsigned vector = one_in(r, 2) ? random_below(r, 32) : random_below(r, IDT_GATES);
    bool wide = p->mode == GUEST_LONG || p->mode == GUEST_COMPATIBILITY;
    if (p->mode == GUEST_REAL)
        return (struct change){"IVT", GUEST_IVT + 4 * vector, GUEST_STUBS | random_next(r) << 32 >> 60 << 16, 4};
    if (wide && one_in(r, 6))
        return (struct change){"IDT, high half", GUEST_IDT + 16 * vector + 8, random_next(r) >> random_below(r, 64), 8};
    return (struct change){"IDT", GUEST_IDT + (wide ? 16 : 8) * vector, random_gate(r), 8};
}

/* ---- Task segments -------------------------------------------------------------------------------- */

static struct change change_task(const struct program *p, struct random *r)
{
    static const u16 tasks[] = {GUEST_TSS, GUEST_TSS_OTHER, GUEST_TSS_OTHER, GUEST_TSS_16};
    unsigned task = random_below(r, ARRAY_LEN(tasks));
    unsigned at = 2 * random_below(r, 0x68 / 2);
    bool selector = task == 3 ? at >= 0x22 : at >= 0x48 && at < 0x64;
    u64 value = selector || one_in(r, 3) ? random_selector(r) : one_in(r, 2) ? program_address(r, CODE_32) : random_next(r);
    (void)p;
    return (struct change){"TSS", tasks[task] + at, value & 0xffff, 2};
}

static struct change change_at(const struct program *p, unsigned n)
{
    struct random r = {.state = p->world_seed + 0x1000193ull * (n + 1)};
    bool paged = p->mode >= GUEST_PAGED_32 && p->mode <= GUEST_COMPATIBILITY;
    random_next(&r);
    switch (random_below(&r, paged ? 12 : 7)) {
    case 0: case 1: case 2: return p->mode == GUEST_REAL ? nothing : change_gdt(&r);
    case 3: case 4: return change_idt(p, &r);
    case 5: return p->mode == GUEST_REAL ? nothing : change_task(p, &r);
    case 6: return p->mode == GUEST_REAL ? nothing : change_ldt(&r);
    default: return change_table(p, &r);
    }
}

void world_apply(const struct program *p, struct vm *vm)
{
    struct cpu *c = &vm->vcpu[0]->cpu;
    for (unsigned n = 0; n < WORLD_CHANGES; n++) {
        struct change change = p->world_mask >> n & 1 ? change_at(p, n) : nothing;
        if (change.size)
            physmem_load(&vm->memory, gpa(change.at), &change.value, change.size);
    }
    /* As if CR3 were loaded now, which takes no PDPTEs with reserved bits (SDM vol. 3, 4.4.1). */
    if (p->mode == GUEST_PAGED_PAE && (c->cr4 & CR4_PAE))
        (void)walk_read_pdptes(vm, c->cr3, c->pdpte);
}

void world_print(const struct program *p)
{
    for (unsigned n = 0; n < WORLD_CHANGES; n++) {
        struct change change = p->world_mask >> n & 1 ? change_at(p, n) : nothing;
        if (change.size)
            printf("change %2u: %s, %08" PRIx64 ": %0*" PRIx64 "\n", n, change.what, change.at, (int)(2 * change.size), change.value);
    }
}
