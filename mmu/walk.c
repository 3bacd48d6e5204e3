/* Levels are data: a paging format is a row, an entry is checked against its level, and one loop walks them all. */
#include "mmu/walk.h"

#include "core/vm.h"

/* Paging-structure entry bits, SDM vol. 3, tables 4-5 to 4-20. */
#define PTE_P 0x001ull
#define PTE_W 0x002ull
#define PTE_U 0x004ull
#define PTE_A 0x020ull
#define PTE_D 0x040ull
#define PTE_PS 0x080ull
#define PTE_G 0x100ull
#define PTE_NX (1ull << 63)

#define ADDRESS_MASK (((1ull << PHYS_ADDRESS_BITS) - 1) & ~(u64)PAGE_MASK)
/* Bits 51..MAXPHYADDR of an 8-byte entry. */
#define RESERVED_ADDRESS (((1ull << 52) - 1) & ~((1ull << PHYS_ADDRESS_BITS) - 1))
#define BITS(high, low) ((~0ull >> (63 - (high))) & (~0ull << (low)))

enum large { LARGE_NEVER, LARGE_PSE, LARGE_ALWAYS, LARGE_1G };

struct level {
    u8 shift;      /* of the linear address */
    u8 index_bits;
    u8 large;      /* enum large: may PS end the walk here? */
    u64 reserved;  /* bits that must be 0 in an entry that points to a table or a 4 KiB page */
    u64 reserved_large;
};

struct format {
    u8 levels;
    u8 entry_bytes;
    struct level level[4];
};

/* SDM vol. 3, 4.3: with PSE, bits 20..13 of a 4 MiB entry carry address bits 39..32. */
static const struct format format_32bit = {
    2, 4, {{22, 10, LARGE_PSE, 0, BITS(21, 21)}, {12, 10, LARGE_NEVER, 0, 0}}};

/* SDM vol. 3, 4.4: the PDPTEs are registers; bits 62..52 are reserved. */
static const struct format format_pae = {
    2, 8,
    {{21, 9, LARGE_ALWAYS, RESERVED_ADDRESS | BITS(62, 52), RESERVED_ADDRESS | BITS(62, 52) | BITS(20, 13)},
     {12, 9, LARGE_NEVER, RESERVED_ADDRESS | BITS(62, 52), 0}}};

/* SDM vol. 3, 4.5. */
static const struct format format_4level = {
    4, 8,
    {{39, 9, LARGE_NEVER, RESERVED_ADDRESS | PTE_PS, 0},
     {30, 9, LARGE_1G, RESERVED_ADDRESS, RESERVED_ADDRESS | BITS(29, 13)},
     {21, 9, LARGE_ALWAYS, RESERVED_ADDRESS, RESERVED_ADDRESS | BITS(20, 13)},
     {12, 9, LARGE_NEVER, RESERVED_ADDRESS, 0}}};

static const struct format *current_format(const struct cpu *c)
{
    if (cpu_long(c))
        return &format_4level;
    return c->cr4 & CR4_PAE ? &format_pae : &format_32bit;
}

static bool level_may_be_large(const struct vcpu *v, const struct level *level)
{
    switch (level->large) {
    case LARGE_PSE: return v->cpu.cr4 & CR4_PSE;
    case LARGE_ALWAYS: return true;
    case LARGE_1G: return model_has(v->vm->config.model, FEAT_PDPE1GB);
    default: return false;
    }
}

/* Without the PAT, its bit of a leaf is reserved wherever any bits are: 32-bit paging has none without CR4.PSE (SDM
 * vol. 3, 4.3). */
static u64 pat_bit_reserved(const struct vcpu *v, const struct format *f, const struct level *level, bool large)
{
    if (model_has(v->vm->config.model, FEAT_PAT) || (f->entry_bytes == 4 && !(v->cpu.cr4 & CR4_PSE)))
        return 0;
    if (large)
        return BITS(12, 12);
    return level->shift == PAGE_SHIFT ? BITS(7, 7) : 0;
}

