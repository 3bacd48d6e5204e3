/* PCI configuration mechanism 1: in any state, any of the accesses; a PIRQ goes to a line of the 8259A pair or
 * nowhere. */
#include "eva/board.h"

#include "devices/pci.c"

static struct pci p;

static void access(void)
{
    switch (any_below(3)) {
    case 0: pci_read(&p, any_below(8), any_size(4)); break;
    case 1: pci_write(&p, any_below(8), any_u32(), any_size(4)); break;
    default: {
        int route = pci_pirq_route(&p, any_u32());
        //@ check pirq: -1 <= route < 16;
    }
    }
}

void main(void)
{
    pci_reset(&p);
    REACHED(reset);
    any_bytes(&p, sizeof p);
    access();
    REACHED(any_access);
}
