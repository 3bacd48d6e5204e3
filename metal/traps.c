#include "metal/traps.h"

#include "core/host.h"
#include "core/x86.h"
#include "metal/areas.h"
#include "metal/crash.h"
#include "metal/guard.h"
#include "metal/paging.h"
#include "metal/processor.h"

/* SDM vol. 3, 6.14.1: 64-bit interrupt gate. */
struct gate {
    u16 offset_low, selector, attributes, offset_middle;
    u32 offset_high, reserved;
};
_Static_assert(sizeof(struct gate) == 16, "SDM vol. 3, figure 6-8");

/* SDM vol. 3, 7.7. */
struct tss {
    u32 reserved0;
    u64 rsp[3];
    u64 reserved1;
    u64 ist[7];
    u64 reserved2;
    u16 reserved3, io_map;
} __attribute__((packed));
_Static_assert(sizeof(struct tss) == 104, "SDM vol. 3, figure 7-11");

enum { GATE_PRESENT_INTERRUPT = 0x8e00, CODE_SELECTOR = 0x08, TSS_SELECTOR = 0x18 };
#define DESCRIPTOR_CODE 0x00209b0000000000ull
#define DESCRIPTOR_DATA 0x0000930000000000ull
#define DESCRIPTOR_TSS 0x0000890000000000ull

/* Those that may come while another one is being handled need their own. */
enum stack_use { STACK_TRAP, STACK_INTERRUPT, STACK_NMI, STACK_DOUBLE_FAULT, STACK_MACHINE_CHECK, STACKS };
enum { STACK_BYTES = 4 * PAGE_SIZE };

static struct {
    u8 guard[PAGE_SIZE], bytes[STACK_BYTES];
} stacks[STACKS] __attribute__((aligned(4096)));

extern const u64 trap_entries[TRAP_VECTORS];
extern const u8 fpu_thunk_fault[];

static struct gate idt[TRAP_VECTORS];
static struct tss tss;
static u64 gdt[5] = {0, DESCRIPTOR_CODE, DESCRIPTOR_DATA};
static void (*on_timer)(const struct trap_frame *frame);

struct __attribute__((packed)) table_pointer {
    u16 limit;
    u64 base;
};

static enum stack_use stack_of(unsigned vector)
{
    switch (vector) {
    case VEC_NMI: return STACK_NMI;
    case VEC_DF: return STACK_DOUBLE_FAULT;
    case VEC_MC: return STACK_MACHINE_CHECK;
    default: return vector < 32 ? STACK_TRAP : STACK_INTERRUPT;
    }
}

static void gdt_load(void)
{
    u64 base = (u64)&tss;
    for (unsigned n = 0; n < STACKS; n++)
        tss.ist[n] = (u64)(stacks[n].bytes + STACK_BYTES);
    tss.io_map = sizeof tss;
    gdt[3] = DESCRIPTOR_TSS | (sizeof tss - 1) | (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56;
    gdt[4] = base >> 32;
    struct table_pointer pointer = {sizeof gdt - 1, (u64)gdt};
    __asm__ volatile("lgdt %0\n\tltr %w1" : : "m"(pointer), "r"(TSS_SELECTOR)); /* others stay */
}

void traps_init(void)
{
    gdt_load();
    for (unsigned n = 0; n < TRAP_VECTORS; n++) {
        u64 entry = trap_entries[n];
        idt[n] = (struct gate){
            .offset_low = (u16)entry,
            .selector = CODE_SELECTOR,
            .attributes = (u16)(GATE_PRESENT_INTERRUPT | (stack_of(n) + 1)),
            .offset_middle = (u16)(entry >> 16),
            .offset_high = (u32)(entry >> 32),
        };
    }
    struct table_pointer pointer = {sizeof idt - 1, (u64)idt};
    __asm__ volatile("lidt %0" : : "m"(pointer));
}

void traps_guard_stacks(void)
{
    for (unsigned n = 0; n < STACKS; n++)
        paging_set(paging_entry((u64)stacks[n].guard, true), (u64)stacks[n].guard, PTE_GUARD);
}

void traps_on_timer(void (*handler)(const struct trap_frame *frame)) { on_timer = handler; }

/* A page of an area that is used for the first time. */
static bool page_fault(struct trap_frame *f)
{
    switch (area_page_fault(read_cr2(), f->error & PF_WRITE)) {
    case AREA_FAULT_DONE: return true;
    case AREA_FAULT_NO_MEMORY:
        if (!guard_stack)
            crash_out_of_memory(f);
        f->rip = (u64)guard_leave;
        f->rflags &= ~(u64)FLAG_DF;
        return true;
    default: return false;
    }
}

/* An exception in code that was made for a guest goes on where core/host.h says. */
static bool land(struct trap_frame *f)
{
    const struct host_exec *memory = area_exec_at(f->rip);
    struct host_landing to;
    if (!memory)
        return false;
    if (!memory->landing && (f->vector == VEC_MF || f->vector == VEC_XM)) {
        f->rip = (u64)fpu_thunk_fault;
        f->rax = f->vector;
        return true;
    }
    if (!memory->landing || !memory->landing(memory->context, f->rip - (u64)memory->rx, &to))
        return false;
    f->rip = (u64)to.code;
    f->rcx = to.rcx;
    return true;
}

void metal_trap(struct trap_frame *f);
void metal_trap(struct trap_frame *f)
{
    if (f->vector == TRAP_TIMER || f->vector == TRAP_TIMER_8254) {
        on_timer(f);
        return;
    }
    if (f->vector >= 32) /* spurious, of the local APIC or of the 8259 */
        return;
    if (f->vector == VEC_PF && page_fault(f))
        return;
    bool ours = f->vector == VEC_NMI || f->vector == VEC_DF || f->vector == VEC_MC;
    if (ours || !land(f))
        crash_exception(f);
}
