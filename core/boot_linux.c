/* The Linux/x86 boot protocol (Documentation/arch/x86/boot.rst and zero-page.rst of the kernel). */
#include "core/boot_internal.h"

/* Where things go, all below the EBDA. The kernel has copied them away before it uses this memory. */
#define ZERO_PAGE 0x10000ull
#define COMMAND_LINE 0x20000ull
#define COMMAND_LINE_MAX 0x10000ull
#define GDT 0x30000ull
#define PAGE_TABLES 0x31000ull /* PML4, PDPT, four page directories */
#define STACK_TOP 0x9000ull
#define KERNEL 0x100000ull
#define IDENTITY_GIB 4u

/* Setup header, offsets in the image and in the zero page alike */
#define H_SETUP_SECTS 0x1f1u
#define H_SYSSIZE 0x1f4u /* of the protected-mode part, in units of 16 bytes */
#define H_VID_MODE 0x1fau
#define H_BOOT_FLAG 0x1feu
#define H_JUMP_LENGTH 0x201u
#define H_MAGIC 0x202u
#define H_VERSION 0x206u
#define H_TYPE_OF_LOADER 0x210u
#define H_LOADFLAGS 0x211u
#define H_CODE32_START 0x214u
#define H_RAMDISK_IMAGE 0x218u
#define H_RAMDISK_SIZE 0x21cu
#define H_CMD_LINE_PTR 0x228u
#define H_INITRD_ADDR_MAX 0x22cu
#define H_KERNEL_ALIGNMENT 0x230u
#define H_RELOCATABLE 0x234u
#define H_XLOADFLAGS 0x236u
#define H_CMDLINE_SIZE 0x238u
#define H_PREF_ADDRESS 0x258u
#define H_INIT_SIZE 0x260u
#define H_END 0x290u /* the zero page has other fields from here on */

#define MAGIC_HDRS 0x53726448u
#define LOADED_HIGH 0x01u
#define KEEP_SEGMENTS 0x40u
#define CAN_USE_HEAP 0x80u
#define XLF_KERNEL_64 0x01u
#define ENTRY64 0x200u
#define LOADER_UNDEFINED 0xffu
#define VID_MODE_NORMAL 0xffffu

/* Other fields of the zero page */
#define Z_ALT_MEM_K 0x1e0u
#define Z_E820_ENTRIES 0x1e8u
#define Z_E820_TABLE 0x2d0u
#define Z_ACPI_RSDP 0x070u
enum { E820_ENTRY_BYTES = 20 };

/* What the setup header says, checked. */
struct linux_kernel {
    const struct boot_image *image;
    u16 version;
    u32 header_end;   /* first byte after the setup header */
    u64 payload;      /* offset of the protected-mode part in the image */
    u64 payload_size; /* bytes */
    u64 runtime_end;  /* first byte that the kernel does not need before it has its own memory map */
    u64 initrd_max;   /* highest address an initrd may occupy */
    u32 command_line_max; /* bytes without the terminating zero */
    bool is_64bit;
};

/*@ requires image_valid(kernel);
    assigns \nothing; */
bool boot_is_linux(const struct boot_image *kernel)
{
    return kernel->size >= H_VERSION && boot_u32(kernel->data + H_MAGIC) == MAGIC_HDRS;
}

/*@ requires loader_valid(l) && \valid(k) && image_valid(k->image) && \separated(l, l->why, k) && \separated(k->image, l->why, k);
    assigns *l->why, k->version, k->header_end;
    ensures header: \result == STATUS_OK ==> k->image->size >= H_END && k->header_end <= H_END; */
