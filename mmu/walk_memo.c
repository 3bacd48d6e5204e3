#include "mmu/walk_memo.h"

#include "core/vm.h"

static u64 key_of(u64 linear, enum access access, enum tlb_rights rights)
{
    return (linear & ~(u64)PAGE_MASK) | (u64)access << 4 | (u64)rights;
}

static struct walk_memo *memo_slot(struct vcpu *v, u64 key)
{
    return &v->tlb.memo[(key >> PAGE_SHIFT ^ key >> 4) % WALK_MEMOS];
}

static u64 entry_now(const struct walk_memo *m, unsigned level)
{
    u64 entry = 0;
    if (m->entry_bytes == sizeof(u64))
        __builtin_memcpy(&entry, m->at[level], sizeof(u64));
    else
        __builtin_memcpy(&entry, m->at[level], sizeof(u32));
    return entry;
}

bool walk_recall(struct vcpu *v, u64 linear, enum access access, enum tlb_rights rights, gpa_t *page)
{
    u64 key = key_of(linear, access, rights);
    const struct walk_memo *m = memo_slot(v, key);
    if (m->key != key || m->modes != v->tlb.modes || !m->modes)
        return false;
    for (unsigned level = 0; level < m->levels; level++)
        if (entry_now(m, level) != m->entry[level])
            return false;
    *page = gpa(m->page);
    return true;
}

/* Where it lies, and what it holds, is asked anew without a commit: the walk may have set A or D in the entries. */
void walk_remember(struct vcpu *v, u64 linear, enum access access, enum tlb_rights rights, gpa_t page)
{
    struct walk_path path;
    u64 key = key_of(linear, access, rights);
    struct walk_memo m = {.key = key, .modes = v->tlb.modes, .page = page.raw & ~(u64)PAGE_MASK};
    struct walk_result walk = walk_guest_path(v, linear, access, rights, &path);
    if (!walk.ok || (walk.page.raw & ~(u64)PAGE_MASK) != m.page)
        return;
    m.levels = path.levels;
    m.entry_bytes = cpu_long(&v->cpu) || (v->cpu.cr4 & CR4_PAE) ? sizeof(u64) : sizeof(u32);
    for (unsigned level = 0; level < path.levels; level++) {
        m.at[level] = physmem_pointer(&v->vm->memory, gpa(path.at[level]));
        if (!m.at[level])
            return;
        m.entry[level] = entry_now(&m, level);
    }
    *memo_slot(v, key) = m;
}
