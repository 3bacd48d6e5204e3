/* Multiboot specification 0.6.96, section 3.3, and Multiboot 2 specification 2.0, section 3.6. */
#include "metal/boot_info.h"

enum {
    LOADED_1 = 0x2badb002,
    LOADED_2 = 0x36d76289,
    MB1_MEMORY = 1 << 0,
    MB1_COMMAND_LINE = 1 << 2,
    MB1_MODULES = 1 << 3,
    MB1_MAP = 1 << 6,
    MAP_USABLE = 1,
    MB2_COMMAND_LINE = 1,
    MB2_MODULE = 3,
    MB2_MAP = 6,
    MB2_RSDP_1 = 14,
    MB2_RSDP_2 = 15,
};

struct mb1_info {
    u32 flags, mem_lower, mem_upper, boot_device, command_line, mods_count, mods_addr, syms[4], mmap_length, mmap_addr;
};
struct mb1_module {
    u32 begin, end, text, reserved;
};
struct mb1_region {
    u32 size; /* of what follows */
    u64 base, bytes;
    u32 type;
} __attribute__((packed));

struct mb2_tag {
    u32 type, size;
};
struct mb2_module {
    struct mb2_tag tag;
    u32 begin, end;
    char text[];
};
struct mb2_map {
    struct mb2_tag tag;
    u32 entry_size, version;
};
struct mb2_region {
    u64 base, bytes;
    u32 type, reserved;
};

static struct {
    char bytes[BOOT_TEXT_BYTES];
    size_t used;
} texts;

static const void *at(u64 address) { return (const void *)address; }

bool text_equal(const char *a, const char *b)
{
    size_t n = strlen(a);
    return n == strlen(b) && !memcmp(a, b, n);
}

/* A copy of a text of at most `most` bytes; "" if there is no room. */
static char *keep(struct boot_info *boot, const char *text, size_t most)
{
    static char nothing[1];
    size_t bytes = 0;
    while (bytes < most && text[bytes])
        bytes++;
    if (bytes >= sizeof texts.bytes - texts.used) {
        boot->trouble = "the loader's texts are too long; shorten the modules' arguments";
        nothing[0] = 0;
        return nothing;
    }
    char *copy = texts.bytes + texts.used;
    texts.used += bytes + 1;
    memcpy(copy, text, bytes);
    copy[bytes] = 0;
    return copy;
}

static void add_range(struct boot_info *boot, u64 base, u64 bytes)
{
    if (boot->ram_count == BOOT_RANGES)
        boot->trouble = "the memory map has too many pieces; some memory is not used";
    else if (bytes && base + bytes > base)
        boot->ram[boot->ram_count++] = (struct range){base, base + bytes};
}

static void add_file(struct boot_info *boot, u64 begin, u64 end, const char *loader_text, size_t most)
{
    if (boot->file_count == BOOT_FILES) {
        boot->trouble = "there are more than 32 modules; the last ones are not used";
        return;
    }
    char *name = keep(boot, loader_text, most), *text = name;
    for (; *text && *text != ' '; text++)
        if (*text == '/')
            name = text + 1;
    if (*text)
        *text++ = 0;
    boot->file[boot->file_count++] = (struct boot_file){
        .data = at(begin), .size = end > begin ? end - begin : 0, .name = name, .arguments = text};
}

const struct boot_file *boot_file_find(const struct boot_info *boot, const char *name)
{
    for (unsigned n = 0; n < boot->file_count; n++)
        if (text_equal(boot->file[n].name, name))
            return &boot->file[n];
    return NULL;
}

static bool read_1(const struct mb1_info *info, struct boot_info *boot)
{
    if (info->flags & MB1_COMMAND_LINE)
        boot->command_line = keep(boot, at(info->command_line), BOOT_TEXT_BYTES);
    if (info->flags & MB1_MODULES)
        for (u32 n = 0; n < info->mods_count; n++) {
            const struct mb1_module *m = (const struct mb1_module *)at(info->mods_addr) + n;
            add_file(boot, m->begin, m->end, m->text ? at(m->text) : "", BOOT_TEXT_BYTES);
        }
    if (!(info->flags & MB1_MAP)) {
        if (info->flags & MB1_MEMORY)
            add_range(boot, 1 << 20, (u64)info->mem_upper << 10);
        return boot->ram_count;
    }
    const struct mb1_region *r;
    for (u64 done = 0; done + sizeof *r <= info->mmap_length; done += r->size + 4ull) {
        r = at(info->mmap_addr + done);
        if (r->type == MAP_USABLE)
            add_range(boot, r->base, r->bytes);
    }
    return boot->ram_count;
}

static void read_map_2(const struct mb2_map *map, struct boot_info *boot)
{
    if (map->entry_size < sizeof(struct mb2_region))
        return;
    for (u64 done = sizeof *map; done + map->entry_size <= map->tag.size; done += map->entry_size) {
        const struct mb2_region *r = at((u64)map + done);
        if (r->type == MAP_USABLE)
            add_range(boot, r->base, r->bytes);
    }
}

static void read_rsdp(const struct mb2_tag *tag, struct boot_info *boot)
{
    size_t bytes = tag->size - sizeof *tag;
    if (boot->has_rsdp && tag->type == MB2_RSDP_1)
        return; /* the newer one is better */
    memset(boot->rsdp, 0, sizeof boot->rsdp);
    memcpy(boot->rsdp, tag + 1, bytes < RSDP_BYTES ? bytes : RSDP_BYTES);
    boot->has_rsdp = true;
}

static bool read_2(u64 info, struct boot_info *boot)
{
    u32 total = *(const u32 *)at(info);
    const struct mb2_tag *tag;
    for (u64 done = 8; done + sizeof *tag <= total; done += (tag->size + 7ull) & ~7ull) {
        tag = at(info + done);
        if (tag->size < sizeof *tag || tag->size > total - done)
            break;
        if (tag->type == MB2_COMMAND_LINE)
            boot->command_line = keep(boot, (const char *)(tag + 1), tag->size - sizeof *tag);
        if (tag->type == MB2_MODULE && tag->size >= sizeof(struct mb2_module)) {
            const struct mb2_module *m = (const struct mb2_module *)tag;
            add_file(boot, m->begin, m->end, m->text, tag->size - sizeof *m);
        }
        if (tag->type == MB2_MAP && tag->size >= sizeof(struct mb2_map))
            read_map_2((const struct mb2_map *)tag, boot);
        if (tag->type == MB2_RSDP_1 || tag->type == MB2_RSDP_2)
            read_rsdp(tag, boot);
    }
    return boot->ram_count;
}

bool boot_info_read(u32 magic, u64 info, struct boot_info *boot)
{
    *boot = (struct boot_info){.command_line = ""};
    texts.used = 0;
    if (magic == LOADED_1)
        return read_1(at(info), boot);
    return magic == LOADED_2 && read_2(info, boot);
}
