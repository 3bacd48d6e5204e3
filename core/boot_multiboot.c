/* Multiboot Specification, version 0.6.96 (Multiboot 1). Section numbers below are its own. */
#include "core/boot_internal.h"

/* 3.1: the header */
#define HEADER_MAGIC 0x1badb002u
#define HEADER_SEARCH 8192u
#define FLAG_PAGE_ALIGN 0x00000001u
#define FLAG_MEMORY_INFO 0x00000002u
#define FLAG_ADDRESSES 0x00010000u
#define FLAGS_REQUIRED 0x0000ffffu
#define FLAGS_KNOWN (FLAG_PAGE_ALIGN | FLAG_MEMORY_INFO)
#define HEADER_BYTES 12u
#define HEADER_ADDRESS_BYTES 32u

/* 3.3: the information structure */
#define INFO_MEMORY 0x001u
#define INFO_COMMAND_LINE 0x004u
#define INFO_MODULES 0x008u
#define INFO_MEMORY_MAP 0x040u
#define INFO_LOADER_NAME 0x200u
enum { INFO_BYTES = 120, MODULE_BYTES = 16, MAP_ENTRY_BYTES = 24 };
#define MACHINE_MAGIC 0x2badb002u /* 3.2: in EAX */

#define INFO_LOWEST 0x1000ull /* below: interrupt vectors and the BIOS data area */
#define INFO_LIMIT 0xc0000000ull
#define HIGH_BEGIN 0x100000ull

/* ELF32 (Tool Interface Standard, 1.2) */
#define ELF_MAGIC 0x464c457fu
#define ELF_TYPE_EXEC 2u
#define ELF_MACHINE_386 3u
#define ELF_LOAD 1u
enum { ELF_HEADER = 52, ELF_PHDR = 32 };

struct multiboot_kernel {
    const struct boot_image *image;
    u64 header; /* offset in the image */
    u32 flags;
    u32 entry;  /* guest-physical */
    u64 end;    /* first byte after everything loaded, bss included; 0 while nothing is loaded */
};

/*@ requires image_valid(kernel);
    assigns \nothing;
    ensures inside: \result == UINT64_MAX || (\result + HEADER_BYTES <= kernel->size && \result < HEADER_SEARCH); */
/* Offset of the header, or UINT64_MAX. It must lie wholly in the first 8192 bytes, aligned to 4 (3.1). */
static u64 find_header(const struct boot_image *kernel)
{
    u64 limit = kernel->size < HEADER_SEARCH ? kernel->size : HEADER_SEARCH;
    /*@ loop invariant at <= limit + 4;
        loop assigns at;
        loop variant limit - at; */
    for (u64 at = 0; at + HEADER_BYTES <= limit; at += 4) {
        const u8 *h = kernel->data + at;
        if (boot_u32(h) == HEADER_MAGIC && (u32)(boot_u32(h) + boot_u32(h + 4) + boot_u32(h + 8)) == 0)
            return at;
    }
    return UINT64_MAX;
}

bool boot_is_multiboot(const struct boot_image *kernel)
{
    return find_header(kernel) != UINT64_MAX;
}

/*@ requires loader_valid(l) && \valid(k) && image_valid(k->image) && \separated(l, l->why, k) && \separated(k->image, l->why);
    assigns l->used_count, l->used[0 .. BOOT_RANGES_MAX - 1], *l->why, k->end, guest_memory; */
/* Loads one piece: `file_bytes` from `offset` of the image, then zeros up to `memory_bytes`. */
static enum status load_piece(struct boot_loader *l, struct multiboot_kernel *k, u64 where, u64 offset, u64 file_bytes,
                              u32 address, u64 memory_bytes)
{
    if (offset > k->image->size || file_bytes > k->image->size - offset)
        return boot_refuse_at(l, k->image, where, "the file ends before the part of the kernel described here",
                              "the kernel is truncated or corrupt: get it again");
    if (file_bytes > memory_bytes)
        return boot_refuse_at(l, k->image, where, "a part of the kernel is larger in the file than in memory",
                              "the kernel is corrupt: link it again");
    if (!memory_bytes)
        return STATUS_OK;
    if (!boot_claim(l, address, memory_bytes)) {
        enum status status = boot_refuse_at(
            l, k->image, where, "the load address is not free, usable memory: it overlaps another part, lies in the "
                                "reserved area below 1 MiB, or the guest has too little memory",
            "give the guest more memory with -m, or link the kernel elsewhere (1 MiB is usual)");
        l->why->need = address + memory_bytes;
        l->why->have = boot_low_end(l);
        return status;
    }
    boot_copy_image(l, address, k->image, offset, file_bytes);
    (void)physmem_zero(&l->vm->memory, gpa(address + file_bytes), memory_bytes - file_bytes);
    if (address + memory_bytes > k->end)
        k->end = address + memory_bytes;
    return STATUS_OK;
}

