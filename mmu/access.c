/* Slow paths of guest memory accesses, and what keeps the TLB and decoded code coherent with memory. */
#include "mmu/access.h"

#include "core/exception.h"
#include "core/host.h"
#include "core/vm.h"
#include "mmu/memtable.h"
#include "mmu/shadow.h"
#include "mmu/walk.h"
#include "mmu/walk_memo.h"

/* ---- Coherence ---------------------------------------------------------------------------------- */

u64 phys_track_writes(struct vm *vm)
{
    for (unsigned n = 0; n < vm->vcpu_count; n++)
        tlb_forget_writes(vm->vcpu[n]);
    return ++vm->memory.interval;
}

/* Takes the direct write entries for a RAM page out of every TLB, so that writes to it are seen from now on. */
static void revoke_write_entries(struct vm *vm, u64 offset, struct frame *frame)
{
    if (vm->shadow) {
        shadow_ram_watched(vm, offset); /* which knows who may write it */
        return;
    }
    if (frame->write_epoch != vm->memory.epoch)
        return;
    u64 host = (u64)physmem_host(&vm->memory, offset & ~(u64)PAGE_MASK);
    for (unsigned n = 0; n < vm->vcpu_count; n++) {
        struct tlb_entry *e = &vm->vcpu[n]->tlb.entries[0][0];
        for (unsigned i = 0; i < TLB_RIGHTS * TLB_ENTRIES; i++)
            if (e[i].write_tag && (e[i].write_tag & ~(u64)PAGE_MASK) + e[i].addend == host)
                e[i].write_tag = 0;
    }
}

static void watch(struct vm *vm, u64 offset, u16 flag)
{
    struct frame *frame = &vm->memory.frames[offset >> PAGE_SHIFT];
    if (!(frame->flags & FRAME_WATCHED))
        revoke_write_entries(vm, offset, frame);
    frame->flags |= flag;
}

void phys_watch_shadow(struct vm *vm, gpa_t table)
{
    u64 offset = physmem_offset(&vm->memory, table);
    if (offset != UINT64_MAX)
        watch(vm, offset, FRAME_SHADOW);
}

void phys_watch_table(struct vm *vm, gpa_t entry)
{
    u64 offset = physmem_offset(&vm->memory, entry);
    if (offset == UINT64_MAX || vm->shadow) /* whose entries everything derives from then */
        return;
    watch(vm, offset, FRAME_TABLE);
    vm->memory.frames[offset >> PAGE_SHIFT].table_epoch = vm->memory.epoch;
}

/* Bits of code_lines that [at, at + size) of a page touches; the range lies in one page. */
static u64 line_mask(u64 at, unsigned size)
{
    unsigned first = (at & PAGE_MASK) >> 6, last = ((at + size - 1) & PAGE_MASK) >> 6;
    return (~0ull >> (63 - last)) & (~0ull << first);
}

void phys_watch_code(struct vm *vm, gpa_t at, unsigned size)
{
    u64 offset = physmem_offset(&vm->memory, at);
    if (offset == UINT64_MAX)
        return;
    struct frame *frame = &vm->memory.frames[offset >> PAGE_SHIFT];
    watch(vm, offset, FRAME_CODE);
    frame->code_lines |= line_mask(offset, size);
    frame->code_writes = 0;
}

/* The instruction that is executing may be what has changed, or its page: if it repeats, it must be looked at anew
 * after this iteration, as it would be if the run happened to be cut here. */
static void kick_all(struct vm *vm)
{
    for (unsigned n = 0; n < vm->vcpu_count; n++)
        vcpu_kick(vm->vcpu[n]);
}

void phys_watch_writes(struct vm *vm, gpa_t at, bool on)
{
    u64 offset = physmem_offset(&vm->memory, at);
    if (offset != UINT64_MAX && on)
        watch(vm, offset, FRAME_TRACED);
    else if (offset != UINT64_MAX)
        vm->memory.frames[offset >> PAGE_SHIFT].flags &= (u16)~FRAME_TRACED;
}

