/* Memory of the machine: for now one region above the image, given out once and never taken back. */
#ifndef REPRISE_METAL_MEMORY_H
#define REPRISE_METAL_MEMORY_H

#include "core/types.h"

/* Takes [image end, top) as free memory. `top` is the end of the RAM that begins at 1 MiB, at most 4 GiB. */
void memory_init(u64 top);
u64 memory_free_bytes(void);

#endif
