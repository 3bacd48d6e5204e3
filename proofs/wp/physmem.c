/* The map of guest-physical memory: every address that it gives lies in this VM's RAM, to the end of its page. */
#include "proofs/lemmas.h"

#include "mmu/physmem.c"