static void trace_frame(struct vm *vm, enum trace_kind kind, u64 at, const u8 *bytes, unsigned size)
{
    if (physmem_frame(&vm->memory, gpa(at))->flags & FRAME_TRACED)
        trace_emit(vm, &(struct trace_event){
                           .kind = kind, .size = (u8)size, .physical = at, .bytes = bytes});
}

/* A frame stays watched for so many writes that kill code or find none, with no new code in between: who patches code executes
 * it soon, and making a page writable and taking that back costs more than a few slow writes. */
enum { CODE_WRITES = 16 };

/* What is derived from the instructions in some bytes of a frame goes. Returns the lines in which code is left. */
static u64 engines_forget(struct vm *vm, u64 offset, unsigned size)
{
    u64 left = 0;
    for (unsigned n = 0; vm->config.engine->forget && n < vm->vcpu_count; n++)
        left |= vm->config.engine->forget(vm->vcpu[n], offset, size);
    return left;
}

/* Bytes of a frame with code have changed: instructions of their lines die, with those that the interpreter has decoded
 * anywhere in the frame. */
static void code_lines_written(struct vm *vm, struct frame *frame, u64 offset, unsigned size)
{
    u64 before = frame->code_lines;
    frame->code_generation++;
    vm->memory.code_changes++;
    frame->code_lines = engines_forget(vm, offset, size);
    if (frame->code_lines != before)
        frame->code_writes++;
}

void phys_code_gone(struct vm *vm, u64 offset)
{
    struct frame *frame = &vm->memory.frames[offset >> PAGE_SHIFT];
    if (vm->vcpu_count > 1) /* others may have some */
        return;
    frame->code_generation++;
    frame->code_lines = 0;
}

static void code_written(struct vm *vm, struct frame *frame, u64 offset, unsigned size)
{
    if (!(frame->flags & FRAME_CODE))
        return;
    if (frame->code_lines & line_mask(offset, size))
        code_lines_written(vm, frame, offset, size);
    else if (!frame->code_lines)
        frame->code_writes++;
    if (frame->code_writes < CODE_WRITES)
        return;
    if (frame->code_lines)
        engines_forget(vm, offset & ~(u64)PAGE_MASK, PAGE_SIZE);
    frame->code_lines = 0;
    frame->flags &= (u16)~FRAME_CODE;
}

static void ram_written(struct vm *vm, u64 offset, unsigned size)
{
    struct frame *frame = &vm->memory.frames[offset >> PAGE_SHIFT];
    physmem_note_page(&vm->memory, offset >> PAGE_SHIFT);
    if (__builtin_expect(!(frame->flags & FRAME_WATCHED), 1))
        return;
    code_written(vm, frame, offset, size);
    if (frame->flags & FRAME_SHADOW)
        shadow_ram_written(vm, offset, size);
    if (!(frame->flags & FRAME_TABLE))
        return;
    frame->flags &= (u16)~FRAME_TABLE;
    if (frame->table_epoch != vm->memory.epoch)
        return;
    for (unsigned n = 0; n < vm->vcpu_count; n++)
        tlb_flush(vm->vcpu[n]);
    kick_all(vm);
}

void phys_write_table(struct vm *vm, gpa_t entry, u8 low_byte)
{
    u64 offset = physmem_offset(&vm->memory, entry);
    if (offset == UINT64_MAX) {
        phys_write(vm, entry, &low_byte, 1);
        return;
    }
    struct frame *frame = &vm->memory.frames[offset >> PAGE_SHIFT];
    if (__builtin_expect(vm->tracer != NULL, 0))
        trace_frame(vm, TRACE_FRAME_MARK, entry.raw, &low_byte, 1);
    *physmem_host(&vm->memory, offset) = low_byte;
    physmem_note_page(&vm->memory, offset >> PAGE_SHIFT);
    code_written(vm, frame, offset, 1);
    if (frame->flags & FRAME_SHADOW)
        shadow_ram_marked(vm, offset);
}

