/* IBM VGA, text mode 3; BIOS data area at 0x400. */
#include "metal/screen.h"

#include "metal/paging.h"

enum {
    BIOS_VIDEO_MODE = 0x449,
    MODE_TEXT_80_25 = 3,
    FRAME = 0xb8000,
    COLUMNS = 80,
    ROWS = 25,
    LIGHT_GREY = 0x0700,
    ESCAPE = 0x1b,
};

/* What an escape sequence has got so far: ESC, or ESC [ and parameters up to a letter. */
enum sequence { SEQUENCE_NONE, SEQUENCE_BEGUN, SEQUENCE_PARAMETERS };

static struct {
    bool there;
    volatile u16 *cells; /* NULL: not open */
    u16 shadow[ROWS * COLUMNS]; /* reading the screen is slow */
    unsigned column;
    enum sequence sequence;
} screen;

void screen_find(void)
{
    const volatile u8 *mode = (const volatile u8 *)BIOS_VIDEO_MODE;
    __asm__("" : "+r"(mode)); /* the compiler knows no objects in the first page */
    screen.there = *mode == MODE_TEXT_80_25;
}

static void show(unsigned cell, u16 value)
{
    if (screen.shadow[cell] == value)
        return;
    screen.shadow[cell] = value;
    screen.cells[cell] = value;
}

void screen_open(void)
{
    if (screen.there)
        screen.cells = paging_device(FRAME, sizeof screen.shadow);
    if (!screen.cells)
        return;
    for (unsigned cell = 0; cell < ROWS * COLUMNS; cell++)
        show(cell, LIGHT_GREY | ' ');
}

/* Text enters at the bottom. */
static void scroll(void)
{
    for (unsigned cell = 0; cell < (ROWS - 1) * COLUMNS; cell++)
        show(cell, screen.shadow[cell + COLUMNS]);
    for (unsigned column = 0; column < COLUMNS; column++)
        show((ROWS - 1) * COLUMNS + column, LIGHT_GREY | ' ');
    screen.column = 0;
}

static bool part_of_sequence(u8 byte)
{
    enum sequence was = screen.sequence;
    if (was == SEQUENCE_NONE) {
        screen.sequence = byte == ESCAPE ? SEQUENCE_BEGUN : SEQUENCE_NONE;
        return byte == ESCAPE;
    }
    bool goes_on = was == SEQUENCE_BEGUN ? byte == '[' : byte < '@';
    screen.sequence = goes_on ? SEQUENCE_PARAMETERS : SEQUENCE_NONE;
    return true;
}

void screen_put(u8 byte)
{
    if (!screen.cells || part_of_sequence(byte))
        return;
    switch (byte) {
    case '\n': scroll(); return;
    case '\r': screen.column = 0; return;
    case '\b': screen.column -= screen.column > 0; return;
    case '\t': screen.column = (screen.column | 7) + 1; break;
    default:
        if (byte < ' ' || byte > '~')
            return;
        show((ROWS - 1) * COLUMNS + screen.column++, (u16)(LIGHT_GREY | byte));
    }
    if (screen.column >= COLUMNS)
        scroll();
}
