/* Instructions that only an owner of the machine executes, and what CPUID says of it. */
#ifndef REPRISE_METAL_PROCESSOR_H
#define REPRISE_METAL_PROCESSOR_H

#include "core/types.h"

static inline u64 read_cr2(void)
{
    u64 value;
    __asm__ volatile("mov %%cr2, %0" : "=r"(value));
    return value;
}
static inline u64 read_cr4(void)
{
    u64 value;
    __asm__ volatile("mov %%cr4, %0" : "=r"(value));
    return value;
}
static inline void write_cr4(u64 value) { __asm__ volatile("mov %0, %%cr4" : : "r"(value) : "memory"); }
static inline void write_cr3(u64 value) { __asm__ volatile("mov %0, %%cr3" : : "r"(value) : "memory"); }
static inline void invalidate_page(u64 address) { __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory"); }

static inline u64 read_msr(u32 msr)
{
    u32 low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (u64)high << 32 | low;
}
static inline void write_msr(u32 msr, u64 value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

static inline u64 read_tsc(void)
{
    u32 low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (u64)high << 32 | low;
}

static inline void interrupts_off(void) { __asm__ volatile("cli" : : : "memory"); }
static inline void interrupts_on(void) { __asm__ volatile("sti" : : : "memory"); }
/* Waits for an interrupt; one that came since interrupts_off() is not missed. Leaves interrupts on. */
static inline void wait_for_interrupt(void) { __asm__ volatile("sti\n\thlt" : : : "memory"); }

enum cpuid_register { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

/* Features by leaf, register and bit (SDM vol. 2, CPUID; AMD APM vol. 3, appendix E). */
struct processor_feature {
    u32 leaf;
    enum cpuid_register in;
    unsigned bit;
};
#define HAS_APIC ((struct processor_feature){1, CPUID_EDX, 9})
#define HAS_PGE ((struct processor_feature){1, CPUID_EDX, 13})
#define HAS_SMEP ((struct processor_feature){7, CPUID_EBX, 7})
#define HAS_SMAP ((struct processor_feature){7, CPUID_EBX, 20})
#define HAS_UMIP ((struct processor_feature){7, CPUID_ECX, 2})
#define HAS_NX ((struct processor_feature){0x80000001, CPUID_EDX, 20})
#define HAS_PAGES_1G ((struct processor_feature){0x80000001, CPUID_EDX, 26})

static inline void processor_cpuid(u32 leaf, u32 to[4])
{
    __asm__ volatile("cpuid" : "=a"(to[0]), "=b"(to[1]), "=c"(to[2]), "=d"(to[3]) : "a"(leaf), "c"(0));
}

static inline bool processor_has(struct processor_feature f)
{
    u32 r[4];
    processor_cpuid(f.leaf & 0x80000000, r);
    if (r[CPUID_EAX] < f.leaf)
        return false;
    processor_cpuid(f.leaf, r);
    return r[f.in] >> f.bit & 1;
}

#endif
