#include "devices/i8042.h"

#define STATUS_OBF 0x01u
#define STATUS_SYSTEM 0x04u
#define STATUS_COMMAND 0x08u
#define STATUS_UNLOCKED 0x10u

#define CCB_IRQ 0x01u
#define CCB_SYSTEM 0x04u
#define CCB_DISABLE_KEYBOARD 0x10u
#define CCB_DISABLE_AUX 0x20u
#define CCB_TRANSLATE 0x40u

#define PORT_NOT_RESET 0x01u
#define PORT_A20 0x02u
#define PORT_OBF 0x10u

#define BREAK_SET2 0xf0u
#define BREAK_SET1 0x80u

enum controller_command {
    CMD_READ_RAM = 0x20,
    CMD_WRITE_RAM = 0x60,
    CMD_PASSWORD_TEST = 0xa4,
    CMD_DISABLE_AUX = 0xa7,
    CMD_ENABLE_AUX = 0xa8,
    CMD_TEST_AUX = 0xa9,
    CMD_SELF_TEST = 0xaa,
    CMD_TEST_KEYBOARD = 0xab,
    CMD_DISABLE_KEYBOARD = 0xad,
    CMD_ENABLE_KEYBOARD = 0xae,
    CMD_READ_INPUT_PORT = 0xc0,
    CMD_READ_OUTPUT_PORT = 0xd0,
    CMD_WRITE_OUTPUT_PORT = 0xd1,
    CMD_WRITE_KEYBOARD_BUFFER = 0xd2,
    CMD_WRITE_AUX_BUFFER = 0xd3,
    CMD_WRITE_AUX = 0xd4,
    CMD_READ_TEST_INPUTS = 0xe0,
    CMD_PULSE = 0xf0,
};

enum keyboard_command {
    KBD_LEDS = 0xed,
    KBD_ECHO = 0xee,
    KBD_SCANCODE_SET = 0xf0,
    KBD_IDENTIFY = 0xf2,
    KBD_RATE = 0xf3,
    KBD_ENABLE = 0xf4,
    KBD_DISABLE = 0xf5,
    KBD_DEFAULTS = 0xf6,
    KBD_RESEND = 0xfe,
    KBD_RESET = 0xff,
    KBD_ACK = 0xfa,
    KBD_SELF_TEST_PASSED = 0xaa,
};

/* Set 2 make code of each set 1 make code. */
static const u8 set2_of_set1[128] = {
    0x00, 0x76, 0x16, 0x1e, 0x26, 0x25, 0x2e, 0x36, 0x3d, 0x3e, 0x46, 0x45, 0x4e, 0x55, 0x66, 0x0d,
    0x15, 0x1d, 0x24, 0x2d, 0x2c, 0x35, 0x3c, 0x43, 0x44, 0x4d, 0x54, 0x5b, 0x5a, 0x14, 0x1c, 0x1b,
    0x23, 0x2b, 0x34, 0x33, 0x3b, 0x42, 0x4b, 0x4c, 0x52, 0x0e, 0x12, 0x5d, 0x1a, 0x22, 0x21, 0x2a,
    0x32, 0x31, 0x3a, 0x41, 0x49, 0x4a, 0x59, 0x7c, 0x11, 0x29, 0x58, 0x05, 0x06, 0x04, 0x0c, 0x03,
    0x0b, 0x83, 0x0a, 0x01, 0x09, 0x77, 0x7e, 0x6c, 0x75, 0x7d, 0x7b, 0x6b, 0x73, 0x74, 0x79, 0x69,
    0x72, 0x7a, 0x70, 0x71, 0x84, 0x60, 0x61, 0x78, 0x07, 0x0f, 0x17, 0x1f, 0x27, 0x2f, 0x37, 0x3f,
    0x47, 0x4f, 0x56, 0x5e, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x38, 0x40, 0x48, 0x50, 0x57, 0x6f,
    0x13, 0x19, 0x39, 0x51, 0x53, 0x5c, 0x5f, 0x62, 0x63, 0x64, 0x65, 0x67, 0x68, 0x6a, 0x6d, 0x6e,
};

/* What the controller makes of a set 2 byte; codes beyond the table pass unchanged. */
static u8 set1_of_set2(u8 code)
{
    for (unsigned i = 0; i < ARRAY_LEN(set2_of_set1); i++)
        if (set2_of_set1[i] == code)
            return (u8)i;
    return code == 0x7f ? 0x54 : code;
}

