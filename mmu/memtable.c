#include "mmu/memtable.h"

#include "core/host.h"

enum { LINEAR_BITS = 48 };

enum status memtable_create(struct vcpu *v, bool wide)
{
    struct memtable *m = host_alloc(sizeof *m);
    if (!m)
        return STATUS_NO_MEMORY;
    m->bytes = sizeof(u64) << ((wide ? LINEAR_BITS : 32) - PAGE_SHIFT);
    v->memtable = m;
    for (unsigned rights = 0; rights < TLB_RIGHTS; rights++)
        for (unsigned kind = 0; kind < MEMTABLE_KINDS; kind++) {
            m->slots[rights][kind] = host_alloc(m->bytes);
            if (!m->slots[rights][kind]) {
                memtable_destroy(v);
                return STATUS_NO_MEMORY;
            }
        }
    return STATUS_OK;
}

void memtable_destroy(struct vcpu *v)
{
    struct memtable *m = v->memtable;
    for (unsigned rights = 0; rights < TLB_RIGHTS; rights++)
        for (unsigned kind = 0; kind < MEMTABLE_KINDS; kind++)
            if (m->slots[rights][kind])
                host_free(m->slots[rights][kind], m->bytes);
    host_free(m, sizeof *m);
    v->memtable = NULL;
}

void memtable_flush(struct memtable *m)
{
    for (u32 n = 0; n < m->used; n++)
        *m->log[n].slot = 0;
    m->used = 0;
}

bool memtable_fill(struct memtable *m, u64 linear, enum tlb_rights rights, enum memtable_kind kind, const u8 *host)
{
    u64 page = linear & ~(u64)PAGE_MASK;
    u64 index = memtable_page(linear);
    if (index >= m->bytes / sizeof(u64))
        return true;
    u64 *slot = &m->slots[rights][kind][index];
    if (!*slot) {
        if (m->used == MEMTABLE_LOG)
            return false;
        m->log[m->used].slot = slot;
        m->log[m->used].linear = page;
        m->log[m->used++].write = kind == MEMTABLE_WRITE;
    }
    *slot = (u64)host - page;
    return true;
}

void memtable_revoke_writes(struct memtable *m, const u8 *host)
{
    for (u32 n = 0; n < m->used;) {
        if (m->log[n].write && *m->log[n].slot + m->log[n].linear == (u64)host) {
            *m->log[n].slot = 0;
            m->log[n] = m->log[--m->used];
        } else {
            n++;
        }
    }
}
