/* Kernels whose time goes into memory accesses. */
#include "guests/bench/blob.h"

enum { TEXT = 65536, HASH = 4096, BLOCK = 4096, NODES = 8192, NUMBERS = 8192, TABLE = 4 << 20 };

static u8 text[TEXT + 16];
static u32 positions[HASH];

/* Words from a small vocabulary, so that there is something to find. */
void prepare_lz(void)
{
    u32 random = 99;
    for (u32 at = 0; at < sizeof text;) {
        u32 word = next_random(&random) >> 7 & 255, letter = word * 2654435761u;
        for (u32 n = 2 + (word & 7); n && at < sizeof text; n--, letter >>= 4)
            text[at++] = 'a' + (letter & 15);
        if (at < sizeof text)
            text[at++] = ' ';
    }
}

static u32 load32(const u8 *at)
{
    u32 value;
    __builtin_memcpy(&value, at, 4);
    return value;
}

static u32 lz_pass(u32 sum)
{
    for (u32 i = 0; i < HASH; i++)
        positions[i] = 0;
    for (u32 at = 0; at < TEXT;) {
        u32 next = load32(text + at), slot = next * 2654435761u >> 20, candidate = positions[slot];
        positions[slot] = at;
        if (candidate >= at || load32(text + candidate) != next) {
            sum += text[at++];
            continue;
        }
        u32 length = 4;
        while (at + length < TEXT && text[candidate + length] == text[at + length])
            length++;
        sum = mix(sum, (at - candidate) << 8 ^ length);
        at += length;
    }
    return sum;
}

u32 run_lz(u32 iterations)
{
    u32 sum = 0;
    for (u32 i = 0; i < iterations * 2; i++)
        sum = lz_pass(sum);
    return sum;
}

static struct node { struct node *next; u32 value; } nodes[NODES];

void prepare_list(void)
{
    static u16 order[NODES];
    u32 random = 7;
    for (u32 i = 0; i < NODES; i++)
        order[i] = i;
    for (u32 i = NODES - 1; i > 0; i--) {
        u32 other = next_random(&random) % (i + 1);
        u16 kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
    for (u32 i = 0; i < NODES; i++)
        nodes[order[i]] = (struct node){&nodes[order[(i + 1) % NODES]], next_random(&random)};
}

u32 run_list(u32 iterations)
{
    u32 sum = 0;
    const struct node *n = nodes;
    for (u32 i = 0; i < iterations * 200000; i++) {
        sum = (sum ^ n->value) + 1;
        n = n->next;
    }
    return sum;
}

static u8 from[BLOCK], to[BLOCK];

static void prepare_blocks(void)
{
    u32 random = 3;
    for (u32 i = 0; i < BLOCK; i++)
        from[i] = next_random(&random), to[i] = 0;
}

void prepare_copy8(void) { prepare_blocks(); }
void prepare_copy32(void) { prepare_blocks(); }
void prepare_movs(void) { prepare_blocks(); }

/* The empty asm keeps the compiler from making a string instruction or vectors of the loop. */
#define COPY_LOOP(name, type)                                                                    \
    static __attribute__((noinline)) void name(type *dst, const type *src, u32 count)            \
    {                                                                                            \
        for (u32 i = 0; i < count; i++) {                                                        \
            dst[i] = src[i];                                                                     \
            __asm__ volatile("" : : : "memory");                                                 \
        }                                                                                        \
    }
COPY_LOOP(copy_bytes, u8)
COPY_LOOP(copy_words, u32)

static u32 blocks_sum(void)
{
    u32 sum = 0;
    for (u32 i = 0; i < BLOCK; i++)
        sum = mix(sum, to[i]);
    return sum;
}

u32 run_copy8(u32 iterations)
{
    for (u32 i = 0; i < iterations * 48; i++) {
        from[i % BLOCK] += i;
        copy_bytes(to, from, BLOCK);
    }
    return blocks_sum();
}

u32 run_copy32(u32 iterations)
{
    for (u32 i = 0; i < iterations * 192; i++) {
        from[i % BLOCK] += i;
        copy_words((u32 *)(void *)to, (const u32 *)(const void *)from, BLOCK / 4);
    }
    return blocks_sum();
}

u32 run_movs(u32 iterations)
{
    for (u32 i = 0; i < iterations * 4096; i++) {
        const u8 *src = from;
        u8 *dst = to;
        unsigned long count = BLOCK / 4;
        from[i % BLOCK] += i;
        __asm__ volatile("rep movsl" : "+S"(src), "+D"(dst), "+c"(count) : : "memory");
    }
    return blocks_sum();
}

static u32 numbers[NUMBERS];

void prepare_sort(void) {}

static void sort(u32 *first, u32 *last)
{
    while (first < last) {
        u32 pivot = first[(last - first) / 2], *low = first, *high = last;
        while (low <= high) {
            while (*low < pivot)
                low++;
            while (*high > pivot)
                high--;
            if (low > high)
                break;
            u32 kept = *low;
            *low++ = *high;
            *high-- = kept;
        }
        /* The shorter part first, so that the stack stays small. */
        if (high - first < last - low) {
            sort(first, high);
            first = low;
        } else {
            sort(low, last);
            last = high;
        }
    }
}

u32 run_sort(u32 iterations)
{
    u32 sum = 0, random = 5;
    for (u32 i = 0; i < iterations; i++) {
        for (u32 k = 0; k < NUMBERS; k++)
            numbers[k] = next_random(&random);
        sort(numbers, numbers + NUMBERS - 1);
        for (u32 k = 0; k < NUMBERS; k += 64)
            sum = mix(sum, numbers[k]);
    }
    return sum;
}

static u32 table[TABLE];

void prepare_rmw(void)
{
    for (u32 i = 0; i < TABLE; i++)
        table[i] = i;
}

u32 run_rmw(u32 iterations)
{
    u32 random = 1, sum = 0;
    for (u32 i = 0; i < iterations * 56000; i++) {
        u32 *at = &table[next_random(&random) % TABLE];
        *at += i;
        sum ^= *at;
    }
    return sum;
}
