/* Page tables that nobody would write (SDM vol. 3, chapter 4): tables that map themselves, that hold code, that ring 3
 * may change, that lie where no memory is. Where a processor may go on with an old translation, INVLPG or a load of CR3
 * stands in between, unless the machine is Reprise, which promises to be coherent. */
#include "guests/hostile.h"

PROBE(read_word, "", "mov (" R("bx") "),%eax")
PROBE(write_then_read, "", "mov %eax,(" R("bx") "); mov (" R("cx") "),%eax")
PROBE(fill, "", "rep stosl")

u8 frames[4][PAGE] __attribute__((aligned(PAGE)));

static const unsigned entry_bytes = IS_64 ? 8 : 4;

static void faults_at(const char *text, const struct trap *t, word cr2)
{
    promise(text, t->vector == VEC_PF ? cr2 : 0, t->vector == VEC_PF ? t->cr2 : ~0ul);
}

/* An entry of a directory that points back to the directory: its tables become pages. */
static void maps_itself(void)
{
    unsigned top = IS_64 ? 4 : 2;
    word window = IS_64 ? 0xffffff0000000000ull : 0x80000000;
    word shift = IS_64 ? 39 : 22, slot = window >> shift & (IS_64 ? 511 : 1023);
    word itself = IS_64 ? 0xffffff7fbfdfe000ull : 0x80200000; /* the same slot at every level: the root as a page */
    entry_set(window, top, pages_root | PTE_RW);
    flush();
    promise("a directory that maps itself shows itself", pages_root | PTE_RW,
            *(volatile u32 *)(itself + slot * entry_bytes) & ~(PTE_A | PTE_D));
    entry_set(TEST, 2, 0);
    page_set(TEST, frame_of(0) | PTE_RW);
    *(u32 *)frames[1] = 0x1234;
    volatile u32 *entry = (volatile u32 *)(window + (TEST >> 12) * entry_bytes);
    *entry = frame_of(1) | PTE_RW;
    invlpg(TEST);
    promise("an entry changed through it counts", 0x1234, run_paged(read_word, 0, TEST)->r.ax & 0xffffffff);
    *(volatile u32 *)(itself + slot * entry_bytes) = 0;
    flush();
    faults_at("it can unmap itself", run_paged(read_word, 0, itself), itself);
}

/* A page table that maps itself as a page, for ring 3 to write. */
static void belongs_to_ring_3(void)
{
    word table = entry_table(TEST, 1), unused = TEST + 8 * PAGE;
    page_set(TEST, table | PTE_URW);
    page_set(unused, 0);
    *(u32 *)frames[0] = 0x5151;
    in.r.ax = frame_of(0) | PTE_URW;
    in.r.cx = unused;
    const struct trap *t = run_paged(write_then_read, 3, TEST + 8 * entry_bytes);
    promise("ring 3 maps a page for itself, if it is let", 0x5151, t->r.ax & 0xffffffff);
    page_set(TEST, table | PTE_RW);
    in.r.ax = 0;
    in.r.cx = unused;
    faults_at("and not if it is not", run_paged(write_then_read, 3, TEST + 8 * entry_bytes), TEST + 8 * entry_bytes);
}

/* Entries of a table are instructions too; the code changes entries of the page that it runs from. */
static void holds_code(void)
{
    /* mov %eax,(%ebx); mov (%ecx),%eax; mov %eax,%esi; int $0x81: the operand sizes suit both modes. */
    static const u8 code32[] = {0x89, 0x03, 0x8b, 0x01, 0x89, 0xc6, 0xcd, 0x81};
    enum { AT = 0xe00 };
    word table = entry_table(TEST, 1);
    page_set(TEST, table | PTE_RW);
    memcpy((u8 *)table + AT, code32, sizeof code32);
    u32 right = 0;
    for (u32 i = 0; i < 50; i++) {
        word unused = TEST + (16 + i) * PAGE;
        *(u32 *)frames[i & 1] = 0x7000 + i;
        in.r.ax = frame_of(i & 1) | PTE_RW;
        in.r.cx = unused;
        in.r.bx = TEST + (16 + i) * entry_bytes;
        right += (run((const void *)(TEST + AT), 0)->r.si & 0xffffffff) == 0x7000 + i;
        entry_set(unused, 1, 0);
        invlpg(unused);
    }
    promise("code in a page table maps pages", 50, right);
    u32 entries[2] = {0, 0};
    memcpy(entries, code32, sizeof entries);
    promise("and is as it was", 0, memcmp((u8 *)table + AT, entries, sizeof entries));
    memset((u8 *)table + AT, 0, sizeof code32);
}

