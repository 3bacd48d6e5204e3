/* Could the board have come to this state? For state that comes from a file. Beyond chipset_valid(), which is all that safety
 * wants. What a guest may write freely is not looked at: devices take it from a guest as well. */
#include "core/vm.h"
#include "devices/chipset_internal.h"

static bool uart_plausible(const struct uart *u, unsigned index)
{
    static const u8 lines[UART_PORTS] = {4, 3, 4, 3};
    return u->index == index && u->line == lines[index] && u->head < UART_FIFO && u->count <= UART_FIFO;
}

static bool keyboard_plausible(const struct keyboard *k)
{
    return k->head < KEYBOARD_QUEUE && k->count <= KEYBOARD_QUEUE && (k->scancode_set == 1 || k->scancode_set == 2);
}

static bool pic_plausible(const struct pic_chip *c)
{
    return !(c->vector_base & 7) && c->lowest < 8 && c->init_step <= 4;
}

/* A count of 0 would divide by it. */
static bool pit_plausible(const struct pit_channel *c)
{
    bool counts = c->initial >= 1 && c->initial <= 65536 && c->reload >= 1 && c->reload <= 65536;
    return counts && c->mode <= 5 && c->access >= 1 && c->access <= 3;
}

bool chipset_plausible(const struct chipset *cs)
{
    if (!chipset_valid(cs))
        return false;
    for (unsigned n = 0; n < UART_PORTS; n++)
        if (!uart_plausible(&cs->uart[n], n))
            return false;
    for (unsigned n = 0; n < PIT_CHANNELS; n++)
        if (!pit_plausible(&cs->pit.channel[n]))
            return false;
    for (unsigned n = 0; n < HPET_TIMERS; n++)
        if (cs->hpet.timer[n].line >= IOAPIC_PINS)
            return false;
    return pic_plausible(&cs->pic.chip[PIC_MASTER]) && pic_plausible(&cs->pic.chip[PIC_SLAVE]) &&
           keyboard_plausible(&cs->i8042.keyboard) && cs->rtc.phase < NS_PER_SECOND && cs->selftest.line < IOAPIC_PINS && cs->selftest.dma_length <= 65536;
}