static enum status check_header(struct boot_loader *l, struct linux_kernel *k)
{
    const u8 *d = k->image->data;
    if (k->image->size < H_END)
        return boot_refuse_at(l, k->image, k->image->size, "the setup header is truncated", "get a complete bzImage");
    if (boot_u16(d + H_BOOT_FLAG) != 0xaa55)
        return boot_refuse_at(l, k->image, H_BOOT_FLAG, "the boot signature 0xAA55 is missing",
                              "the bzImage is corrupt: get it again");
    k->version = boot_u16(d + H_VERSION);
    if (k->version < 0x206)
        return boot_refuse_at(l, k->image, H_VERSION, "the boot protocol is older than 2.06",
                              "use Linux 2.6.22 or later");
    if (!(d[H_LOADFLAGS] & LOADED_HIGH))
        return boot_refuse_at(l, k->image, H_LOADFLAGS, "is a zImage, which loads below 1 MiB", "build a bzImage");
    k->header_end = H_MAGIC + d[H_JUMP_LENGTH];
    if (k->header_end < H_CMDLINE_SIZE + 4 || k->header_end > H_END)
        return boot_refuse_at(l, k->image, H_JUMP_LENGTH, "the setup header has an impossible length",
                              "the bzImage is corrupt: get it again");
    return STATUS_OK;
}

/*@ requires loader_valid(l) && \valid(k) && image_valid(k->image) && \separated(l, l->why, k) && \separated(k->image, l->why, k);
    requires header: k->image->size >= H_END;
    assigns *l->why, k->payload, k->payload_size;
    ensures payload: \result == STATUS_OK ==> k->payload <= k->image->size && k->payload_size <= k->image->size - k->payload; */
static enum status check_payload(struct boot_loader *l, struct linux_kernel *k)
{
    const u8 *d = k->image->data;
    unsigned sectors = d[H_SETUP_SECTS] ? d[H_SETUP_SECTS] : 4;
    k->payload = (sectors + 1) * 512u;
    k->payload_size = (u64)boot_u32(d + H_SYSSIZE) * 16;
    if (k->payload_size <= ENTRY64)
        return boot_refuse_at(l, k->image, H_SYSSIZE, "the header says that the kernel proper is empty",
                              "the bzImage is corrupt: get it again");
    if (k->payload > k->image->size || k->payload_size > k->image->size - k->payload) {
        enum status status = boot_refuse_at(l, k->image, k->image->size, "the bzImage is truncated",
                                            "get a complete copy of the file");
        l->why->need = k->payload + k->payload_size;
        l->why->have = k->image->size;
        return status;
    }
    return STATUS_OK;
}

/*@ requires \valid_read(k) && image_valid(k->image) && k->image->size >= H_END;
    assigns \nothing; */
/* Where the kernel runs: from protocol 2.10 on it says so, and how much it needs there. An older one is taken to need
 * four times its compressed size. */
static u64 kernel_runtime_end(const struct linux_kernel *k)
{
    const u8 *d = k->image->data;
    u64 loaded_end = KERNEL + k->payload_size;
    if (k->version < 0x20a)
        return loaded_end + 3 * k->payload_size;
    u64 alignment = boot_u32(d + H_KERNEL_ALIGNMENT);
    u64 begin = boot_u64(d + H_PREF_ADDRESS);
    bool sane = alignment && !(alignment & (alignment - 1));
    if (d[H_RELOCATABLE] && sane && boot_align_up(KERNEL, alignment) > begin)
        begin = boot_align_up(KERNEL, alignment);
    u64 end = begin + boot_u32(d + H_INIT_SIZE);
    if (end < begin)
        return UINT64_MAX; /* more than any machine has: refused by the caller */
    return end > loaded_end ? end : loaded_end;
}

static enum status check_memory(struct boot_loader *l, struct linux_kernel *k)
{
    const u8 *d = k->image->data;
    k->runtime_end = kernel_runtime_end(k);
    k->initrd_max = boot_u32(d + H_INITRD_ADDR_MAX);
    k->command_line_max = boot_u32(d + H_CMDLINE_SIZE);
    if (!k->command_line_max || k->command_line_max >= COMMAND_LINE_MAX)
        k->command_line_max = k->command_line_max ? COMMAND_LINE_MAX - 1 : 255;
    k->is_64bit = k->version >= 0x20c && (boot_u16(d + H_XLOADFLAGS) & XLF_KERNEL_64);
    if (k->runtime_end > boot_low_end(l))
        return boot_refuse_size(l, k->image, "the kernel needs more memory below 3 GiB than the guest has",
                                k->runtime_end, boot_low_end(l));
    if (k->is_64bit && !model_has(l->vm->config.model, FEAT_LM))
        return boot_refuse(l, STATUS_UNSUPPORTED, k->image,
                           "is a 64-bit kernel, and the chosen CPU model has no long mode",
                           "choose another model with --cpu, or a 32-bit kernel");
    return STATUS_OK;
}

