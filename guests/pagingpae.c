/* PAE paging in 32-bit mode: the shared rules, NX, 2 MiB pages, the four directory pointers (SDM vol. 3, 4.4). */
#include "guests/paging.h"
#include "guests/paging_nx.h"

const char *const suite_name = "pagingpae";

PROBE(load_cr3, "", "mov %ebx,%cr3")

/* SDM vol. 3, 4.4.1: MOV to CR3 reads all four, refuses reserved bits, and changes in memory do not show until then. */
static void directory_pointers(void)
{
    u64 *pointers = (u64 *)pages_root;
    u64 old = pointers[3];
    static const u64 reserved[] = {PTE_W, PTE_U, PTE_PS, PTE_NX};
    static const char *const names[] = {"#GP(0) by W in a directory pointer", "#GP(0) by U in a directory pointer",
                                        "#GP(0) by PS in a directory pointer", "#GP(0) by NX in a directory pointer"};
    for (unsigned i = 0; i < 4; i++) {
        pointers[3] = old | reserved[i];
        in.r.bx = pages_root;
        FAULTS(names[i], load_cr3, 0, VEC_GP, 0);
    }
    pointers[3] = reserved[0];
    in.r.bx = pages_root;
    PASSES("an absent directory pointer may have any bits", load_cr3, 0);
    word address = 3ul << 30;
    page_faults("a read through an absent directory pointer", run_paged(read_word, 3, address), 4, address,
                USER(read_word_at));
    pointers[3] = old;
    flush();
    page_set(address, frame_of(0) | PTE_URW);
    *(u32 *)frames[0] = 0xcafe;
    promise("a directory pointer counts after CR3 is loaded", 0xcafe, run_paged(read_word, 3, address)->r.ax);
    pointers[3] = 0;
    invlpg(address);
    promise("directory pointers are cached until then", 0xcafe, run_paged(read_word, 3, address)->r.ax);
    pointers[3] = old;
    flush();
}

int main(void)
{
    pages_start(&format_pae);
    paging_common();
    paging_fetches(false);
    paging_large(2, 21);
    paging_nx();
    paging_reserved(62);
    directory_pointers();
    return 0;
}
