/* Writes to what shadow entries derive from, and frames that may not be written directly any more. */
#include "mmu/shadow_state.h"

/* Writes in a row to a guest table through which nothing is translated meanwhile: its pages are then given back, so
 * that the guest goes on writing at full speed. The next walk through it makes them anew. */
enum { WRITES_IN_A_ROW = 8 };

/* Slots [*first, *end) of a page derive from bytes [at, at + size) of its guest table. */
static void derived_slots(struct shadow_key key, unsigned at, unsigned size, int *first, int *end)
{
    if (shadow_key_source(key) != SOURCE_32BIT) {
        *first = (int)(at / 8);
        *end = (int)((at + size - 1) / 8) + 1;
        return;
    }
    int quadrant = (int)((key.role & ROLE_QUADRANT) >> ROLE_QUADRANT_SHIFT);
    int per_entry = shadow_key_level(key) == 1 ? 2 : 1; /* an entry maps 4 MiB, a slot 2 MiB */
    *first = (int)(at / 4) * per_entry - quadrant * SHADOW_SLOTS;
    *end = (int)((at + size - 1) / 4 + 1) * per_entry - quadrant * SHADOW_SLOTS;
    *first = *first < 0 ? 0 : *first;
    *end = *end > SHADOW_SLOTS ? SHADOW_SLOTS : *end;
}

static void drop_derived(struct shadow *s, u32 n, unsigned at, unsigned size)
{
    int first, end;
    derived_slots(s->pool.pages[n].key, at, size, &first, &end);
    for (int slot = first; slot < end; slot++)
        shadow_drop_entry(s, shadow_entry_id(n, (unsigned)slot));
}

void shadow_ram_written(struct vm *vm, u64 offset, unsigned size)
{
    struct shadow *s = vm->shadow;
    u64 base = physmem_address(&vm->memory, offset & ~(u64)PAGE_MASK).raw;
    shadow_begin(s);
    s->stats.traced_writes++;
    for (u32 n = shadow_pool_first(&s->pool, base), next; n; n = next) {
        next = shadow_pool_next(&s->pool, n);
        drop_derived(s, n, offset & PAGE_MASK, size);
        if (++s->pool.pages[n].writes > WRITES_IN_A_ROW)
            shadow_drop_page(vm, n);
    }
}

/* A and D of an entry that a walk used only ever add rights, so what derives from it still holds. But what the walk
 * took for the low byte of a 4-byte entry may be the middle of an 8-byte one for other address spaces. */
void shadow_ram_marked(struct vm *vm, u64 offset)
{
    struct shadow *s = vm->shadow;
    if (!(offset & 4))
        return;
    u64 base = physmem_address(&vm->memory, offset & ~(u64)PAGE_MASK).raw;
    shadow_begin(s);
    for (u32 n = shadow_pool_first(&s->pool, base); n; n = shadow_pool_next(&s->pool, n))
        if (shadow_key_source(s->pool.pages[n].key) != SOURCE_32BIT)
            drop_derived(s, n, offset & PAGE_MASK, 1);
}

void shadow_ram_watched(struct vm *vm, u64 offset)
{
    struct shadow *s = vm->shadow;
    u32 *head = &s->writers[offset >> PAGE_SHIFT];
    if (*head)
        shadow_begin(s);
    while (*head) {
        u32 e = *head;
        shadow_report_protected(s, e);
        shadow_pool_unlink(&s->pool, head, e);
        shadow_entry_protect(shadow_at(s, e));
    }
}
