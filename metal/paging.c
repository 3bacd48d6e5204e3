#include "metal/paging.h"

#include "core/panic.h"
#include "core/x86.h"
#include "metal/frames.h"
#include "metal/processor.h"

enum { LEVELS = 4, ENTRIES = 512 }; /* levels: 0 a page table, 3 the PML4 */

extern u8 image_begin[], text_end[], rodata_end[], image_end[], boot_stack_guard[];

static struct {
    u64 *root;
    u64 no_execute; /* PTE_NO_EXECUTE, or 0 */
    unsigned largest; /* level of the largest pages: 1 (2 MiB) or 2 (1 GiB) */
    u64 devices;    /* next free address there */
} paging;

static u64 level_bytes(unsigned level) { return 1ull << (PAGE_SHIFT + 9 * level); }

static unsigned level_index(u64 address, unsigned level) { return address >> (PAGE_SHIFT + 9 * level) & (ENTRIES - 1); }

static u64 *table_of(u64 entry) { return (u64 *)(entry & PTE_FRAME); }

/* The entry at `level` for `address`. */
static u64 *entry_at(u64 address, unsigned level, bool create)
{
    u64 *table = paging.root;
    for (unsigned at = LEVELS - 1; at > level; at--) {
        u64 *entry = &table[level_index(address, at)];
        if (!(*entry & PTE_PRESENT)) {
            u64 frame = create ? frame_alloc() : 0;
            if (!frame)
                return NULL;
            *entry = frame | PTE_PRESENT | PTE_WRITE;
        }
        if (*entry & PTE_LARGE)
            return NULL;
        table = table_of(*entry);
    }
    return &table[level_index(address, level)];
}

u64 *paging_entry(u64 address, bool create) { return entry_at(address, 0, create); }

void paging_set(u64 *entry, u64 address, u64 value)
{
    u64 was = *entry;
    *entry = value & ~(PTE_NO_EXECUTE & ~paging.no_execute);
    if (was & PTE_PRESENT)
        invalidate_page(address);
}

/* Maps [begin, end) to the same physical addresses, in pages as large as fit, and at most of level `largest`. */
static void map_identity(u64 begin, u64 end, unsigned largest, u64 rights)
{
    for (u64 at = begin; at < end;) {
        unsigned level = largest;
        while (level && (at % level_bytes(level) || end - at < level_bytes(level)))
            level--;
        u64 *entry = entry_at(at, level, true);
        invariant(entry);
        paging_set(entry, at, at | rights | PTE_PRESENT | PTE_GLOBAL | (level ? PTE_LARGE : 0));
        at += level_bytes(level);
    }
}

static void map_image(void)
{
    map_identity((u64)image_begin, (u64)text_end, 0, 0);
    map_identity((u64)text_end, (u64)rodata_end, 0, PTE_NO_EXECUTE);
    map_identity((u64)rodata_end, (u64)image_end, 0, PTE_WRITE | PTE_NO_EXECUTE);
    *entry_at((u64)boot_stack_guard, 0, true) = PTE_GUARD;
}

static void map_ram(const struct boot_info *boot)
{
    const struct range *ranges;
    unsigned count = frames_ranges(&ranges);
    for (unsigned n = 0; n < count; n++)
        map_identity(ranges[n].begin, ranges[n].end, paging.largest, PTE_WRITE | PTE_NO_EXECUTE);
    for (unsigned n = 0; n < boot->file_count; n++) {
        u64 begin = (u64)boot->file[n].data, end = begin + boot->file[n].size;
        map_identity(begin & ~(u64)PAGE_MASK, (end + PAGE_MASK) & ~(u64)PAGE_MASK, paging.largest, PTE_NO_EXECUTE);
    }
}

/* What the processor has of these, it gets. Pages of programs do not exist yet, so that SMEP and SMAP forbid
 * nothing. */
static void harden(void)
{
    static const struct {
        struct processor_feature feature;
        u64 bit;
    } wishes[] = {{HAS_PGE, CR4_PGE}, {HAS_SMEP, CR4_SMEP}, {HAS_SMAP, CR4_SMAP}, {HAS_UMIP, CR4_UMIP}};
    u64 cr4 = read_cr4();
    for (unsigned n = 0; n < ARRAY_LEN(wishes); n++)
        if (processor_has(wishes[n].feature))
            cr4 |= wishes[n].bit;
    write_cr4(cr4);
}

void paging_init(const struct boot_info *boot)
{
    bool nx = processor_has(HAS_NX);
    paging.no_execute = nx ? PTE_NO_EXECUTE : 0;
    paging.largest = processor_has(HAS_PAGES_1G) ? 2 : 1;
    paging.devices = DEVICES_BEGIN;
    paging.root = (u64 *)frame_alloc();
    invariant(paging.root);
    if (nx)
        write_msr(MSR_EFER, read_msr(MSR_EFER) | EFER_NXE);
    map_image();
    map_ram(boot);
    write_cr3((u64)paging.root);
    harden();
}

/* Frees what lies in [begin, end) of the part of the tables under `entry`, which maps `level_bytes(level)` from
 * `base` on. */
static void clear_under(u64 *entry, unsigned level, u64 base, u64 begin, u64 end);

static void clear_table(u64 *table, unsigned level, u64 base, u64 begin, u64 end)
{
    u64 step = level_bytes(level);
    u64 first = begin > base ? (begin - base) / step : 0;
    u64 last = end - base < step * ENTRIES ? (end - base + step - 1) / step : ENTRIES;
    for (u64 n = first; n < last; n++)
        clear_under(&table[n], level, base + n * step, begin, end);
}

static void clear_under(u64 *entry, unsigned level, u64 base, u64 begin, u64 end)
{
    u64 was = *entry;
    if (!level) {
        paging_set(entry, base, 0);
        if ((was & PTE_PRESENT) && !(was & PTE_SHARED))
            frame_free(was & PTE_FRAME);
        return;
    }
    if (!(was & PTE_PRESENT))
        return;
    clear_table(table_of(was), level - 1, base, begin, end);
    if (begin > base || end - base < level_bytes(level))
        return;
    paging_set(entry, base, 0);
    frame_free(was & PTE_FRAME);
}

void paging_clear(u64 begin, u64 bytes)
{
    u64 end = begin + bytes, step = level_bytes(LEVELS - 1);
    for (u64 base = begin & ~(step - 1); base < end; base += step)
        clear_under(&paging.root[level_index(base, LEVELS - 1)], LEVELS - 1, base, begin, end);
}

volatile void *paging_device(u64 physical, u64 bytes)
{
    u64 offset = physical & PAGE_MASK, at = paging.devices, size = (offset + bytes + PAGE_MASK) & ~(u64)PAGE_MASK;
    for (u64 done = 0; done < size; done += PAGE_SIZE) {
        u64 *entry = paging_entry(at + done, true);
        if (!entry)
            return NULL;
        paging_set(entry, at + done, (physical - offset + done) | PTE_PRESENT | PTE_WRITE | PTE_CACHE_OFF |
                                         PTE_WRITE_THROUGH | PTE_NO_EXECUTE | PTE_SHARED);
    }
    paging.devices += size;
    return (volatile void *)(at + offset);
}
