#include "devices/pic.h"

#define CASCADE_INPUT 2u
#define NO_INPUT 8u /* as a rank: below every priority */

/* OCW2 commands: bits R, SL, EOI (8259A data sheet, figure 8) */
enum ocw2 {
    OCW2_CLEAR_ROTATE_AUTO = 0,
    OCW2_EOI = 1,
    OCW2_NOP = 2,
    OCW2_SPECIFIC_EOI = 3,
    OCW2_SET_ROTATE_AUTO = 4,
    OCW2_ROTATE_EOI = 5,
    OCW2_SET_PRIORITY = 6,
    OCW2_ROTATE_SPECIFIC_EOI = 7,
};

static const u8 elcr_writable[PIC_CHIPS] = {0xf8, 0xde};

static unsigned rank_of(const struct pic_chip *c, unsigned input)
{
    return (input - c->lowest - 1u) & 7u;
}

/* The set input of highest priority, or NO_INPUT. */
static unsigned highest(const struct pic_chip *c, u8 set)
{
    for (unsigned rank = 0; rank < 8; rank++) {
        unsigned input = (c->lowest + 1u + rank) & 7u;
        if (set >> input & 1)
            return input;
    }
    return NO_INPUT;
}

/* The input that the chip asks to have served, or NO_INPUT: fully nested structure, special mask mode, special
 * fully nested mode. */
static unsigned wanted_input(const struct pic_chip *c)
{
    if (!c->operational || c->init_step != 0)
        return NO_INPUT;
    unsigned request = highest(c, c->irr & ~c->imr);
    if (request == NO_INPUT)
        return NO_INPUT;
    u8 in_service = c->special_mask ? (u8)(c->isr & ~c->imr) : c->isr;
    unsigned serving = highest(c, in_service);
    if (serving == NO_INPUT || rank_of(c, request) < rank_of(c, serving))
        return request;
    if (c->special_nested && request == serving && request == CASCADE_INPUT)
        return request;
    return NO_INPUT;
}

/* The cascade input follows the slave's output as a level: the slave drops INT at INTA and raises it for the next
 * request, which with edges alone could fall between two of our updates. */
static void update_cascade(struct pic *p)
{
    struct pic_chip *master = &p->chip[PIC_MASTER];
    u8 bit = 1u << CASCADE_INPUT;
    if (wanted_input(&p->chip[PIC_SLAVE]) != NO_INPUT) {
        master->lines |= bit;
        master->irr |= bit;
    } else {
        master->lines &= (u8)~bit;
        master->irr &= (u8)~bit;
    }
}

static void acknowledge_input(struct pic_chip *c, unsigned input)
{
    u8 bit = (u8)(1u << input);
    if (!(c->elcr & bit))
        c->irr &= (u8)~bit;
    if (!c->auto_eoi)
        c->isr |= bit;
    else if (c->rotate_in_auto_eoi)
        c->lowest = (u8)input;
}

void pic_reset(struct pic *p)
{
    memset(p, 0, sizeof(*p));
    for (unsigned i = 0; i < PIC_CHIPS; i++) {
        p->chip[i].lowest = 7;
        p->chip[i].imr = 0xff;
    }
}

void pic_set_line(struct pic *p, unsigned line, bool level)
{
    if (line == CASCADE_INPUT || line > 15)
        return;
    struct pic_chip *c = &p->chip[line >> 3];
    u8 bit = (u8)(1u << (line & 7));
    bool was = (c->lines & bit) != 0;
    if (was == level)
        return;
    if (level) {
        c->lines |= bit;
        c->irr |= bit;
    } else {
        /* An edge-triggered request must stay high until INTA, or it is withdrawn. */
        c->lines &= (u8)~bit;
        c->irr &= (u8)~bit;
    }
    update_cascade(p);
}

bool pic_output(const struct pic *p) { return wanted_input(&p->chip[PIC_MASTER]) != NO_INPUT; }

static u8 acknowledge_chip(struct pic_chip *c, unsigned *input)
{
    *input = wanted_input(c);
    if (*input == NO_INPUT)
        return c->vector_base | 7;
    acknowledge_input(c, *input);
    return (u8)(c->vector_base | *input);
}

u8 pic_acknowledge(struct pic *p)
{
    unsigned input;
    u8 vector = acknowledge_chip(&p->chip[PIC_MASTER], &input);
    if (input == CASCADE_INPUT && !p->chip[PIC_MASTER].single)
        vector = acknowledge_chip(&p->chip[PIC_SLAVE], &input);
    update_cascade(p);
    return vector;
}

