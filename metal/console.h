/* COM1, shared: one guest at a time has keyboard and screen, the others' output is kept. Ctrl-A is the way out of a
 * guest; the monitor is a command line for the machine itself. */
#ifndef REPRISE_METAL_CONSOLE_H
#define REPRISE_METAL_CONSOLE_H

#include "metal/guest.h"

/* The guests, of which the first has the console. */
void console_init(struct guest *guests, unsigned count);

/* Whose output comes now, NULL: nobody's. Shows what is pending. */
void console_switch_output(struct guest *g);
/* Shows what is pending, before something else is printed. */
void console_flush(void);
/* Takes what was typed. */
void console_poll(void);
/* True while the monitor is open: the machine stays on although no guest runs. */
bool console_holds(void);

/* For the monitor: gives the console to a guest, or shows its last output without. */
void console_attach(struct guest *g);
void console_show_history(const struct guest *g);

#endif
