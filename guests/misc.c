/* CPUID, time stamps, MSRs, instruction length, LOCK, and arithmetic that is easily got wrong, in both modes (SDM
 * vol. 2; vol. 3, 17.17). */
#include "guests/misc.h"
#include "guests/lib/guest.h"

PROBE(length_15, "", ".byte 0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x90")
PROBE(length_16, "", ".byte 0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x90")
PROBE(locked_add, "", "lock addl $1,(" R("bx") ")")
PROBE(locked_add_register, "", ".byte 0xf0,0x83,0xc0,0x01")
PROBE(locked_compare, "", ".byte 0xf0,0x83,0x3b,0x01")
PROBE(locked_test, "", ".byte 0xf0,0x85,0x03")
PROBE(locked_nop, "", ".byte 0xf0,0x90")
PROBE(exchange_add, "mov $5,%ecx", "lock xadd %ecx,(" R("bx") ")")
PROBE(compare_exchange, "", "lock cmpxchg %ecx,(" R("bx") ")")
PROBE(compare_exchange_8, "", "lock cmpxchg8b (" R("bx") ")")
PROBE(compare_exchange_8_register, "", ".byte 0x0f,0xc7,0xc8")
PROBE(bit_string, "mov $-9,%eax", "bts %eax,(" R("bx") ")")
PROBE(shift_by_zero, "stc; mov $0x80000001,%eax; mov $32,%ecx", "shl %cl,%eax")
PROBE(rotate_carry, "stc; mov $0x80000000,%eax", "rcl $1,%eax")
PROBE(rotate_carry_9, "clc; mov $0x81,%eax; mov $9,%ecx", "rcl %cl,%al")
PROBE(shift_double, "mov $0x12345678,%eax; mov $0x9abcdef0,%edx", "shld $8,%edx,%eax")
PROBE(scan_zero, "xor %eax,%eax; mov $0x77,%ecx", "bsf %eax,%ecx")
PROBE(byte_swap, "mov $0x11223344,%eax", "bswap %eax")
PROBE(sign_extend, "mov $0x80,%eax", "movsbl %al,%ecx; movzbl %al,%edx")
PROBE(multiply, "mov $0x10000,%eax; mov $0x10000,%ecx", "mul %ecx")
PROBE(negate_least, "mov $0x80000000,%eax", "neg %eax")
PROBE(pop_flags, "push $0x3ed7", "popf")
PROBE(pause, "", "pause")
PROBE(long_nop, "", ".byte 0x0f,0x1f,0x84,0,0,0,0,0")
PROBE(fences, "", "lfence; mfence; sfence")
PROBE(population, "mov $0xf0f0f0f1,%eax", "popcnt %eax,%ecx")
PROBE(crc, "xor %eax,%eax; mov $0x12345678,%ecx", "crc32l %ecx,%eax")
PROBE(set_conditions, "cmp %eax,%eax", "setz %al; setnz %cl; cmovnz %ebx,%edx")

static u32 cells[4] __attribute__((aligned(16)));

static const struct trap *at_cells(const char *code, word ax, word cx)
{
    in.r.ax = ax;
    in.r.cx = cx;
    in.r.bx = (word)cells + 4;
    return run(code, 3);
}

static void identification(void)
{
    u32 features = cpuid(1, 0).edx;
    promise("CPUID has leaf 1", true, cpuid(0, 0).eax >= 1);
    promise("features that every suite here takes for granted", 0x0700a179, features & 0x0700a179);
    struct cpuid a = cpuid(1, 0), b = cpuid(1, 0);
    promise("CPUID answers alike twice", 0, memcmp(&a, &b, sizeof a));
    promise("the initial APIC ID is 0", 0, a.ebx >> 24);
    promise("CLFLUSH lines have 64 bytes", 8, a.ebx >> 8 & 0xff);
    promise("extended leaves exist", true, cpuid(0x80000000, 0).eax >= 0x80000008);
    promise("long mode", 1, cpuid(0x80000001, 0).edx >> 29 & 1);
}

static void clocks(void)
{
    bool forward = true;
    u64 last = rdtsc();
    for (unsigned i = 0; i < 1000; i++) {
        u64 now = rdtsc();
        forward &= now >= last;
        last = now;
    }
    promise("the TSC never goes backwards", true, forward);
    u64 start = rdtsc();
    for (volatile unsigned i = 0; i < 1000; i++)
        ;
    promise("the TSC counts", true, rdtsc() > start);
    u64 before = rdtsc(), msr = rdmsr(0x10), after = rdtsc();
    promise("the TSC's MSR lies between two RDTSC", true, before <= msr && msr <= after);
    wrmsr(0x10, 0x100000000000);
    promise("writing the TSC sets it", 0x1000, rdtsc() >> 32);
}

