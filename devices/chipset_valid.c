/* Could the board have come to this state? For state that comes from a file. What a guest may write freely is not
 * looked at: devices take it from a guest as well. */
#include "core/vm.h"
#include "devices/chipset_internal.h"

static bool uart_valid(const struct uart *u, unsigned index)
{
    static const u8 lines[UART_PORTS] = {4, 3, 4, 3};
    return u->index == index && u->line == lines[index] && u->head < UART_FIFO && u->count <= UART_FIFO;
}

static bool keyboard_valid(const struct keyboard *k)
{
    return k->head < KEYBOARD_QUEUE && k->count <= KEYBOARD_QUEUE && (k->scancode_set == 1 || k->scancode_set == 2);
}

static bool pic_valid(const struct pic_chip *c)
{
    return !(c->vector_base & 7) && c->lowest < 8 && c->init_step <= 4;
}

/* A count of 0 would divide by it. */
static bool pit_valid(const struct pit_channel *c)
{
    bool counts = c->initial >= 1 && c->initial <= 65536 && c->reload >= 1 && c->reload <= 65536;
    return counts && c->mode <= 5 && c->access >= 1 && c->access <= 3;
}

bool chipset_valid(const struct chipset *cs)
{
    for (unsigned n = 0; n < UART_PORTS; n++)
        if (!uart_valid(&cs->uart[n], n))
            return false;
    for (unsigned n = 0; n < PIT_CHANNELS; n++)
        if (!pit_valid(&cs->pit.channel[n]))
            return false;
    for (unsigned n = 0; n < HPET_TIMERS; n++)
        if (cs->hpet.timer[n].line >= IOAPIC_PINS)
            return false;
    return pic_valid(&cs->pic.chip[PIC_MASTER]) && pic_valid(&cs->pic.chip[PIC_SLAVE]) &&
           keyboard_valid(&cs->i8042.keyboard) && cs->rtc.phase < NS_PER_SECOND && cs->selftest.line < IOAPIC_PINS && cs->selftest.dma_length <= 65536;
}
