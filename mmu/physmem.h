/* Guest-physical memory: where RAM lies, its host memory, and what is known about each frame.
 *
 * RAM occupies [0, 0xa0000), [0xc0000, min(size, 3 GiB)) and, beyond 3 GiB, [4 GiB, ...). Everything else is MMIO or
 * unassigned. Host memory is backed lazily; frames are not contiguous for callers: a pointer is valid to the end of
 * its 4 KiB page only. With PHYSMEM_HOLES each page of RAM is followed by a page of nothing: a host access that
 * crosses the end of its page then faults, so that translated code need not check for it. */
#ifndef REPRISE_MMU_PHYSMEM_H
#define REPRISE_MMU_PHYSMEM_H

#include "core/host.h"

#define PHYS_HOLE_BEGIN 0xc0000000ull /* PCI, APICs, HPET: [3 GiB, 4 GiB) */
#define PHYS_HOLE_END 0x100000000ull
#define PHYS_VGA_BEGIN 0xa0000ull
#define PHYS_VGA_END 0xc0000ull
#define PHYS_ADDRESS_BITS 40 /* MAXPHYADDR of every CPU model */

/* Frame flags. WATCHED frames get no direct write entries in any TLB: mmu/access.c sees each write. */
#define FRAME_CODE 0x1u  /* decoded instructions of it are cached, or were a moment ago */
#define FRAME_TABLE 0x2u /* served as a page table in table_epoch */
#define FRAME_GUARDED 0x4u /* the hole behind the page is in place (PHYSMEM_HOLES) */
#define FRAME_SHADOW 0x8u /* shadow page tables derive from it (mmu/shadow.h) */
#define FRAME_TRACED 0x10u /* a tracer wants to see what writes it (phys_watch_writes()) */
#define FRAME_WATCHED (FRAME_CODE | FRAME_TABLE | FRAME_SHADOW | FRAME_TRACED)

struct frame {
    u16 flags;
    u16 code_writes;     /* that killed code, or found none, since code was last watched; mmu/access.c */
    u32 code_generation; /* bumped when a write hits a line with code: cached instructions of older ones are dead */
    u64 code_lines;      /* bit n: decoded instructions lie in bytes [64 n, 64 n + 64) */
    u64 table_epoch;     /* physmem.epoch when it last served a walk */
    u64 write_epoch;     /* physmem.epoch when a TLB last got a direct write entry for it */
};

/* SHARED: with holes, and its pages can be mapped into windows (mmu/window.h). */
enum physmem_layout { PHYSMEM_DENSE, PHYSMEM_HOLES, PHYSMEM_SHARED };

/* What is known about writes to a page of RAM. Pages that were ever written are in a list, those of later intervals first,
 * so that who asks for the pages of the last intervals finds them without looking at all. */
struct page_writes {
    u64 interval;     /* in which it was last written, or open to writes that nobody sees; 0: never */
    u32 newer, older; /* its neighbours in the list, page numbers; the list's head has number physmem_pages() */
};

struct physmem {
    u8 *ram;           /* page n stands at n << host_shift: physmem_host() */
    struct host_frames shared; /* the same memory, for further mappings if PHYSMEM_SHARED */
    u8 layout;         /* enum physmem_layout */
    u8 host_shift;     /* PAGE_SHIFT, or one more with holes */
    u64 size; /* bytes of RAM in total; multiple of 4 KiB */
    u64 low;  /* bytes of RAM below the hole: min(size, 3 GiB) */
    struct frame *frames; /* one per RAM page, indexed by offset >> 12 */
    struct page_writes *written; /* per RAM page, and the head of their list */
    u64 interval; /* counts phys_track_writes(): pages last written in an earlier one get no direct write entry yet */
    u64 code_changes; /* counts writes to lines with code: who repeats an instruction looks at it anew after one */
    u64 epoch; /* counts TLB flushes: frames that served a walk, or got a write entry, in older epochs back no TLB entry */
};