static u64 level_reserved(const struct vcpu *v, const struct format *f, const struct level *level, bool large)
{
    u64 reserved = (large ? level->reserved_large : level->reserved) | pat_bit_reserved(v, f, level, large);
    if (f->entry_bytes == 8 && !(v->cpu.efer & EFER_NXE))
        reserved |= PTE_NX;
    if (large && level->large == LARGE_PSE && !model_has(v->vm->config.model, FEAT_PSE36))
        reserved |= BITS(21, 13);
    if (level->large == LARGE_1G && !level_may_be_large(v, level))
        reserved |= PTE_PS;
    return reserved;
}

/* Where an entry points: a table, or the start of a (large) page. */
static u64 entry_address(const struct format *f, u64 entry, u8 shift, bool leaf)
{
    if (!leaf || shift == PAGE_SHIFT)
        return entry & ADDRESS_MASK;
    if (f->entry_bytes == 4)
        return (entry & BITS(31, 22)) | (entry & BITS(20, 13)) << 19;
    return entry & ADDRESS_MASK & ~((1ull << shift) - 1);
}

/* SDM vol. 3, 4.6.1: does the path allow the access? */
static bool access_allowed(const struct cpu *c, struct walk_rights r, enum access access, enum tlb_rights who)
{
    if (who == TLB_USER || who == TLB_USER_ALIGNED)
        return r.user && (access != ACCESS_WRITE || r.writable) && (access != ACCESS_FETCH || r.executable);
    if (access == ACCESS_FETCH)
        return r.executable && !(r.user && (c->cr4 & CR4_SMEP));
    if (r.user && (c->cr4 & CR4_SMAP) && who != TLB_SUPERVISOR_AC)
        return false;
    return access == ACCESS_READ || r.writable || !(c->cr0 & CR0_WP);
}

static u32 error_code(const struct cpu *c, enum access access, enum tlb_rights who)
{
    u32 error = access == ACCESS_WRITE ? PF_WRITE : 0;
    if (who == TLB_USER || who == TLB_USER_ALIGNED)
        error |= PF_USER;
    bool nx = (c->cr4 & CR4_PAE) && (c->efer & EFER_NXE);
    if (access == ACCESS_FETCH && (nx || (c->cr4 & CR4_SMEP)))
        error |= PF_FETCH;
    return error;
}

/* Debuggers (`commit` false) see no entry in a device: reading it could change the device. */
static u64 entry_read(struct vm *vm, u64 at, u8 bytes, bool commit)
{
    u64 entry = 0;
    u8 *host = physmem_pointer(&vm->memory, gpa(at));
    if (host)
        __builtin_memcpy(&entry, host, bytes == 8 ? 8 : 4);
    else if (commit)
        phys_read(vm, gpa(at), &entry, bytes);
    return entry;
}

/* Sets A along the path and D in the leaf (SDM vol. 3, 4.8). Nothing else changes, so translations stay valid. */
static void set_accessed_dirty(struct vm *vm, const struct walk_path *p, bool dirty)
{
    for (unsigned l = 0; l < p->levels; l++) {
        u64 want = p->entry[l] | PTE_A | (dirty && l + 1 == p->levels ? PTE_D : 0);
        if (want == p->entry[l])
            continue;
        phys_write_table(vm, gpa(p->at[l]), (u8)want);
    }
}

static struct walk_result walk_fault(u32 error) { return (struct walk_result){.ok = false, .error = error}; }

/* What is asked of a walk. */
struct request {
    u64 linear;
    enum access access;
    enum tlb_rights who;
    bool commit;
};

static struct walk_result walk_success(struct vcpu *v, const struct request *r, struct walk_path *path,
                                       const struct level *leaf)
{
    unsigned last = path->levels - 1u;
    bool cacheable = true;
    if (r->commit)
        set_accessed_dirty(v->vm, path, r->access == ACCESS_WRITE);
    for (unsigned l = 0; l <= last; l++) {
        if (r->commit)
            phys_watch_table(v->vm, gpa(path->at[l]));
        cacheable &= physmem_offset(&v->vm->memory, gpa(path->table[l])) != UINT64_MAX;
    }
    u64 entry = path->entry[last];
    const struct format *f = current_format(&v->cpu);
    path->dirty = r->access == ACCESS_WRITE || (entry & PTE_D);
    return (struct walk_result){
        .ok = true,
        .page = gpa(entry_address(f, entry, leaf->shift, true) |
                    (r->linear & BITS(leaf->shift - 1, 0) & ~(u64)PAGE_MASK)),
        .writable = path->dirty && access_allowed(&v->cpu, path->after[last], ACCESS_WRITE, r->who),
        .global = entry & PTE_G,
        .cacheable = cacheable,
        .page_shift = leaf->shift,
    };
}

