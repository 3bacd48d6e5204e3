/* The state hash: four multiply-rotate lanes over 64-bit words, folded at the end. It is for finding divergence, not
 * for security. Structures with padding are hashed field by field; memory by page, zero pages left out. */
#include "replay/hash.h"

#include "core/host.h"
#include "core/vm.h"
#include "mmu/access.h"
#include "sbe/fpu.h"

enum { LANES = 4, LANE_BYTES = LANES * 8 };

/* Odd constants with about as many ones as zeros: 2^64 divided by the golden ratio, and the fractional bits of the
 * square roots of 2, 3 and 5, made odd. */
#define K0 0x9e3779b97f4a7c15ull
#define K1 0x6a09e667f3bcc909ull
#define K2 0xbb67ae8584caa73bull
#define K3 0x3c6ef372fe94f82bull

/* Offsets in the FXSAVE64 image, SDM vol. 1, table 10-2. */
enum {
    FX_CONTROL_BYTES = 6, /* FCW, FSW, abridged FTW; FOP and the pointers live in struct fpu */
    FX_MXCSR = 24,        /* MXCSR_MASK after it belongs to the host */
    FX_ST = 32, FX_ST_STRIDE = 16, FX_ST_BYTES = 10, FX_ST_COUNT = 8,
    FX_XMM = 160, FX_XMM_BYTES = 256,
};

struct hasher {
    u64 lane[LANES];
};

static inline u64 rotate(u64 x, unsigned by) { return x << by | x >> (64 - by); }

static inline u64 mix(u64 lane, u64 word) { return rotate((lane ^ word) * K0, 29) + K1; }

static void add(struct hasher *h, u64 word)
{
    h->lane[0] = mix(h->lane[0], word);
    h->lane[1] = rotate(h->lane[1] + h->lane[0], 31);
}

/* `bytes` is a multiple of LANE_BYTES. */
static void add_lanes(struct hasher *h, const u8 *from, size_t bytes)
{
    u64 a = h->lane[0], b = h->lane[1], c = h->lane[2], d = h->lane[3];
    for (size_t at = 0; at < bytes; at += LANE_BYTES) {
        u64 word[LANES];
        memcpy(word, from + at, LANE_BYTES);
        a = mix(a, word[0]);
        b = mix(b, word[1]);
        c = mix(c, word[2]);
        d = mix(d, word[3]);
    }
    h->lane[0] = a;
    h->lane[1] = b;
    h->lane[2] = c;
    h->lane[3] = d;
}

/* Any number of bytes; the length is hashed too, so that neighbouring ranges cannot trade bytes. */
static void add_bytes(struct hasher *h, const void *from, size_t bytes)
{
    const u8 *at = from;
    size_t whole = bytes / LANE_BYTES * LANE_BYTES;
    u8 tail[LANE_BYTES] = {0};
    add(h, bytes);
    add_lanes(h, at, whole);
    memcpy(tail, at + whole, bytes - whole);
    add_lanes(h, tail, LANE_BYTES);
}

static u64 finish(const struct hasher *h)
{
    u64 x = h->lane[0] ^ rotate(h->lane[1], 17) ^ rotate(h->lane[2], 34) ^ rotate(h->lane[3], 51);
    x = (x ^ x >> 32) * K2;
    x = (x ^ x >> 29) * K3;
    return x ^ x >> 32;
}

/* ---- Processor ---------------------------------------------------------------------------------- */

static void add_segment(struct hasher *h, const struct segment *s)
{
    add(h, (u64)s->limit << 32 | (u64)s->attributes << 16 | s->selector);
    add(h, s->base);
}

static void add_table(struct hasher *h, const struct table_register *t)
{
    add(h, t->base);
    add(h, t->limit);
}

#define ADD_ARRAY(h, a) add_bytes(h, a, sizeof(a))

static void add_fpu(struct hasher *h, const struct fpu *f)
{
    add_bytes(h, f->fxsave, FX_CONTROL_BYTES);
    add_bytes(h, f->fxsave + FX_MXCSR, 4);
    for (unsigned i = 0; i < FX_ST_COUNT; i++)
        add_bytes(h, f->fxsave + FX_ST + i * FX_ST_STRIDE, FX_ST_BYTES);
    add_bytes(h, f->fxsave + FX_XMM, FX_XMM_BYTES);
    add(h, f->fip);
    add(h, f->fdp);
    add(h, (u64)f->fop << 32 | (u64)f->fcs << 16 | f->fds);
}

static void add_msrs(struct hasher *h, const struct cpu *c)
{
    const u64 single[] = {
        c->sysenter_cs, c->sysenter_esp, c->sysenter_eip, c->star, c->lstar, c->cstar, c->sfmask, c->kernel_gs_base,
        c->tsc_aux, c->pat, c->apic_base, c->misc_enable, c->tsc_adjust, c->mcg_status, c->feature_control,
        c->bios_sign_id, c->spec_ctrl, c->mtrr_def_type, (u64)c->tsc_offset,
    };
    ADD_ARRAY(h, single);
    ADD_ARRAY(h, c->mtrr_fixed);
    ADD_ARRAY(h, c->mtrr_variable);
}

