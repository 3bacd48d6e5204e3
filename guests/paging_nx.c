/* Execute-disable and reserved bits of 8-byte entries (SDM vol. 3, 4.6, 4.7 and table 4-11). */
#include "guests/paging_nx.h"
#include "guests/paging.h"

enum { MSR_EFER = 0xc0000080, EFER_NXE = 0x800 };

void paging_nx(void)
{
    frames[0][0] = 0xcd;
    frames[0][1] = 0x81;
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~(u64)EFER_NXE);
    page_set(TEST, frame_of(0) | PTE_URW | PTE_NX);
    page_faults("NX is reserved without EFER.NXE", run_paged(read_word, 3, TEST), 0xd, TEST, USER(read_word_at));
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
    flush();
    page_passes("an NX page can be read", run_paged(read_word, 3, TEST));
    page_passes("an NX page can be written", run_paged(write_word, 3, TEST + 8));
    page_faults("ring 3 fetches from an NX page", run_paged(jump_to, 3, TEST), 0x15, TEST, TEST);
    page_faults("ring 0 fetches from an NX page", run_paged(jump_to, 0, TEST), 0x11, TEST, TEST);
    page_set(TEST, frame_of(0) | PTE_URW);
    page_passes("ring 3 fetches from a page without NX", run_paged(jump_to, 3, TEST));
    u64 table = entry_get(TEST, 2);
    entry_set(TEST, 2, table | PTE_NX);
    flush();
    page_faults("a table with NX makes its pages NX", run_paged(jump_to, 3, TEST), 0x15, TEST, TEST);
    entry_set(TEST, 2, table);
    flush();
    page_set(TEST, 0);
    page_faults("with NXE, a fetch from an absent page tells so", run_paged(jump_to, 3, TEST), 0x14, TEST, TEST);
    page_set(TEST, frame_of(0) | PTE_URW);
    page_set(TEST + PAGE, frame_of(1) | PTE_URW | PTE_NX);
    frames[0][PAGE - 1] = 0xb8;
    page_faults("an instruction that runs into an NX page", run_paged(jump_to, 3, TEST + PAGE - 1), 0x15, TEST + PAGE,
                TEST + PAGE - 1);
}

void paging_reserved(unsigned bit)
{
    page_set(TEST, frame_of(0) | PTE_URW | 1ull << bit);
    page_faults("a reserved bit in a page's entry, read", run_paged(read_word, 3, TEST), 0xd, TEST, USER(read_word_at));
    page_faults("a reserved bit in a page's entry, write", run_paged(write_word, 0, TEST), 0xb, TEST,
                (word)write_word_at);
    page_set(TEST, frame_of(0) | PTE_URW);
    u64 table = entry_get(TEST, 2);
    entry_set(TEST, 2, table | 1ull << bit);
    flush();
    page_faults("a reserved bit in a table's entry", run_paged(read_word, 3, TEST), 0xd, TEST, USER(read_word_at));
    entry_set(TEST, 2, table);
    flush();
}
