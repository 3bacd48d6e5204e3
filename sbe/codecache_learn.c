/* What the code cache learns of instructions, by where they lie in RAM: they are translated accordingly the next time. */
#include "sbe/codecache.h"

#include "core/vcpu.h"

static u64 learned_bit(u64 offset) { return offset * 0x9e3779b97f4a7c15ull >> 48; }
_Static_assert(CROSSING_BITS == 1 << 16, "64 - 48 bits");

static bool is_learned(const struct learned *l, u64 offset)
{
    u64 bit = learned_bit(offset);
    return l->bits[bit / 64] >> bit % 64 & 1;
}

static void learn(struct vcpu *v, struct learned *l, u64 offset)
{
    u64 bit = learned_bit(offset);
    l->bits[bit / 64] |= 1ull << bit % 64;
    codecache_forget(v, offset, 1);
}

bool codecache_crosses(const struct sbe *s, u64 offset) { return is_learned(&s->crossing, offset); }
void codecache_learn_crossing(struct vcpu *v, u64 offset) { learn(v, &v->sbe->crossing, offset); }

bool codecache_strained(const struct sbe *s, u64 offset) { return s->strain[learned_bit(offset)] >= STRAIN_BORNE; }

void codecache_strain(struct vcpu *v, u64 offset, u16 cost)
{
    u16 *strain = &v->sbe->strain[learned_bit(offset)];
    if (*strain >= STRAIN_BORNE)
        return;
    *strain = *strain + cost < STRAIN_BORNE ? *strain + cost : STRAIN_BORNE;
    if (*strain == STRAIN_BORNE)
        codecache_forget(v, offset, 1);
}

/* ---- Patches ------------------------------------------------------------------------------------ */

/* So often must a place have been written while it was code. */
enum { PATCHES_BORNE = 2 };

void codecache_patched(struct sbe *s, u64 offset)
{
    u8 *times = &s->patched.times[learned_bit(offset)];
    *times += *times < PATCHES_BORNE;
}

bool codecache_soft(struct sbe *s, u32 block, u64 offset, unsigned size)
{
    struct block *b = &s->blocks[block];
    u64 at = offset - b->offset;
    if (s->patched.times[learned_bit(offset)] < PATCHES_BORNE)
        return false;
    for (unsigned n = 0; n < b->softs; n++)
        if (b->soft_at[n] == at)
            return b->soft_size[n] == size;
    if (b->softs == BLOCK_SOFT)
        return false;
    b->soft_at[b->softs] = (u16)at;
    b->soft_size[b->softs++] = (u8)size;
    return true;
}
