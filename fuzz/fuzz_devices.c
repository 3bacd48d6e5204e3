/* The board by itself: a program of port and memory-mapped accesses of every size, of time that passes, and of input.
 *
 * Two machines run it. The second is looked at more often: it stops and ticks between deadlines too, and now and then
 * its board is copied out, reset and copied back. Neither may show. After every tick the next deadline lies ahead, or
 * the run loop would not come out.
 *
 * Input: operations, each a byte (bits 0..2 enum op, the others choices) and its arguments; see run_operation(). */
#include "core/vm.h"
#include "devices/chipset.h"
#include "fuzz/fuzz.h"
#include "mmu/access.h"
#include "replay/hash.h"
#include "replay/input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RAM = 1 << 20, EVENTS_MAX = 64, ACCESS_MAX = 64 };
enum op {
    OP_PORT_READ, OP_PORT_WRITE, OP_MEMORY_READ, OP_MEMORY_WRITE, OP_WAIT, OP_NEXT_EVENT, OP_INPUT, OP_PROCESSOR
};

struct program {
    const uint8_t *at, *end;
};

struct board {
    struct vm *vm;
    bool watched; /* the one that is looked at more often */
    u32 random;
    u64 log; /* of everything that was read */
};

static u64 argument(struct program *p, unsigned bytes)
{
    u64 value = 0;
    for (unsigned n = 0; n < bytes && p->at < p->end; n++)
        value |= (u64)*p->at++ << n * 8;
    return value;
}

static u32 random32(struct board *b) { return b->random = b->random * 1664525u + 1013904223u; }

static void note(struct board *b, u64 value) { b->log = (b->log ^ value) * 0x9e3779b97f4a7c15ull + 1; }

static struct vm *machine_create(void)
{
    const struct vm_config config = {
        .ram_bytes = RAM, .model = cpu_model_find("westmere"), .engine = &engine_interp, .debug_exit = true};
    struct vm *vm;
    FUZZ_CHECK(vm_create(&vm, &config) == STATUS_OK);
    return vm;
}

/* ---- Time --------------------------------------------------------------------------------------- */

/* What the run loop does at a boundary. */
static void tick(struct board *b)
{
    struct vm *vm = b->vm;
    if (b->watched || chipset_deadline(vm) <= vm_now(vm))
        chipset_tick(vm);
    FUZZ_CHECK(chipset_deadline(vm) > vm_now(vm));
}

/* Nothing is due before `to`. */
static void pass_time(struct board *b, u64 to)
{
    struct vm *vm = b->vm;
    u64 due = chipset_deadline(vm);
    for (unsigned n = random32(b) >> 30; b->watched && n && vm_now(vm) + 1 < to; n--) {
        vm_skip_to(vm, vm_now(vm) + 1 + random32(b) % (to - vm_now(vm) - 1));
        FUZZ_CHECK(chipset_deadline(vm) == due);
        tick(b);
        FUZZ_CHECK(chipset_deadline(vm) == due);
    }
    vm_skip_to(vm, to);
    FUZZ_CHECK(vm_now(vm) == to);
}

/* Virtual time goes on to `until`, through every event on the way. */
static void wait_until(struct board *b, u64 until)
{
    struct vm *vm = b->vm;
    for (unsigned n = 0; n < EVENTS_MAX && chipset_deadline(vm) <= until; n++) {
        pass_time(b, chipset_deadline(vm));
        tick(b);
        note(b, vm_now(vm));
    }
    if (chipset_deadline(vm) > until && until > vm_now(vm))
        pass_time(b, until);
    note(b, chipset_interrupt_pending(vm, vm->vcpu[0]));
}

/* ---- Operations --------------------------------------------------------------------------------- */

static u16 port_argument(struct program *p, bool any)
{
    static const u16 known[] = {0x20,  0x21,  0xa0,  0xa1,  0x40,  0x41,  0x42,  0x43,  0x60,  0x61,  0x64,
                                0x70,  0x71,  0x80,  0x92,  0xf0,  0xf4,  0x00,  0xc0,  0x4d0, 0xcf8, 0xcf9,
                                0xcfc, 0x3f8, 0x2f8, 0x3e8, 0x2e8, 0x540, 0x550, 0x560, 0x600, 0xffff};
    if (any)
        return (u16)argument(p, 2);
    u8 choice = (u8)argument(p, 1);
    return (u16)(known[choice & 31] + (choice >> 5));
}

static gpa_t address_argument(struct program *p)
{
    static const u64 bases[] = {0xfee00000, 0xfec00000, 0xfed00000, 0xfedffff0,
                                0xfebffff8, 0xa0000,    0xfffc0,    0xffffff0};
    u16 choice = (u16)argument(p, 2);
    return gpa(bases[choice >> 13] + (choice & 0x1fff));
}

static void port_access(struct board *b, struct program *p, u8 choices, bool write)
{
    static const u8 sizes[] = {1, 2, 4, 1};
    unsigned size = sizes[choices & 3];
    u16 port = port_argument(p, choices & 4);
    if (write)
        vm_io_write(b->vm->vcpu[0], port, (u32)argument(p, size), size);
    else
        note(b, vm_io_read(b->vm->vcpu[0], port, size));
}

