/* The loader of Multiboot kernels: whatever bytes the image holds, of whatever size, it reads and copies within the image. */
#include "core/boot_internal.h"

/*@ assigns guest_memory; */
bool physmem_zero(struct physmem *m, gpa_t to, u64 bytes);

#include "core/boot_multiboot.c"