/* ---- Physical accesses -------------------------------------------------------------------------- */

static unsigned page_part(u64 at, unsigned size)
{
    unsigned room = PAGE_SIZE - (unsigned)(at & PAGE_MASK);
    return size < room ? size : room;
}

/* Largest naturally aligned power of two, at most 8, at the start of [at, at + size). */
static unsigned mmio_part(u64 at, unsigned size)
{
    unsigned part = 8;
    while (part > size || (at & (part - 1)))
        part >>= 1;
    return part;
}

/* [at, at + size) lies in one page. */
static void page_read(struct vm *vm, u64 at, u8 *to, unsigned size)
{
    const u8 *host = physmem_pointer(&vm->memory, gpa(at));
    if (host) {
        memcpy(to, host, size);
        return;
    }
    for (unsigned done = 0, part; done < size; done += part) {
        part = mmio_part(at + done, size - done);
        u64 value = vm_mmio_read(vm, gpa(at + done), part);
        memcpy(to + done, &value, part);
    }
}

static void page_write(struct vm *vm, u64 at, const u8 *from, unsigned size)
{
    u64 offset = physmem_offset(&vm->memory, gpa(at));
    if (offset != UINT64_MAX) {
        if (__builtin_expect(vm->tracer != NULL, 0))
            trace_frame(vm, TRACE_FRAME_WRITE, at, from, size);
        memcpy(physmem_host(&vm->memory, offset), from, size);
        ram_written(vm, offset, size);
        return;
    }
    for (unsigned done = 0, part; done < size; done += part) {
        part = mmio_part(at + done, size - done);
        u64 value = 0;
        memcpy(&value, from + done, part);
        vm_mmio_write(vm, gpa(at + done), value, part);
    }
}

void phys_read(struct vm *vm, gpa_t from, void *to, unsigned size)
{
    for (unsigned done = 0, part; done < size; done += part) {
        part = page_part(from.raw + done, size - done);
        page_read(vm, from.raw + done, (u8 *)to + done, part);
    }
}

void phys_write(struct vm *vm, gpa_t to, const void *from, unsigned size)
{
    for (unsigned done = 0, part; done < size; done += part) {
        part = page_part(to.raw + done, size - done);
        page_write(vm, to.raw + done, (const u8 *)from + done, part);
    }
}

/* ---- Translation -------------------------------------------------------------------------------- */

/* The hole behind a page of RAM is made when translated code may access the page for the first time. */
static bool frame_guard(struct physmem *m, u64 offset)
{
    struct frame *frame = &m->frames[offset >> PAGE_SHIFT];
    if (!(frame->flags & FRAME_GUARDED) && host_guard(physmem_host(m, offset) + PAGE_SIZE, PAGE_SIZE))
        frame->flags |= FRAME_GUARDED;
    return frame->flags & FRAME_GUARDED;
}

/* The same for the tables of translated code. */
static void memtable_remember(struct vcpu *v, u64 linear, enum tlb_rights rights, enum memtable_kind kind, u64 offset)
{
    struct physmem *m = &v->vm->memory;
    if (!v->memtable || !frame_guard(m, offset))
        return;
    const u8 *host = physmem_host(m, offset);
    memtable_fill(v->memtable, linear, rights, kind, host);
}

static bool traces_memory(const struct vm *vm) { return vm->tracer && vm->tracer->mask & TRACE_MEMORY; }

