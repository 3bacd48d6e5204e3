/* Boot protocols: puts a kernel and its companions into a powered-up machine, its processor at the first instruction.
 *
 * Plays the part of firmware and boot loader for Linux bzImage (boot protocol 2.06 and later, 32-bit and 64-bit entry)
 * and Multiboot 1 kernels (ELF32, or the address fields of the header). Works on byte buffers, which may come from
 * anybody: no content reaches panic(), reads outside its buffer, or writes outside usable guest RAM. */
#ifndef REPRISE_CORE_BOOT_H
#define REPRISE_CORE_BOOT_H

#include "core/status.h"
#include "core/types.h"
#include "mmu/physmem.h"

struct vm;

enum { BOOT_MODULES_MAX = 64, BOOT_REGIONS_MAX = 8 };

/* A file in memory. Strings are never NULL. */
struct boot_image {
    const u8 *data;
    u64 size;         /* bytes */
    const char *name; /* for messages */
    const char *text; /* Multiboot: the string that goes with a module */
};

/* All borrowed for the time of the call. */
struct boot_images {
    struct boot_image kernel;
    const struct boot_image *initrd; /* NULL: none */
    const char *append;              /* the kernel command line, "" for none */
    const struct boot_image *modules;
    unsigned module_count;
};

/* Why boot_load() refused, or what it found. */
struct boot_report {
    const char *image;  /* name of the image at fault; NULL: the machine's configuration */
    const char *what;   /* what is wrong */
    const char *action; /* what the user may do about it */
    bool has_offset;
    u64 offset;         /* where in the image */
    u64 need, have;     /* bytes wanted and bytes there, when `need` is not 0 */
    const char *protocol; /* on success: "Linux, 64-bit entry", ... */
    u64 entry;            /* on success: guest-physical address of the first instruction */
};

/* Loads `images` into `vm`, which has just been created or reset, and sets its first processor to the entry state of
 * the recognised protocol. Where a PC's firmware would have left tables and devices set up, they are.
 * STATUS_OK; STATUS_BAD_IMAGE, STATUS_TOO_BIG, STATUS_BAD_ARGUMENT or STATUS_UNSUPPORTED with *why filled in:
 * guest memory is then undefined, and the processor has not been touched. */
enum status boot_load(struct vm *vm, const struct boot_images *images, struct boot_report *why);

/* The memory map that firmware reports (INT 15h, E820), in ascending order; types as there. Covers what mmu/physmem.h
 * calls RAM, less what belongs to firmware. */
enum boot_region_type { BOOT_REGION_USABLE = 1, BOOT_REGION_RESERVED = 2 };
struct boot_region {
    u64 base, bytes;
    enum boot_region_type type;
};
unsigned boot_memory_map(const struct physmem *memory, struct boot_region regions[BOOT_REGIONS_MAX]);

#endif
