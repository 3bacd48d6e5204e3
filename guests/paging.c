/* Paging rules that all formats share (SDM vol. 3, chapter 4): rights, error codes, CR2, accessed and dirty bits,
 * accesses that cross pages, invalidation. */
#include "guests/paging.h"

PROBE(read_byte, "", "movb (" R("bx") "),%al")
PROBE(read_word, "", "mov (" R("bx") "),%eax")
PROBE(write_word, "mov $0x55667788,%eax", "mov %eax,(" R("bx") ")")
PROBE(add_word, "mov $1,%eax", "add %eax,(" R("bx") ")")
PROBE(push_word, "mov " R("bx") "," R("sp"), "push " R("ax"))
PROBE(jump_to, "", "jmp *" R("bx"))
PROBE(load_fs, "", "mov %ebx,%fs")

u8 frames[4][PAGE] __attribute__((aligned(PAGE)));

static void not_present(void)
{
    page_set(TEST, 0);
    page_faults("read of an absent page, ring 0", run_paged(read_word, 0, TEST + 0x123), 0, TEST + 0x123,
                (word)read_word_at);
    page_faults("write to an absent page, ring 0", run_paged(write_word, 0, TEST + 0xffc), 2, TEST + 0xffc,
                (word)write_word_at);
    page_faults("read of an absent page, ring 3", run_paged(read_word, 3, TEST), 4, TEST, USER(read_word_at));
    page_faults("write to an absent page, ring 3", run_paged(write_word, 3, TEST), 6, TEST, USER(write_word_at));
    page_faults("read-modify-write of an absent page is a write", run_paged(add_word, 3, TEST), 6, TEST,
                USER(add_word_at));
    page_set(TEST, ~1ull & 0xffffffff);
    page_faults("an absent entry has no reserved bits", run_paged(read_word, 0, TEST), 0, TEST, (word)read_word_at);
    entry_set(TEST, 2, 0);
    flush();
    page_faults("read through an absent table", run_paged(read_word, 3, TEST + 8), 4, TEST + 8, USER(read_word_at));
    promise("a fault on an absent table leaves the entry alone", 0, entry_get(TEST, 2));
}

static void rights(void)
{
    page_set(TEST, frame_of(0) | PTE_P | PTE_U);
    page_passes("ring 3 reads a read-only user page", run_paged(read_word, 3, TEST));
    page_faults("ring 3 writes a read-only user page", run_paged(write_word, 3, TEST), 7, TEST, USER(write_word_at));
    page_faults("ring 0 writes a read-only page with CR0.WP", run_paged(write_word, 0, TEST), 3, TEST,
                (word)write_word_at);
    write_cr0(read_cr0() & ~(word)CR0_WP);
    page_passes("ring 0 writes a read-only page without CR0.WP", run_paged(write_word, 0, TEST));
    promise("and the write arrives", 0x55667788, *(u32 *)frames[0]);
    page_faults("ring 3 still may not without CR0.WP", run_paged(write_word, 3, TEST), 7, TEST, USER(write_word_at));
    write_cr0(read_cr0() | CR0_WP);
    page_set(TEST, frame_of(0) | PTE_RW);
    page_faults("ring 3 reads a supervisor page", run_paged(read_word, 3, TEST), 5, TEST, USER(read_word_at));
    page_faults("ring 3 writes a supervisor page", run_paged(write_word, 3, TEST), 7, TEST, USER(write_word_at));
    page_passes("ring 0 writes a supervisor page", run_paged(write_word, 0, TEST));
}

/* SDM vol. 3, 4.6.1: a right holds only if every level grants it. */
static void rights_of_tables(void)
{
    page_set(TEST, frame_of(0) | PTE_URW);
    u64 table = entry_get(TEST, 2);
    entry_set(TEST, 2, table & ~PTE_W);
    flush();
    page_faults("a table without W makes its pages read-only", run_paged(write_word, 3, TEST), 7, TEST,
                USER(write_word_at));
    page_passes("but readable", run_paged(read_word, 3, TEST));
    entry_set(TEST, 2, table & ~PTE_U);
    flush();
    page_faults("a table without U makes its pages the supervisor's", run_paged(read_word, 3, TEST), 5, TEST,
                USER(read_word_at));
    entry_set(TEST, 2, table);
    flush();
}

static u64 bits_after(const char *probe, u64 entry)
{
    page_set(TEST, entry);
    run_paged(probe, 0, TEST);
    return entry_get(TEST, 1) & (PTE_A | PTE_D);
}

