/* Host bugs end here. No guest action and no file content may reach panic(). */
#ifndef REPRISE_CORE_PANIC_H
#define REPRISE_CORE_PANIC_H

#include "core/host.h"

#define panic(message) host_panic(__FILE__, __LINE__, (message))
#define invariant(condition) ((condition) ? (void)0 : panic("invariant broken: " #condition))

#endif
