#include "mmu/memtable.h"

#include "core/host.h"
#include "mmu/window.h"

enum { LINEAR_BITS = 48 };

/* Tables of one set lie behind each other, those of one class of rights together; that of TLB_USER_ALIGNED stays
 * empty and is the same for all. */
enum { TABLES = TLB_USER_ALIGNED * MEMTABLE_KINDS };

static u64 all_bytes(const struct memtable *m, unsigned spaces)
{
    return m->bytes * (TABLES * (u64)spaces + 1);
}

enum status memtable_create(struct vcpu *v, bool wide, unsigned spaces)
{
    struct memtable *m = host_alloc(spaces * sizeof *m);
    if (!m)
        return STATUS_NO_MEMORY;
    m->bytes = sizeof(u64) << ((wide ? LINEAR_BITS : 32) - PAGE_SHIFT);
    u8 *tables = host_alloc(all_bytes(m, spaces));
    if (!tables) {
        host_free(m, spaces * sizeof *m);
        return STATUS_NO_MEMORY;
    }
    for (unsigned n = 0; n < spaces; n++) {
        m[n].bytes = m->bytes;
        for (unsigned table = 0; table < TLB_RIGHTS * MEMTABLE_KINDS; table++) {
            u64 at = table < TABLES ? 1 + (u64)n * TABLES + table : 0;
            m[n].slots[table / MEMTABLE_KINDS][table % MEMTABLE_KINDS] = (u64 *)(tables + at * m->bytes);
        }
    }
    v->memtables = v->memtable = m;
    v->memtable_count = spaces;
    return STATUS_OK;
}

void memtable_destroy(struct vcpu *v)
{
    struct memtable *m = v->memtables;
    if (!m)
        return;
    host_free(m->slots[TLB_USER_ALIGNED][0], all_bytes(m, v->memtable_count));
    host_free(m, v->memtable_count * sizeof *m);
    v->memtables = v->memtable = NULL;
    v->memtable_count = 0;
}

static void flush_kind(struct memtable *m, enum memtable_kind kind)
{
    for (u32 n = 0; n < m->used[kind]; n++)
        *m->log[kind][n] = 0;
    m->used[kind] = 0;
}

/* Windows are emptied as a whole: that is one call of the host for each, and their pages come back as they are used. */
static void flush_windows(const struct memtable *m)
{
    for (unsigned rights = 0; rights < TLB_USER_ALIGNED; rights++)
        window_flush(m->window[rights]);
}

void memtable_flush(struct memtable *m)
{
    flush_kind(m, MEMTABLE_READ);
    flush_kind(m, MEMTABLE_WRITE);
    flush_windows(m);
}

void memtable_flush_writes(struct memtable *m)
{
    if (m->used[MEMTABLE_WRITE])
        flush_windows(m);
    flush_kind(m, MEMTABLE_WRITE);
}

void memtable_fill(struct memtable *m, u64 linear, enum tlb_rights rights, enum memtable_kind kind, const u8 *host)
{
    u64 page = linear & ~(u64)PAGE_MASK;
    u64 index = memtable_page(linear);
    if (index >= m->bytes / sizeof(u64))
        return;
    u64 *slot = &m->slots[rights][kind][index];
    if (!*slot) {
        if (m->used[kind] == MEMTABLE_LOG)
            memtable_flush(m);
        m->log[kind][m->used[kind]++] = slot;
    } else if (*slot != (u64)host - page && rights < TLB_USER_ALIGNED) {
        window_drop(m->window[rights], index, 1, false);
    }
    *slot = (u64)host - page;
}

static void empty(u64 *slots, u64 count)
{
    for (u64 n = 0; n < count; n++)
        if (slots[n]) /* a page of slots that was never used costs nothing until it is written */
            slots[n] = 0;
}

void memtable_drop(struct memtable *m, enum tlb_rights rights, u64 linear, u64 pages, bool writes_only)
{
    u64 index = memtable_page(linear), count = m->bytes / sizeof(u64);
    if (index >= count)
        return;
    if (pages > count - index)
        pages = count - index;
    if (rights < TLB_USER_ALIGNED)
        window_drop(m->window[rights], index, pages, writes_only);
    empty(m->slots[rights][MEMTABLE_WRITE] + index, pages);
    if (!writes_only)
        empty(m->slots[rights][MEMTABLE_READ] + index, pages);
}