/* SDM vol. 3, 4.8 */
static void accessed_and_dirty(void)
{
    u64 page = frame_of(0) | PTE_RW;
    promise("a read sets A and not D", PTE_A, bits_after(read_word, page));
    promise("a write sets A and D", PTE_A | PTE_D, bits_after(write_word, page));
    promise("a read-modify-write sets A and D", PTE_A | PTE_D, bits_after(add_word, page));
    promise("a refused write does not set D", 0, bits_after(write_word, frame_of(0) | PTE_P) & PTE_D);
    page_set(TEST, page);
    run_paged(read_word, 0, TEST);
    run_paged(write_word, 0, TEST);
    promise("a write after a read sets D", PTE_A | PTE_D, entry_get(TEST, 1) & (PTE_A | PTE_D));
    page_set(TEST, page);
    run_paged(read_word, 0, TEST);
    promise("a write after INVLPG sets D again", PTE_A | PTE_D, bits_after(write_word, page));
    entry_set(TEST, 2, entry_get(TEST, 2) & ~PTE_A);
    flush();
    run_paged(read_word, 0, TEST);
    promise("a read sets A of the table's entry", PTE_A, entry_get(TEST, 2) & PTE_A);
    frames[0][0] = 0xcd;
    frames[0][1] = 0x81;
    promise("a fetch sets A and not D", PTE_A, bits_after(jump_to, page));
    write_cr0(read_cr0() & ~(word)CR0_WP);
    promise("a write that only CR0.WP = 0 allows sets D", PTE_A | PTE_D, bits_after(write_word, frame_of(0) | PTE_P));
    write_cr0(read_cr0() | CR0_WP);
}

/* SDM vol. 3, 4.7: CR2 is the address that caused the fault, here the first byte on the second page. */
static void crossing(void)
{
    page_set(TEST, frame_of(0) | PTE_URW);
    page_set(TEST + PAGE, 0);
    word edge = TEST + PAGE - 2;
    page_faults("a read that crosses into an absent page", run_paged(read_word, 3, edge), 4, TEST + PAGE,
                USER(read_word_at));
    memset(frames[0], 0x11, PAGE);
    page_set(TEST + PAGE, frame_of(1) | PTE_P | PTE_U);
    page_faults("a write that crosses into a read-only page", run_paged(write_word, 3, edge), 7, TEST + PAGE,
                USER(write_word_at));
    promise("a refused crossing write stores nothing", 0x1111, *(u16 *)(frames[0] + PAGE - 2));
    page_set(TEST, 0);
    page_set(TEST + PAGE, frame_of(1) | PTE_URW);
    page_faults("a read that starts in an absent page", run_paged(read_word, 3, edge), 4, edge, USER(read_word_at));
    page_set(TEST, frame_of(2) | PTE_URW);
    run_paged(write_word, 3, edge);
    promise("a crossing write: the first page", 0x7788, *(u16 *)(frames[2] + PAGE - 2));
    promise("a crossing write: the second page", 0x5566, *(u16 *)frames[1]);
    const struct trap *t = run_paged(read_word, 3, edge);
    promise("a crossing read joins both pages", 0x55667788, t->r.ax);
    page_set(TEST, 0);
    t = run_paged(push_word, 3, TEST + PAGE);
    promise("a push into an absent page faults below the stack pointer", TEST + PAGE - sizeof(word), t->cr2);
}

static void crossing_code(void)
{
    /* mov $0x12345678,%eax; int $0x81 */
    static const u8 code[] = {0xb8, 0x78, 0x56, 0x34, 0x12, 0xcd, 0x81};
    page_set(TEST, frame_of(0) | PTE_URW);
    page_set(TEST + PAGE, frame_of(1) | PTE_URW);
    memcpy(frames[0] + PAGE - 3, code, 3);
    memcpy(frames[1], code + 3, sizeof code - 3);
    const struct trap *t = run_paged(jump_to, 3, TEST + PAGE - 3);
    promise("an instruction across two pages", 0x12345678, t->r.ax);
    page_set(TEST + PAGE, 0);
    t = run_paged(jump_to, 3, TEST + PAGE - 3);
    promise("its fault has the second page in CR2", TEST + PAGE, t->cr2);
    promise("its fault has the instruction's start as saved IP", TEST + PAGE - 3, t->ip);
    promise("a fetch fault is a read by the user", 4, t->error & 7);
    frames[0][PAGE - 1] = 0x90;
    t = run_paged(jump_to, 3, TEST + PAGE - 1);
    promise("falling into an absent page: saved IP is its start", TEST + PAGE, t->ip);
}

static bool make_present(const struct trap *t, struct frame *f)
{
    (void)f;
    if (t->vector != VEC_PF || trap_count > 3)
        return false;
    entry_set(t->cr2, 1, frame_of(0) | PTE_URW);
    return true;
}