/*@ requires loader_valid(l) && \valid(k) && image_valid(k->image) && \separated(l, l->why, k) && \separated(k->image, l->why);
    requires header: k->header < HEADER_SEARCH;
    assigns l->used_count, l->used[0 .. BOOT_RANGES_MAX - 1], *l->why, k->end, k->entry, guest_memory; */
/* The address fields (3.1.3): text and data as one piece, then bss. */
static enum status load_by_addresses(struct boot_loader *l, struct multiboot_kernel *k)
{
    if (k->header + HEADER_ADDRESS_BYTES > k->image->size)
        return boot_refuse_at(l, k->image, k->header, "the address fields of the Multiboot header are cut off",
                              "the kernel is truncated: get it again");
    const u8 *h = k->image->data + k->header;
    u32 header_address = boot_u32(h + 12), load = boot_u32(h + 16), load_end = boot_u32(h + 20);
    u32 bss_end = boot_u32(h + 24);
    u64 before = header_address - load; /* bytes of the image that are loaded in front of the header */
    if (header_address < load || before > k->header)
        return boot_refuse_at(l, k->image, k->header + 12, "header_addr and load_addr do not fit the header's place in "
                              "the file", "correct the address fields of the Multiboot header");
    u64 offset = k->header - before;
    u64 file_bytes = load_end ? (u64)load_end - load : k->image->size - offset;
    if (load_end && load_end < load)
        return boot_refuse_at(l, k->image, k->header + 20, "load_end_addr lies below load_addr",
                              "correct the address fields of the Multiboot header");
    u64 memory_bytes = bss_end ? (u64)bss_end - load : file_bytes;
    if (bss_end && bss_end < load + file_bytes)
        return boot_refuse_at(l, k->image, k->header + 24, "bss_end_addr lies below the end of the loaded data",
                              "correct the address fields of the Multiboot header");
    k->entry = boot_u32(h + 28);
    return load_piece(l, k, k->header + 12, offset, file_bytes, load, memory_bytes);
}

/*@ requires loader_valid(l) && \valid_read(k) && image_valid(k->image) && \separated(l, l->why, k) && \separated(k->image, l->why);
    assigns *l->why;
    ensures table: \result == STATUS_OK ==> k->image->size >= ELF_HEADER &&
        le32(k->image->data + 28) + le16(k->image->data + 44) * ELF_PHDR <= k->image->size; */
static enum status check_elf(struct boot_loader *l, const struct multiboot_kernel *k)
{
    const u8 *d = k->image->data;
    const char *again = "link the kernel as a 32-bit x86 ELF executable, or use the address fields";
    if (k->image->size < ELF_HEADER || boot_u32(d) != ELF_MAGIC)
        return boot_refuse_at(l, k->image, 0, "has neither the Multiboot address fields nor an ELF header", again);
    if (d[4] != 1 || d[5] != 1)
        return boot_refuse_at(l, k->image, 4, "is a 64-bit or big-endian ELF file, which Multiboot 1 does not load",
                              again);
    if (boot_u16(d + 16) != ELF_TYPE_EXEC || boot_u16(d + 18) != ELF_MACHINE_386)
        return boot_refuse_at(l, k->image, 16, "is not an executable for the 386", again);
    u64 table = boot_u32(d + 28), count = boot_u16(d + 44);
    if (boot_u16(d + 42) != ELF_PHDR || !count || table + count * ELF_PHDR > k->image->size)
        return boot_refuse_at(l, k->image, 28, "the ELF program headers are missing, malformed or cut off",
                              "the kernel is truncated or corrupt: get it again");
    return STATUS_OK;
}