static void drive_irq(const struct i8042 *c, const struct device_env *e)
{
    device_irq(e, KEYBOARD_IRQ_LINE, (c->status & STATUS_OBF) && (c->ram[0] & CCB_IRQ));
}

static void keyboard_send(struct keyboard *k, u8 byte)
{
    if (k->count == KEYBOARD_QUEUE)
        return;
    k->queue[(k->head + k->count) % KEYBOARD_QUEUE] = byte;
    k->count++;
}

static u8 keyboard_take(struct keyboard *k)
{
    u8 byte = k->queue[k->head];
    k->head = (u8)((k->head + 1) % KEYBOARD_QUEUE);
    k->count--;
    k->last_sent = byte;
    return byte;
}

static void keyboard_defaults(struct keyboard *k)
{
    k->scancode_set = 2;
    k->scanning = 1;
    k->leds = 0;
    k->rate = 0x2b;
}

/* Moves the next byte into the output buffer, if that is empty: the controller's own answers come first. */
static void refill(struct i8042 *c)
{
    while (!(c->status & STATUS_OBF)) {
        if (c->has_response) {
            c->has_response = 0;
            c->output = c->response;
            c->status |= STATUS_OBF;
            return;
        }
        if ((c->ram[0] & CCB_DISABLE_KEYBOARD) || c->keyboard.count == 0)
            return;
        u8 byte = keyboard_take(&c->keyboard);
        if (c->ram[0] & CCB_TRANSLATE) {
            if (byte == BREAK_SET2) {
                c->release = 1;
                continue;
            }
            byte = (u8)(set1_of_set2(byte) | (c->release ? BREAK_SET1 : 0));
            c->release = 0;
        }
        c->output = byte;
        c->status |= STATUS_OBF;
    }
}

static void respond(struct i8042 *c, u8 byte)
{
    c->response = byte;
    c->has_response = 1;
}

void i8042_reset(struct i8042 *c)
{
    memset(c, 0, sizeof(*c));
    c->ram[0] = CCB_IRQ | CCB_SYSTEM | CCB_DISABLE_AUX | CCB_TRANSLATE; /* as firmware leaves it */
    c->status = STATUS_SYSTEM | STATUS_UNLOCKED;
    c->output_port = PORT_NOT_RESET | PORT_A20;
    keyboard_defaults(&c->keyboard);
}

static void keyboard_argument(struct keyboard *k, u8 value)
{
    u8 command = k->argument_of;
    k->argument_of = 0;
    keyboard_send(k, KBD_ACK);
    if (command == KBD_LEDS)
        k->leds = value & 7;
    else if (command == KBD_RATE)
        k->rate = value & 0x7f;
    else if (value == 0)
        keyboard_send(k, k->scancode_set);
    else if (value <= 2)
        k->scancode_set = value;
}

static void keyboard_reset(struct keyboard *k)
{
    k->head = k->count = 0;
    keyboard_defaults(k);
    keyboard_send(k, KBD_ACK);
    keyboard_send(k, KBD_SELF_TEST_PASSED);
}

static void keyboard_command(struct keyboard *k, u8 value)
{
    if (k->argument_of && value < KBD_LEDS) {
        keyboard_argument(k, value);
        return;
    }
    k->argument_of = 0;
    switch (value) {
    case KBD_ECHO: keyboard_send(k, KBD_ECHO); return;
    case KBD_RESEND: keyboard_send(k, k->last_sent); return;
    case KBD_RESET: keyboard_reset(k); return;
    case KBD_LEDS:
    case KBD_SCANCODE_SET:
    case KBD_RATE:
        k->argument_of = value;
        break;
    case KBD_IDENTIFY:
        keyboard_send(k, KBD_ACK);
        keyboard_send(k, 0xab); /* an enhanced keyboard */
        keyboard_send(k, 0x83);
        return;
    case KBD_ENABLE:
        k->head = k->count = 0;
        k->scanning = 1;
        break;
    case KBD_DISABLE:
        keyboard_defaults(k);
        k->scanning = 0;
        break;
    case KBD_DEFAULTS: keyboard_defaults(k); break;
    default: keyboard_send(k, KBD_RESEND); return;
    }
    keyboard_send(k, KBD_ACK);
}

static void set_output_port(struct i8042 *c, u8 value, const struct device_env *e)
{
    c->output_port = value & (PORT_NOT_RESET | PORT_A20);
    if (!(value & PORT_NOT_RESET))
        device_request(e, REQUEST_RESET, 0);
}