/* A page that must not be written directly: the next write to it need not walk. */
static void tlb_fill_watched(struct vcpu *v, u64 linear, enum tlb_rights rights, u64 offset)
{
    if (!(v->vm->memory.frames[offset >> PAGE_SHIFT].flags & FRAME_WATCHED))
        return;
    *tlb_watched_slot(&v->tlb, rights, linear) = (struct tlb_watched){
        .tag = (linear & ~(u64)PAGE_MASK) | v->tlb.epoch, .offset = offset & ~(u64)PAGE_MASK};
}

/* Remembers a translation, for what it proves: reads, writes (if D is set), or fetches. */
static void tlb_fill(struct vcpu *v, u64 linear, const struct walk_result *walk, enum access access,
                     enum tlb_rights rights)
{
    struct vm *vm = v->vm;
    u64 offset = physmem_offset(&vm->memory, walk->page);
    if (offset == UINT64_MAX || !walk->cacheable || rights == TLB_USER_ALIGNED || debug_data_armed(&v->cpu))
        return;
    if (vm->stops && access != ACCESS_FETCH && stops_data_in_page(vm->stops, linear))
        return;
    if (traces_memory(vm) && access != ACCESS_FETCH)
        return;
    if (access == ACCESS_WRITE && walk->writable)
        tlb_fill_watched(v, linear, rights, offset);
    if (walk->watched)
        return;
    if (v->memtable && memtable_full(v->memtable))
        tlb_forget(v);
    struct tlb_entry *e = tlb_slot(v->tlb.entries[rights], linear);
    u64 page = linear & ~(u64)PAGE_MASK, tag = page | v->tlb.epoch;
    if (e->read_tag != tag && e->fetch_tag != tag)
        *e = (struct tlb_entry){0};
    e->addend = (u64)physmem_host(&vm->memory, offset) - page;
    if (access == ACCESS_FETCH) {
        e->fetch_tag = tag;
        return;
    }
    e->read_tag = tag;
    memtable_remember(v, linear, rights, MEMTABLE_READ, offset);
    struct physmem *m = &vm->memory;
    u64 number = offset >> PAGE_SHIFT;
    bool tracked = access == ACCESS_WRITE || m->written[number].interval == m->interval;
    if (tracked && walk->writable && !(m->frames[number].flags & FRAME_WATCHED)) {
        e->write_tag = page | v->tlb.write_epoch;
        m->frames[number].write_epoch = m->epoch;
        physmem_note_page(m, number);
        memtable_remember(v, linear, rights, MEMTABLE_WRITE, offset);
    }
}

/* Walks the guest's tables, or those that shadow them: what an entry there does not allow directly is not cacheable. */
static struct walk_result walk_any_tables(struct vcpu *v, u64 linear, enum access access, enum tlb_rights rights)
{
    if (!v->vm->shadow)
        return walk_guest(v, linear, access, rights, true);
    struct shadow_translation t = shadow_translate(v, linear, access, rights);
    return (struct walk_result){
        .ok = t.ok,
        .error = t.error,
        .page = t.page,
        .writable = t.direct_write || t.watched,
        .cacheable = t.direct || t.watched,
        .watched = t.watched,
    };
}

/* A write to a watched page that has been written before. */
static bool translate_watched(struct vcpu *v, u64 linear, enum tlb_rights rights, u64 *physical)
{
    const struct tlb_watched *w = tlb_watched_slot(&v->tlb, rights, linear);
    const struct physmem *m = &v->vm->memory;
    if (w->tag != ((linear & ~(u64)PAGE_MASK) | v->tlb.epoch) || !(m->frames[w->offset >> PAGE_SHIFT].flags & FRAME_WATCHED))
        return false;
    *physical = physmem_address(m, w->offset).raw | (linear & PAGE_MASK);
    return true;
}

