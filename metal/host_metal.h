/* What only metal/ itself may ask of its host. */
#ifndef REPRISE_METAL_HOST_METAL_H
#define REPRISE_METAL_HOST_METAL_H

#include "core/host.h"

/* Where the output of the guest that runs goes; NULL: nowhere. */
typedef void host_console_sink(enum host_channel channel, u8 byte);
void host_set_console(host_console_sink *sink);

#endif
