/* spt_perm, spt_own, spt_dirty: the one function that gives a guest's code a mapping: the frame is this VM's, the
 * rights are not above the guest's, a present entry stands for an accessed guest entry, a writable one for a dirty page
 * that nobody watches. */
#include "mmu/shadow_entry.c"
