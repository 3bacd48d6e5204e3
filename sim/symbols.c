#include "sim/symbols.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A kernel with all of its debug information. */
static const u64 file_limit = 4ull << 30;

/* `bytes` at `at` of the file, or NULL if it does not reach that far. */
static const void *piece(const struct file *f, u64 at, u64 bytes)
{
    return at <= f->size && bytes <= f->size - at ? f->data + at : NULL;
}

struct section {
    u64 type, at, bytes, link, entry;
};

static bool get_section(const struct file *f, u64 number, struct section *s)
{
    bool wide = f->data[EI_CLASS] == ELFCLASS64;
    Elf64_Ehdr h64;
    Elf32_Ehdr h32;
    memcpy(&h64, f->data, sizeof h64); /* the caller knows that the file is as long */
    memcpy(&h32, f->data, sizeof h32);
    u64 count = wide ? h64.e_shnum : h32.e_shnum, table = wide ? h64.e_shoff : h32.e_shoff;
    u64 size = wide ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr);
    const void *from = number < count ? piece(f, table, (number + 1) * size) : NULL;
    if (!from)
        return false;
    from = (const u8 *)from + number * size;
    if (wide) {
        Elf64_Shdr h;
        memcpy(&h, from, sizeof h);
        *s = (struct section){h.sh_type, h.sh_offset, h.sh_size, h.sh_link, sizeof(Elf64_Sym)};
    } else {
        Elf32_Shdr h;
        memcpy(&h, from, sizeof h);
        *s = (struct section){h.sh_type, h.sh_offset, h.sh_size, h.sh_link, sizeof(Elf32_Sym)};
    }
    return true;
}

static u64 symbol_value(const u8 *from, bool wide, u32 *name)
{
    Elf64_Sym s64;
    Elf32_Sym s32;
    memcpy(&s32, from, sizeof s32);
    *name = s32.st_name; /* in both formats the first member */
    if (!wide)
        return s32.st_shndx == SHN_UNDEF ? 0 : s32.st_value;
    memcpy(&s64, from, sizeof s64);
    return s64.st_shndx == SHN_UNDEF ? 0 : s64.st_value;
}

/* Looks a name up in one symbol table; 0 if it is not there. */
static u64 find_in(const struct file *f, const struct section *table, const char *name)
{
    struct section strings;
    bool wide = f->data[EI_CLASS] == ELFCLASS64;
    const u8 *symbols = piece(f, table->at, table->bytes);
    const char *text = get_section(f, table->link, &strings) ? piece(f, strings.at, strings.bytes) : NULL;
    if (!symbols || !text)
        return 0;
    for (u64 at = 0; at + table->entry <= table->bytes; at += table->entry) {
        u32 place;
        u64 value = symbol_value(symbols + at, wide, &place);
        if (value && place < strings.bytes && strlen(name) < strings.bytes - place && !strcmp(text + place, name))
            return value;
    }
    return 0;
}

static u64 find_symbol(const struct file *f, const char *name)
{
    struct section s;
    bool elf = f->size >= sizeof(Elf64_Ehdr) && !memcmp(f->data, ELFMAG, SELFMAG) && f->data[EI_DATA] == ELFDATA2LSB;
    u64 value = 0;
    for (u64 n = 0; elf && !value && get_section(f, n, &s); n++)
        if (s.type == SHT_SYMTAB)
            value = find_in(f, &s, name);
    return value;
}

bool symbols_place(const char *option, const char *text, const char *path, u64 *address, char message[FILE_MESSAGE_MAX])
{
    struct file f;
    char *end;
    *address = strtoull(text, &end, 16);
    if (*text && !*end && *text != '-' && *text != '+')
        return true;
    if (!path) {
        snprintf(message, FILE_MESSAGE_MAX, "--%s: \"%.80s\" is no hexadecimal address; name an ELF file with --symbols", option, text);
        return false;
    }
    if (!file_read(path, file_limit, &f, message))
        return false;
    *address = find_symbol(&f, text);
    file_free(&f);
    if (*address)
        return true;
    snprintf(message, FILE_MESSAGE_MAX, "--%s: %.200s has no symbol \"%.80s\"; `nm` lists them", option, path, text);
    return false;
}
