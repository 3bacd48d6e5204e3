#include "devices/ioapic.h"

#define REG_ID 0x00u
#define REG_VERSION 0x01u
#define REG_ARBITRATION 0x02u
#define REG_ENTRY 0x10u

#define VERSION_VALUE ((IOAPIC_PINS - 1u) << 16 | 0x11u)

#define ENTRY_LOGICAL 0x0800u
#define ENTRY_REMOTE_IRR 0x4000u
#define ENTRY_LEVEL 0x8000u
#define ENTRY_MASKED 0x10000u
#define ENTRY_WRITABLE 0xff0000000001afffull /* all but delivery status and remote IRR */

void ioapic_reset(struct ioapic *io)
{
    memset(io, 0, sizeof(*io));
    io->id = IOAPIC_ID << 24;
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        io->entry[pin] = ENTRY_MASKED;
}

static bool send(u64 entry, struct lapic *to)
{
    enum apic_mode mode = (enum apic_mode)(entry >> 8 & 7);
    if (mode == APIC_EXTINT)
        return false;
    return lapic_message(to, (u8)(entry >> 56), entry & ENTRY_LOGICAL, mode, (u8)entry, entry & ENTRY_LEVEL);
}

/* A level-triggered input asks until its message is accepted, and again after each EOI while it is high. */
static void serve_level(struct ioapic *io, unsigned pin, struct lapic *to)
{
    u64 entry = io->entry[pin];
    bool asks = (io->lines >> pin & 1) && (entry & ENTRY_LEVEL) && !(entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR));
    if (asks && send(entry, to))
        io->entry[pin] |= ENTRY_REMOTE_IRR;
}

void ioapic_set_line(struct ioapic *io, unsigned pin, bool level, struct lapic *to)
{
    if (pin >= IOAPIC_PINS)
        return;
    bool rises = level && !(io->lines >> pin & 1);
    io->lines = (io->lines & ~(1u << pin)) | (u32)level << pin;
    u64 entry = io->entry[pin];
    if (entry & ENTRY_LEVEL)
        serve_level(io, pin, to);
    else if (rises && !(entry & ENTRY_MASKED))
        send(entry, to);
}

void ioapic_eoi(struct ioapic *io, u8 vector, struct lapic *to)
{
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        if ((u8)io->entry[pin] != vector || !(io->entry[pin] & ENTRY_REMOTE_IRR))
            continue;
        io->entry[pin] &= ~(u64)ENTRY_REMOTE_IRR;
        serve_level(io, pin, to);
    }
}

static u32 read_window(const struct ioapic *io)
{
    unsigned reg = io->select;
    if (reg >= REG_ENTRY && reg < REG_ENTRY + 2 * IOAPIC_PINS) {
        u64 entry = io->entry[(reg - REG_ENTRY) >> 1];
        return (u32)(reg & 1 ? entry >> 32 : entry);
    }
    switch (reg) {
    case REG_ID:
    case REG_ARBITRATION: return io->id;
    case REG_VERSION: return VERSION_VALUE;
    default: return 0;
    }
}

static void write_entry(struct ioapic *io, unsigned reg, u32 value, struct lapic *to)
{
    unsigned pin = (reg - REG_ENTRY) >> 1;
    u64 old = io->entry[pin];
    u64 wanted = reg & 1 ? (u64)value << 32 | (u32)old : (old & 0xffffffff00000000ull) | value;
    u64 entry = (wanted & ENTRY_WRITABLE) | (old & ENTRY_REMOTE_IRR);
    /* Changing to edge-triggered forgets the remote IRR: how software clears a stuck one. */
    if (!(entry & ENTRY_LEVEL))
        entry &= ~(u64)ENTRY_REMOTE_IRR;
    io->entry[pin] = entry;
    serve_level(io, pin, to);
}

u64 ioapic_read(const struct ioapic *io, unsigned offset, unsigned size)
{
    u32 value;
    if ((offset & ~3u) == 0x00)
        value = io->select;
    else if ((offset & ~3u) == 0x10)
        value = read_window(io);
    else
        return 0;
    value >>= (offset & 3) * 8;
    return size >= 4 ? value : value & ((1u << size * 8) - 1);
}

void ioapic_write(struct ioapic *io, unsigned offset, u64 value, unsigned size, struct lapic *to)
{
    if (offset == 0x00)
        io->select = (u8)value;
    if (offset != 0x10 || size < 4)
        return;
    if (io->select == REG_ID)
        io->id = (u32)value & 0x0f000000;
    else if (io->select >= REG_ENTRY && io->select < REG_ENTRY + 2 * IOAPIC_PINS)
        write_entry(io, io->select, (u32)value, to);
}