static void add_cpu(struct hasher *h, const struct cpu *c)
{
    const u64 single[] = {
        c->rip, cpu_rflags(c), c->cr0, c->cr2, c->cr3, c->cr4, c->efer, c->xcr0, c->icount,
        c->cpl, c->activity, c->int_shadow, c->mov_ss_shadow, c->nmi_blocked, c->nmi_pending, c->pending_db,
    };
    ADD_ARRAY(h, c->gpr);
    ADD_ARRAY(h, single);
    ADD_ARRAY(h, c->dr);
    ADD_ARRAY(h, c->pdpte);
    for (unsigned i = 0; i < SEG_COUNT; i++)
        add_segment(h, &c->seg[i]);
    add_segment(h, &c->ldtr);
    add_segment(h, &c->tr);
    add_table(h, &c->gdtr);
    add_table(h, &c->idtr);
    add_msrs(h, c);
    add_fpu(h, &c->fpu);
}

/* ---- Memory ------------------------------------------------------------------------------------- */

static bool page_is_zero(const u8 *page)
{
    for (unsigned at = 0; at < PAGE_SIZE; at += 64) {
        u64 word[8];
        memcpy(word, page + at, sizeof word);
        if (word[0] | word[1] | word[2] | word[3] | word[4] | word[5] | word[6] | word[7])
            return false;
    }
    return true;
}

/* Of one page at an offset in RAM; 0 for a page of zeros, so that memory never touched costs nothing. */
static u64 page_hash(const struct physmem *m, u64 offset)
{
    const u8 *page = physmem_host(m, offset);
    struct hasher h = {{K0 ^ offset, K1, K2, K3}};
    if (page_is_zero(page))
        return 0;
    add_lanes(&h, page, PAGE_SIZE);
    return finish(&h);
}

/* The hash of all memory is a sum over its pages, so that a page can be taken out and put back changed. */
static u64 whole_memory_hash(const struct physmem *m)
{
    u64 sum = 0;
    for (u64 offset = 0; offset < m->size; offset += PAGE_SIZE)
        sum += page_hash(m, offset);
    return sum;
}

/* Looks at the pages that may have been written since the last time. */
static void renew_pages(struct physmem *m, struct page_hashes *p, u64 since)
{
    u64 end = physmem_pages(m);
    for (u64 page = physmem_newest(m); page != end && physmem_written_since(m, page, since);
         page = physmem_next_written(m, page)) {
        u64 now = page_hash(m, page << PAGE_SHIFT);
        p->sum += now - p->page[page];
        p->page[page] = now;
    }
}

static u64 memory_hash(struct vm *vm)
{
    struct page_hashes *p = &vm->page_hashes;
    if (!p->page)
        return whole_memory_hash(&vm->memory);
    u64 since = p->since ? p->since : 1; /* pages that were never written are zero, and count as that already */
    p->since = phys_track_writes(vm);
    renew_pages(&vm->memory, p, since);
    return p->sum;
}

enum status state_hash_remember(struct vm *vm)
{
    if (!vm->page_hashes.page)
        vm->page_hashes.page = host_alloc((vm->memory.size >> PAGE_SHIFT) * sizeof(u64));
    return vm->page_hashes.page ? STATUS_OK : STATUS_NO_MEMORY;
}

void state_hash_forget(struct vm *vm)
{
    if (vm->page_hashes.page)
        host_free(vm->page_hashes.page, (vm->memory.size >> PAGE_SHIFT) * sizeof(u64));
    vm->page_hashes = (struct page_hashes){0};
}

/* What chaos has not touched costs nothing, and hashes as if there were no chaos. */
static void add_clock(struct hasher *h, const struct vm *vm)
{
    const struct chaos *c = &vm->chaos;
    const struct clock *k = &vm->clock;
    const u64 random[] = {c->irq, c->clock, c->held_until, c->piece_end};
    const u64 rate[] = {k->rate, k->from_icount, k->from_ns};
    add(h, k->skipped_ns);
    if (c->irq | c->clock | c->held_until | c->piece_end)
        ADD_ARRAY(h, random);
    if (k->rate)
        ADD_ARRAY(h, rate);
}

static u64 hash(struct vm *vm, u64 memory)
{
    struct hasher h = {{K0, K1, K2, K3}};
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        fpu_park(vm->vcpu[i]);
        add_cpu(&h, &vm->vcpu[i]->cpu);
    }
    add(&h, vm->memory.size);
    add(&h, memory);
    add_bytes(&h, &vm->chipset, sizeof vm->chipset);
    add_clock(&h, vm);
    return finish(&h);
}

u64 state_hash(struct vm *vm) { return hash(vm, memory_hash(vm)); }

u64 state_hash_whole(struct vm *vm) { return hash(vm, whole_memory_hash(&vm->memory)); }
