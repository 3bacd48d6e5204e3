/* Guest memory accesses of an instruction, by linear address.
 *
 * Every accessor returns false after recording the guest fault in v->fault. Accesses may cross pages: both pages
 * are translated and checked before the first byte is written. RAM, MMIO and unassigned space are told apart
 * here; data breakpoints (DR7) are matched here. _sys accessors are implicit supervisor accesses (descriptor
 * tables, TSS: SDM vol. 3, 4.6): they ignore CPL and obey neither AC nor alignment checks. */
#ifndef REPRISE_MMU_ACCESS_H
#define REPRISE_MMU_ACCESS_H

#include "core/vcpu.h"

/* To the proofs: all that an access to guest memory or a device may change, but for the memory map and the caller's own. */
//@ ghost extern int guest_memory;

enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_FETCH };

/* Slow paths; size is 1..64 bytes. The inline functions below call them on a TLB miss. */
bool mem_read_slow(struct vcpu *v, u64 linear, void *to, unsigned size, enum tlb_rights rights);
bool mem_write_slow(struct vcpu *v, u64 linear, const void *from, unsigned size, enum tlb_rights rights);

/* A read-modify-write operand, opened for writing. `host` points at the bytes: in RAM, or in `bounce` when the
 * operand crosses a page, is watched, or is MMIO; mem_rmw_end() then writes the bounce back. */
struct mem_rmw {
    u8 *host;
    bool bounced;
    u64 linear;      /* if bounced */
    u8 size, first;  /* if bounced: bytes in all, bytes in the first page */
    u64 physical[2]; /* if bounced: where each page's part goes */
    _Alignas(64) u8 bounce[64];
};
bool mem_rmw_begin_slow(struct vcpu *v, u64 linear, unsigned size, struct mem_rmw *rmw);
/* The same for an operand that is only written: MMIO is not read, and a bounce holds nothing of what is there now. */
bool mem_write_begin_slow(struct vcpu *v, u64 linear, unsigned size, struct mem_rmw *rmw);
void mem_rmw_end_slow(struct vcpu *v, struct mem_rmw *rmw);

#define MEM_ACCESSORS(bits, type)                                                                              \
    static inline bool mem_read##bits(struct vcpu *v, u64 linear, type *to)                                    \
    {                                                                                                          \
        struct tlb_entry *e = tlb_slot(v->tlb.current, linear);                                                \
        if (__builtin_expect(tlb_hit(e->read_tag, linear, sizeof(type), v->tlb.epoch), 1)) {                   \
            __builtin_memcpy(to, (const void *)(linear + e->addend), sizeof(type));                            \
            return true;                                                                                       \
        }                                                                                                      \
        return mem_read_slow(v, linear, to, sizeof(type), (enum tlb_rights)v->tlb.rights);                     \
    }                                                                                                          \
    static inline bool mem_write##bits(struct vcpu *v, u64 linear, type value)                                 \
    {                                                                                                          \
        struct tlb_entry *e = tlb_slot(v->tlb.current, linear);                                                \
        if (__builtin_expect(tlb_hit(e->write_tag, linear, sizeof(type), v->tlb.write_epoch), 1)) {            \
            __builtin_memcpy((void *)(linear + e->addend), &value, sizeof(type));                              \
            return true;                                                                                       \
        }                                                                                                      \
        return mem_write_slow(v, linear, &value, sizeof(type), (enum tlb_rights)v->tlb.rights);                \
    }                                                                                                          \
    static inline bool mem_read##bits##_sys(struct vcpu *v, u64 linear, type *to)                              \
    {                                                                                                          \
        struct tlb_entry *e = tlb_slot(v->tlb.entries[TLB_SUPERVISOR], linear);                                \
        if (__builtin_expect(tlb_hit(e->read_tag, linear, sizeof(type), v->tlb.epoch), 1)) {                   \
            __builtin_memcpy(to, (const void *)(linear + e->addend), sizeof(type));                            \
            return true;                                                                                       \
        }                                                                                                      \
        return mem_read_slow(v, linear, to, sizeof(type), TLB_SUPERVISOR);                                     \
    }                                                                                                          \
    static inline bool mem_write##bits##_sys(struct vcpu *v, u64 linear, type value)                           \
    {                                                                                                          \
        return mem_write_slow(v, linear, &value, sizeof(type), TLB_SUPERVISOR);                                \
    }

MEM_ACCESSORS(8, u8)
MEM_ACCESSORS(16, u16)
MEM_ACCESSORS(32, u32)
MEM_ACCESSORS(64, u64)

