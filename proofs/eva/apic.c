/* The local APIC and the I/O APIC together, in any state: accesses of any offset and size, line changes, messages,
 * ticks and acknowledgements. */
#include "eva/board.h"

#include "devices/lapic.c"
#undef REG_ID
#undef REG_VERSION
#undef VERSION_VALUE
#define matches ioapic_matches
#include "devices/ioapic.c"

static struct lapic a;
static struct ioapic io;

static void access_lapic(void)
{
    switch (any_below(12)) {
    case 0: lapic_read(&a, any_u32(), any_size(8), any_u64()); break;
    case 1: lapic_write(&a, any_u32(), any_u64(), any_size(8), any_u64()); break;
    case 2: lapic_message(&a, any_u8(), any_bool(), (enum apic_mode)any_below(8), any_u8(), any_bool()); break;
    case 3: lapic_set_lint0(&a, any_bool()); break;
    case 4: lapic_pending(&a); break;
    case 5: lapic_acknowledge(&a); break;
    case 6: lapic_passes_extint(&a); break;
    case 7: lapic_set_tsc_deadline(&a, any_u64()); break;
    case 8: lapic_deadline(&a, any_u64(), any_u64()); break;
    case 9: lapic_init(&a); break;
    case 10: lapic_virtual_wire(&a); break;
    default: lapic_tick(&a, any_u64(), any_u64()); break;
    }
}

static void access_ioapic(void)
{
    switch (any_below(4)) {
    case 0: ioapic_read(&io, any_u32(), any_size(8)); break;
    case 1: ioapic_write(&io, any_u32(), any_u64(), any_size(8), &a); break;
    case 2: ioapic_set_line(&io, any_u32(), any_bool(), &a); break;
    default: ioapic_eoi(&io, any_u8(), &a); break;
    }
}

void main(void)
{
    lapic_reset(&a, any_u8());
    ioapic_reset(&io);
    REACHED(reset);
    any_bytes(&a, sizeof a);
    any_bytes(&io, sizeof io);
    if (any_bool())
        access_lapic();
    else
        access_ioapic();
    REACHED(any_access);
}
