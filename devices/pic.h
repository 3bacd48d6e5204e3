/* The pair of 8259A interrupt controllers of a PC, as the 82371SB (PIIX3) integrates them: master at 0x20, slave at
 * 0xA0 on the master's input 2, edge/level control (ELCR) at 0x4D0.
 *
 * Intel 8259A data sheet (231468), 82371FB/82371SB data sheet (290550), ELCR1 and ELCR2. Neither MCS-80
 * mode nor buffered mode exists here; ICW1.LTIM is ignored in favour of ELCR, as on the PIIX. */
#ifndef REPRISE_DEVICES_PIC_H
#define REPRISE_DEVICES_PIC_H

#include "core/types.h"

struct pic_chip {
    u8 irr;         /* requests: latched rising edges, or the level of a level-triggered input */
    u8 imr;         /* OCW1 */
    u8 isr;
    u8 lines;       /* present level of each input */
    u8 elcr;        /* 1: level-triggered */
    u8 vector_base; /* ICW2, low three bits zero */
    u8 init_step;   /* which ICW comes next: 2, 3 or 4; 0 when operational */
    u8 lowest;      /* the input of lowest priority */
    u8 operational; /* an initialisation sequence has completed since power-up */
    u8 single, want_icw4, auto_eoi, rotate_in_auto_eoi, special_mask, special_nested, read_isr, poll;
};

enum { PIC_MASTER, PIC_SLAVE, PIC_CHIPS };

struct pic {
    struct pic_chip chip[PIC_CHIPS];
};

void pic_reset(struct pic *p);

/* Will the next read of this port acknowledge an interrupt (poll mode)? */
bool pic_polled(const struct pic *p, u16 port);
/* Ports 0x20, 0x21, 0xA0, 0xA1. A read may acknowledge (poll mode). */
u8 pic_read(struct pic *p, u16 port);
void pic_write(struct pic *p, u16 port, u8 value);

/* Ports 0x4D0 and 0x4D1; inputs 0, 1, 2, 8 and 13 are always edge-triggered. */
u8 pic_elcr_read(const struct pic *p, u16 port);
void pic_elcr_write(struct pic *p, u16 port, u8 value);

/* Drives input 0..15; input 2 is the cascade and ignored. */
void pic_set_line(struct pic *p, unsigned line, bool level);

/* INT of the master. */
bool pic_output(const struct pic *p);
/* The INTA sequence: the vector. Without a request, the spurious vector of input 7 and no in-service bit. */
u8 pic_acknowledge(struct pic *p);

#endif
