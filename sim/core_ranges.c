/* What a guest's page tables map, as stretches. */
#include "sim/core_file.h"

#include <stdlib.h>

/* Appends [linear, linear + bytes), or makes the last stretch longer. */
static void add(struct core_ranges *r, u64 linear, u64 physical, u64 bytes)
{
    struct core_range *last = r->count ? &r->item[r->count - 1] : NULL;
    if (last && last->linear + last->bytes == linear && last->physical + last->bytes == physical) {
        last->bytes += bytes;
        return;
    }
    if (r->count == r->room) {
        u64 room = r->room ? 2 * r->room : 1024;
        struct core_range *item = realloc(r->item, room * sizeof *item);
        r->no_memory |= !item;
        if (!item)
            return;
        r->item = item;
        r->room = room;
    }
    r->item[r->count++] = (struct core_range){linear, physical, bytes};
}

/* A mapping of any size, of which only what is RAM counts. */
static void add_ram(const struct physmem *m, struct core_ranges *r, u64 linear, u64 physical, u64 bytes)
{
    r->work += bytes >> PAGE_SHIFT;
    for (u64 at = 0; at < bytes; at += PAGE_SIZE)
        if (physmem_pointer(m, gpa(physical + at)))
            add(r, linear + at, physical + at, PAGE_SIZE);
}

/* One paging format (SDM vol. 3, chapter 4): how wide entries are, how many bits each level takes, which may map. */
struct format {
    unsigned entry_bytes, index_bits, levels;
    bool large[4]; /* by level, 0 for the lowest: entries with PS map a page */
};

static u64 read_entry(const struct physmem *m, u64 at, unsigned bytes)
{
    const u8 *from = physmem_pointer(m, gpa(at));
    u64 entry = 0;
    if (from)
        __builtin_memcpy(&entry, from, bytes);
    return entry;
}

#define ENTRY_PRESENT 1u
#define ENTRY_LARGE 0x80u
/* Entries and pages looked at, before tables are taken to be a trap: a tebibyte of mapped pages. */
static const u64 work_max = 1ull << 28;

static u64 sign_extend(u64 linear) { return (u64)((s64)(linear << 16) >> 16); }

#define ENTRY_ADDRESS 0x000ffffffffff000ull

/* The page that a large entry maps. With PSE, bits 20..13 of a 32-bit entry are bits 39..32 of the address. */
static u64 large_page(u64 entry, const struct format *f, u64 bytes)
{
    if (f->entry_bytes == 4)
        return (entry & 0xffc00000) | (entry >> 13 & 0xff) << 32;
    return entry & ENTRY_ADDRESS & ~(bytes - 1);
}

/* A table that several entries in a row point at is listed once: Linux shows one page a thousandfold that way (espfix). */
static void add_table(const struct physmem *m, const struct format *f, struct core_ranges *r, u64 table, unsigned level,
                      u64 linear)
{
    u64 bytes = 1ull << (PAGE_SHIFT + level * f->index_bits), before = 0;
    for (unsigned n = 0; n < 1u << f->index_bits && !r->no_memory && !r->endless; n++) {
        u64 entry = read_entry(m, table + n * f->entry_bytes, f->entry_bytes), at = linear + n * bytes;
        r->endless = ++r->work > work_max;
        if (!(entry & ENTRY_PRESENT))
            continue;
        if (f->levels == 4)
            at = sign_extend(at);
        if (!level)
            add_ram(m, r, at, entry & ENTRY_ADDRESS, PAGE_SIZE);
        else if ((entry & ENTRY_LARGE) && f->large[level])
            add_ram(m, r, at, large_page(entry, f, bytes), bytes);
        else if ((entry & ENTRY_ADDRESS) != before)
            add_table(m, f, r, entry & ENTRY_ADDRESS, level - 1, at);
        before = entry & ENTRY_ADDRESS;
    }
}

void core_ranges_find(struct vcpu *v, struct core_ranges *r)
{
    const struct cpu *c = &v->cpu;
    const struct physmem *m = &v->vm->memory;
    *r = (struct core_ranges){.count = 0};
    if (!cpu_paging(c)) {
        u64 end = physmem_end(m);
        add_ram(m, r, 0, 0, end < 1ull << 32 ? end : 1ull << 32);
    } else if (cpu_long(c)) {
        const struct format f = {8, 9, 4, {false, true, true, false}};
        add_table(m, &f, r, c->cr3 & ENTRY_ADDRESS, 3, 0);
    } else if (c->cr4 & CR4_PAE) {
        const struct format f = {8, 9, 2, {false, true, false, false}};
        for (unsigned n = 0; n < 4; n++)
            if (c->pdpte[n] & ENTRY_PRESENT)
                add_table(m, &f, r, c->pdpte[n] & ENTRY_ADDRESS, 1, (u64)n << 30);
    } else {
        const struct format f = {4, 10, 2, {false, (c->cr4 & CR4_PSE) != 0, false, false}};
        add_table(m, &f, r, c->cr3 & 0xfffff000, 1, 0);
    }
}
