#include "sim/core_file.h"

#include "sim/host_linux.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PHYSICAL_PIECES = 3 };

struct core_file {
    struct vm *vm;
    int fd;
    bool wide;
    struct core_ranges ranges;
    struct core_range physical[PHYSICAL_PIECES]; /* RAM; linear: where the file shows it */
    unsigned physical_count;
    u8 *notes;
    u64 notes_bytes, notes_at, section_at, ram_at;
    u64 at;       /* where put() writes next */
    bool failed;  /* errno says why */
};

static void put_at(struct core_file *f, u64 at, const void *from, u64 bytes)
{
    for (u64 done = 0; done < bytes && !f->failed;) {
        ssize_t n = pwrite(f->fd, (const u8 *)from + done, bytes - done, (off_t)(at + done));
        f->failed = n < 0 && errno != EINTR;
        done += n > 0 ? (u64)n : 0;
    }
}

static void put(struct core_file *f, const void *from, u64 bytes)
{
    put_at(f, f->at, from, bytes);
    f->at += bytes;
}

/* ---- What is in the file ------------------------------------------------------------------------- */

static void add_physical(struct core_file *f, u64 begin, u64 end)
{
    const u64 base = f->wide ? CORE_FILE_PHYSICAL : 0;
    if (begin < end)
        f->physical[f->physical_count++] = (struct core_range){base + begin, begin, end - begin};
}

/* The pieces of mmu/physmem.h. An ELF32 file has no room for those beyond 4 GiB. */
static void find_physical(struct core_file *f)
{
    const struct physmem *m = &f->vm->memory;
    add_physical(f, 0, m->low < PHYS_VGA_BEGIN ? m->low : PHYS_VGA_BEGIN);
    add_physical(f, PHYS_VGA_END, m->low);
    if (f->wide)
        add_physical(f, PHYS_HOLE_END, physmem_end(m));
}

static void drop_high_ranges(struct core_ranges *r)
{
    u64 kept = 0;
    for (u64 n = 0; n < r->count; n++)
        if (r->item[n].physical < PHYS_HOLE_END)
            r->item[kept++] = r->item[n];
    r->count = kept;
}

static u64 segment_count(const struct core_file *f) { return 1 + f->ranges.count + f->physical_count; }

static void lay_out(struct core_file *f)
{
    u64 head = f->wide ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr);
    u64 each = f->wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
    f->section_at = head + segment_count(f) * each;
    f->notes_at = f->section_at + (f->wide ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr));
    f->ram_at = (f->notes_at + f->notes_bytes + PAGE_MASK) & ~(u64)PAGE_MASK;
}

/* ---- Headers ------------------------------------------------------------------------------------- */

static void put_header(struct core_file *f)
{
    u64 count = segment_count(f);
    bool many = count >= PN_XNUM; /* then section 0 tells how many */
    Elf64_Ehdr e = {.e_type = ET_CORE, .e_machine = f->wide ? EM_X86_64 : EM_386, .e_version = EV_CURRENT};
    memcpy(e.e_ident, ELFMAG, SELFMAG);
    e.e_ident[EI_CLASS] = f->wide ? ELFCLASS64 : ELFCLASS32;
    e.e_ident[EI_DATA] = ELFDATA2LSB;
    e.e_ident[EI_VERSION] = EV_CURRENT;
    e.e_phnum = many ? PN_XNUM : (u16)count;
    e.e_shnum = many;
    if (f->wide) {
        e.e_phoff = e.e_ehsize = sizeof e;
        e.e_phentsize = sizeof(Elf64_Phdr);
        e.e_shoff = many ? f->section_at : 0;
        e.e_shentsize = sizeof(Elf64_Shdr);
        put(f, &e, sizeof e);
        return;
    }
    Elf32_Ehdr n = {.e_type = e.e_type, .e_machine = e.e_machine, .e_version = e.e_version, .e_phoff = sizeof n,
                    .e_ehsize = sizeof n, .e_phentsize = sizeof(Elf32_Phdr), .e_shentsize = sizeof(Elf32_Shdr),
                    .e_phnum = e.e_phnum, .e_shnum = e.e_shnum, .e_shoff = many ? (u32)f->section_at : 0};
    memcpy(n.e_ident, e.e_ident, EI_NIDENT);
    put(f, &n, sizeof n);
}

static void put_segment(struct core_file *f, u32 type, u64 offset, const struct core_range *r)
{
    u32 flags = type == PT_LOAD ? PF_R | PF_W | PF_X : 0;
    u64 memory = type == PT_LOAD ? r->bytes : 0;
    if (f->wide) {
        Elf64_Phdr p = {.p_type = type, .p_flags = flags, .p_offset = offset, .p_vaddr = r->linear, .p_paddr = r->physical,
                        .p_filesz = r->bytes, .p_memsz = memory};
        put(f, &p, sizeof p);
        return;
    }
    Elf32_Phdr p = {.p_type = type, .p_flags = flags, .p_offset = (u32)offset, .p_vaddr = (u32)r->linear,
                    .p_paddr = (u32)r->physical, .p_filesz = (u32)r->bytes, .p_memsz = (u32)memory};
    put(f, &p, sizeof p);
}