static void controller_argument(struct i8042 *c, u8 value, const struct device_env *e)
{
    u8 command = c->argument_of;
    c->argument_of = 0;
    if (command >= CMD_WRITE_RAM && command < CMD_WRITE_RAM + I8042_RAM) {
        c->ram[command - CMD_WRITE_RAM] = value;
        c->status = (u8)((c->status & ~STATUS_SYSTEM) | (c->ram[0] & CCB_SYSTEM));
    } else if (command == CMD_WRITE_OUTPUT_PORT) {
        set_output_port(c, value, e);
    } else if (command != CMD_WRITE_AUX) {
        respond(c, value);
    }
}

static void self_test(struct i8042 *c)
{
    c->ram[0] |= CCB_SYSTEM;
    c->status |= STATUS_SYSTEM;
    c->has_response = 0;
    c->release = 0;
    c->status &= (u8)~STATUS_OBF;
    respond(c, 0x55);
}

static void controller_command(struct i8042 *c, u8 command, const struct device_env *e)
{
    c->argument_of = 0;
    if (command >= CMD_READ_RAM && command < CMD_READ_RAM + I8042_RAM) {
        respond(c, c->ram[command - CMD_READ_RAM]);
        return;
    }
    if (command >= CMD_WRITE_RAM && command < CMD_WRITE_RAM + I8042_RAM) {
        c->argument_of = command;
        return;
    }
    if (command >= CMD_PULSE) {
        if (!(command & 1)) /* bits 3..0 low pulse the output lines; bit 0 is the processor's reset */
            device_request(e, REQUEST_RESET, 0);
        return;
    }
    switch (command) {
    case CMD_PASSWORD_TEST: respond(c, 0xf1); break; /* none installed */
    case CMD_DISABLE_AUX: c->ram[0] |= CCB_DISABLE_AUX; break;
    case CMD_ENABLE_AUX: c->ram[0] &= (u8)~CCB_DISABLE_AUX; break;
    case CMD_TEST_AUX: respond(c, 0x02); break; /* clock line stuck high: nothing there */
    case CMD_SELF_TEST: self_test(c); break;
    case CMD_TEST_KEYBOARD: respond(c, 0x00); break;
    case CMD_DISABLE_KEYBOARD: c->ram[0] |= CCB_DISABLE_KEYBOARD; break;
    case CMD_ENABLE_KEYBOARD: c->ram[0] &= (u8)~CCB_DISABLE_KEYBOARD; break;
    case CMD_READ_INPUT_PORT: respond(c, 0x80); break; /* keyboard not locked */
    case CMD_READ_OUTPUT_PORT: respond(c, c->output_port | (c->status & STATUS_OBF ? PORT_OBF : 0)); break;
    case CMD_READ_TEST_INPUTS: respond(c, 0x00); break;
    case CMD_WRITE_OUTPUT_PORT:
    case CMD_WRITE_KEYBOARD_BUFFER:
    case CMD_WRITE_AUX_BUFFER:
    case CMD_WRITE_AUX: c->argument_of = command; break;
    default: break;
    }
}

void i8042_write(struct i8042 *c, unsigned offset, u8 value, const struct device_env *e)
{
    if (offset == 4) {
        c->status |= STATUS_COMMAND;
        controller_command(c, value, e);
    } else {
        c->status &= (u8)~STATUS_COMMAND;
        if (c->argument_of) {
            controller_argument(c, value, e);
        } else {
            c->ram[0] &= (u8)~CCB_DISABLE_KEYBOARD; /* a byte for the keyboard enables its interface */
            keyboard_command(&c->keyboard, value);
        }
    }
    refill(c);
    drive_irq(c, e);
}

u8 i8042_read(struct i8042 *c, unsigned offset, const struct device_env *e)
{
    if (offset == 4)
        return c->status;
    u8 byte = c->output;
    c->status &= (u8)~STATUS_OBF;
    drive_irq(c, e); /* low in between: the next byte is a new edge */
    refill(c);
    drive_irq(c, e);
    return byte;
}

bool i8042_room(const struct i8042 *c) { return c->keyboard.count + 2u <= KEYBOARD_QUEUE; }

void i8042_key(struct i8042 *c, u8 set1, const struct device_env *e)
{
    struct keyboard *k = &c->keyboard;
    if (!k->scanning || !i8042_room(c))
        return;
    if (k->scancode_set == 1 || set1 == 0xe0 || set1 == 0xe1) {
        keyboard_send(k, set1);
    } else {
        if (set1 & BREAK_SET1)
            keyboard_send(k, BREAK_SET2);
        keyboard_send(k, set2_of_set1[set1 & 0x7f]);
    }
    refill(c);
    drive_irq(c, e);
}