/*@ requires loader_valid(l) && \valid(k) && image_valid(k->image) && \separated(l, l->why, k) && \separated(k->image, l->why);
    assigns l->used_count, l->used[0 .. BOOT_RANGES_MAX - 1], *l->why, k->end, k->entry, guest_memory; */
static enum status load_elf(struct boot_loader *l, struct multiboot_kernel *k)
{
    enum status status = check_elf(l, k);
    if (status != STATUS_OK)
        return status;
    const u8 *d = k->image->data;
    u64 table = boot_u32(d + 28), count = boot_u16(d + 44);
    u32 entry = boot_u32(d + 24);
    unsigned loaded = 0;
    k->entry = entry;
    /*@ loop invariant 0 <= i <= count && loaded <= i;
        loop invariant loader_valid(l) && \valid(k) && image_valid(k->image) && d == k->image->data;
        loop assigns i, loaded, status, l->used_count, l->used[0 .. BOOT_RANGES_MAX - 1], *l->why, k->end, k->entry, guest_memory;
        loop variant count - i; */
    for (u64 i = 0; i < count; i++) {
        u64 where = table + i * ELF_PHDR;
        const u8 *p = d + where;
        u32 virtual = boot_u32(p + 8), physical = boot_u32(p + 12), bytes = boot_u32(p + 20);
        if (boot_u32(p) != ELF_LOAD)
            continue;
        if (++loaded > BOOT_SEGMENTS_MAX)
            return boot_refuse_at(l, k->image, where, "has more than 32 loadable segments", "link it with fewer");
        status = load_piece(l, k, where, boot_u32(p + 4), boot_u32(p + 16), physical, bytes);
        if (status != STATUS_OK)
            return status;
        /* A kernel linked high names its entry by the virtual address. */
        if (entry - virtual < bytes)
            k->entry = entry - virtual + physical;
    }
    return STATUS_OK;
}

static enum status load_kernel(struct boot_loader *l, struct multiboot_kernel *k)
{
    k->flags = boot_u32(k->image->data + k->header + 4);
    if (k->flags & FLAGS_REQUIRED & ~FLAGS_KNOWN)
        return boot_refuse_at(l, k->image, k->header + 4, "the Multiboot header requires something this machine lacks "
                              "(bit 2 of its flags is a video mode)", "build the kernel for a serial console");
    enum status status = k->flags & FLAG_ADDRESSES ? load_by_addresses(l, k) : load_elf(l, k);
    if (status != STATUS_OK)
        return status;
    if (!k->end)
        return boot_refuse_at(l, k->image, k->header, "nothing in the kernel is to be loaded", "link it again");
    if (!physmem_is_ram(&l->vm->memory, gpa(k->entry), 1))
        return boot_refuse_at(l, k->image, k->header, "the entry address is not in memory", "link the kernel again");
    return STATUS_OK;
}

/* A string in guest memory; its address, or UINT64_MAX if there is no room. */
static u64 place_string(struct boot_loader *l, const char *text)
{
    u64 bytes = strlen(text) + 1;
    u64 at = boot_place(l, bytes, 16, INFO_LOWEST, INFO_LIMIT);
    if (at != UINT64_MAX)
        boot_copy(l, at, text, bytes);
    return at;
}

/* Modules follow the kernel, each on a page of its own (3.1.2; 3.3 wants them out of the way of everything). */
static enum status place_modules(struct boot_loader *l, const struct multiboot_kernel *k, u64 *list)
{
    unsigned count = l->images->module_count;
    u64 after = k->end > HIGH_BEGIN ? k->end : HIGH_BEGIN;
    *list = boot_place(l, count * MODULE_BYTES + 1, 16, INFO_LOWEST, INFO_LIMIT);
    for (unsigned i = 0; i < count; i++) {
        const struct boot_image *m = &l->images->modules[i];
        u64 at = boot_place(l, m->size ? m->size : 1, PAGE_SIZE, after, INFO_LIMIT);
        u64 text = place_string(l, m->text);
        if (at == UINT64_MAX || text == UINT64_MAX || *list == UINT64_MAX)
            return boot_refuse_size(l, m, "the module does not fit behind the kernel", m->size,
                                    boot_low_end(l) - (after < boot_low_end(l) ? after : boot_low_end(l)));
        u8 entry[MODULE_BYTES] = {0};
        boot_put_u32(entry, (u32)at);
        boot_put_u32(entry + 4, (u32)(at + m->size));
        boot_put_u32(entry + 8, (u32)text);
        boot_copy(l, *list + i * MODULE_BYTES, entry, MODULE_BYTES);
        boot_copy_image(l, at, m, 0, m->size);
    }
    return STATUS_OK;
}

