/* Integer and address types shared by every module.
 *
 * Addresses are one-member structs so that a guest-virtual address cannot be passed where a
 * guest-physical one is meant. gva_t holds a *linear* address (after segmentation); a segment
 * offset is a plain u64. */
#ifndef REPRISE_CORE_TYPES_H
#define REPRISE_CORE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;
typedef unsigned __int128 u128;
typedef __int128 s128;

typedef struct { u64 raw; } gva_t; /* guest linear address */
typedef struct { u64 raw; } gpa_t; /* guest physical address */
typedef struct { u64 raw; } hpa_t; /* host physical address (metal) */

/*@ assigns \nothing; ensures \result.raw == raw; */
static inline gva_t gva(u64 raw) { return (gva_t){raw}; }
/*@ assigns \nothing; ensures \result.raw == raw; */
static inline gpa_t gpa(u64 raw) { return (gpa_t){raw}; }

enum { PAGE_SHIFT = 12, PAGE_SIZE = 1 << PAGE_SHIFT, PAGE_MASK = PAGE_SIZE - 1 };

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