static enum status check_command_line(struct boot_loader *l, const struct linux_kernel *k)
{
    u64 length = strlen(l->images->append);
    if (length <= k->command_line_max)
        return STATUS_OK;
    boot_refuse(l, STATUS_TOO_BIG, NULL, "the kernel command line is longer than this kernel takes",
                "shorten --append");
    l->why->need = length;
    l->why->have = k->command_line_max;
    return STATUS_TOO_BIG;
}

/* Formats that Linux unpacks or mounts as its first root. */
struct initrd_format {
    u32 offset;
    u8 length;
    u8 magic[6];
};

static const struct initrd_format initrd_formats[] = {
    {0, 6, {'0', '7', '0', '7', '0', '1'}},        /* cpio, newc */
    {0, 6, {'0', '7', '0', '7', '0', '2'}},        /* cpio, newc with checksums */
    {0, 2, {0x1f, 0x8b}},                          /* gzip */
    {0, 3, {'B', 'Z', 'h'}},                       /* bzip2 */
    {0, 6, {0xfd, '7', 'z', 'X', 'Z', 0}},         /* xz */
    {0, 3, {0x5d, 0, 0}},                          /* lzma */
    {0, 4, {0x89, 'L', 'Z', 'O'}},                 /* lzop */
    {0, 4, {0x02, 0x21, 0x4c, 0x18}},              /* lz4, legacy frame */
    {0, 4, {0x28, 0xb5, 0x2f, 0xfd}},              /* zstd */
    {0, 4, {'h', 's', 'q', 's'}},                  /* squashfs */
    {0, 4, {0x45, 0x3d, 0xcd, 0x28}},              /* cramfs */
    {0, 6, {'-', 'r', 'o', 'm', '1', 'f'}},        /* romfs */
    {0x410, 2, {0x8f, 0x13}},                      /* minix */
    {0x438, 2, {0x53, 0xef}},                      /* ext2 and successors */
};

/*@ requires \valid_read(a + (0 .. count - 1)) && \valid_read(b + (0 .. count - 1));
    assigns \nothing; */
static bool same_bytes(const u8 *a, const u8 *b, u64 count)
{
    /*@ loop invariant 0 <= n <= count;
        loop assigns n;
        loop variant count - n; */
    for (u64 n = 0; n < count; n++)
        if (a[n] != b[n])
            return false;
    return true;
}

static bool is_initrd(const struct boot_image *initrd)
{
    for (unsigned i = 0; i < ARRAY_LEN(initrd_formats); i++) {
        const struct initrd_format *f = &initrd_formats[i];
        if (initrd->size >= f->offset + f->length && same_bytes(initrd->data + f->offset, f->magic, f->length))
            return true;
    }
    return false;
}

/*@ requires \valid_read(digits + (0 .. 7));
    assigns \nothing; */
/* Eight hexadecimal digits of a cpio header; UINT64_MAX if they are not. */
static u64 cpio_field(const u8 *digits)
{
    u64 value = 0;
    /*@ loop invariant 0 <= i <= 8;
        loop assigns i, value;
        loop variant 8 - i; */
    for (unsigned i = 0; i < 8; i++) {
        u8 c = digits[i] | 0x20;
        if (c >= '0' && c <= '9')
            value = value << 4 | (u64)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (u64)(c - 'a' + 10);
        else
            return UINT64_MAX;
    }
    return value;
}

enum { CPIO_HEADER = 110, CPIO_FILE_SIZE = 54, CPIO_NAME_SIZE = 94 };

/*@ requires image_valid(initrd);
    assigns \nothing;
    ensures place: \result <= initrd->size || \result == UINT64_MAX; */
