#include "metal/traps.h"

#include "core/host.h"
#include "core/x86.h"
#include "metal/power.h"
#include "metal/serial.h"

/* What traps.S pushes, from the lowest address. */
struct trap_frame {
    u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    u64 vector, error;
    u64 rip, cs, rflags, rsp, ss;
};

/* SDM vol. 3, 6.14.1: 64-bit interrupt gate. */
struct gate {
    u16 offset_low, selector, attributes, offset_middle;
    u32 offset_high, reserved;
};
_Static_assert(sizeof(struct gate) == 16, "SDM vol. 3, figure 6-8");

enum { TRAP_VECTORS = 32, GATE_PRESENT_INTERRUPT = 0x8e00, CODE_SELECTOR = 0x08 };

extern const u64 trap_entries[TRAP_VECTORS];
extern const u8 fpu_thunk_fault[];

static struct gate idt[TRAP_VECTORS];
static struct {
    u64 begin, bytes;
} thunks;

void traps_set_thunks(const u8 *begin, size_t bytes)
{
    thunks.begin = (u64)begin;
    thunks.bytes = bytes;
}

void traps_init(void)
{
    for (unsigned n = 0; n < TRAP_VECTORS; n++) {
        u64 entry = trap_entries[n];
        idt[n] = (struct gate){
            .offset_low = (u16)entry,
            .selector = CODE_SELECTOR,
            .attributes = GATE_PRESENT_INTERRUPT,
            .offset_middle = (u16)(entry >> 16),
            .offset_high = (u32)(entry >> 32),
        };
    }
    struct __attribute__((packed)) {
        u16 limit;
        u64 base;
    } pointer = {sizeof idt - 1, (u64)idt};
    __asm__ volatile("lidt %0" : : "m"(pointer));
}

void metal_trap(struct trap_frame *frame);
void metal_trap(struct trap_frame *frame)
{
    bool fpu = frame->vector == VEC_MF || frame->vector == VEC_XM;
    if (fpu && frame->rip - thunks.begin < thunks.bytes) {
        frame->rax = frame->vector;
        frame->rip = (u64)fpu_thunk_fault;
        return;
    }
    static const char *const names[] = {"vector ", " error ", " rip ", " rsp ", " cr2 "};
    u64 cr2;
    __asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
    u64 values[] = {frame->vector, frame->error, frame->rip, frame->rsp, cr2};
    serial_print("\nreprise: exception in the hypervisor: ");
    for (unsigned n = 0; n < ARRAY_LEN(names); n++) {
        serial_print(names[n]);
        serial_print_hex(values[n]);
    }
    serial_print("\n");
    host_panic(__FILE__, __LINE__, "unexpected processor exception");
}