/* The guest-physical address behind `linear`, with rights checked, A and D set. False: #PF recorded. */
static bool translate(struct vcpu *v, u64 linear, enum access access, enum tlb_rights rights, u64 *physical)
{
    struct tlb_entry *e = tlb_slot(v->tlb.entries[rights], linear);
    u64 epoch = access == ACCESS_WRITE ? v->tlb.write_epoch : v->tlb.epoch;
    u64 tag = (linear & ~(u64)PAGE_MASK) | epoch;
    u64 have = access == ACCESS_READ ? e->read_tag : access == ACCESS_WRITE ? e->write_tag : e->fetch_tag;
    struct vm *vm = v->vm;
    if (have == tag) {
        *physical = physmem_address(&vm->memory, physmem_host_offset(&vm->memory, linear + e->addend)).raw;
        return true;
    }
    if (access == ACCESS_WRITE && translate_watched(v, linear, rights, physical))
        return true;
    gpa_t page;
    if (walk_recall(v, linear, access, rights, &page)) {
        *physical = page.raw | (linear & PAGE_MASK);
        return true;
    }
    vm->stats.tlb_misses++;
    struct walk_result walk = walk_any_tables(v, linear, access, rights);
    if (!walk.ok) {
        fault_page(v, linear, walk.error);
        return false;
    }
    tlb_fill(v, linear, &walk, access, rights);
    if (physmem_offset(&vm->memory, walk.page) == UINT64_MAX)
        walk_remember(v, linear, access, rights, walk.page);
    *physical = walk.page.raw | (linear & PAGE_MASK);
    return true;
}

/* An access split at the page boundary: one or two pieces, each within a page. */
struct pieces {
    u64 linear;
    unsigned first; /* bytes in the first page */
    u64 physical[2];
};

/* Linear addresses wrap at 4 GiB outside 64-bit mode. Descriptor tables and stacks of IA-32e mode may lie above while
 * compatibility-mode code still runs. */
static u64 linear_add(const struct vcpu *v, u64 linear, unsigned bytes)
{
    u64 sum = linear + bytes;
    return v->mode == CODE_64 || linear >> 32 ? sum : (u32)sum;
}

static bool misaligned(u64 linear, unsigned size)
{
    return (size & (size - 1)) == 0 && size <= 8 && (linear & (size - 1));
}

static bool translate_pieces(struct vcpu *v, u64 linear, unsigned size, enum access access, enum tlb_rights rights,
                             struct pieces *p)
{
    if (rights == TLB_USER_ALIGNED && misaligned(linear, size)) {
        fault_error(v, VEC_AC, 0);
        return false;
    }
    p->linear = linear;
    p->first = page_part(linear, size);
    if (!translate(v, linear, access, rights, &p->physical[0]))
        return false;
    if (p->first < size && !translate(v, linear_add(v, linear, p->first), access, rights, &p->physical[1]))
        return false;
    if (__builtin_expect(debug_data_armed(&v->cpu), 0) && access != ACCESS_FETCH)
        debug_match_data(v, linear, size, access == ACCESS_WRITE);
    if (__builtin_expect(v->vm->stops != NULL, 0) && access != ACCESS_FETCH)
        stops_match(v, linear, size, access == ACCESS_WRITE);
    return true;
}

/* Tells a tracer of a piece of an access that lies in RAM; ports and MMIO have events of their own. */
static void trace_piece(struct vm *vm, enum trace_kind kind, u64 linear, u64 physical, const u8 *bytes, unsigned size)
{
    if (physmem_offset(&vm->memory, gpa(physical)) != UINT64_MAX)
        trace_emit(vm, &(struct trace_event){.kind = kind, .size = (u8)size, .address = linear, .physical = physical,
                                             .bytes = bytes});
}

static void trace_pieces(struct vcpu *v, enum trace_kind kind, const struct pieces *p, const u8 *bytes, unsigned size)
{
    trace_piece(v->vm, kind, p->linear, p->physical[0], bytes, p->first);
    if (p->first < size)
        trace_piece(v->vm, kind, linear_add(v, p->linear, p->first), p->physical[1], bytes + p->first, size - p->first);
}

