#include "metal/frames.h"

extern u8 image_end[];

enum { LOW_MEMORY = 1 << 20, RANGES = 2 * BOOT_RANGES };

static struct {
    struct range range[RANGES]; /* what was there at first */
    unsigned count;
    unsigned current; /* frames come from range[current], from `next` on */
    u64 next;
    u64 list; /* the first freed frame, 0 for none; each begins with the next one's address */
    u64 left, total;
} frames;

static void add(u64 begin, u64 end)
{
    begin = (begin + PAGE_MASK) & ~(u64)PAGE_MASK;
    end &= ~(u64)PAGE_MASK;
    if (begin >= end || frames.count == RANGES)
        return;
    unsigned n = frames.count++;
    for (; n && frames.range[n - 1].begin > begin; n--)
        frames.range[n] = frames.range[n - 1];
    frames.range[n] = (struct range){begin, end};
}

static void cut(u64 begin, u64 end)
{
    struct range was[RANGES];
    unsigned count = frames.count;
    memcpy(was, frames.range, sizeof was);
    frames.count = 0;
    for (unsigned n = 0; n < count; n++) {
        add(was[n].begin, was[n].end < begin ? was[n].end : begin & ~(u64)PAGE_MASK); /* empty ones are not added */
        add(was[n].begin > end ? was[n].begin : end, was[n].end);
    }
}

/* Loaders may report overlapping pieces. */
static void merge(void)
{
    unsigned kept = 0;
    for (unsigned n = 1; n < frames.count; n++) {
        struct range *last = &frames.range[kept], *r = &frames.range[n];
        if (r->begin > last->end)
            frames.range[++kept] = *r;
        else if (r->end > last->end)
            last->end = r->end;
    }
    if (frames.count)
        frames.count = kept + 1;
}

void frames_init(const struct boot_info *boot)
{
    for (unsigned n = 0; n < boot->ram_count; n++)
        add(boot->ram[n].begin, boot->ram[n].end);
    merge();
    cut(0, LOW_MEMORY);
    cut(LOW_MEMORY, (u64)image_end);
    for (unsigned n = 0; n < boot->file_count; n++)
        cut((u64)boot->file[n].data, (u64)boot->file[n].data + boot->file[n].size);
    for (unsigned n = 0; n < frames.count; n++)
        frames.total += (frames.range[n].end - frames.range[n].begin) >> PAGE_SHIFT;
    frames.left = frames.total;
    frames.next = frames.count ? frames.range[0].begin : 0;
}

u64 frame_alloc(void)
{
    u64 frame = frames.list;
    if (frame) {
        frames.list = *(const u64 *)frame;
    } else {
        while (frames.current < frames.count && frames.next == frames.range[frames.current].end)
            if (++frames.current < frames.count)
                frames.next = frames.range[frames.current].begin;
        if (frames.current == frames.count)
            return 0;
        frame = frames.next;
        frames.next += PAGE_SIZE;
    }
    frames.left--;
    memset((void *)frame, 0, PAGE_SIZE);
    return frame;
}

void frame_free(u64 frame)
{
    *(u64 *)frame = frames.list;
    frames.list = frame;
    frames.left++;
}

u64 frames_left(void) { return frames.left; }

u64 frames_total(void) { return frames.total; }

unsigned frames_ranges(const struct range **ranges)
{
    *ranges = frames.range;
    return frames.count;
}
