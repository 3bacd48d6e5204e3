#include "fuzz/shrink.h"

#include "fuzz/world.h"

#include <string.h>

/* Without instructions [first, first + count): what branched to one of them goes to what follows. */
static struct program without(const struct program *p, unsigned first, unsigned count)
{
    struct program q = *p;
    memmove(&q.insn[first], &q.insn[first + count], (p->count - first - count) * sizeof q.insn[0]);
    q.count -= count;
    for (unsigned n = 0; n < q.count; n++) {
        unsigned target = q.insn[n].target;
        if (target >= first + count)
            q.insn[n].target = (u8)(target - count);
        else if (target > first)
            q.insn[n].target = (u8)first;
    }
    return q;
}

static bool try_this(struct program *p, const struct program *q, shrink_test *test, void *context)
{
    if (!memcmp(p, q, sizeof *p) || !test(context, q))
        return false;
    *p = *q;
    return true;
}

/* Pieces of half the program first, single instructions last. True if anything could go. */
static bool drop_instructions(struct program *p, shrink_test *test, void *context)
{
    bool changed = false;
    for (unsigned size = p->count / 2; size; size /= 2) {
        for (unsigned first = 0; first + size <= p->count;) {
            struct program q = without(p, first, size);
            if (try_this(p, &q, test, context))
                changed = true;
            else
                first += size;
        }
    }
    return changed;
}

static void calm_registers(struct program *p, shrink_test *test, void *context)
{
    for (unsigned n = 0; n < GPR_COUNT; n++) {
        struct program q = *p;
        q.gpr[n] = n == RSP ? GUEST_STACK - 0x100 : 0;
        try_this(p, &q, test, context);
    }
}

static void calm_circumstances(struct program *p, shrink_test *test, void *context)
{
    struct program q = *p;
    q.cut_seed = 0;
    try_this(p, &q, test, context);
    for (unsigned bit = 1; bit < 0x100; bit <<= 1) {
        q = *p;
        q.options &= (u8)~bit;
        try_this(p, &q, test, context);
    }
    for (unsigned n = 0; n < SEG_COUNT; n++) {
        q = *p;
        memset(&q.segment[n], 0, sizeof q.segment[n]);
        try_this(p, &q, test, context);
    }
    for (unsigned n = 0; n < WORLD_CHANGES; n++) {
        q = *p;
        q.world_mask &= (u16)~(1u << n);
        try_this(p, &q, test, context);
    }
    q = *p;
    q.after = AFTER_SLOT;
    q.origin = GUEST_CODE;
    try_this(p, &q, test, context);
    q = *p;
    q.flags = 0;
    try_this(p, &q, test, context);
}

void shrink(struct program *p, shrink_test *test, void *context)
{
    calm_circumstances(p, test, context);
    while (drop_instructions(p, test, context))
        ;
    for (u32 limit = 1; limit < p->limit; limit *= 2) {
        struct program q = *p;
        q.limit = limit;
        if (try_this(p, &q, test, context))
            break;
    }
    calm_registers(p, test, context);
    calm_circumstances(p, test, context);
    drop_instructions(p, test, context);
}
