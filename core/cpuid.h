/* Named processor models: what CPUID says, which features exist. Fixed tables; the host's own CPUID never shows. */
#ifndef REPRISE_CORE_CPUID_H
#define REPRISE_CORE_CPUID_H

#include "core/types.h"

/* Features that gate instructions or control bits. Rows of sbe/isa.def name them as FEAT_<name>. */
enum feature {
    FEAT_BASE, /* always */
    FEAT_FPU, FEAT_TSC, FEAT_MSR, FEAT_PAE, FEAT_CX8, FEAT_APIC, FEAT_SEP, FEAT_PGE, FEAT_CMOV, FEAT_PSE36, FEAT_CLFSH,
    FEAT_MMX, FEAT_FXSR, FEAT_SSE, FEAT_SSE2, FEAT_SSE3, FEAT_PCLMULQDQ, FEAT_MONITOR, FEAT_SSSE3, FEAT_CX16, FEAT_SSE41,
    FEAT_SSE42, FEAT_MOVBE, FEAT_POPCNT, FEAT_TSC_DEADLINE, FEAT_AES, FEAT_XSAVE, FEAT_RDRAND, FEAT_FSGSBASE, FEAT_SMEP,
    FEAT_SMAP, FEAT_UMIP, FEAT_SYSCALL, FEAT_NX, FEAT_PDPE1GB, FEAT_RDTSCP, FEAT_LM, FEAT_LAHF64, FEAT_CLFLUSHOPT,
    FEAT_XSAVEOPT, FEAT_PSE, FEAT_VME, FEAT_DE, FEAT_AVX, FEAT_AVX2, FEAT_BMI1, FEAT_BMI2, FEAT_ADX, FEAT_LZCNT,
    /* No instructions of their own: MSRs and CPUID bits. */
    FEAT_MCE, FEAT_MCA, FEAT_MTRR, FEAT_PAT, FEAT_TSC_ADJUST, FEAT_SPEC_CTRL, FEAT_ARCH_CAPABILITIES, FEAT_HYPERVISOR,
    FEAT_COUNT
};

struct cpu_model {
    const char *name;    /* for --cpu */
    const char *summary; /* one line for --help */
    char vendor[13];
    char brand[49];
    u32 signature;       /* CPUID.1:EAX */
    u32 max_basic, max_extended;
    u64 features[2];     /* bit per enum feature */
};

static inline bool model_has(const struct cpu_model *m, enum feature f)
{
    return m->features[f / 64] >> (f % 64) & 1;
}

extern const struct cpu_model cpu_models[];
extern const unsigned cpu_model_count;
const struct cpu_model *cpu_model_find(const char *name); /* NULL if unknown */
#define CPU_MODEL_DEFAULT "westmere"
/* In bits 63..32 of IA32_BIOS_SIGN_ID after CPUID leaf 1. */
#define CPU_MICROCODE_REVISION 1ull

struct cpuid_result { u32 eax, ebx, ecx, edx; };
struct cpu;
/* The CPUID instruction: depends on the model, on CR4 and XCR0 (OSXSAVE, XSAVE size) and the APIC id only. */
struct cpuid_result cpuid_leaf(const struct cpu_model *m, const struct cpu *c, u32 leaf, u32 subleaf, u32 apic_id);

/* CR0 and CR4 bits that the model lets the guest set. */
u64 cpu_model_cr4_mask(const struct cpu_model *m);
u64 cpu_model_efer_mask(const struct cpu_model *m);
/* State components that XSETBV may enable (SDM vol. 1, 13.3); 0 without XSAVE. */
u64 cpu_model_xcr0_mask(const struct cpu_model *m);
/* The first feature of the model whose instructions this host processor cannot execute natively, or FEAT_BASE if none;
 * feature_name() for messages. */
enum feature cpu_model_missing_on_host(const struct cpu_model *m);
const char *feature_name(enum feature f);

#endif
