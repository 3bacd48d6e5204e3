/* Stands for mmu/access.h in the driver of core/: an access gives any value, or fails with any fault recorded. The fast
 * paths of the original turn integers into pointers, which no proof here covers: mmu/access_test.c and
 * mmu/coherence_test.c test them. */
#ifndef REPRISE_MMU_ACCESS_H
#define REPRISE_MMU_ACCESS_H

#include "core/vcpu.h"

#include <__fc_builtin.h>

enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_FETCH };

static bool stub_access(struct vcpu *v)
{
    if (Frama_C_interval(0, 1)) {
        fault_error(v, (enum vector)Frama_C_interval(0, 31), Frama_C_unsigned_int_interval(0, 0xffffffffu));
        return false;
    }
    v->cpu.pending_db = Frama_C_unsigned_int_interval(0, 0xffffffffu);
    return true;
}

static bool stub_read(struct vcpu *v, void *to, unsigned long size)
{
    if (!stub_access(v))
        return false;
    Frama_C_make_unknown((char *)to, size);
    return true;
}

static bool stub_write(struct vcpu *v, const void *from, unsigned long size)
{
    //@ check bytes: \valid_read((u8 *)from + (0 .. size - 1));
    return stub_access(v);
}

#define STUB_ACCESSORS(bits, type)                                                                               \
    static bool mem_read##bits(struct vcpu *v, u64 linear, type *to) { return stub_read(v, to, sizeof *to); }        \
    static bool mem_read##bits##_sys(struct vcpu *v, u64 linear, type *to) { return stub_read(v, to, sizeof *to); }  \
    static bool mem_write##bits(struct vcpu *v, u64 linear, type value) { return stub_access(v); }                  \
    static bool mem_write##bits##_sys(struct vcpu *v, u64 linear, type value) { return stub_access(v); }

STUB_ACCESSORS(8, u8)
STUB_ACCESSORS(16, u16)
STUB_ACCESSORS(32, u32)
STUB_ACCESSORS(64, u64)

static bool mem_read_slow(struct vcpu *v, u64 linear, void *to, unsigned size, enum tlb_rights rights)
{
    return stub_read(v, to, size);
}

static bool mem_write_slow(struct vcpu *v, u64 linear, const void *from, unsigned size, enum tlb_rights rights)
{
    return stub_write(v, from, size);
}

static bool mem_probe(struct vcpu *v, u64 linear, unsigned size, enum access access, enum tlb_rights rights)
{
    //@ check size: 1 <= size <= PAGE_SIZE;
    return stub_access(v);
}

static void tlb_flush(struct vcpu *v) { v->tlb.epoch = Frama_C_unsigned_long_interval(1, PAGE_MASK); }

static void tlb_invalidate(struct vcpu *v) { tlb_flush(v); }

static void tlb_update_rights(struct vcpu *v)
{
    v->tlb.rights = (u8)Frama_C_interval(0, TLB_RIGHTS - 1);
    v->tlb.fetch_rights = (u8)Frama_C_interval(0, TLB_USER);
    v->tlb.current = v->tlb.entries[0];
}

#endif
