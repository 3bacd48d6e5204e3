/* Kernels that compute, branch and call. */
#include "guests/bench/blob.h"

void prepare_hash(void) {}

u32 run_hash(u32 iterations)
{
    u32 a = 0x12345678, b = 0x9abcdef0, c = 1;
    for (u32 i = 0; i < iterations * 62500; i++) {
        a = (a ^ i) * 0xcc9e2d51u;
        a = a << 15 | a >> 17;
        b = (b ^ a) * 0x1b873593u;
        b = b << 13 | b >> 19;
        c = c * 5 + (a ^ b >> 7);
        c ^= c >> 11;
    }
    return a ^ b ^ c;
}

void prepare_fib(void) {}

static __attribute__((noinline, noclone, optimize("no-optimize-sibling-calls"))) u32 fib(u32 n)
{
    if (n < 2)
        return n;
    u32 first = fib(n - 1);
    __asm__ volatile("" : "+r"(first)); /* two calls, not a call and a loop */
    return first + fib(n - 2);
}

u32 run_fib(u32 iterations)
{
    u32 sum = 0;
    for (u32 i = 0; i < iterations * 16; i++)
        sum = mix(sum, fib(17 + (i & 1)));
    return sum;
}

/* A register machine of four-byte instructions. */
enum { OP_LOAD, OP_ADD, OP_MUL, OP_XOR, OP_SHIFT, OP_SKIP_EVEN, OP_DECREMENT, OP_LOOP, OP_HALT };
static u8 program[16][4];

void prepare_bytecode(void)
{
    static const u8 text[][4] = {
        {OP_LOAD, 0, 7},   {OP_LOAD, 1, 200},      {OP_MUL, 2, 1, 1}, {OP_XOR, 0, 0, 2},
        {OP_ADD, 0, 0, 1}, {OP_SHIFT, 3, 0, 3},    {OP_SKIP_EVEN, 3}, {OP_ADD, 0, 0, 3},
        {OP_MUL, 0, 0, 4}, {OP_DECREMENT, 1},      {OP_LOOP, 1, 2},   {OP_HALT},
    };
    for (u32 i = 0; i < sizeof text; i++)
        program[i / 4][i % 4] = text[i / 4][i % 4];
}

static __attribute__((noinline)) u32 interpret(u32 seed)
{
    u32 r[8] = {[4] = seed | 1};
    for (const u8 *at = program[0];; at += 4) {
        switch (at[0]) {
        case OP_LOAD: r[at[1]] = at[2]; break;
        case OP_ADD: r[at[1]] = r[at[2]] + r[at[3]]; break;
        case OP_MUL: r[at[1]] = r[at[2]] * r[at[3]]; break;
        case OP_XOR: r[at[1]] = r[at[2]] ^ r[at[3]]; break;
        case OP_SHIFT: r[at[1]] = r[at[2]] >> at[3]; break;
        case OP_SKIP_EVEN: at += r[at[1]] & 1 ? 0 : 4; break;
        case OP_DECREMENT: r[at[1]]--; break;
        case OP_LOOP: at = r[at[1]] ? program[at[2] - 1] : at; break;
        case OP_HALT: return r[0];
        }
    }
}

u32 run_bytecode(u32 iterations)
{
    u32 sum = 1;
    for (u32 i = 0; i < iterations * 60; i++)
        sum = mix(sum, interpret(sum));
    return sum;
}

/* Objects of four classes, each with a table of functions. */
struct object;
struct class { u32 (*value)(const struct object *); void (*change)(struct object *, u32 by); };
struct object { const struct class *class; u32 a, b; };
enum { OBJECTS = 1024 };
static struct object objects[OBJECTS];

static u32 value_sum(const struct object *o) { return o->a + o->b; }
static u32 value_xor(const struct object *o) { return o->a ^ o->b; }
static void change_a(struct object *o, u32 by) { o->a += by; }
static void change_b(struct object *o, u32 by) { o->b ^= by; }
static const struct class classes[4] = {
    {value_sum, change_a}, {value_xor, change_a}, {value_sum, change_b}, {value_xor, change_b}};

void prepare_virtual(void)
{
    u32 random = 1;
    for (u32 i = 0; i < OBJECTS; i++) {
        u32 a = next_random(&random), b = next_random(&random);
        objects[i] = (struct object){&classes[a >> 5 & 3], a, b};
    }
}

u32 run_virtual(u32 iterations)
{
    u32 sum = 0;
    for (u32 i = 0; i < iterations * 48; i++) {
        for (struct object *o = objects; o < objects + OBJECTS; o++) {
            sum += o->class->value(o);
            o->class->change(o, sum);
        }
    }
    return sum;
}
