/* The notes of a core file: registers as Linux's own cores hold them, and what a Linux guest says about itself. */
#include "sim/core_file.h"

#include "sbe/fpu.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#ifndef NT_PRXFPREG
#define NT_PRXFPREG 0x46e62b7f
#endif

/* struct elf_prstatus of both architectures: where the thread's number and the registers lie. */
enum { STATUS64 = 336, STATUS64_PID = 32, STATUS64_REGS = 112, STATUS32 = 144, STATUS32_PID = 24, STATUS32_REGS = 72 };
enum { FXSAVE_BYTES = 512, VMCOREINFO_MAX = 8192 };

struct notes {
    u8 *bytes;
    u64 count;
    bool no_memory;
};

static u64 align4(u64 n) { return (n + 3) & ~3ull; }

static void add(struct notes *n, const char *name, u32 type, const void *from, u64 bytes)
{
    u32 head[3] = {(u32)strlen(name) + 1, (u32)bytes, type};
    u64 need = sizeof head + align4(head[0]) + align4(bytes);
    u8 *to = realloc(n->bytes, n->count + need);
    n->no_memory |= !to;
    if (!to)
        return;
    n->bytes = to;
    to += n->count;
    memset(to, 0, need);
    memcpy(to, head, sizeof head);
    memcpy(to + sizeof head, name, head[0]);
    memcpy(to + sizeof head + align4(head[0]), from, bytes);
    n->count += need;
}

/* In the order of struct user_regs_struct. */
static void registers64(const struct cpu *c, u64 *to)
{
    static const u8 first[] = {15, 14, 13, 12, RBP, RBX, 11, 10, 9, 8, RAX, RCX, RDX, RSI, RDI};
    static const u8 segments[] = {SEG_DS, SEG_ES, SEG_FS, SEG_GS};
    for (unsigned n = 0; n < ARRAY_LEN(first); n++)
        *to++ = c->gpr[first[n]];
    *to++ = UINT64_MAX; /* orig_rax: no system call is to be restarted */
    *to++ = c->rip;
    *to++ = c->seg[SEG_CS].selector;
    *to++ = cpu_rflags(c);
    *to++ = c->gpr[RSP];
    *to++ = c->seg[SEG_SS].selector;
    *to++ = c->seg[SEG_FS].base;
    *to++ = c->seg[SEG_GS].base;
    for (unsigned n = 0; n < ARRAY_LEN(segments); n++)
        *to++ = c->seg[segments[n]].selector;
}

static void registers32(const struct cpu *c, u32 *to)
{
    static const u8 first[] = {RBX, RCX, RDX, RSI, RDI, RBP, RAX};
    static const u8 segments[] = {SEG_DS, SEG_ES, SEG_FS, SEG_GS};
    for (unsigned n = 0; n < ARRAY_LEN(first); n++)
        *to++ = (u32)c->gpr[first[n]];
    for (unsigned n = 0; n < ARRAY_LEN(segments); n++)
        *to++ = c->seg[segments[n]].selector;
    *to++ = UINT32_MAX; /* orig_eax */
    *to++ = (u32)c->rip;
    *to++ = c->seg[SEG_CS].selector;
    *to++ = (u32)cpu_rflags(c);
    *to++ = (u32)c->gpr[RSP];
    *to++ = c->seg[SEG_SS].selector;
}

static void add_processor(struct notes *n, struct vcpu *v, bool wide)
{
    union {
        u8 bytes[STATUS64];
        u64 align;
    } status = {{0}};
    u32 thread = v->index + 1;
    fpu_park(v);
    memcpy(status.bytes + (wide ? STATUS64_PID : STATUS32_PID), &thread, sizeof thread);
    if (wide)
        registers64(&v->cpu, (u64 *)(status.bytes + STATUS64_REGS));
    else
        registers32(&v->cpu, (u32 *)(status.bytes + STATUS32_REGS));
    add(n, "CORE", NT_PRSTATUS, status.bytes, wide ? STATUS64 : STATUS32);
    add(n, wide ? "CORE" : "LINUX", wide ? NT_PRFPREG : NT_PRXFPREG, v->cpu.fpu.fxsave, FXSAVE_BYTES);
}

/* Linux keeps a finished note at the beginning of a page of its own. */
static bool read_vmcoreinfo(const struct physmem *m, gpa_t at, u8 *to, u32 *bytes)
{
    static const char name[] = "VMCOREINFO";
    static const char begin[] = "OSRELEASE=";
    enum { HEAD = 12, NAME = 12 };
    const u8 *page = physmem_pointer(m, at);
    u32 head[3];
    if (!page || memcmp(page + HEAD, name, sizeof name) || memcmp(page + HEAD + NAME, begin, sizeof begin - 1))
        return false;
    memcpy(head, page, sizeof head);
    if (head[0] != sizeof name || head[2] || head[1] > VMCOREINFO_MAX)
        return false;
    for (u32 n = 0; n < head[1]; n++) {
        const u8 *from = physmem_pointer(m, gpa(at.raw + HEAD + NAME + n));
        if (!from)
            return false;
        to[n] = *from;
    }
    *bytes = head[1];
    return true;
}

static bool add_vmcoreinfo(struct notes *n, const struct physmem *m)
{
    static u8 text[VMCOREINFO_MAX];
    u32 bytes;
    for (u64 page = 0; page < physmem_pages(m); page++) {
        if (!read_vmcoreinfo(m, physmem_page_address(m, page), text, &bytes))
            continue;
        add(n, "VMCOREINFO", 0, text, bytes);
        return true;
    }
    return false;
}

u8 *core_notes_make(struct vm *vm, bool wide, u64 *bytes, bool *vmcoreinfo)
{
    struct notes n = {0};
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        add_processor(&n, vm->vcpu[i], wide);
    *vmcoreinfo = add_vmcoreinfo(&n, &vm->memory);
    *bytes = n.count;
    if (!n.no_memory)
        return n.bytes;
    free(n.bytes);
    return NULL;
}
