#include "metal/crash.h"

#include "core/version.h"
#include "metal/areas.h"
#include "metal/paging.h"
#include "metal/power.h"
#include "metal/print.h"
#include "metal/processor.h"

extern const u8 image_begin[], text_end[], image_end[];

enum { TRACE_LINES = 24, TRACE_WORDS = 4096, CALL_NEAR = 0xe8, CALL_INDIRECT = 0xff };

static const char *const exception_names[32] = {
    "#DE divide error", "#DB debug", "NMI", "#BP breakpoint", "#OF overflow", "#BR bound", "#UD invalid opcode",
    "#NM no FPU", "#DF double fault", "coprocessor overrun", "#TS invalid TSS", "#NP segment not present",
    "#SS stack fault", "#GP general protection", "#PF page fault", "vector 15", "#MF x87 error", "#AC alignment",
    "#MC machine check", "#XM SIMD error", "#VE virtualization", "#CP control protection"};

/* Can a word be read there without a fault? */
static bool readable(u64 address)
{
    if (address % 8)
        return false;
    if (address >= (u64)image_begin && address < (u64)image_end)
        return *paging_entry(address, false) & PTE_PRESENT;
    bool hole = address >= CANONICAL_HOLE_BEGIN && address < CANONICAL_HOLE_END;
    if (address < AREAS_BEGIN || address >= AREAS_END || hole)
        return false;
    u64 *entry = paging_entry(address, false);
    return entry && (*entry & PTE_PRESENT);
}

/* Does a call end just before this address? (E8 rel32, or FF /2 of two to seven bytes.) */
static bool is_return_address(u64 address)
{
    if (address < (u64)image_begin + 8 || address >= (u64)text_end)
        return false;
    const u8 *behind = (const u8 *)address;
    if (behind[-5] == CALL_NEAR)
        return true;
    for (unsigned length = 2; length <= 7; length++)
        if (behind[-(int)length] == CALL_INDIRECT && (behind[1 - (int)length] & 0x38) == 0x10)
            return true;
    return false;
}

void crash_stack_trace(u64 rsp)
{
    unsigned lines = 0;
    if (!readable(rsp)) /* below the end of the stack: what overflowed it stands above */
        rsp = (rsp | PAGE_MASK) + 1;
    print("calls, the innermost first (addr2line -e reprise.elf64):\n");
    for (unsigned n = 0; n < TRACE_WORDS && lines < TRACE_LINES && readable(rsp + 8 * n); n++) {
        u64 word = *(const u64 *)(rsp + 8 * n);
        if (!is_return_address(word))
            continue;
        print(lines++ % 8 ? " " : lines > 1 ? "\n  " : "  ");
        print_hex(word);
    }
    print("\n");
}

static void print_registers(const struct trap_frame *f)
{
    static const char *const names[] = {"r15", "r14", "r13", "r12", "r11", "r10", "r9 ", "r8 ", "rdi", "rsi", "rbp",
                                        "rbx", "rdx", "rcx", "rax", "vec", "err", "rip", "cs ", "flg", "rsp", "ss "};
    const u64 *value = &f->r15;
    for (unsigned n = 0; n < ARRAY_LEN(names); n++) {
        print(names[n]);
        print(" ");
        print_hex_16(value[n]);
        print(n % 4 == 3 ? "\n" : "  ");
    }
    print("cr2 ");
    print_hex_16(read_cr2());
    print("\n");
}

static _Noreturn void end(const struct trap_frame *f, const char *what)
{
    static bool again;
    interrupts_off();
    if (again)
        power_off();
    again = true;
    print("\nreprise " REPRISE_VERSION ": ");
    print(what);
    print(" in the hypervisor");
    print(area_exec_at(f->rip) ? ", in code that was made for a guest\n" : "\n");
    print_registers(f);
    crash_stack_trace(f->rsp);
    print("This is a bug in reprise: please report it with these lines.\n");
    power_off();
}

void crash_exception(const struct trap_frame *f)
{
    const char *name = f->vector < 32 ? exception_names[f->vector] : NULL;
    end(f, name ? name : "an unknown exception");
}

void crash_out_of_memory(const struct trap_frame *f) { end(f, "out of memory"); }

void crash_stuck(const struct trap_frame *f) { end(f, "nothing moves any more"); }
