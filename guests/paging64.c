/* 4-level paging in 64-bit mode: the shared rules, NX, 2 MiB and 1 GiB pages, the upper half (SDM vol. 3, 4.5). */
#include "guests/paging.h"
#include "guests/paging_nx.h"

const char *const suite_name = "paging64";

#define HIGH 0xffff800000000000ul

static void upper_half(void)
{
    page_set(HIGH, frame_of(0) | PTE_URW);
    *(u32 *)frames[0] = 0x4444;
    promise("the lowest page of the upper half", 0x4444, run_paged(read_word, 3, HIGH)->r.ax);
    word last = -(word)PAGE;
    page_set(last, frame_of(1) | PTE_URW);
    *(u32 *)(frames[1] + PAGE - 4) = 0x5555;
    promise("the last doubleword of the address space", 0x5555, run_paged(read_word, 3, last + PAGE - 4)->r.ax);
    page_faults("CR2 holds 64 bits", run_paged(read_word, 3, HIGH + 0x7012345678), 4, HIGH + 0x7012345678,
                USER(read_word_at));
    word below = 0x7ffffffff000;
    page_set(below, frame_of(2) | PTE_URW);
    page_passes("the last page of the lower half", run_paged(read_word, 3, below + PAGE - 4));
}

/* A top-level entry that points to its own table: slot 510. */
static void self_map(void)
{
    word window = 0xffffff0000000000;
    entry_set(window, 4, pages_root | PTE_RW);
    flush();
    page_set(TEST, frame_of(0) | PTE_URW);
    u64 *entry = (u64 *)(window + (TEST >> 12) * 8);
    promise("the window shows a page's entry", frame_of(0) | PTE_URW, *(volatile u64 *)entry & ~(PTE_A | PTE_D));
    *(u32 *)frames[1] = 0x1001;
    *(volatile u64 *)entry = frame_of(1) | PTE_URW;
    invlpg(TEST);
    promise("an entry changed through the window counts", 0x1001, run_paged(read_word, 3, TEST)->r.ax);
}

static void upper_levels(void)
{
    page_set(TEST, frame_of(0) | PTE_URW);
    for (unsigned level = 3; level <= 4; level++) {
        u64 entry = entry_get(TEST, level);
        const char *name = level == 3 ? "a directory pointer with NX makes its pages NX" : NULL;
        if (name) {
            entry_set(TEST, level, entry | PTE_NX);
            flush();
            page_faults(name, run_paged(jump_to, 3, TEST), 0x15, TEST, TEST);
        } else {
            entry_set(HIGH, 4, entry_get(HIGH, 4) | PTE_PS);
            flush();
            page_faults("PS is reserved in a top-level entry", run_paged(read_word, 3, HIGH), 0xd, HIGH,
                        USER(read_word_at));
            entry_set(HIGH, 4, entry_get(HIGH, 4) & ~PTE_PS);
        }
        entry_set(TEST, level, entry);
        flush();
    }
}

static void ignored_bits(void)
{
    page_set(TEST, frame_of(0) | PTE_URW | 7ull << 9 | 0x7full << 52);
    page_passes("bits 9 to 11 and 52 to 58 of an entry are ignored", run_paged(read_word, 3, TEST));
}

static void gigabyte(void)
{
    static const char *const names[] = {"a 1 GiB page maps its frame", "a write sets D in the 1 GiB entry"};
    if (cpuid(0x80000000, 0).eax < 0x80000001 || !(cpuid(0x80000001, 0).edx & 1 << 26)) {
        skip(names[0]);
        skip(names[1]);
        return;
    }
    word base = 5ul << 30;
    entry_set(base, 3, PTE_URW | PTE_PS);
    flush();
    *(u32 *)frames[2] = 0x6666;
    promise(names[0], 0x6666, run_paged(read_word, 3, base + frame_of(2))->r.ax);
    run_paged(write_word, 3, base + frame_of(2));
    promise(names[1], PTE_D, entry_get(base, 3) & PTE_D);
}

static void reserved(void)
{
    unsigned physical_bits = cpuid(0x80000008, 0).eax & 0xff;
    if (physical_bits < 52) {
        paging_reserved(51);
        return;
    }
    skip("a reserved bit in a page's entry, read");
    skip("a reserved bit in a page's entry, write");
    skip("a reserved bit in a table's entry");
}

int main(void)
{
    pages_start(&format_4level);
    paging_common();
    paging_fetches(false);
    paging_large(2, 21);
    paging_nx();
    reserved();
    upper_half();
    self_map();
    upper_levels();
    ignored_bits();
    gigabyte();
    return 0;
}
