/* The 8042 keyboard controller at ports 0x60 and 0x64 with an AT keyboard; there is no auxiliary (mouse) device.
 *
 * IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device Controller". The keyboard sends
 * scan code set 2 (or 1, when told), which the controller translates to set 1 while its command byte says so. Bytes
 * take no time: the next one appears as soon as the last is read. Commands for the auxiliary device: the interface
 * test (0xA9) reports a stuck line, 0xD3 echoes through the keyboard's buffer as a controller without the interface
 * does, 0xD4 reaches nobody. */
#ifndef REPRISE_DEVICES_I8042_H
#define REPRISE_DEVICES_I8042_H

#include "devices/device.h"

enum { KEYBOARD_QUEUE = 32, KEYBOARD_IRQ_LINE = 1, I8042_RAM = 32 };

struct keyboard {
    u8 queue[KEYBOARD_QUEUE];
    u8 head, count;
    u8 scancode_set; /* 1 or 2 */
    u8 scanning;     /* keys are reported */
    u8 argument_of;  /* the command whose argument comes next, or 0 */
    u8 last_sent;    /* for RESEND */
    u8 leds, rate;
};

struct i8042 {
    u8 ram[I8042_RAM]; /* byte 0: the command byte */
    u8 status;         /* as port 0x64 shows it */
    u8 output;         /* output buffer, valid while OBF */
    u8 response, has_response; /* the controller's own answer, waiting for the output buffer */
    u8 argument_of;    /* the controller command whose data byte comes next, or 0 */
    u8 output_port;
    u8 release;        /* translation has seen the break prefix 0xF0 */
    struct keyboard keyboard;
};

void i8042_reset(struct i8042 *c);

/* Offset 0: port 0x60; 4: port 0x64. */
u8 i8042_read(struct i8042 *c, unsigned offset, const struct device_env *e);
void i8042_write(struct i8042 *c, unsigned offset, u8 value, const struct device_env *e);

/* A scan code byte of set 1 from outside; ignored while scanning is off or the queue is full. */
void i8042_key(struct i8042 *c, u8 set1, const struct device_env *e);
/* True if one more key byte finds room. */
bool i8042_room(const struct i8042 *c);

/* What every state of the controller satisfies, and what a state from a file must satisfy before it is used. */
static inline bool i8042_valid(const struct i8042 *c)
{
    return c->keyboard.head < KEYBOARD_QUEUE && c->keyboard.count <= KEYBOARD_QUEUE;
}

#endif