/* Follows the headers of an uncompressed newc archive to its trailer. Returns the offset of the first damage, or
 * UINT64_MAX: a truncated archive would otherwise show only as missing files, deep inside the guest. */
static u64 cpio_damage(const struct boot_image *initrd)
{
    static const u8 magic[] = {'0', '7', '0', '7', '0'}, trailer[] = "TRAILER!!!";
    /*@ loop invariant 0 <= at <= initrd->size + 3;
        loop assigns at;
        loop variant initrd->size + 3 - at; */
    for (u64 at = 0;;) {
        if (at + CPIO_HEADER > initrd->size)
            return at < initrd->size ? at : initrd->size;
        const u8 *header = initrd->data + at;
        if (!same_bytes(header, magic, sizeof(magic)) || (header[5] != '1' && header[5] != '2'))
            return at;
        u64 name_size = cpio_field(header + CPIO_NAME_SIZE), file_size = cpio_field(header + CPIO_FILE_SIZE);
        if (name_size > initrd->size || file_size > initrd->size)
            return at;
        u64 file = (at + CPIO_HEADER + name_size + 3) / 4 * 4;
        if (file + file_size > initrd->size)
            return at;
        if (name_size == sizeof(trailer) && same_bytes(header + CPIO_HEADER, trailer, sizeof(trailer)))
            return UINT64_MAX;
        at = (file + file_size + 3) / 4 * 4;
    }
}

static enum status check_initrd(struct boot_loader *l)
{
    const struct boot_image *initrd = l->images->initrd;
    if (!initrd->size)
        return boot_refuse(l, STATUS_BAD_IMAGE, initrd, "the initrd is empty", "build it again, or leave out --initrd");
    if (!is_initrd(initrd))
        return boot_refuse_at(l, initrd, 0, "is no cpio archive, compressed archive or file system that Linux knows",
                              "give an initramfs, as mkinitramfs or cpio -H newc makes it");
    bool newc = initrd->data[0] == '0'; /* no other format begins so */
    u64 damage = newc ? cpio_damage(initrd) : UINT64_MAX;
    if (damage != UINT64_MAX)
        return boot_refuse_at(l, initrd, damage, "the cpio archive is truncated or corrupt",
                              "get a complete copy, or build it again");
    return STATUS_OK;
}

/* As high as the kernel allows, out of the way of its decompression. */
static enum status place_initrd(struct boot_loader *l, const struct linux_kernel *k, u64 *at)
{
    const struct boot_image *initrd = l->images->initrd;
    u64 end = k->initrd_max + 1 < boot_low_end(l) ? k->initrd_max + 1 : boot_low_end(l);
    end &= ~(u64)PAGE_MASK;
    u64 room = end > k->runtime_end ? end - k->runtime_end : 0;
    *at = (end - initrd->size) & ~(u64)PAGE_MASK;
    if (initrd->size > room || *at < k->runtime_end || !boot_claim(l, *at, initrd->size))
        return boot_refuse_size(l, initrd, "the initrd does not fit beside the kernel", initrd->size, room);
    return STATUS_OK;
}

/* Writes the E820 table of the zero page. */
static void put_memory_map(const struct boot_loader *l, u8 *zero)
{
    for (unsigned i = 0; i < l->region_count; i++) {
        u8 *entry = zero + Z_E820_TABLE + i * E820_ENTRY_BYTES;
        boot_put_u64(entry, l->regions[i].base);
        boot_put_u64(entry + 8, l->regions[i].bytes);
        boot_put_u32(entry + 16, l->regions[i].type);
    }
    zero[Z_E820_ENTRIES] = (u8)l->region_count;
    boot_put_u32(zero + Z_ALT_MEM_K, (u32)((boot_low_end(l) - KERNEL) >> 10));
}

