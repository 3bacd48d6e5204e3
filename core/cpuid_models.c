/* The processor models: pure tables. A model shows only what works here, so it may have less than its namesake. It
 * may also have more: SPEC_CTRL and ARCH_CAPABILITIES tell systems that transient-execution attacks do not
 * exist on this processor, so that they do without page-table isolation and retpolines. */
#include "core/cpuid.h"

#define F(name) (1ull << FEAT_##name)
_Static_assert(FEAT_COUNT <= 64, "features[0] holds every feature of the tables below");

#define PENTIUM (F(BASE) | F(FPU) | F(VME) | F(DE) | F(PSE) | F(TSC) | F(MSR) | F(MCE) | F(CX8) | F(HYPERVISOR))
#define PENTIUM3 (PENTIUM | F(PAE) | F(APIC) | F(SEP) | F(MTRR) | F(PGE) | F(MCA) | F(CMOV) | F(PAT) | F(PSE36) | \
                  F(MMX) | F(FXSR) | F(SSE))
#define CORE2 (PENTIUM3 | F(CLFSH) | F(SSE2) | F(SSE3) | F(SSSE3) | F(CX16) | F(SSE41) | F(SYSCALL) | F(NX) | F(LM) | \
               F(LAHF64))
#define NEHALEM (CORE2 | F(SSE42) | F(POPCNT) | F(RDTSCP) | F(SPEC_CTRL) | F(ARCH_CAPABILITIES))
#define WESTMERE (NEHALEM | F(AES) | F(PCLMULQDQ) | F(TSC_DEADLINE))
#define MAX (WESTMERE | F(MONITOR) | F(MOVBE) | F(XSAVE) | F(XSAVEOPT) | F(FSGSBASE) | F(SMEP) | F(SMAP) | F(UMIP) | \
             F(PDPE1GB) | F(TSC_ADJUST) | F(BMI1) | F(BMI2) | F(LZCNT) | F(CLFLUSHOPT))

const struct cpu_model cpu_models[] = {
    {.name = "westmere", .summary = "64-bit, SSE4.2, AES, TSC deadline timer (default)",
     .vendor = "GenuineIntel", .brand = "Reprise Virtual Processor (westmere)",
     .signature = 0x000206c2, .max_basic = 0xb, .max_extended = 0x80000008, .features = {WESTMERE}},
    {.name = "nehalem", .summary = "64-bit, SSE4.2, POPCNT",
     .vendor = "GenuineIntel", .brand = "Reprise Virtual Processor (nehalem)",
     .signature = 0x000106a5, .max_basic = 0xb, .max_extended = 0x80000008, .features = {NEHALEM}},
    {.name = "core2duo", .summary = "64-bit, SSE4.1",
     .vendor = "GenuineIntel", .brand = "Reprise Virtual Processor (core2duo)",
     .signature = 0x00010676, .max_basic = 0x6, .max_extended = 0x80000008, .features = {CORE2}},
    {.name = "pentium3", .summary = "32-bit, PAE, SSE",
     .vendor = "GenuineIntel", .brand = "", .signature = 0x00000683, .max_basic = 2, .features = {PENTIUM3}},
    {.name = "pentium", .summary = "32-bit, FPU, page-size extension",
     .vendor = "GenuineIntel", .brand = "", .signature = 0x0000052c, .max_basic = 1, .features = {PENTIUM}},
    {.name = "max", .summary = "everything that is implemented",
     .vendor = "GenuineIntel", .brand = "Reprise Virtual Processor (max)",
     .signature = 0x000206c2, .max_basic = 0x16, .max_extended = 0x80000008, .features = {MAX}},
};

const unsigned cpu_model_count = ARRAY_LEN(cpu_models);
