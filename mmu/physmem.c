#include "mmu/physmem.h"

static void free_if(void *memory, u64 bytes)
{
    if (memory)
        host_free(memory, bytes);
}

static enum status ram_alloc(u64 bytes, enum physmem_layout layout, struct host_frames *ram)
{
    if (layout == PHYSMEM_SHARED)
        return host_frames_alloc(bytes, ram);
    *ram = (struct host_frames){.memory = host_alloc(bytes), .bytes = bytes};
    return ram->memory ? STATUS_OK : STATUS_NO_MEMORY;
}

static void ram_free(struct host_frames *ram, enum physmem_layout layout)
{
    if (layout == PHYSMEM_SHARED)
        host_frames_free(ram);
    else
        host_free(ram->memory, ram->bytes);
}

/* One more than there are pages: the head of the list. */
static u64 written_bytes(u64 pages) { return (pages + 1) * sizeof(struct page_writes); }

enum status physmem_create(struct physmem *memory, u64 bytes, enum physmem_layout layout)
{
    u8 host_shift = layout == PHYSMEM_DENSE ? PAGE_SHIFT : PAGE_SHIFT + 1;
    u64 pages = bytes >> PAGE_SHIFT;
    struct host_frames ram;
    enum status status = ram_alloc(pages << host_shift, layout, &ram);
    if (status != STATUS_OK)
        return status;
    struct frame *frames = host_alloc(pages * sizeof *frames);
    struct page_writes *written = host_alloc(written_bytes(pages));
    if (!frames || !written) {
        ram_free(&ram, layout);
        free_if(frames, pages * sizeof *frames);
        free_if(written, written_bytes(pages));
        return STATUS_NO_MEMORY;
    }
    *memory = (struct physmem){
        .ram = ram.memory,
        .shared = ram,
        .layout = (u8)layout,
        .host_shift = host_shift,
        .size = bytes,
        .low = bytes < PHYS_HOLE_BEGIN ? bytes : PHYS_HOLE_BEGIN,
        .frames = frames,
        .written = written,
        .epoch = 1,
        .interval = 1,
    };
    written[pages] = (struct page_writes){.newer = (u32)pages, .older = (u32)pages};
    return STATUS_OK;
}

void physmem_destroy(struct physmem *memory)
{
    ram_free(&memory->shared, (enum physmem_layout)memory->layout);
    host_free(memory->frames, physmem_pages(memory) * sizeof *memory->frames);
    host_free(memory->written, written_bytes(physmem_pages(memory)));
}

void physmem_note_first_write(struct physmem *m, u64 page)
{
    struct page_writes *w = &m->written[page], *head = &m->written[physmem_pages(m)];
    if (w->interval) {
        m->written[w->newer].older = w->older;
        m->written[w->older].newer = w->newer;
    }
    *w = (struct page_writes){.interval = m->interval, .newer = (u32)physmem_pages(m), .older = head->older};
    m->written[head->older].newer = (u32)page;
    head->older = (u32)page;
}

/* Bytes of [at, at + bytes) that lie in at's page. */
/*@ assigns \nothing;
    ensures part: 0 <= \result <= bytes && \result <= PAGE_SIZE && (bytes > 0 ==> \result > 0);
    ensures in_page: at % PAGE_SIZE + \result <= PAGE_SIZE; */
static u64 page_part(u64 at, u64 bytes)
{
    u64 room = PAGE_SIZE - (at & PAGE_MASK);
    return bytes < room ? bytes : room;
}

bool physmem_is_ram(const struct physmem *m, gpa_t from, u64 bytes)
{
    if (from.raw + bytes < from.raw)
        return false;
    /*@ loop invariant done <= bytes;
        loop invariant done == 0 || physmem_run(m, from.raw, from.raw + done);
        loop assigns done, part;
        loop variant bytes - done; */
    for (u64 done = 0, part; done < bytes; done += part) {
        part = page_part(from.raw + done, bytes - done);
        if (physmem_offset(m, gpa(from.raw + done)) == UINT64_MAX)
            return false;
    }
    return true;
}

/* Loaders may run again after a reset: what was decoded from the frame's old contents is dead. */
static void page_changes(struct physmem *m, gpa_t page)
{
    struct frame *frame = physmem_frame(m, page);
    physmem_note_page(m, (u64)(frame - m->frames));
    if (!(frame->flags & FRAME_CODE))
        return;
    frame->code_generation++;
    frame->code_lines = 0;
    frame->flags &= (u16)~FRAME_CODE;
}

bool physmem_load(struct physmem *m, gpa_t to, const void *from, u64 bytes)
{
    if (!physmem_is_ram(m, to, bytes))
        return false;
    for (u64 done = 0, part; done < bytes; done += part) {
        part = page_part(to.raw + done, bytes - done);
        page_changes(m, gpa(to.raw + done));
        memcpy(physmem_pointer(m, gpa(to.raw + done)), (const u8 *)from + done, part);
    }
    return true;
}

bool physmem_zero(struct physmem *m, gpa_t to, u64 bytes)
{
    if (!physmem_is_ram(m, to, bytes))
        return false;
    for (u64 done = 0, part; done < bytes; done += part) {
        part = page_part(to.raw + done, bytes - done);
        page_changes(m, gpa(to.raw + done));
        memset(physmem_pointer(m, gpa(to.raw + done)), 0, part);
    }
    return true;
}
