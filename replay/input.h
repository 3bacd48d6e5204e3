/* The one entrance for everything nondeterministic: console input and jumps of virtual time now; entropy, network
 * and disk later. A recorder (replay/record.h) writes down what passes here, with its place; a replayer
 * (replay/replay.h) is then the only caller. */
#ifndef REPRISE_REPLAY_INPUT_H
#define REPRISE_REPLAY_INPUT_H

#include "core/types.h"

struct vm;

enum input_source {
    INPUT_SERIAL,   /* unit: the port's number; value: a byte */
    INPUT_KEYBOARD, /* value: a byte */
    INPUT_TIME,     /* value: nanoseconds by which virtual time jumps ahead, not beyond vm_wake_time() */
    INPUT_MEMORY,   /* bytes into RAM, as a device would write them: input_memory() makes unit and value */
    INPUT_SOURCES
};

/* A piece of memory input: `bytes` of `from`, 1..INPUT_MEMORY_MAX within one page, at a guest-physical address. Unit: the
 * page's number; value: offset in the page, number of bytes, bytes, from the low bits up. */
enum { INPUT_MEMORY_MAX = 6, INPUT_MEMORY_COUNT_SHIFT = 12, INPUT_MEMORY_BYTES_SHIFT = 16 };
struct input_memory {
    u32 unit;
    u64 value;
};
struct input_memory input_memory(u64 address, const u8 *from, unsigned bytes);
static inline unsigned input_memory_count(u64 value) { return value >> INPUT_MEMORY_COUNT_SHIFT & 15; }
/* Could `value` belong to INPUT_MEMORY? */
static inline bool input_memory_valid(u64 value)
{
    unsigned count = input_memory_count(value);
    return count && count <= INPUT_MEMORY_MAX && (value & PAGE_MASK) + count <= PAGE_SIZE;
}

/* Delivers one input between two instructions, at the present icount and virtual time. Returns false, with nothing
 * changed, when it cannot be taken now (no room in the device, a time beyond the next timer, a reset about to
 * happen): offer it again later. */
bool input_deliver(struct vm *vm, enum input_source source, unsigned unit, u64 value);

/* Lets timers act whose time has come (and chaos change the clock), as vm_run() would do first. Whatever looks at a machine between two
 * instructions, to hash it or to change it, does so after this, so that there is one such state for each icount and
 * virtual time. */
void input_settle(struct vm *vm);

#endif
