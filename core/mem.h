/* memcpy and friends for the portable modules.
 *
 * The portable modules are built without SSE so that the guest's FPU and SSE state can stay in the
 * processor's own registers while they run. A C library's memcpy would destroy it, so this header is
 * force-included (see CMakeLists.txt) and binds the four functions that GCC may call on its own to
 * versions that use general registers only. */
#ifndef REPRISE_CORE_MEM_H
#define REPRISE_CORE_MEM_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t bytes) __asm__("reprise_memcpy");
void *memmove(void *to, const void *from, size_t bytes) __asm__("reprise_memmove");
void *memset(void *to, int byte, size_t bytes) __asm__("reprise_memset");
int memcmp(const void *a, const void *b, size_t bytes) __asm__("reprise_memcmp");
size_t strlen(const char *s) __asm__("reprise_strlen");

#endif
