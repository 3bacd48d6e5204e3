/* Physical memory, in frames of 4 KiB. Until a frame is given back for the first time, frames come in ascending order;
 * freed ones wait in a list that is threaded through themselves. */
#ifndef REPRISE_METAL_FRAMES_H
#define REPRISE_METAL_FRAMES_H

#include "metal/boot_info.h"

/* Takes the RAM that the loader reported, less the first megabyte, the image and the modules. */
void frames_init(const struct boot_info *boot);

/* A frame of zeros by its physical address, which is where it is mapped; 0: there is none left. */
u64 frame_alloc(void);
void frame_free(u64 frame);

/* Frames that frame_alloc() can still give, and all that were there at first. */
u64 frames_left(void);
u64 frames_total(void);

/* The RAM that frames come from, ascending and disjoint, as it was before the first one was taken. */
unsigned frames_ranges(const struct range **ranges);

#endif