static inline bool mem_rmw_begin(struct vcpu *v, u64 linear, unsigned size, struct mem_rmw *rmw)
{
    struct tlb_entry *e = tlb_slot(v->tlb.current, linear);
    if (__builtin_expect(tlb_hit(e->write_tag, linear, size, v->tlb.write_epoch), 1)) {
        rmw->host = (u8 *)(linear + e->addend);
        rmw->bounced = false;
        return true;
    }
    return mem_rmw_begin_slow(v, linear, size, rmw);
}

static inline bool mem_write_begin(struct vcpu *v, u64 linear, unsigned size, struct mem_rmw *rmw)
{
    struct tlb_entry *e = tlb_slot(v->tlb.current, linear);
    if (__builtin_expect(tlb_hit(e->write_tag, linear, size, v->tlb.write_epoch), 1)) {
        rmw->host = (u8 *)(linear + e->addend);
        rmw->bounced = false;
        return true;
    }
    return mem_write_begin_slow(v, linear, size, rmw);
}

static inline void mem_rmw_end(struct vcpu *v, struct mem_rmw *rmw)
{
    if (__builtin_expect(rmw->bounced, 0))
        mem_rmw_end_slow(v, rmw);
}

/* Checks that [linear, linear + size) can be accessed, setting A and D bits as the access would, without
 * touching data: what PUSHA, ENTER, CALL far and stack switches need before they commit. size ≤ 4096. */
bool mem_probe(struct vcpu *v, u64 linear, unsigned size, enum access access, enum tlb_rights rights);

/* Translates for one access kind without side effects on A/D bits or faults recorded: for debuggers, tracers.
 * False if not mapped. */
bool mem_translate_debug(struct vcpu *v, u64 linear, gpa_t *to);

/* Physical accesses of devices and page walks: RAM or MMIO, any size, crossing pages allowed. Unassigned
 * space reads as all ones and ignores writes. Writes keep the TLB and decoded code coherent. */
void phys_read(struct vm *vm, gpa_t from, void *to, unsigned size);
void phys_write(struct vm *vm, gpa_t to, const void *from, unsigned size);

/* For the walk alone: writes the low byte of a paging entry (A and D) without dropping translations; declares that TLB
 * entries derive from the table at `entry` from now on. */
void phys_write_table(struct vm *vm, gpa_t entry, u8 low_byte);
void phys_watch_table(struct vm *vm, gpa_t entry);

/* For the shadow MMU alone: declares that shadow entries derive from `table`, a page of RAM, from now on. */
void phys_watch_shadow(struct vm *vm, gpa_t table);

/* Empties the TLB, the tables of translated code and the shadow tables: for registers or memory that changed by other
 * ways than the guest's instructions and phys_write(). */
void tlb_flush(struct vcpu *v);

/* Empties the TLB and the tables of translated code, in every address space: translations are still what they were, but
 * accesses must be seen (breakpoints, write tracking). */
void tlb_forget(struct vcpu *v);

/* The same for translations of writes alone. */
void tlb_forget_writes(struct vcpu *v);

/* For the guest's changes of CR0, CR3, CR4, EFER and the PDPTEs; for its INVLPG. O(1). */
void tlb_invalidate(struct vcpu *v);
void tlb_invalidate_page(struct vcpu *v);

/* Makes the TLBs of vm use shadow tables (mmu/shadow.h) from now on; shadow_destroy() ends it. */
struct shadow_config;
enum status tlb_use_shadow(struct vm *vm, const struct shadow_config *config);

/* Begins an interval of write tracking: whatever is written to RAM from now on, by an instruction, a device or a
 * loader, is seen by physmem_written_since() with the number that this returns. Direct write translations are
 * dropped. Intervals of several callers do not disturb each other. */
u64 phys_track_writes(struct vm *vm);

/* The page of RAM that holds `at` is one whose writes vm.tracer sees as TRACE_FRAME_WRITE, whoever makes them: instructions
 * by any linear address, deliveries, the walk's A and D bits, DMA. Not loaders. Off again: `on` false. */
void phys_watch_writes(struct vm *vm, gpa_t at, bool on);

/* Selects v->tlb.current from CPL, CR4.SMAP and RFLAGS.AC; called by vcpu_update_mode(). */
void tlb_update_rights(struct vcpu *v);

/* Finds the host memory that instructions at `linear` are fetched from, to the end of its page, for
 * v->tlb.fetch_rights. False with the fault recorded; *host is NULL where code lies outside RAM (then read it with
 * phys_read at *page). */
bool mem_fetch_page(struct vcpu *v, u64 linear, const u8 **host, gpa_t *page);

/* Declares that decoded instructions in [at, at + size) of one RAM page are cached from now on. */
void phys_watch_code(struct vm *vm, gpa_t at, unsigned size);
/* Declares that of a RAM page, by an offset in it, none are cached any more but those that the interpreter decoded, which
 * shall not be used again. The page is watched until a few writes have found no code. */
void phys_code_gone(struct vm *vm, u64 offset);

#endif
