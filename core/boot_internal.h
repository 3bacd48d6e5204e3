/* What the boot protocols share with each other and with nobody else. */
#ifndef REPRISE_CORE_BOOT_INTERNAL_H
#define REPRISE_CORE_BOOT_INTERNAL_H

#include "core/boot.h"
#include "core/vm.h"
#include "mmu/access.h"

enum { BOOT_SEGMENTS_MAX = 32, BOOT_RANGES_MAX = BOOT_SEGMENTS_MAX + 2 * BOOT_MODULES_MAX + 8 };

struct boot_range {
    u64 begin, end;
};

/* One load in progress. */
struct boot_loader {
    struct vm *vm;
    const struct boot_images *images;
    struct boot_report *why;
    u64 rsdp; /* guest-physical address of the ACPI root pointer */
    struct boot_region regions[BOOT_REGIONS_MAX];
    unsigned region_count;
    struct boot_range used[BOOT_RANGES_MAX]; /* what this loader has put into RAM */
    unsigned used_count;
};

/*@ predicate image_valid(struct boot_image *i) =
      \valid_read(i) && i->size <= 0x1000000000000 && \valid_read(i->data + (0 .. i->size - 1));
    predicate loader_valid(struct boot_loader *l) =
      \valid(l) && \valid(l->why) && \valid_read(l->vm) && \valid_read(l->images) && \separated(l, l->why, l->vm, l->images);
    logic integer le16(u8 *p) = p[0] + 256 * p[1];
    logic integer le32(u8 *p) = p[0] + 256 * p[1] + 65536 * p[2] + 16777216 * p[3]; */

/* Little-endian fields of images. The caller has checked that they lie inside. */
/*@ requires field16: \valid_read(from + (0 .. 1));
    assigns \nothing;
    ensures value: \result == le16(from); */
static inline u16 boot_u16(const u8 *from) { u16 x; __builtin_memcpy(&x, from, 2); return x; }
/*@ requires field32: \valid_read(from + (0 .. 3));
    assigns \nothing;
    ensures value: \result == le32(from); */
static inline u32 boot_u32(const u8 *from) { u32 x; __builtin_memcpy(&x, from, 4); return x; }
/*@ requires field64: \valid_read(from + (0 .. 7));
    assigns \nothing; */
static inline u64 boot_u64(const u8 *from) { u64 x; __builtin_memcpy(&x, from, 8); return x; }
static inline void boot_put_u16(u8 *to, u16 x) { __builtin_memcpy(to, &x, 2); }
static inline void boot_put_u32(u8 *to, u32 x) { __builtin_memcpy(to, &x, 4); }
static inline void boot_put_u64(u8 *to, u64 x) { __builtin_memcpy(to, &x, 8); }

/*@ assigns \nothing; */
static inline u64 boot_align_up(u64 x, u64 alignment) { return (x + alignment - 1) & ~(alignment - 1); }

/* Fill in the report and return `status`. */
/*@ requires \valid(l) && \valid(l->why);
    assigns *l->why;
    ensures status: \result == status; */
enum status boot_refuse(struct boot_loader *l, enum status status, const struct boot_image *image, const char *what,
                        const char *action);
/*@ requires \valid(l) && \valid(l->why);
    assigns *l->why;
    ensures status: \result == STATUS_BAD_IMAGE; */
enum status boot_refuse_at(struct boot_loader *l, const struct boot_image *image, u64 offset, const char *what,
                           const char *action);
/*@ requires \valid(l) && \valid(l->why);
    assigns *l->why;
    ensures status: \result == STATUS_TOO_BIG; */
enum status boot_refuse_size(struct boot_loader *l, const struct boot_image *image, const char *what, u64 need,
                             u64 have);

/* True if [begin, begin + bytes) is usable RAM and nothing of this loader is there. */
bool boot_is_free(const struct boot_loader *l, u64 begin, u64 bytes);
/*@ requires \valid(l);
    assigns l->used_count, l->used[0 .. BOOT_RANGES_MAX - 1]; */
/* Marks a free range as used; false if it is not free or the loader's capacity is exhausted. */
bool boot_claim(struct boot_loader *l, u64 begin, u64 bytes);
/* Claims the lowest free range at or above `minimum` that ends at or below `limit`; `alignment` is a power of two.
 * UINT64_MAX if there is none. */
u64 boot_place(struct boot_loader *l, u64 bytes, u64 alignment, u64 minimum, u64 limit);
/* Copies into RAM. The range has been claimed. */
//@ assigns guest_memory;
void boot_copy(struct boot_loader *l, u64 to, const void *from, u64 bytes);
/* The same from an image. The caller has checked that [offset, offset + bytes) lies inside. */
/*@ requires inside_image: \valid_read(image) && offset <= image->size && bytes <= image->size - offset;
    assigns guest_memory; */
void boot_copy_image(struct boot_loader *l, u64 to, const struct boot_image *image, u64 offset, u64 bytes);
/*@ requires \valid_read(l) && \valid_read(l->vm);
    assigns \nothing; */
/* End of usable RAM that begins at 1 MiB, below the hole. */
u64 boot_low_end(const struct boot_loader *l);

/* Selectors of the flat segments in the table that boot_flat_gdt() writes; those of the Linux protocol. */
enum { BOOT_CS = 0x10, BOOT_DS = 0x18, BOOT_GDT_BYTES = 32 };
/* Writes the GDT and sets GDTR, all segment registers to flat 4 GiB segments, and the processor to protected mode
 * without paging, interrupts off. `code64`: the code segment is a 64-bit one. */
void boot_flat_protected(struct boot_loader *l, u64 gdt, bool code64);

bool boot_is_linux(const struct boot_image *kernel);
enum status boot_linux(struct boot_loader *l);
bool boot_is_multiboot(const struct boot_image *kernel);
enum status boot_multiboot(struct boot_loader *l);

#endif