static void memory_access(struct board *b, struct program *p, u8 choices, bool write)
{
    static const u8 sizes[] = {4, 1, 2, 8, 4, 3, 16, ACCESS_MAX};
    unsigned size = sizes[choices & 7];
    gpa_t address = address_argument(p);
    u8 bytes[ACCESS_MAX] = {0};
    if (write) {
        u64 value = argument(p, size < 8 ? size : 8);
        memcpy(bytes, &value, 8);
        phys_write(b->vm, address, bytes, size);
        return;
    }
    phys_read(b->vm, address, bytes, size);
    for (unsigned n = 0; n < size; n++)
        note(b, bytes[n]);
}

static void acknowledge(struct board *b)
{
    struct vcpu *v = b->vm->vcpu[0];
    for (unsigned n = 0; n < 4 && chipset_interrupt_pending(b->vm, v); n++)
        note(b, chipset_interrupt_acknowledge(b->vm, v));
}

/* The board is plain data: a copy is a snapshot. */
static void copy_out_and_back(struct board *b)
{
    static struct chipset copy;
    memcpy(&copy, &b->vm->chipset, sizeof copy);
    struct cpu cpu = b->vm->vcpu[0]->cpu;
    vm_reset(b->vm);
    memcpy(&b->vm->chipset, &copy, sizeof copy);
    b->vm->vcpu[0]->cpu = cpu;
}

/* What instructions of the processor do to the board other than by accesses. */
static void processor(struct board *b, struct program *p, u8 choices)
{
    struct vm *vm = b->vm;
    struct vcpu *v = vm->vcpu[0];
    switch (choices & 7) {
    case 0: acknowledge(b); break;
    case 1: chipset_set_apic_base(vm, v, (argument(p, 4) & 0xfffff000) | 0x100 | (choices & 8 ? 0x800 : 0)); break;
    case 2: chipset_set_tsc_deadline(vm, v, argument(p, 8)); break;
    case 3: chipset_set_cr8(vm, v, argument(p, 1) & 15); break;
    case 4: chipset_ferr(vm); break;
    case 5: v->cpu.tsc_offset = (s64)argument(p, 8); break;
    case 6: chipset_init_cpu(vm, v); break;
    case 7: vm_reset(vm); break;
    }
    note(b, chipset_get_cr8(vm, v));
    note(b, chipset_get_tsc_deadline(vm, v));
}

static void deliver_input(struct board *b, struct program *p, u8 choices)
{
    bool keyboard = choices & 4;
    note(b, input_deliver(b->vm, keyboard ? INPUT_KEYBOARD : INPUT_SERIAL, choices & 3, (u8)argument(p, 1)));
}

static void run_operation(struct board *b, struct program *p)
{
    struct vm *vm = b->vm;
    u8 byte = (u8)argument(p, 1), choices = byte >> 3;
    switch ((enum op)(byte & 7)) {
    case OP_PORT_READ: port_access(b, p, choices, false); break;
    case OP_PORT_WRITE: port_access(b, p, choices, true); break;
    case OP_MEMORY_READ: memory_access(b, p, choices, false); break;
    case OP_MEMORY_WRITE: memory_access(b, p, choices, true); break;
    case OP_WAIT: wait_until(b, vm_now(vm) + (argument(p, 2) << choices)); break;
    case OP_NEXT_EVENT:
        for (unsigned n = 0; n <= choices && chipset_deadline(vm) != CLOCK_NEVER; n++)
            wait_until(b, chipset_deadline(vm));
        break;
    case OP_INPUT: deliver_input(b, p, choices); break;
    case OP_PROCESSOR: processor(b, p, choices); break;
    }
}

/* One machine through the whole program. */
static void run(struct board *b, const uint8_t *data, size_t size)
{
    struct program p = {data, data + size};
    struct vm *vm = b->vm;
    vm->vcpu[0]->cpu.rflags |= FLAG_IF;
    while (p.at < p.end) {
        run_operation(b, &p);
        note(b, vm->request);
        if (vm->request == REQUEST_RESET || vm->request == REQUEST_INIT)
            vm_reset(vm);
        vm->request = REQUEST_NONE;
        vm->vcpu[0]->cpu.icount++; /* the instruction that did it */
        tick(b);
        if (b->watched && random32(b) >> 28 == 0)
            copy_out_and_back(b);
        if (getenv("FUZZ_VERBOSE"))
            fprintf(stderr, "%s at %zu now %llu deadline %llu hash %016llx log %016llx\n",
                    b->watched ? "watched" : "plain", (size_t)(p.at - data), (unsigned long long)vm_now(vm),
                    (unsigned long long)chipset_deadline(vm),
                    (unsigned long long)state_hash(vm), (unsigned long long)b->log);
    }
}

int fuzz_one(const uint8_t *data, size_t size)
{
    struct board plain = {.vm = machine_create()}, watched = {.vm = machine_create(), .watched = true};
    watched.random = size ? data[0] * 2654435761u : 0;
    run(&plain, data, size);
    run(&watched, data, size);
    FUZZ_CHECK(plain.log == watched.log);
    FUZZ_CHECK(vm_now(plain.vm) == vm_now(watched.vm));
    FUZZ_CHECK(!memcmp(&plain.vm->chipset, &watched.vm->chipset, sizeof plain.vm->chipset));
    FUZZ_CHECK(state_hash(plain.vm) == state_hash(watched.vm));
    vm_destroy(plain.vm);
    vm_destroy(watched.vm);
    return 0;
}
