/* The monitor: a command line over the machine's guests. */
#ifndef REPRISE_METAL_MONITOR_H
#define REPRISE_METAL_MONITOR_H

#include "metal/guest.h"

void monitor_init(struct guest *guests, unsigned count);
/* Greets, and takes commands from now on. */
void monitor_open(void);
/* A byte typed at it. */
void monitor_type(u8 byte);
/* Ends all guests, their logs included, and the machine. */
void monitor_power_off(void);

#endif