/* What physmem_create() makes, and everything below relies on. */
/*@ predicate physmem_shape(struct physmem *m) =
      m->size % PAGE_SIZE == 0 && m->size <= 1 << PHYS_ADDRESS_BITS - 1 &&
      m->low == (m->size < PHYS_HOLE_BEGIN ? m->size : PHYS_HOLE_BEGIN) && PAGE_SHIFT <= m->host_shift <= PAGE_SHIFT + 1;
    // Where in host memory the byte at an offset in RAM lies.
    logic integer physmem_host_place(struct physmem *m, integer offset) =
      m->host_shift == PAGE_SHIFT ? offset : offset / PAGE_SIZE * PAGE_SIZE * 2 + offset % PAGE_SIZE;
    predicate physmem_valid(struct physmem *m) =
      physmem_shape(m) && \valid(m->ram + (0 .. (m->host_shift == PAGE_SHIFT ? m->size : 2 * m->size) - 1)) &&
      \valid(m->frames + (0 .. m->size / PAGE_SIZE - 1));

    // The map, as a function of addresses alone: where in RAM a guest-physical address lies, or -1.
    logic integer physmem_place(struct physmem *m, integer a) =
      0 <= a < m->low && !(PHYS_VGA_BEGIN <= a < PHYS_VGA_END) ? a :
      PHYS_HOLE_END <= a < PHYS_HOLE_END + (m->size - m->low) ? a - PHYS_HOLE_END + m->low : -1;

    // [b, e) lies in one of the three pieces of RAM.
    predicate physmem_run(struct physmem *m, integer b, integer e) =
      (0 <= b && e <= PHYS_VGA_BEGIN && e <= m->low) || (PHYS_VGA_END <= b && e <= m->low) ||
      (PHYS_HOLE_END <= b && e <= PHYS_HOLE_END + (m->size - m->low)); */

/* `bytes` is a multiple of 4 KiB. STATUS_NO_MEMORY if the host refuses; STATUS_UNSUPPORTED if it cannot share memory. */
enum status physmem_create(struct physmem *memory, u64 bytes, enum physmem_layout layout);
void physmem_destroy(struct physmem *memory);

/* One past the highest RAM address. */
/*@ requires \valid_read(m) && physmem_shape(m);
    assigns \nothing;
    ensures physmem_end: \forall integer a; a >= \result ==> physmem_place(m, a) == -1;
    ensures physmem_end_tight: m->size > 0xc0000 ==> physmem_place(m, \result - 1) >= 0; */
static inline u64 physmem_end(const struct physmem *m)
{
    return m->size <= PHYS_HOLE_BEGIN ? m->size : PHYS_HOLE_END + (m->size - PHYS_HOLE_BEGIN);
}

/* Host memory of the byte at `offset` in RAM, and back. */
/*@ requires \valid_read(m) && physmem_valid(m) && offset < m->size;
    assigns \result \from m, offset;
    ensures physmem_host: \result == m->ram + physmem_host_place(m, offset);
    ensures physmem_host_page: \valid(\result + (0 .. PAGE_SIZE - 1 - offset % PAGE_SIZE)); */
static inline u8 *physmem_host(const struct physmem *m, u64 offset)
{
    return m->ram + ((offset >> PAGE_SHIFT << m->host_shift) + (offset & PAGE_MASK));
}
static inline u64 physmem_host_offset(const struct physmem *m, u64 host)
{
    u64 at = host - (u64)m->ram;
    return at >> m->host_shift << PAGE_SHIFT | (at & PAGE_MASK);
}

/* Offset of a guest-physical address in RAM, or UINT64_MAX where there is none. */
/*@ requires \valid_read(m) && physmem_shape(m);
    assigns \nothing;
    ensures physmem_map: \result == UINT64_MAX ? physmem_place(m, a.raw) == -1 : \result == physmem_place(m, a.raw);
    ensures physmem_inside: \result == UINT64_MAX || \result < m->size;
    ensures physmem_page: \result == UINT64_MAX || (\result % PAGE_SIZE == a.raw % PAGE_SIZE &&
                                                    \result + (PAGE_SIZE - a.raw % PAGE_SIZE) <= m->size);
    // The rest of the page is RAM as well.
    ensures physmem_rest: \result == UINT64_MAX || physmem_run(m, a.raw, a.raw + (PAGE_SIZE - a.raw % PAGE_SIZE)); */
static inline u64 physmem_offset(const struct physmem *m, gpa_t a)
{
    if (a.raw < m->low)
        return a.raw >= PHYS_VGA_BEGIN && a.raw < PHYS_VGA_END ? UINT64_MAX : a.raw;
    if (a.raw >= PHYS_HOLE_END && a.raw - PHYS_HOLE_END < m->size - m->low)
        return a.raw - PHYS_HOLE_END + m->low;
    return UINT64_MAX;
}