static void put_zero_page(struct boot_loader *l, const struct linux_kernel *k, u64 initrd)
{
    u8 *zero = physmem_pointer(&l->vm->memory, gpa(ZERO_PAGE));
    (void)physmem_zero(&l->vm->memory, gpa(ZERO_PAGE), PAGE_SIZE);
    memcpy(zero + H_SETUP_SECTS, k->image->data + H_SETUP_SECTS, k->header_end - H_SETUP_SECTS);
    zero[H_TYPE_OF_LOADER] = LOADER_UNDEFINED;
    zero[H_LOADFLAGS] = (u8)((zero[H_LOADFLAGS] & ~(KEEP_SEGMENTS | CAN_USE_HEAP)) | LOADED_HIGH);
    boot_put_u16(zero + H_VID_MODE, VID_MODE_NORMAL);
    boot_put_u32(zero + H_CODE32_START, (u32)KERNEL);
    boot_put_u32(zero + H_CMD_LINE_PTR, (u32)COMMAND_LINE);
    boot_put_u32(zero + H_RAMDISK_IMAGE, (u32)initrd);
    boot_put_u32(zero + H_RAMDISK_SIZE, l->images->initrd ? (u32)l->images->initrd->size : 0);
    boot_put_u64(zero + Z_ACPI_RSDP, l->rsdp);
    put_memory_map(l, zero);
}

/* Identity map of the first 4 GiB in 2 MiB pages: the 64-bit entry wants kernel, zero page and command line mapped. */
static void put_page_tables(struct boot_loader *l)
{
    u64 pdpt = PAGE_TABLES + PAGE_SIZE, directories = pdpt + PAGE_SIZE;
    u64 entry = pdpt | 3; /* present, writable */
    (void)physmem_zero(&l->vm->memory, gpa(PAGE_TABLES), (2 + IDENTITY_GIB) * PAGE_SIZE);
    boot_copy(l, PAGE_TABLES, &entry, 8);
    for (u64 i = 0; i < IDENTITY_GIB; i++) {
        entry = (directories + i * PAGE_SIZE) | 3;
        boot_copy(l, pdpt + i * 8, &entry, 8);
    }
    for (u64 i = 0; i < IDENTITY_GIB * 512; i++) {
        entry = i << 21 | 0x83; /* present, writable, large */
        boot_copy(l, directories + i * 8, &entry, 8);
    }
}

static void set_entry(struct boot_loader *l, const struct linux_kernel *k)
{
    struct cpu *c = &l->vm->vcpu[0]->cpu;
    boot_flat_protected(l, GDT, k->is_64bit);
    c->gpr[RSI] = ZERO_PAGE;
    c->gpr[RSP] = STACK_TOP;
    c->rip = KERNEL;
    l->why->protocol = "Linux, 32-bit entry";
    if (!k->is_64bit)
        return;
    put_page_tables(l);
    c->cr3 = PAGE_TABLES;
    c->cr4 = CR4_PAE;
    c->efer = EFER_LME | EFER_LMA;
    c->cr0 |= CR0_PG;
    c->rip = KERNEL + ENTRY64;
    l->why->protocol = "Linux, 64-bit entry";
}

enum status boot_linux(struct boot_loader *l)
{
    struct linux_kernel k = {.image = &l->images->kernel};
    u64 initrd = 0;
    enum status status = check_header(l, &k);
    if (status == STATUS_OK)
        status = check_payload(l, &k);
    if (status == STATUS_OK)
        status = check_memory(l, &k);
    if (status == STATUS_OK)
        status = check_command_line(l, &k);
    if (status == STATUS_OK && l->images->module_count)
        status = boot_refuse(l, STATUS_BAD_ARGUMENT, k.image, "is a Linux kernel, which takes no modules",
                             "use --initrd instead of --module");
    if (status == STATUS_OK && l->images->initrd)
        status = check_initrd(l);
    if (status == STATUS_OK && l->images->initrd)
        status = place_initrd(l, &k, &initrd);
    if (status != STATUS_OK)
        return status;

    boot_copy_image(l, KERNEL, k.image, k.payload, k.payload_size);
    boot_copy(l, COMMAND_LINE, l->images->append, strlen(l->images->append) + 1);
    if (l->images->initrd)
        boot_copy_image(l, initrd, l->images->initrd, 0, l->images->initrd->size);
    put_zero_page(l, &k, initrd);
    set_entry(l, &k);
    return STATUS_OK;
}
