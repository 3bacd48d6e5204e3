/* Walks that were made before, for pages outside RAM: translations that no TLB keeps, because no shadow entry stands for
 * them. A walk of the same kind is the same again while the registers it depends on have not been loaded (tlb.modes) and
 * the entries that it read hold what they held, A and D set: that is looked up instead of walking. Private to mmu/. */
#ifndef REPRISE_MMU_WALK_MEMO_H
#define REPRISE_MMU_WALK_MEMO_H

#include "mmu/walk.h"

/* The page that holds `linear`, if the walk is one that is remembered and would come out the same. */
bool walk_recall(struct vcpu *v, u64 linear, enum access access, enum tlb_rights rights, gpa_t *page);

/* Remembers a walk that has just succeeded, with A and D set, to `page`, outside RAM. */
void walk_remember(struct vcpu *v, u64 linear, enum access access, enum tlb_rights rights, gpa_t page);

#endif