static void end_of_interrupt(struct pic_chip *c, unsigned input, bool rotate)
{
    if (input == NO_INPUT)
        return;
    c->isr &= (u8)~(1u << input);
    if (rotate)
        c->lowest = (u8)input;
}

static void write_ocw2(struct pic_chip *c, u8 value)
{
    unsigned level = value & 7u;
    /* In special mask mode a non-specific EOI passes over the bits that IMR masks. */
    unsigned serving = highest(c, c->special_mask ? (u8)(c->isr & ~c->imr) : c->isr);
    switch ((enum ocw2)(value >> 5)) {
    case OCW2_CLEAR_ROTATE_AUTO: c->rotate_in_auto_eoi = 0; break;
    case OCW2_SET_ROTATE_AUTO: c->rotate_in_auto_eoi = 1; break;
    case OCW2_EOI: end_of_interrupt(c, serving, false); break;
    case OCW2_ROTATE_EOI: end_of_interrupt(c, serving, true); break;
    case OCW2_SPECIFIC_EOI: end_of_interrupt(c, level, false); break;
    case OCW2_ROTATE_SPECIFIC_EOI: end_of_interrupt(c, level, true); break;
    case OCW2_SET_PRIORITY: c->lowest = (u8)level; break;
    case OCW2_NOP: break;
    }
}

static void write_ocw3(struct pic_chip *c, u8 value)
{
    if (value & 0x04)
        c->poll = 1;
    if (value & 0x02)
        c->read_isr = value & 1;
    if (value & 0x40)
        c->special_mask = value >> 5 & 1;
}

static void write_icw1(struct pic_chip *c, u8 value)
{
    c->irr = c->lines & c->elcr; /* the edge sense circuit forgets: a new rising edge is needed */
    c->imr = 0;
    c->isr = 0;
    c->lowest = 7;
    c->auto_eoi = 0;
    c->rotate_in_auto_eoi = 0;
    c->special_mask = 0;
    c->special_nested = 0;
    c->read_isr = 0;
    c->poll = 0;
    c->operational = 1;
    c->single = value >> 1 & 1;
    c->want_icw4 = value & 1;
    c->init_step = 2;
}

static void write_icw(struct pic_chip *c, u8 value)
{
    switch (c->init_step) {
    case 2:
        c->vector_base = value & 0xf8;
        c->init_step = !c->single ? 3 : c->want_icw4 ? 4 : 0;
        break;
    case 3: /* the cascade's wiring is fixed on a PC */
        c->init_step = c->want_icw4 ? 4 : 0;
        break;
    default:
        c->auto_eoi = value >> 1 & 1;
        c->special_nested = value >> 4 & 1;
        c->init_step = 0;
        break;
    }
}

void pic_write(struct pic *p, u16 port, u8 value)
{
    struct pic_chip *c = &p->chip[port >> 7 & 1];
    if (port & 1) {
        if (c->init_step != 0)
            write_icw(c, value);
        else
            c->imr = value;
    } else if (value & 0x10) {
        write_icw1(c, value);
    } else if (value & 0x08) {
        write_ocw3(c, value);
    } else {
        write_ocw2(c, value);
    }
    update_cascade(p);
}

bool pic_polled(const struct pic *p, u16 port) { return p->chip[port >> 7 & 1].poll; }

u8 pic_read(struct pic *p, u16 port)
{
    struct pic_chip *c = &p->chip[port >> 7 & 1];
    if (c->poll) {
        c->poll = 0;
        unsigned input = wanted_input(c);
        if (input == NO_INPUT)
            return 7;
        acknowledge_input(c, input);
        update_cascade(p);
        return (u8)(0x80 | input);
    }
    if (port & 1)
        return c->imr;
    return c->read_isr ? c->isr : c->irr;
}

u8 pic_elcr_read(const struct pic *p, u16 port) { return p->chip[port & 1].elcr; }

void pic_elcr_write(struct pic *p, u16 port, u8 value)
{
    struct pic_chip *c = &p->chip[port & 1];
    u8 level = value & elcr_writable[port & 1];
    u8 changed = level ^ c->elcr;
    c->elcr = level;
    /* An input that becomes level-triggered requests while high; one that becomes edge-triggered waits for an edge. */
    c->irr = (u8)((c->irr & ~changed) | (c->lines & level & changed));
    update_cascade(p);
}