/* The guest-physical address of an offset in RAM. */
static inline gpa_t physmem_address(const struct physmem *m, u64 offset)
{
    return gpa(offset < m->low ? offset : offset - m->low + PHYS_HOLE_END);
}

/* Host memory of a guest-physical address, or NULL where there is no RAM. Valid to the end of the page.
 * Read-only use, or use at boot before any instruction has run (physmem_note_write() then): guest-visible writes go through
 * phys_write(). */
/*@ requires \valid_read(m) && physmem_valid(m);
    assigns \result \from m, a;
    ensures physmem_pointer: \result == \null || (physmem_place(m, a.raw) >= 0 &&
        \result == m->ram + physmem_host_place(m, physmem_place(m, a.raw)) && \valid(\result + (0 .. PAGE_SIZE - 1 - a.raw % PAGE_SIZE)));
    ensures physmem_none: \result == \null ==> physmem_place(m, a.raw) == -1; */
static inline u8 *physmem_pointer(const struct physmem *m, gpa_t a)
{
    u64 offset = physmem_offset(m, a);
    return offset == UINT64_MAX ? NULL : physmem_host(m, offset);
}

/*@ requires \valid_read(m) && physmem_valid(m);
    assigns \result \from m, a;
    ensures physmem_frame: \result == \null ||
        (physmem_place(m, a.raw) >= 0 && \result == m->frames + physmem_place(m, a.raw) / PAGE_SIZE && \valid(\result)); */
static inline struct frame *physmem_frame(const struct physmem *m, gpa_t a)
{
    u64 offset = physmem_offset(m, a);
    return offset == UINT64_MAX ? NULL : &m->frames[offset >> PAGE_SHIFT];
}

/* RAM pages by number, 0 to physmem_pages() - 1, in the order of their addresses. The pages behind the VGA hole exist
 * but hold nothing: physmem_pointer() of their address is NULL. */
static inline u64 physmem_pages(const struct physmem *m) { return m->size >> PAGE_SHIFT; }
static inline gpa_t physmem_page_address(const struct physmem *m, u64 page)
{
    u64 offset = page << PAGE_SHIFT;
    return gpa(offset < m->low ? offset : offset - m->low + PHYS_HOLE_END);
}

/* Has this page been written since phys_track_writes() (mmu/access.h) returned `interval`? True for some that were not. */
static inline bool physmem_written_since(const struct physmem *m, u64 page, u64 interval)
{
    return m->written[page].interval >= interval;
}

/* The pages for which that is true, one after the other: the first, the next, physmem_pages() at the end. While nothing is
 * written. */
static inline u64 physmem_newest(const struct physmem *m) { return m->written[physmem_pages(m)].older; }
static inline u64 physmem_next_written(const struct physmem *m, u64 page) { return m->written[page].older; }

/* Page `page` is about to be written, or opened for writing, for the first time in this interval. */
void physmem_note_first_write(struct physmem *m, u64 page);
static inline void physmem_note_page(struct physmem *m, u64 page)
{
    if (__builtin_expect(m->written[page].interval != m->interval, 0))
        physmem_note_first_write(m, page);
}

/* Says that a page of RAM, by an address in it, is about to be written through physmem_pointer(). */
static inline void physmem_note_write(struct physmem *m, gpa_t a)
{
    u64 offset = physmem_offset(m, a);
    if (offset != UINT64_MAX)
        physmem_note_page(m, offset >> PAGE_SHIFT);
}

/* Copies between a buffer and guest RAM for loaders. False, with nothing copied, if any byte of the range is
 * not RAM. After the guest has started they belong to whoever flushes the TLBs next (no tracing of page tables). */
bool physmem_load(struct physmem *m, gpa_t to, const void *from, u64 bytes);
bool physmem_zero(struct physmem *m, gpa_t to, u64 bytes);
/*@ requires \valid_read(m) && physmem_shape(m);
    assigns \nothing;
    ensures physmem_all_ram: \result == 1 ==>
        bytes == 0 || physmem_run(m, from.raw, from.raw + bytes);
    ensures physmem_all_places: \result == 1 ==> \forall integer a; from.raw <= a < from.raw + bytes ==> physmem_place(m, a) >= 0; */
bool physmem_is_ram(const struct physmem *m, gpa_t from, u64 bytes);

#endif
