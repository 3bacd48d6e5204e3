/* What enumerations of histories share: a small machine in one arena, which can be copied away and back, so that all
 * sequences of operations are one walk of a tree, and stand-ins for what its parts call and these programs do not. */
#ifndef REPRISE_PROOFS_SCAN_WORLD_H
#define REPRISE_PROOFS_SCAN_WORLD_H

#include "core/vm.h"
#include "mmu/access.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORLD_RAM = 1 << 20, WORLD_PAGES = 16, DEPTH_MAX = 8 }; /* pages that are copied; nobody writes others */

struct world_state {
    struct cpu cpu;
    u64 epoch, size;
    u8 ram[WORLD_PAGES * PAGE_SIZE];
    u8 *rest;
};

static struct vm vm;
static struct vcpu vcpu;
static u8 *arena, *arena_next;
static u64 arena_room;
static struct world_state saved[DEPTH_MAX];

void *host_alloc(size_t bytes)
{
    u8 *at = arena_next;
    if (bytes >= WORLD_RAM) /* RAM: its first pages are copied by themselves */
        return calloc(1, bytes);
    arena_next += (bytes + 63) & ~63ul;
    if (arena_next > arena + arena_room)
        abort();
    return at;
}
void host_free(void *memory, size_t bytes) { (void)memory, (void)bytes; }
enum status host_frames_alloc(size_t bytes, struct host_frames *to) { return (void)bytes, (void)to, STATUS_NO_MEMORY; }
void host_frames_free(struct host_frames *frames) { (void)frames; }
bool host_guard(void *memory, size_t bytes) { return (void)memory, (void)bytes, false; }
u8 *host_window_alloc(size_t bytes) { return (void)bytes, NULL; }
bool host_window_map(u8 *at, const struct host_frames *f, u64 offset, size_t bytes, bool w)
{
    return (void)at, (void)f, (void)offset, (void)bytes, (void)w, false;
}
bool host_window_protect(u8 *at, size_t bytes) { return (void)at, (void)bytes, false; }
bool host_window_unmap(u8 *at, size_t bytes) { return (void)at, (void)bytes, false; }
void host_panic(const char *file, int line, const char *message)
{
    printf("%s:%d: %s\n", file, line, message);
    exit(1);
}
u64 vm_mmio_read(struct vm *of, gpa_t at, unsigned size) { return (void)of, (void)at, (void)size, ~0ull; }
void vm_mmio_write(struct vm *of, gpa_t at, u64 value, unsigned size) { (void)of, (void)at, (void)value, (void)size; }
u64 chaos_seed(const struct chaos_config *c, enum chaos_kind kind) { return (void)c, (void)kind, 0; }

void stops_match(struct vcpu *v, u64 linear, unsigned size, bool write) { (void)v, (void)linear, (void)size, (void)write; }
bool stops_data_in_page(const struct stops *s, u64 linear) { return (void)s, (void)linear, false; }
void debug_match_data(struct vcpu *v, u64 linear, unsigned size, bool write)
{
    (void)v, (void)linear, (void)size, (void)write;
}
void trace_emit(struct vm *of, const struct trace_event *event) { (void)of, (void)event; }

static const struct engine no_engine = {.name = "none"};

static inline u8 *world_ram(u64 at) { return vm.memory.ram + at; }

static inline void world_create(u64 room)
{
    arena_room = room;
    arena = arena_next = calloc(1, room);
    for (unsigned n = 0; n < DEPTH_MAX; n++)
        saved[n].rest = malloc(room);
    vm.vcpu[0] = &vcpu;
    vm.vcpu_count = 1;
    vcpu.vm = &vm;
    vm.config.engine = &no_engine;
    vcpu.tlb.epoch = 1;
    if (physmem_create(&vm.memory, WORLD_RAM, PHYSMEM_DENSE) != STATUS_OK)
        abort();
}

static inline void world_save(unsigned depth)
{
    struct world_state *s = &saved[depth];
    s->cpu = vcpu.cpu;
    s->epoch = vm.memory.epoch;
    s->size = (u64)(arena_next - arena);
    memcpy(s->ram, vm.memory.ram, sizeof s->ram);
    memcpy(s->rest, arena, s->size);
}

static inline void world_restore(unsigned depth)
{
    const struct world_state *s = &saved[depth];
    vcpu.cpu = s->cpu;
    vm.memory.epoch = s->epoch;
    memcpy(vm.memory.ram, s->ram, sizeof s->ram);
    memcpy(arena, s->rest, s->size);
}

/* ---- All sequences ------------------------------------------------------------------------------ */

struct operation {
    const char *name;
    void (*run)(u64 argument);
    u64 argument;
};

static const struct operation *history[DEPTH_MAX];
static u64 histories;

static inline int world_broken(unsigned depth, const char *what)
{
    printf("%s after:", what);
    for (unsigned n = 0; n < depth; n++)
        printf(" %s,", history[n]->name);
    printf("\n");
    exit(1);
}

/* Every sequence of `left` of these operations; `check` says what is broken after each of them, or NULL. */
static inline void world_walk(const struct operation *operations, unsigned count, unsigned depth, unsigned left,
                              const char *(*check)(void))
{
    if (!left)
        return;
    world_save(depth);
    for (unsigned n = 0; n < count; n++) {
        history[depth] = &operations[n];
        operations[n].run(operations[n].argument);
        histories++;
        const char *wrong = check();
        if (wrong)
            world_broken(depth + 1, wrong);
        world_walk(operations, count, depth + 1, left - 1, check);
        world_restore(depth);
    }
}

#endif
