/* Commands behind gdb's `monitor`: what the machine knows and gdb has no words for. */
#ifndef REPRISE_SIM_GDB_MONITOR_H
#define REPRISE_SIM_GDB_MONITOR_H

#include "sim/gdb.h"

/* Carries out one line. Text goes to gdb's console; g->reply is the answer to the packet. */
void gdb_monitor(struct gdb *g, const char *line);

#endif
