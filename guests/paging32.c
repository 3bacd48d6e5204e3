/* 32-bit paging with 4-byte entries: the shared rules, 4 MiB pages, a directory that maps itself (SDM vol. 3, 4.3). */
#include "guests/paging.h"

const char *const suite_name = "paging32";

/* A directory entry that points to its own directory shows all tables in the top 4 MiB. */
static void self_map(void)
{
    entry_set(0xffc00000, 2, pages_root | PTE_RW);
    flush();
    u32 *window = (u32 *)0xffc00000;
    __asm__("" : "+r"(window));
    page_set(TEST, frame_of(0) | PTE_URW);
    entry_set(TEST, 1, frame_of(0) | PTE_URW);
    promise("the window shows a page's entry", frame_of(0) | PTE_URW, window[TEST >> 12] & ~(PTE_A | PTE_D));
    entry_set(TEST, 2, entry_get(TEST, 2) & ~PTE_D);
    flush();
    promise("the window shows the directory", entry_get(TEST, 2), window[0xffc00 + (TEST >> 22)]);
    *(u32 *)frames[1] = 0x1001;
    window[TEST >> 12] = frame_of(1) | PTE_URW;
    invlpg(TEST);
    promise("an entry changed through the window counts", 0x1001, run_paged(read_word, 3, TEST)->r.ax);
    /* Seen through the window, a directory entry is a page's entry: the write above set its dirty bit. */
    promise("a write through the window sets D in the directory entry", PTE_D, entry_get(TEST, 2) & PTE_D);
    page_faults("ring 3 may not look through the window", run_paged(read_word, 3, (word)window), 5, (word)window,
                USER(read_word_at));
}

/* Without CR4.PSE bit 7 of a directory entry means nothing (SDM vol. 3, table 4-6). */
static void page_size_off(void)
{
    write_cr4(read_cr4() & ~(word)CR4_PSE);
    page_set(TEST, frame_of(0) | PTE_URW);
    *(u32 *)frames[0] = 0x7a7a;
    u64 table = entry_get(TEST, 2);
    entry_set(TEST, 2, table | PTE_PS);
    flush();
    promise("without CR4.PSE, PS is ignored", 0x7a7a, run_paged(read_word, 3, TEST)->r.ax);
    entry_set(TEST, 2, table);
    write_cr4(read_cr4() | CR4_PSE);
    flush();
}

static void off_and_on(void)
{
    page_set((word)frames[2], frame_of(3) | PTE_RW);
    write_cr0(read_cr0() & ~(word)CR0_PG);
    *(volatile u32 *)frames[2] = 0x2222;
    *(volatile u32 *)frames[3] = 0x3333;
    write_cr0(read_cr0() | CR0_PG);
    promise("paging off and on again: the map counts again", 0x3333, *(volatile u32 *)frames[2]);
    page_set((word)frames[2], frame_of(2) | PTE_RW);
    promise("and without it, addresses were physical", 0x2222, *(volatile u32 *)frames[2]);
}

int main(void)
{
    pages_start(&format_32bit);
    paging_common();
    paging_fetches(false);
    page_size_off();
    paging_large(2, 22);
    self_map();
    off_and_on();
    return 0;
}