/* SDM vol. 3, 4.10.4.3: no invalidation is needed when a page becomes present, or after a fault for more rights. */
static void repair(void)
{
    trap_hook = make_present;
    page_set(TEST, 0);
    *(u32 *)frames[0] = 41;
    page_passes("the access is repeated after the handler maps the page", run_paged(add_word, 3, TEST));
    promise("it happens once", 42, *(u32 *)frames[0]);
    promise("it faults once", 2, trap_count);
    page_set(TEST, frame_of(0) | PTE_P | PTE_U);
    run_paged(read_word, 3, TEST);
    page_passes("a write is repeated after the handler grants it", run_paged(add_word, 3, TEST));
    promise("without a second fault", 2, trap_count);
    trap_hook = NULL;
}

static void invalidation(void)
{
    *(u32 *)frames[0] = 0xaaaa;
    *(u32 *)frames[1] = 0xbbbb;
    page_set(TEST, frame_of(0) | PTE_URW);
    run_paged(read_word, 3, TEST);
    page_set(TEST, frame_of(1) | PTE_URW);
    promise("INVLPG shows a new frame", 0xbbbb, run_paged(read_word, 3, TEST)->r.ax);
    entry_set(TEST, 1, frame_of(0) | PTE_URW);
    flush();
    promise("writing CR3 shows a new frame", 0xaaaa, run_paged(read_word, 3, TEST)->r.ax);
    page_set(TEST, 0);
    page_faults("INVLPG shows that the page is gone", run_paged(read_word, 3, TEST), 4, TEST, USER(read_word_at));
    write_cr4(read_cr4() | CR4_PGE);
    page_set(TEST, frame_of(0) | PTE_URW | PTE_G);
    run_paged(read_word, 3, TEST);
    entry_set(TEST, 1, frame_of(1) | PTE_URW | PTE_G);
    write_cr4(read_cr4() & ~(word)CR4_PGE);
    promise("clearing CR4.PGE drops global pages", 0xbbbb, run_paged(read_word, 3, TEST)->r.ax);
    write_cr4(read_cr4() | CR4_PGE);
    page_set(TEST, frame_of(1) | PTE_URW | PTE_G);
    run_paged(read_word, 3, TEST);
    page_set(TEST, frame_of(0) | PTE_URW | PTE_G);
    promise("INVLPG drops a global page", 0xaaaa, run_paged(read_word, 3, TEST)->r.ax);
    write_cr4(read_cr4() & ~(word)CR4_PGE);
}

static void aliases(void)
{
    page_set(TEST, frame_of(0) | PTE_URW);
    page_set(TEST + PAGE, frame_of(0) | PTE_URW);
    *(u32 *)frames[0] = 0;
    run_paged(write_word, 3, TEST + 16);
    promise("two pages of one frame are the same memory", 0x55667788, run_paged(read_word, 3, TEST + PAGE + 16)->r.ax);
}

struct table_pointer { u16 limit; word base; } __attribute__((packed));

/* SDM vol. 3, 4.6: loads of descriptors are the supervisor's whatever the CPL. The table starts just below a page
 * border, so that the run-time's own selectors stay reachable. */
static void implicit_accesses(void)
{
    struct table_pointer old;
    __asm__ volatile("sgdt %0" : "=m"(old));
    struct table_pointer moved = {0x1ff, TEST + PAGE - 0x40};
    gdt_set(0x40, segment(0, 0xfffff, SEG_DATA | SEG_DPL3 | SEG_4K | SEG_32));
    memcpy(frames[0] + PAGE - 0x40, gdt, 0x40);
    memcpy(frames[1], (u8 *)gdt + 0x40, 0x1c0);
    page_set(TEST, frame_of(0) | PTE_RW);
    page_set(TEST + PAGE, 0);
    __asm__ volatile("lgdt %0" : : "m"(moved));
    const struct trap *t = run_paged(load_fs, 3, 0x43);
    page_faults("ring 3 loads a segment from an absent page of the GDT", t, 0, TEST + PAGE, USER(load_fs_at));
    page_set(TEST + PAGE, frame_of(1) | PTE_RW);
    page_passes("ring 3 loads a segment from a supervisor page", run_paged(load_fs, 3, 0x43));
    promise("and its accessed bit is set", 1, frames[1][5] & 1);
    __asm__ volatile("lgdt %0" : : "m"(old));
    __asm__ volatile("mov %0,%%fs" : : "r"(IS_64 ? 0 : SEL_KDATA));
}