static void lengths(void)
{
    PASSES("an instruction of 15 bytes", length_15, 3);
    FAULTS("#GP(0) by an instruction of 16 bytes", length_16, 3, VEC_GP, 0);
    PASSES("a long NOP", long_nop, 3);
    PASSES("PAUSE", pause, 3);
    PASSES("fences", fences, 3);
}

static void locked(void)
{
    cells[1] = 41;
    at_cells(locked_add, 0, 0);
    promise("LOCK ADD", 42, cells[1]);
    FAULTS("#UD by LOCK ADD to a register", locked_add_register, 3, VEC_UD, 0);
    FAULTS("#UD by LOCK CMP", locked_compare, 3, VEC_UD, 0);
    FAULTS("#UD by LOCK TEST", locked_test, 3, VEC_UD, 0);
    FAULTS("#UD by LOCK NOP", locked_nop, 3, VEC_UD, 0);
    const struct trap *t = at_cells(exchange_add, 0, 0);
    promise("XADD stores the sum", 47, cells[1]);
    promise("XADD returns the old value", 42, t->r.cx);
    t = at_cells(compare_exchange, 47, 9);
    promise("CMPXCHG stores when equal", 9, cells[1]);
    t = at_cells(compare_exchange, 47, 10);
    promise("CMPXCHG loads when not", 9, t->r.ax);
    promise("and clears ZF", 0, t->flags & FL_ZF);
    cells[1] = 1;
    cells[2] = 2;
    in.r.dx = 2;
    t = at_cells(compare_exchange_8, 1, 8);
    promise("CMPXCHG8B stores EBX, low", (u32)(word)(cells + 1), cells[1]);
    promise("CMPXCHG8B stores ECX, high", 8, cells[2]);
    FAULTS("#UD by CMPXCHG8B of a register", compare_exchange_8_register, 3, VEC_UD, 0);
    cells[0] = 0;
    at_cells(bit_string, 0, 0);
    promise("BTS with a negative bit offset reaches below", 1u << 23, cells[0]);
}

static void arithmetic(void)
{
    const struct trap *t = run(shift_by_zero, 3);
    promise("a shift count of 32 is 0", 0x80000001, t->r.ax);
    promise("and leaves the flags", FL_CF, t->flags & FL_CF);
    t = run(rotate_carry, 3);
    promise("RCL brings the carry in", 1, t->r.ax);
    promise("RCL of bit 31 to carry, OF", FL_CF | FL_OF, t->flags & (FL_CF | FL_OF));
    promise("RCL of a byte by 9 is a full turn", 0x81, run(rotate_carry_9, 3)->r.ax);
    promise("SHLD", 0x3456789a, run(shift_double, 3)->r.ax);
    t = run(scan_zero, 3);
    promise("BSF of 0 sets ZF", FL_ZF, t->flags & FL_ZF);
    promise("BSWAP", 0x44332211, run(byte_swap, 3)->r.ax);
    t = run(sign_extend, 3);
    promise("MOVSX", 0xffffff80, t->r.cx);
    promise("MOVZX", 0x80, t->r.dx);
    t = run(multiply, 3);
    promise("MUL: the high half", 1, t->r.dx);
    promise("MUL: CF and OF", FL_CF | FL_OF, t->flags & (FL_CF | FL_OF));
    t = run(negate_least, 3);
    promise("NEG of the least: OF and CF", FL_CF | FL_OF | FL_SF, t->flags & (FL_CF | FL_OF | FL_SF));
    t = run(pop_flags, 3);
    promise("POPF in ring 3 changes neither IF nor IOPL",
            FL_CF | FL_FIXED | FL_PF | FL_AF | FL_ZF | FL_SF | FL_DF | FL_OF, t->flags);
    in.r.bx = 3;
    in.r.dx = 4;
    t = run(set_conditions, 3);
    promise("SETcc and CMOVcc", 0x40001, (t->r.dx << 16) | (t->r.cx & 0xff) << 8 | (t->r.ax & 0xff));
    promise("POPCNT", 17, run(population, 3)->r.cx);
    /* Polynomial 11EDC6F41, bit reflected (SDM vol. 2, CRC32): worked out with a bitwise program. */
    promise("CRC32", 0xfa745634, run(crc, 3)->r.ax);
}

void misc_common(void)
{
    identification();
    clocks();
    lengths();
    locked();
    arithmetic();
}
