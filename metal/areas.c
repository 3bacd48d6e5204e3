#include "metal/areas.h"

#include "core/panic.h"
#include "metal/frames.h"
#include "metal/paging.h"

enum { AREAS_MAX = 512 };

enum area_kind { AREA_ZEROS, AREA_WRITTEN, AREA_EXECUTED, AREA_NOTHING };

struct area {
    u64 begin, bytes;
    enum area_kind kind;
    unsigned owner;
    struct host_exec exec; /* of both halves of a pair */
};

static struct {
    struct area area[AREAS_MAX]; /* by address */
    unsigned count, owner; /* owner: of the next ones */
    u64 zeros; /* the frame that pages share until they are written */
} areas;

void areas_init(void)
{
    areas.zeros = frame_alloc();
    invariant(areas.zeros);
    areas.area[areas.count++] = (struct area){.begin = CANONICAL_HOLE_BEGIN, .kind = AREA_NOTHING,
                                              .bytes = CANONICAL_HOLE_END - CANONICAL_HOLE_BEGIN};
}

/* The area that holds `address`, or NULL. */
static struct area *area_at(u64 address)
{
    unsigned low = 0, high = areas.count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (areas.area[middle].begin + areas.area[middle].bytes <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low < areas.count && address >= areas.area[low].begin ? &areas.area[low] : NULL;
}

/* The first gap that is large enough, with a page of nothing behind its neighbours. */
static struct area *area_add(u64 bytes, enum area_kind kind)
{
    u64 size = (bytes + PAGE_MASK) & ~(u64)PAGE_MASK, begin = AREAS_BEGIN;
    unsigned n = 0;
    if (!bytes || size < bytes || size > AREAS_END - AREAS_BEGIN || areas.count == AREAS_MAX)
        return NULL;
    while (n < areas.count && areas.area[n].begin - begin < size + PAGE_SIZE) {
        begin = areas.area[n].begin + areas.area[n].bytes + PAGE_SIZE;
        n++;
    }
    if (n == areas.count && AREAS_END - begin < size + PAGE_SIZE)
        return NULL;
    memmove(&areas.area[n + 1], &areas.area[n], (areas.count - n) * sizeof areas.area[0]);
    areas.count++;
    areas.area[n] = (struct area){.begin = begin, .bytes = size, .kind = kind, .owner = areas.owner};
    return &areas.area[n];
}

static void area_remove(u64 begin)
{
    struct area *a = area_at(begin);
    invariant(a && a->begin == begin);
    paging_clear(a->begin, a->bytes);
    areas.count--;
    memmove(a, a + 1, (areas.count - (unsigned)(a - areas.area)) * sizeof *a);
}

void *area_reserve(size_t bytes)
{
    struct area *a = area_add(bytes, AREA_ZEROS);
    return a ? (void *)a->begin : NULL;
}

enum status area_reserve_exec(size_t bytes, struct host_exec *memory)
{
    struct area *a = area_add(bytes, AREA_WRITTEN);
    u64 rw = a ? a->begin : 0;
    a = a ? area_add(bytes, AREA_EXECUTED) : NULL;
    if (!a) {
        if (rw)
            area_remove(rw);
        return STATUS_NO_MEMORY;
    }
    memory->rw = (u8 *)rw;
    memory->rx = (const u8 *)a->begin;
    memory->bytes = bytes;
    a->exec = area_at(rw)->exec = *memory;
    return STATUS_OK;
}

void area_release(const void *memory)
{
    struct area *a = area_at((u64)memory);
    invariant(a && a->begin == (u64)memory);
    u64 rx = (u64)a->exec.rx;
    area_remove((u64)memory); /* the frames of a pair belong to its written half */
    if (rx)
        area_remove(rx);
}

void areas_set_owner(unsigned owner) { areas.owner = owner; }

void areas_release_owner(unsigned owner)
{
    for (unsigned n = areas.count; n-- > 0;)
        if (areas.area[n].owner == owner && areas.area[n].kind != AREA_NOTHING)
            area_remove(areas.area[n].begin);
}

bool area_guard(void *memory, size_t bytes)
{
    for (u64 at = (u64)memory; at < (u64)memory + bytes; at += PAGE_SIZE) {
        u64 *entry = paging_entry(at, true);
        if (!entry)
            return false;
        u64 was = *entry;
        paging_set(entry, at, PTE_GUARD);
        if ((was & PTE_PRESENT) && !(was & PTE_SHARED))
            frame_free(was & PTE_FRAME);
    }
    return true;
}

static enum area_fault fill_pair(const struct area *a, u64 offset)
{
    u64 rw = (u64)a->exec.rw + offset, rx = (u64)a->exec.rx + offset;
    u64 *written = paging_entry(rw, true), *executed = paging_entry(rx, true);
    u64 frame = written && executed ? frame_alloc() : 0;
    if (!frame)
        return AREA_FAULT_NO_MEMORY;
    paging_set(written, rw, frame | PTE_PRESENT | PTE_WRITE | PTE_NO_EXECUTE);
    paging_set(executed, rx, frame | PTE_PRESENT | PTE_SHARED);
    return AREA_FAULT_DONE;
}

static enum area_fault fill_zeros(u64 *entry, u64 page, bool write)
{
    u64 frame = write ? frame_alloc() : areas.zeros;
    if (!frame)
        return AREA_FAULT_NO_MEMORY;
    paging_set(entry, page, frame | PTE_PRESENT | PTE_NO_EXECUTE | (write ? PTE_WRITE : PTE_SHARED));
    return AREA_FAULT_DONE;
}

enum area_fault area_page_fault(u64 address, bool write)
{
    u64 page = address & ~(u64)PAGE_MASK;
    const struct area *a = area_at(page);
    if (!a || a->kind == AREA_NOTHING)
        return AREA_FAULT_FOREIGN;
    u64 *entry = paging_entry(page, true);
    if (!entry)
        return AREA_FAULT_NO_MEMORY;
    if (*entry & PTE_GUARD)
        return AREA_FAULT_FOREIGN;
    if (a->kind != AREA_ZEROS)
        return *entry & PTE_PRESENT ? AREA_FAULT_FOREIGN : fill_pair(a, page - a->begin);
    bool can = !(*entry & PTE_PRESENT) || (write && (*entry & PTE_SHARED));
    return can ? fill_zeros(entry, page, write) : AREA_FAULT_FOREIGN;
}

const struct host_exec *area_exec_at(u64 address)
{
    const struct area *a = area_at(address);
    return a && a->kind == AREA_EXECUTED ? &a->exec : NULL;
}
