/* ft_type, ft_ref, vm_kill, of the frames of bare metal, by enumeration of the real allocator.
 *   ranges    for all pairs of pieces of RAM and all modules in a small memory, in steps of half a page: the frames that come are
 *             those that lie wholly in a piece and touch no module, each once, and as many as were promised;
 *   histories for all sequences of taking and giving back: a frame is free or held, never both, the count of free ones is
 *             right, and a frame comes empty, whatever its last owner left in it.
 * Prints "goals PROVED TOTAL cases COUNT". */
#include "metal/frames.c"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

u8 image_end[1];

enum { PAGES = 6, HALVES = 2 * PAGES, HALF = PAGE_SIZE / 2, STEPS = 11 };

static u8 *ram;
static u64 cases, failed[2];

static void broken(unsigned what, const char *why)
{
    if (++failed[what] < 10)
        printf("%s: %s\n", what ? "histories" : "ranges", why);
}

static u64 at(unsigned half) { return (u64)ram + half * (u64)HALF; }

static bool empty(u64 frame)
{
    for (unsigned n = 0; n < PAGE_SIZE / 8; n++)
        if (((const u64 *)frame)[n])
            return false;
    return true;
}

/* ---- Ranges --------------------------------------------------------------------------------------- */

struct piece {
    unsigned begin, end; /* in halves of pages */
};

static bool holds(struct piece p, unsigned page) { return p.begin <= 2 * page && p.end >= 2 * page + 2; }
static bool touches(struct piece p, unsigned page) { return p.begin < p.end && p.begin < 2 * page + 2 && p.end > 2 * page; }

static void check_ranges(struct piece a, struct piece b, struct piece module)
{
    const struct boot_info boot = {
        .ram = {{at(a.begin), at(a.end)}, {at(b.begin), at(b.end)}}, .ram_count = 2,
        .file = {{.data = ram + module.begin * HALF, .size = (module.end - module.begin) * (u64)HALF}},
        .file_count = module.begin < module.end};
    bool taken[PAGES] = {false};
    unsigned wanted = 0, got = 0;
    memset(&frames, 0, sizeof frames);
    frames_init(&boot);
    for (unsigned page = 0; page < PAGES; page++)
        wanted += (holds(a, page) || holds(b, page)) && !touches(module, page);
    if (frames_total() != wanted)
        broken(0, "the total is wrong");
    for (u64 frame; (frame = frame_alloc()) != 0; got++) {
        u64 page = (frame - (u64)ram) / PAGE_SIZE;
        if (page >= PAGES || frame % PAGE_SIZE || taken[page] || !(holds(a, (unsigned)page) || holds(b, (unsigned)page)) ||
            touches(module, (unsigned)page)) {
            broken(0, "a frame that is not free RAM, or comes twice");
            return;
        }
        taken[page] = true;
    }
    if (got != wanted || frames_left())
        broken(0, "a frame does not come");
    cases++;
}

/* ---- Histories ------------------------------------------------------------------------------------ */

static void check_history(unsigned code)
{
    u64 held[STEPS];
    unsigned count = 0;
    const struct boot_info boot = {.ram = {{at(0), at(2)}, {at(4), at(8)}}, .ram_count = 2};
    memset(&frames, 0, sizeof frames);
    memset(ram, 0xa5, PAGES * PAGE_SIZE);
    frames_init(&boot);
    for (unsigned step = 0; step < STEPS; step++, code /= 3) {
        if (code % 3 == 0) {
            u64 frame = frame_alloc();
            if ((frame != 0) != (count < 3) || (frame && !empty(frame)))
                broken(1, "a frame is missing, or not empty");
            for (unsigned n = 0; n < count && frame; n++)
                if (held[n] == frame)
                    broken(1, "a frame has two owners");
            if (frame) {
                memset((void *)frame, 0x5a, PAGE_SIZE);
                held[count++] = frame;
            }
        } else if (count) { /* the newest, or the oldest */
            unsigned n = code % 3 == 1 ? count - 1 : 0;
            frame_free(held[n]);
            held[n] = held[--count];
        }
        if (frames_left() != 3 - count)
            broken(1, "the count of free frames is wrong");
    }
    cases++;
}

int main(void)
{
    struct piece pieces[HALVES * HALVES];
    unsigned count = 0, codes = 1;
    ram = mmap(NULL, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (unsigned begin = 0; begin < HALVES; begin++)
        for (unsigned end = begin + 1; end <= HALVES; end++)
            pieces[count++] = (struct piece){begin, end};
    for (unsigned n = 0; n < count * count; n++) {
        check_ranges(pieces[n / count], pieces[n % count], (struct piece){0, 0});
        for (unsigned m = 0; m < count; m++)
            check_ranges(pieces[n / count], pieces[n % count], pieces[m]);
    }
    for (unsigned n = 0; n < STEPS; n++)
        codes *= 3;
    for (unsigned code = 0; code < codes; code++)
        check_history(code);
    printf("goals %u 2 cases %llu\n", !failed[0] + !failed[1], (unsigned long long)cases);
    return failed[0] || failed[1];
}