static struct walk_result walk_tables(struct vcpu *v, const struct request *r, struct walk_path *path)
{
    const struct cpu *c = &v->cpu;
    const struct format *f = current_format(c);
    u32 error = error_code(c, r->access, r->who);
    u64 table = c->cr3 & (f->entry_bytes == 4 ? BITS(31, 12) : ADDRESS_MASK);
    if (f == &format_pae) {
        u64 pdpte = c->pdpte[r->linear >> 30 & 3];
        if (!(pdpte & PTE_P))
            return walk_fault(error);
        table = pdpte & ADDRESS_MASK;
    }
    struct walk_rights rights = {true, true, true};
    const struct level *level;
    bool leaf = false;
    for (unsigned l = 0; !leaf; l++) {
        level = &f->level[l];
        u64 index = r->linear >> level->shift & ((1u << level->index_bits) - 1);
        path->levels = (u8)(l + 1);
        path->table[l] = table;
        path->at[l] = table + index * f->entry_bytes;
        u64 entry = path->entry[l] = entry_read(v->vm, path->at[l], f->entry_bytes, r->commit);
        if (!(entry & PTE_P))
            return walk_fault(error);
        leaf = level->shift == PAGE_SHIFT || ((entry & PTE_PS) && level_may_be_large(v, level));
        if (entry & level_reserved(v, f, level, leaf && level->shift != PAGE_SHIFT))
            return walk_fault(error | PF_PRESENT | PF_RESERVED);
        rights.user &= (entry & PTE_U) != 0;
        rights.writable &= (entry & PTE_W) != 0;
        rights.executable &= f->entry_bytes == 4 || !(entry & PTE_NX);
        path->after[l] = rights;
        table = entry_address(f, entry, level->shift, leaf);
    }
    if (!access_allowed(c, rights, r->access, r->who))
        return walk_fault(error | PF_PRESENT);
    return walk_success(v, r, path, level);
}

static struct walk_result walk_any(struct vcpu *v, const struct request *r, struct walk_path *path)
{
    path->levels = 0;
    path->dirty = true;
    if (!cpu_paging(&v->cpu))
        return (struct walk_result){.ok = true, .page = gpa(r->linear & 0xfffff000), .writable = true,
                                    .cacheable = true, .page_shift = 32};
    return walk_tables(v, r, path);
}

struct walk_result walk_guest(struct vcpu *v, u64 linear, enum access access, enum tlb_rights rights, bool commit)
{
    struct walk_path path;
    return walk_any(v, &(struct request){linear, access, rights, commit}, &path);
}

struct walk_result walk_guest_path(struct vcpu *v, u64 linear, enum access access, enum tlb_rights rights,
                                   struct walk_path *path)
{
    return walk_any(v, &(struct request){linear, access, rights, true}, path);
}

bool walk_read_pdptes(struct vm *vm, u64 cr3, u64 pdpte[4])
{
    u64 loaded[4];
    phys_read(vm, gpa(cr3 & BITS(31, 5)), loaded, sizeof loaded);
    u64 reserved = BITS(2, 1) | BITS(8, 5) | BITS(63, 52) | RESERVED_ADDRESS;
    for (unsigned i = 0; i < 4; i++)
        if ((loaded[i] & PTE_P) && (loaded[i] & reserved))
            return false;
    memcpy(pdpte, loaded, sizeof loaded);
    return true;
}

bool walk_load_pdptes(struct vcpu *v, u64 cr3) { return walk_read_pdptes(v->vm, cr3, v->cpu.pdpte); }