/* 3.3, mmap_*: `size` does not count itself. */
static u64 place_memory_map(struct boot_loader *l)
{
    u64 at = boot_place(l, BOOT_REGIONS_MAX * MAP_ENTRY_BYTES, 16, INFO_LOWEST, INFO_LIMIT);
    for (unsigned i = 0; at != UINT64_MAX && i < l->region_count; i++) {
        u8 entry[MAP_ENTRY_BYTES];
        boot_put_u32(entry, MAP_ENTRY_BYTES - 4);
        boot_put_u64(entry + 4, l->regions[i].base);
        boot_put_u64(entry + 12, l->regions[i].bytes);
        boot_put_u32(entry + 20, l->regions[i].type);
        boot_copy(l, at + i * MAP_ENTRY_BYTES, entry, MAP_ENTRY_BYTES);
    }
    return at;
}

static enum status place_info(struct boot_loader *l, const struct multiboot_kernel *k, u64 *info)
{
    u64 modules;
    enum status status = place_modules(l, k, &modules);
    if (status != STATUS_OK)
        return status;
    u64 command_line = place_string(l, l->images->append), name = place_string(l, "Reprise");
    u64 map = place_memory_map(l);
    *info = boot_place(l, INFO_BYTES, 16, INFO_LOWEST, INFO_LIMIT);
    if (command_line == UINT64_MAX || name == UINT64_MAX || map == UINT64_MAX || *info == UINT64_MAX)
        return boot_refuse_size(l, k->image, "no room is left for the Multiboot information", INFO_BYTES, 0);

    u8 bytes[INFO_BYTES] = {0};
    boot_put_u32(bytes, INFO_MEMORY | INFO_COMMAND_LINE | INFO_MODULES | INFO_MEMORY_MAP | INFO_LOADER_NAME);
    boot_put_u32(bytes + 4, (u32)(l->regions[0].bytes >> 10));
    boot_put_u32(bytes + 8, (u32)((boot_low_end(l) - HIGH_BEGIN) >> 10));
    boot_put_u32(bytes + 16, (u32)command_line);
    boot_put_u32(bytes + 20, l->images->module_count);
    boot_put_u32(bytes + 24, (u32)modules);
    boot_put_u32(bytes + 44, l->region_count * MAP_ENTRY_BYTES);
    boot_put_u32(bytes + 48, (u32)map);
    boot_put_u32(bytes + 64, (u32)name);
    boot_copy(l, *info, bytes, INFO_BYTES);
    return STATUS_OK;
}

enum status boot_multiboot(struct boot_loader *l)
{
    struct multiboot_kernel k = {.image = &l->images->kernel, .header = find_header(&l->images->kernel)};
    u64 info;
    if (l->images->initrd)
        return boot_refuse(l, STATUS_BAD_ARGUMENT, k.image, "is a Multiboot kernel, which takes no initrd",
                           "use --module instead of --initrd");
    enum status status = load_kernel(l, &k);
    if (status == STATUS_OK)
        status = place_info(l, &k, &info);
    if (status != STATUS_OK)
        return status;
    u64 gdt = boot_place(l, BOOT_GDT_BYTES, 16, INFO_LOWEST, INFO_LIMIT);
    if (gdt == UINT64_MAX)
        return boot_refuse_size(l, k.image, "no room is left for the boot loader's own tables", BOOT_GDT_BYTES, 0);

    boot_flat_protected(l, gdt, false); /* 3.2 */
    struct cpu *c = &l->vm->vcpu[0]->cpu;
    c->gpr[RAX] = MACHINE_MAGIC;
    c->gpr[RBX] = info;
    c->rip = k.entry;
    l->why->protocol = k.flags & FLAG_ADDRESSES ? "Multiboot 1, address fields" : "Multiboot 1, ELF";
    return STATUS_OK;
}
