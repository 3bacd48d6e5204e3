#include "devices/pci.h"

#define ADDRESS_ENABLE 0x80000000u
#define ADDRESS_WRITABLE 0x80fffffcu
#define ISA_PIRQ_ROUTE 0x60u
#define PIRQ_DISABLED 0x80u

/* Bytes that are not zero at reset, from the 82441FX and 82371SB data sheets. */
struct preset {
    u8 function, offset, value;
};

static const struct preset presets[] = {
    {PCI_HOST_BRIDGE, 0x00, 0x86}, {PCI_HOST_BRIDGE, 0x01, 0x80}, /* vendor: Intel */
    {PCI_HOST_BRIDGE, 0x02, 0x37}, {PCI_HOST_BRIDGE, 0x03, 0x12}, /* device: 82441FX */
    {PCI_HOST_BRIDGE, 0x04, 0x06},                                /* command: memory, bus master */
    {PCI_HOST_BRIDGE, 0x06, 0x80}, {PCI_HOST_BRIDGE, 0x07, 0x02}, /* status: medium DEVSEL, fast back-to-back */
    {PCI_HOST_BRIDGE, 0x08, 0x02},                                /* revision */
    {PCI_HOST_BRIDGE, 0x0b, 0x06},                                /* class: bridge, host */
    {PCI_ISA_BRIDGE, 0x00, 0x86}, {PCI_ISA_BRIDGE, 0x01, 0x80},
    {PCI_ISA_BRIDGE, 0x02, 0x00}, {PCI_ISA_BRIDGE, 0x03, 0x70},   /* device: 82371SB ISA function */
    {PCI_ISA_BRIDGE, 0x04, 0x07},                                 /* command: I/O, memory, bus master */
    {PCI_ISA_BRIDGE, 0x06, 0x00}, {PCI_ISA_BRIDGE, 0x07, 0x02},   /* status: medium DEVSEL */
    {PCI_ISA_BRIDGE, 0x0a, 0x01}, {PCI_ISA_BRIDGE, 0x0b, 0x06},   /* class: bridge, ISA */
    /* PIRQ routes as firmware sets them: A and C to IRQ 10, B and D to IRQ 11. */
    {PCI_ISA_BRIDGE, 0x60, 10}, {PCI_ISA_BRIDGE, 0x61, 11}, {PCI_ISA_BRIDGE, 0x62, 10}, {PCI_ISA_BRIDGE, 0x63, 11},
};

void pci_reset(struct pci *p)
{
    memset(p, 0, sizeof(*p));
    for (unsigned i = 0; i < ARRAY_LEN(presets); i++)
        p->config[presets[i].function][presets[i].offset] = presets[i].value;
}

/* The configuration space that the address register selects, or -1: bus 0, device 0 or 1, function 0. */
static int selected(const struct pci *p)
{
    if (!(p->address & ADDRESS_ENABLE))
        return -1;
    switch (p->address >> 8 & 0xffff) {
    case 0x0000: return PCI_HOST_BRIDGE;
    case 0x0008: return PCI_ISA_BRIDGE;
    default: return -1;
    }
}

/* The header's identity, class, BARs and pins are fixed: neither bridge has any resources. */
static bool writable(unsigned reg) { return reg == 0x04 || reg == 0x0d || reg >= 0x40; }

u32 pci_read(const struct pci *p, unsigned offset, unsigned size)
{
    if (offset < 4)
        return offset == 0 && size == 4 ? p->address : 0xffffffff;
    int function = selected(p);
    if (function < 0)
        return 0xffffffff;
    u32 value = 0;
    unsigned reg = (p->address & 0xfc) + (offset & 3);
    for (unsigned i = 0; i < size; i++)
        value |= (u32)p->config[function][(reg + i) & 0xff] << i * 8;
    return value;
}

void pci_write(struct pci *p, unsigned offset, u32 value, unsigned size)
{
    if (offset < 4) {
        if (offset == 0 && size == 4)
            p->address = value & ADDRESS_WRITABLE;
        return;
    }
    int function = selected(p);
    if (function < 0)
        return;
    unsigned reg = (p->address & 0xfc) + (offset & 3);
    for (unsigned i = 0; i < size; i++)
        if (writable(reg + i))
            p->config[function][(reg + i) & 0xff] = (u8)(value >> i * 8);
}

int pci_pirq_route(const struct pci *p, unsigned pirq)
{
    u8 route = p->config[PCI_ISA_BRIDGE][ISA_PIRQ_ROUTE + (pirq & 3)];
    /* IRQs 0, 1, 2, 8 and 13 are reserved (82371SB, PIRQRC). */
    bool reserved = (0x2107u >> (route & 15) & 1) != 0;
    return route & PIRQ_DISABLED || reserved ? -1 : route & 15;
}
