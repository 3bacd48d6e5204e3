#include "guests/lib/pages.h"

const struct page_format format_32bit = {2, 4, 10}, format_pae = {3, 8, 9}, format_4level = {4, 8, 9};

enum { POOL = 64, IDENTITY = 16 << 20 };
static u8 pool[POOL][PAGE] __attribute__((aligned(PAGE)));
static unsigned pool_used;
static const struct page_format *format;
static u8 user_stack[PAGE] __attribute__((aligned(16)));
word pages_root;

word page_allocate(void)
{
    memset(pool[pool_used], 0, PAGE);
    return (word)pool[pool_used++];
}

static void *entry_at(word table, word address, unsigned level)
{
    unsigned shift = 12 + format->index_bits * (level - 1);
    word index = address >> shift & ((1u << format->index_bits) - 1);
    return (u8 *)table + index * format->entry_size;
}

static u64 load(const void *at) { return format->entry_size == 4 ? *(const u32 *)at : *(const u64 *)at; }

static void store(void *at, u64 entry)
{
    if (format->entry_size == 4)
        *(volatile u32 *)at = entry;
    else
        *(volatile u64 *)at = entry;
}

word entry_table(word address, unsigned level)
{
    word table = pages_root;
    for (unsigned at = format->levels; at > level; at--) {
        void *entry = entry_at(table, address, at);
        /* The four entries of a PAE directory pointer table have no rights: SDM vol. 3, table 4-8. */
        if (!(load(entry) & PTE_P))
            store(entry, page_allocate() | (format == &format_pae && at == 3 ? PTE_P : PTE_URW));
        table = load(entry) & 0xfffff000;
    }
    return table;
}

void entry_set(word address, unsigned level, u64 entry)
{
    store(entry_at(entry_table(address, level), address, level), entry);
}

u64 entry_get(word address, unsigned level) { return load(entry_at(entry_table(address, level), address, level)); }

void invlpg(word address) { __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory"); }

void page_set(word address, u64 entry)
{
    entry_set(address, 1, entry);
    invlpg(address);
}

void pages_start(const struct page_format *f)
{
    format = f;
    pages_root = page_allocate();
    for (word at = 0; at < IDENTITY; at += PAGE) {
        entry_set(at, 1, at | PTE_RW);
        entry_set(at + USER_ALIAS, 1, at | PTE_URW);
    }
    if (f->entry_size == 8)
        write_cr4(read_cr4() | CR4_PAE);
    /* A PAE directory pointer is read when CR3 is loaded: all of its tables must exist by now. */
    for (word at = TEST; f == &format_pae && at >= TEST; at += TEST)
        entry_table(at, 2);
    write_cr3(pages_root);
    write_cr0(read_cr0() | CR0_PG | CR0_WP);
}

const struct trap *run_paged(const char *code, unsigned ring, word bx)
{
    in.r.bx = bx;
    if (ring == 0)
        return run(code, 0);
    if (!in.r.sp)
        in.r.sp = USER(user_stack) + PAGE - 64;
    return run((const void *)USER(code), 3);
}

void page_faults(const char *text, const struct trap *t, word error, word cr2, word ip)
{
    if (t->vector != VEC_PF)
        promise(text, VEC_PF, t->vector);
    else if (t->error != error)
        promise(text, error, t->error);
    else if (t->cr2 != cr2)
        promise(text, cr2, t->cr2);
    else
        promise(text, ip, t->ip);
}

void page_passes(const char *text, const struct trap *t)
{
    promise(text, VEC_DONE, t->vector);
}