void paging_fetches(bool fetch_bit)
{
    word fetch = fetch_bit ? 0x10 : 0;
    page_set(TEST, 0);
    page_faults("fetch from an absent page, ring 0", run_paged(jump_to, 0, TEST), fetch, TEST, TEST);
    page_faults("fetch from an absent page, ring 3", run_paged(jump_to, 3, TEST), fetch | 4, TEST, TEST);
    page_set(TEST, frame_of(0) | PTE_RW);
    page_faults("fetch from a supervisor page, ring 3", run_paged(jump_to, 3, TEST), fetch | 5, TEST, TEST);
}

static void smep(void)
{
    page_set(TEST, frame_of(0) | PTE_URW);
    page_passes("ring 0 fetches from a user page without SMEP", run_paged(jump_to, 0, TEST));
    if (!(cpuid(7, 0).ebx & 1 << 7)) {
        skip("ring 0 fetches from a user page with SMEP");
        skip("ring 3 fetches from a user page with SMEP");
        skip("SMEP alone makes the error code tell fetches");
        return;
    }
    write_cr4(read_cr4() | CR4_SMEP);
    page_faults("ring 0 fetches from a user page with SMEP", run_paged(jump_to, 0, TEST), 0x11, TEST, TEST);
    page_passes("ring 3 fetches from a user page with SMEP", run_paged(jump_to, 3, TEST));
    page_set(TEST, 0);
    page_faults("SMEP alone makes the error code tell fetches", run_paged(jump_to, 3, TEST), 0x14, TEST, TEST);
    write_cr4(read_cr4() & ~(word)CR4_SMEP);
}

static void smap(void)
{
    static const char *const names[] = {
        "ring 0 reads a user page with SMAP and AC clear", "ring 0 writes a user page with SMAP and AC clear",
        "ring 0 reads a user page with SMAP and AC set", "ring 3 reads a user page with SMAP",
    };
    if (!(cpuid(7, 0).ebx & 1 << 20)) {
        for (unsigned i = 0; i < 4; i++)
            skip(names[i]);
        return;
    }
    write_cr4(read_cr4() | CR4_SMAP);
    page_set(TEST, frame_of(0) | PTE_URW);
    page_faults(names[0], run_paged(read_word, 0, TEST), 1, TEST, (word)read_word_at);
    page_faults(names[1], run_paged(write_word, 0, TEST), 3, TEST, (word)write_word_at);
    in.flags = FL_AC;
    page_passes(names[2], run_paged(read_word, 0, TEST));
    page_passes(names[3], run_paged(read_word, 3, TEST));
    write_cr4(read_cr4() & ~(word)CR4_SMAP);
}

void paging_supervisor(void)
{
    frames[0][0] = 0xcd;
    frames[0][1] = 0x81;
    smep();
    smap();
}

void paging_large(unsigned level, unsigned shift)
{
    word base = 3ul << 30, size = 1ul << shift;
    u64 flags = PTE_URW | PTE_PS;
    /* Large frame 0: the image itself stands in it. */
    entry_set(base, level, flags);
    flush();
    word inside = base + ((word)frames[3] & (size - 1)) + 0x10;
    *(u32 *)(frames[3] + 0x10) = 0xfeed;
    promise("a large page maps all of its frame", 0xfeed, run_paged(read_word, 3, inside)->r.ax);
    promise("a read sets A and not D in the large entry", PTE_A, entry_get(base, level) & (PTE_A | PTE_D));
    run_paged(write_word, 3, inside);
    promise("a write sets D in the large entry", PTE_A | PTE_D, entry_get(base, level) & (PTE_A | PTE_D));
    promise("a write to a large page arrives", 0x55667788, *(u32 *)(frames[3] + 0x10));
    entry_set(base, level, (flags & ~PTE_W));
    invlpg(base + size - 1);
    page_faults("INVLPG of any address drops a large page", run_paged(write_word, 3, inside), 7, inside,
                USER(write_word_at));
    entry_set(base, level, flags & ~PTE_U);
    invlpg(base);
    page_faults("ring 3 reads a large supervisor page", run_paged(read_word, 3, inside), 5, inside, USER(read_word_at));
    entry_set(base, level, flags | 1ull << 21 >> (shift == 21));
    invlpg(base);
    page_faults("a reserved bit in a large entry", run_paged(read_word, 3, inside), 0xd, inside, USER(read_word_at));
    entry_set(base, level, 0);
    flush();
    page_faults("a large page that is gone", run_paged(read_word, 3, inside), 4, inside, USER(read_word_at));
}

void paging_common(void)
{
    not_present();
    rights();
    rights_of_tables();
    accessed_and_dirty();
    crossing();
    crossing_code();
    repair();
    invalidation();
    aliases();
    implicit_accesses();
    paging_supervisor();
}
