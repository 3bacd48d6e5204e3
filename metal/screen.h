/* The VGA text screen, where firmware left one: shows what goes to COM1 as well, so that a machine without a serial line can
 * say what is wrong. UEFI leaves none. */
#ifndef REPRISE_METAL_SCREEN_H
#define REPRISE_METAL_SCREEN_H

#include "core/types.h"

/* Before paging_init(): is there one, by the BIOS's own variables? */
void screen_find(void);
/* After paging_init(): from now on screen_put() shows something. */
void screen_open(void);
/* A character: printable ASCII, backspace, tab, CR, LF. Escape sequences are passed over. */
void screen_put(u8 byte);

#endif