static void read_pieces(struct vcpu *v, const struct pieces *p, u8 *to, unsigned size)
{
    page_read(v->vm, p->physical[0], to, p->first);
    if (p->first < size)
        page_read(v->vm, p->physical[1], to + p->first, size - p->first);
    if (__builtin_expect(traces_memory(v->vm), 0))
        trace_pieces(v, TRACE_READ, p, to, size);
}

bool mem_read_slow(struct vcpu *v, u64 linear, void *to, unsigned size, enum tlb_rights rights)
{
    struct pieces p;
    if (!translate_pieces(v, linear, size, ACCESS_READ, rights, &p))
        return false;
    read_pieces(v, &p, to, size);
    return true;
}

static void write_pieces(struct vcpu *v, const struct pieces *p, const u8 *from, unsigned size)
{
    if (__builtin_expect(traces_memory(v->vm), 0))
        trace_pieces(v, TRACE_WRITE, p, from, size);
    page_write(v->vm, p->physical[0], from, p->first);
    if (p->first < size)
        page_write(v->vm, p->physical[1], from + p->first, size - p->first);
}

bool mem_write_slow(struct vcpu *v, u64 linear, const void *from, unsigned size, enum tlb_rights rights)
{
    struct pieces p;
    if (!translate_pieces(v, linear, size, ACCESS_WRITE, rights, &p))
        return false;
    write_pieces(v, &p, from, size);
    return true;
}

bool mem_write_begin_slow(struct vcpu *v, u64 linear, unsigned size, struct mem_rmw *rmw)
{
    struct pieces p;
    if (!translate_pieces(v, linear, size, ACCESS_WRITE, (enum tlb_rights)v->tlb.rights, &p))
        return false;
    rmw->host = rmw->bounce;
    rmw->bounced = true;
    rmw->linear = linear;
    rmw->size = (u8)size;
    rmw->first = (u8)p.first;
    rmw->physical[0] = p.physical[0];
    rmw->physical[1] = p.physical[1];
    return true;
}

static struct pieces pieces_of(const struct mem_rmw *rmw)
{
    return (struct pieces){
        .linear = rmw->linear, .first = rmw->first, .physical = {rmw->physical[0], rmw->physical[1]}};
}

bool mem_rmw_begin_slow(struct vcpu *v, u64 linear, unsigned size, struct mem_rmw *rmw)
{
    if (!mem_write_begin_slow(v, linear, size, rmw))
        return false;
    const struct pieces p = pieces_of(rmw);
    read_pieces(v, &p, rmw->bounce, size);
    if (__builtin_expect(v->vm->stops != NULL, 0))
        stops_match(v, linear, size, false);
    return true;
}

void mem_rmw_end_slow(struct vcpu *v, struct mem_rmw *rmw)
{
    const struct pieces p = pieces_of(rmw);
    write_pieces(v, &p, rmw->bounce, rmw->size);
}

bool mem_probe(struct vcpu *v, u64 linear, unsigned size, enum access access, enum tlb_rights rights)
{
    u64 physical;
    unsigned first = page_part(linear, size);
    return translate(v, linear, access, rights, &physical) &&
           (first == size || translate(v, linear_add(v, linear, first), access, rights, &physical));
}

bool mem_translate_debug(struct vcpu *v, u64 linear, gpa_t *to)
{
    struct walk_result walk = walk_guest(v, linear, ACCESS_READ, TLB_SUPERVISOR_AC, false);
    *to = gpa(walk.page.raw | (linear & PAGE_MASK));
    return walk.ok;
}

bool mem_fetch_page(struct vcpu *v, u64 linear, const u8 **host, gpa_t *page)
{
    u64 physical;
    if (!translate(v, linear, ACCESS_FETCH, (enum tlb_rights)v->tlb.fetch_rights, &physical))
        return false;
    *page = gpa(physical & ~(u64)PAGE_MASK);
    *host = physmem_pointer(&v->vm->memory, *page);
    return true;
}
