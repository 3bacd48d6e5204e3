/* PCI bus 0 behind configuration mechanism 1 (ports 0xCF8..0xCFF): PCI Local Bus Specification 2.2, 3.2.2.3.2.
 *
 * Two functions: 00:00.0, a host bridge with the identity of the 82441FX, and 00:01.0, an ISA bridge with that of the
 * 82371SB (PIIX3). The other functions of that chip (IDE, USB) are absent. Device-specific registers hold what is
 * written; of them only the PIRQ route registers 0x60..0x63 of the ISA bridge have an effect. */
#ifndef REPRISE_DEVICES_PCI_H
#define REPRISE_DEVICES_PCI_H

#include "core/types.h"

enum { PCI_HOST_BRIDGE, PCI_ISA_BRIDGE, PCI_FUNCTIONS };
enum { PCI_CONFIG_BYTES = 256, PCI_PIRQS = 4 };

struct pci {
    u32 address; /* 0xCF8 */
    u8 config[PCI_FUNCTIONS][PCI_CONFIG_BYTES];
};

void pci_reset(struct pci *p);

/* Ports 0xCF8..0xCFF as offsets 0..7; an access crosses no multiple of 4 (the chipset splits it). The address register
 * answers 32-bit accesses only. */
u32 pci_read(const struct pci *p, unsigned offset, unsigned size);
void pci_write(struct pci *p, unsigned offset, u32 value, unsigned size);

/* ISA interrupt of PIRQ 0..3 (A..D), or -1 when not routed. */
int pci_pirq_route(const struct pci *p, unsigned pirq);

#endif
