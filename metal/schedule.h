/* Who gets the processor: the guest that has had least of it, in proportion to its shares; nobody more than its cap. */
#ifndef REPRISE_METAL_SCHEDULE_H
#define REPRISE_METAL_SCHEDULE_H

#include "metal/guest.h"

/* Runs guests until all of them have ended. */
void schedule_run(struct guest *guests, unsigned count);

#endif
