/* What the boot loader says: where RAM is, which modules it loaded, the command line, and where ACPI begins.
 * Multiboot 1 and 2 say it differently; from here on there is one form. Everything but the modules' contents is
 * copied, so that the loader's own memory is free afterwards. */
#ifndef REPRISE_METAL_BOOT_INFO_H
#define REPRISE_METAL_BOOT_INFO_H

#include "core/types.h"

enum { BOOT_RANGES = 64, BOOT_FILES = 32, BOOT_TEXT_BYTES = 16 << 10, RSDP_BYTES = 36 };

struct range {
    u64 begin, end;
};

/* A module: its contents lie in memory, its text ("NAME ARGUMENTS") here. */
struct boot_file {
    const u8 *data;
    u64 size;
    const char *name;      /* the text's first word, without the folders in front of it */
    const char *arguments; /* what follows, "" if nothing */
};

struct boot_info {
    struct range ram[BOOT_RANGES]; /* usable RAM, as told: unsorted, perhaps overlapping */
    unsigned ram_count;
    struct boot_file file[BOOT_FILES];
    unsigned file_count;
    const char *command_line;
    bool has_rsdp;
    u8 rsdp[RSDP_BYTES]; /* a copy; Multiboot 2 only */
    const char *trouble; /* NULL, or what was left out: too many ranges, modules, texts */
};

/* Reads what a loader left: `magic` from EAX, `info` from EBX. False if it was none that we know, or it does not tell
 * where RAM is. */
bool boot_info_read(u32 magic, u64 info, struct boot_info *boot);

/* The module of that name (without folders), or NULL. */
const struct boot_file *boot_file_find(const struct boot_info *boot, const char *name);

bool text_equal(const char *a, const char *b);

#endif
