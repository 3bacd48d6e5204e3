/* The gdb server's protocol on any bytes. Input: a byte of choices, then what a gdb sends. Choices: bit 0 code is
 * 64-bit, bit 1 the run can go back, bit 2 its state is read-only. A wish to run is granted for some instructions. */
#include "core/vm.h"
#include "fuzz/fuzz.h"
#include "mmu/access.h"
#include "sim/gdb.h"

#include <stdio.h>
#include <string.h>

enum { RAM = 1 << 20, CODE = 0x1000, TABLES = 0x10000, GRANTED = 64, WISHES_MAX = 64 };

static u8 frame[GDB_FRAME_MAX];

static struct vm *machine(void)
{
    static struct vm *vm;
    const struct vm_config config = {
        .ram_bytes = RAM, .model = cpu_model_find(CPU_MODEL_DEFAULT), .engine = &engine_interp};
    if (!vm)
        FUZZ_CHECK(vm_create(&vm, &config) == STATUS_OK);
    vm_reset(vm);
    physmem_zero(&vm->memory, gpa(0), PHYS_VGA_BEGIN);
    return vm;
}

/* A loop that stores, calls and copies. */
static void enter(struct vm *vm, bool wide)
{
    static const u8 code[] = {0xff, 0xc0, 0xa3, 0x00, 0x20, 0x00, 0x00, 0x57, 0xf3, 0xa4, 0x5f, 0xb1, 3, 0xeb, 0xf2};
    struct cpu *c = &vm->vcpu[0]->cpu;
    physmem_load(&vm->memory, gpa(CODE), code, sizeof code);
    u64 entries[] = {TABLES + 0x1003, TABLES + 0x2003, 0x83}; /* PML4, PDPT, a 2 MiB page at 0 */
    for (unsigned n = 0; n < ARRAY_LEN(entries); n++)
        physmem_load(&vm->memory, gpa(TABLES + n * 0x1000), &entries[n], 8);
    for (unsigned n = 0; n < SEG_COUNT; n++)
        c->seg[n] = (struct segment){.limit = 0xffffffff,
            .attributes = (u16)(SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED | SEG_G |
                                (n != SEG_CS ? SEG_DB : SEG_CODE | (wide ? SEG_L : SEG_DB)))};
    c->cr0 |= CR0_PE | (wide ? CR0_PG : 0);
    c->cr3 = TABLES;
    c->cr4 = CR4_PAE;
    c->efer = wide ? EFER_LME | EFER_LMA : 0;
    c->rip = CODE;
    c->gpr[RSP] = 0x8000;
    tlb_flush(vm->vcpu[0]);
    vcpu_update_mode(vm->vcpu[0]);
}

static bool seek(void *context, u64 icount, char *message, size_t room)
{
    (void)context;
    snprintf(message, room, "not to %llu", (unsigned long long)icount);
    return false;
}

static void send(void *context, const struct gdb_reply *packet)
{
    (void)context;
    FUZZ_CHECK(packet->used && packet->data[0] == 'O' && !packet->full);
    FUZZ_CHECK(gdb_frame(packet, frame) <= sizeof frame);
}

/* What a run loop does with a wish, and tells about it. */
static void grant(struct gdb *g, enum gdb_wish wish)
{
    struct vm *vm = g->vm;
    struct gdb_stop stop = {.kind = GDB_STOP_SIGNAL, .number = GDB_SIGNAL_TRAP};
    u64 icount = vm->vcpu[0]->cpu.icount;
    stops_pass(vm);
    if (vm_run(vm, icount + (wish == GDB_STEP ? 1 : GRANTED)) == VM_STOP_DEBUG) {
        stop = (struct gdb_stop){.kind = GDB_STOP_POINT, .point = g->stops.hit_point};
        g->stops.hit = false;
    }
    gdb_report(g, &stop);
}

static bool take_packet(struct gdb *g, const struct gdb_framer *f)
{
    enum gdb_wish wish = gdb_packet(g, f->data, f->length);
    if (wish == GDB_DETACH || wish == GDB_KILL)
        return false;
    if (wish != GDB_STAY)
        grant(g, wish);
    FUZZ_CHECK(!g->reply.full && gdb_frame(&g->reply, frame) <= sizeof frame);
    FUZZ_CHECK(g->stops.count == g->point_count && g->thread < g->vm->vcpu_count);
    return true;
}

int fuzz_one(const uint8_t *data, size_t size)
{
    static struct gdb g;
    static struct gdb_framer framer;
    const struct gdb_time time = {.seek = seek, .read_only = size && (data[0] & 4) ? "read only" : NULL};
    if (!size)
        return 0;
    struct vm *vm = machine();
    enter(vm, data[0] & 1);
    g = (struct gdb){.send = send, .time = data[0] & 2 ? &time : NULL};
    framer = (struct gdb_framer){.no_ack = true};
    gdb_begin(&g, vm);
    unsigned packets = 0;
    for (size_t n = 1; n < size && packets < WISHES_MAX; n++) {
        if (gdb_feed(&framer, data[n]) != GDB_PACKET)
            continue;
        packets++;
        if (!take_packet(&g, &framer))
            break;
    }
    gdb_end(&g);
    return 0;
}