static void put_loads(struct core_file *f, const struct core_range *r, u64 count)
{
    for (u64 n = 0; n < count; n++)
        put_segment(f, PT_LOAD, f->ram_at + physmem_offset(&f->vm->memory, gpa(r[n].physical)), &r[n]);
}

/* Readers of a 64-bit file take the first segment's place for the end of the headers, so RAM from 0 comes first. In a 32-bit
 * file, where RAM has no addresses of its own, what is mapped comes first, because debuggers take the first that fits. */
static void put_headers(struct core_file *f)
{
    const struct core_range notes = {.bytes = f->notes_bytes};
    u8 section[sizeof(Elf64_Shdr)] = {0};
    u32 count = (u32)segment_count(f);
    put_header(f);
    put_segment(f, PT_NOTE, f->notes_at, &notes);
    if (f->wide)
        put_loads(f, f->physical, f->physical_count);
    put_loads(f, f->ranges.item, f->ranges.count);
    if (!f->wide)
        put_loads(f, f->physical, f->physical_count);
    memcpy(section + (f->wide ? offsetof(Elf64_Shdr, sh_info) : offsetof(Elf32_Shdr, sh_info)), &count, sizeof count);
    put(f, section, f->wide ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr));
    put(f, f->notes, f->notes_bytes);
}

/* ---- Memory -------------------------------------------------------------------------------------- */

static u64 put_ram(struct core_file *f)
{
    static const u8 zeros[PAGE_SIZE];
    const struct physmem *m = &f->vm->memory;
    u64 written = 0, pages = (f->wide ? m->size : m->low) >> PAGE_SHIFT;
    for (u64 n = 0; n < pages && !f->failed && !host_stop_requested(); n++) {
        const u8 *page = physmem_pointer(m, physmem_page_address(m, n));
        if (!page || !memcmp(page, zeros, PAGE_SIZE))
            continue;
        put_at(f, f->ram_at + (n << PAGE_SHIFT), page, PAGE_SIZE);
        written += PAGE_SIZE;
    }
    f->failed |= !f->failed && ftruncate(f->fd, (off_t)(f->ram_at + (pages << PAGE_SHIFT))) < 0;
    return written;
}

static bool refuse(const char *path, const char *what, const char *action, char *message)
{
    snprintf(message, CORE_FILE_MESSAGE_MAX, "%.200s: %s; %s", path, what, action);
    return false;
}

static bool write_file(struct core_file *f, const char *path, struct core_file_report *report, char *message)
{
    f->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (f->fd < 0)
        return refuse(path, strerror(errno), "choose a place where you may write", message);
    struct stat st;
    if (fstat(f->fd, &st) < 0 || !S_ISREG(st.st_mode)) { /* it needs places in the file, and is removed if it fails */
        (void)close(f->fd);
        return refuse(path, "is not a plain file", "choose another place", message);
    }
    put_headers(f);
    report->bytes = put_ram(f);
    int why = errno;
    if (close(f->fd) < 0 && !f->failed) {
        f->failed = true;
        why = errno;
    }
    if (!f->failed && !host_stop_requested())
        return true;
    (void)unlink(path);
    return f->failed ? refuse(path, strerror(why), "make room, or choose a plain file in another place", message)
                     : refuse(path, "ended by a signal", "nothing was written", message);
}

bool core_file_write(const char *path, struct vm *vm, struct core_file_report *report,
                     char message[CORE_FILE_MESSAGE_MAX])
{
    struct vcpu *v = vm->vcpu[0];
    struct core_file f = {.vm = vm, .wide = cpu_long(&v->cpu)};
    *report = (struct core_file_report){.wide = f.wide, .left_out = f.wide ? 0 : vm->memory.size - vm->memory.low};
    core_ranges_find(v, &f.ranges);
    f.notes = core_notes_make(vm, f.wide, &f.notes_bytes, &report->vmcoreinfo);
    bool ok = false;
    if (f.ranges.endless) {
        refuse(path, "the guest's page tables map more than a core file can list", "choose another place", message);
    } else if (f.ranges.no_memory || !f.notes) {
        refuse(path, "no memory to list what the guest maps", "free some", message);
    } else {
        if (!f.wide)
            drop_high_ranges(&f.ranges);
        find_physical(&f);
        lay_out(&f);
        report->segments = segment_count(&f) - 1;
        ok = write_file(&f, path, report, message);
    }
    free(f.ranges.item);
    free(f.notes);
    return ok;
}