/* The page that the code stands on goes away under it. */
static void saws_off_its_branch(void)
{
    /* mov %eax,(%ebx); invlpg (%ecx); nop; int $0x81 */
    static const u8 code[] = {0x89, 0x03, 0x0f, 0x01, 0x39, 0x90, 0xcd, 0x81};
    word table = entry_table(TEST, 1);
    page_set(TEST, frame_of(2) | PTE_RW);
    memcpy(frames[2], code, sizeof code);
    in.r.ax = 0;
    in.r.cx = TEST;
    in.r.bx = table;
    const struct trap *t = run((const void *)TEST, 0);
    promise_text("code unmaps its own page: a fetch after it faults",
                 t->vector == VEC_PF && t->cr2 == t->ip && (t->ip == TEST + 2 || t->ip == TEST + 5),
                 "#PF at INVLPG or behind it", "something else");
    memcpy(frames[3], code, sizeof code);
    memcpy(frames[3] + 5, "\xb0\x42\xcd\x81", 4); /* mov $0x42,%al; int $0x81 */
    page_set(TEST, frame_of(2) | PTE_RW);
    in.r.ax = frame_of(3) | PTE_RW;
    in.r.cx = TEST;
    in.r.bx = table;
    t = run((const void *)TEST, 0);
    promise("code exchanges its own page: it goes on in the new one", 0x42, t->r.ax & 0xff);
}

/* What is read there is the chipset's affair: ones here, zeros elsewhere. In 64-bit mode neither maps a page. */
static void outside_memory(void)
{
    static const u64 places[] = {0xb0000000, 0xd0000000, 0xfec10000};
    static const char *const names[] = {"a table above memory", "a table in the hole", "a table where nothing is"};
    word address = 3ul << 30;
    for (unsigned i = 0; i < 3; i++) {
        entry_set(address, IS_64 ? 3 : 2, places[i] | PTE_URW);
        flush();
        const struct trap *t = run_paged(read_word, 0, address);
        if (IS_64)
            faults_at(names[i], t, address);
        else /* ones are a page at the top of memory, where the firmware may be */
            promise_text(names[i], t->vector == VEC_PF || t->vector == VEC_DONE, "#PF or a page", "another trap");
        entry_set(address, IS_64 ? 3 : 2, 0);
        flush();
    }
    page_set(TEST, 0xb0000000 | PTE_RW);
    promise("a page above memory can be read", VEC_DONE, run_paged(read_word, 0, TEST)->vector);
}

/* A store that overwrites the entry it goes through: the very next one has no page any more. */
static void fill_over_itself(void)
{
    static const char *const names[] = {"a table filled through itself: the store after its own entry faults",
                                        "as many are left as the rest of the table has"};
    enum { OWN = 100 };
    if (!is_reprise()) {
        skip(names[0]);
        skip(names[1]);
        return;
    }
    word table = entry_table(TEST, 1), alias = TEST + OWN * PAGE;
    page_set(alias, table | PTE_RW);
    in.r.di = alias;
    in.r.cx = PAGE / 4;
    const struct trap *t = run(fill, 0);
    faults_at(names[0], t, alias + OWN * entry_bytes + 4);
    promise(names[1], PAGE / 4 - OWN * entry_bytes / 4 - 1, t->r.cx);
}

void hostile_tables(void)
{
    maps_itself();
    belongs_to_ring_3();
    holds_code();
    saws_off_its_branch();
    outside_memory();
    fill_over_itself();
}
