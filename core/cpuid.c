/* The CPUID instruction: SDM vol. 2, "CPUID", tables 3-8 to 3-11. */
#include "core/cpuid.h"
#include "core/cpu.h"
#include "mmu/physmem.h"

enum { LINEAR_ADDRESS_BITS = 48, CLFLUSH_QUADWORDS = 8, TSC_MHZ = 1000 };

#define HYPERVISOR_BASE 0x40000000u
#define HYPERVISOR_TIMING 0x40000010u
#define EXTENDED_BASE 0x80000000u
#define APIC_BASE_ENABLE 0x800u

/* 32-bit words of CPUID output that hold feature flags. */
enum feature_word { NOWHERE, W1_ECX, W1_EDX, W7_EBX, W7_ECX, W7_EDX, WD1_EAX, WE1_ECX, WE1_EDX, FEATURE_WORDS };

/* Where each feature shows, and whether its instructions run on the host's own unit. */
struct feature_place {
    const char *name;
    u8 word, bit;
    bool native;
};

static const struct feature_place feature_places[FEAT_COUNT] = {
    [FEAT_BASE] = {"base", NOWHERE, 0, false},
    [FEAT_FPU] = {"fpu", W1_EDX, 0, true},
    [FEAT_VME] = {"vme", W1_EDX, 1, false},
    [FEAT_DE] = {"de", W1_EDX, 2, false},
    [FEAT_PSE] = {"pse", W1_EDX, 3, false},
    [FEAT_TSC] = {"tsc", W1_EDX, 4, false},
    [FEAT_MSR] = {"msr", W1_EDX, 5, false},
    [FEAT_PAE] = {"pae", W1_EDX, 6, false},
    [FEAT_MCE] = {"mce", W1_EDX, 7, false},
    [FEAT_CX8] = {"cx8", W1_EDX, 8, false},
    [FEAT_APIC] = {"apic", W1_EDX, 9, false},
    [FEAT_SEP] = {"sep", W1_EDX, 11, false},
    [FEAT_MTRR] = {"mtrr", W1_EDX, 12, false},
    [FEAT_PGE] = {"pge", W1_EDX, 13, false},
    [FEAT_MCA] = {"mca", W1_EDX, 14, false},
    [FEAT_CMOV] = {"cmov", W1_EDX, 15, false},
    [FEAT_PAT] = {"pat", W1_EDX, 16, false},
    [FEAT_PSE36] = {"pse36", W1_EDX, 17, false},
    [FEAT_CLFSH] = {"clfsh", W1_EDX, 19, false},
    [FEAT_MMX] = {"mmx", W1_EDX, 23, true},
    [FEAT_FXSR] = {"fxsr", W1_EDX, 24, true},
    [FEAT_SSE] = {"sse", W1_EDX, 25, true},
    [FEAT_SSE2] = {"sse2", W1_EDX, 26, true},
    [FEAT_SSE3] = {"sse3", W1_ECX, 0, true},
    [FEAT_PCLMULQDQ] = {"pclmulqdq", W1_ECX, 1, true},
    [FEAT_MONITOR] = {"monitor", W1_ECX, 3, false},
    [FEAT_SSSE3] = {"ssse3", W1_ECX, 9, true},
    [FEAT_CX16] = {"cx16", W1_ECX, 13, true},
    [FEAT_SSE41] = {"sse4.1", W1_ECX, 19, true},
    [FEAT_SSE42] = {"sse4.2", W1_ECX, 20, true},
    [FEAT_MOVBE] = {"movbe", W1_ECX, 22, false},
    [FEAT_POPCNT] = {"popcnt", W1_ECX, 23, true},
    [FEAT_TSC_DEADLINE] = {"tsc-deadline", W1_ECX, 24, false},
    [FEAT_AES] = {"aes", W1_ECX, 25, true},
    [FEAT_XSAVE] = {"xsave", W1_ECX, 26, false},
    [FEAT_AVX] = {"avx", W1_ECX, 28, true},
    [FEAT_RDRAND] = {"rdrand", W1_ECX, 30, false},
    [FEAT_HYPERVISOR] = {"hypervisor", W1_ECX, 31, false},
    [FEAT_FSGSBASE] = {"fsgsbase", W7_EBX, 0, false},
    [FEAT_TSC_ADJUST] = {"tsc-adjust", W7_EBX, 1, false},
    [FEAT_BMI1] = {"bmi1", W7_EBX, 3, true},
    [FEAT_AVX2] = {"avx2", W7_EBX, 5, true},
    [FEAT_SMEP] = {"smep", W7_EBX, 7, false},
    [FEAT_BMI2] = {"bmi2", W7_EBX, 8, true},
    [FEAT_ADX] = {"adx", W7_EBX, 19, true},
    [FEAT_SMAP] = {"smap", W7_EBX, 20, false},
    [FEAT_CLFLUSHOPT] = {"clflushopt", W7_EBX, 23, false},
    [FEAT_UMIP] = {"umip", W7_ECX, 2, false},
    [FEAT_SPEC_CTRL] = {"spec-ctrl", W7_EDX, 26, false},
    [FEAT_ARCH_CAPABILITIES] = {"arch-capabilities", W7_EDX, 29, false},
    [FEAT_XSAVEOPT] = {"xsaveopt", WD1_EAX, 0, false},
    [FEAT_LAHF64] = {"lahf64", WE1_ECX, 0, false},
    [FEAT_LZCNT] = {"lzcnt", WE1_ECX, 5, true},
    [FEAT_SYSCALL] = {"syscall", WE1_EDX, 11, false},
    [FEAT_NX] = {"nx", WE1_EDX, 20, false},
    [FEAT_PDPE1GB] = {"pdpe1gb", WE1_EDX, 26, false},
    [FEAT_RDTSCP] = {"rdtscp", WE1_EDX, 27, false},
    [FEAT_LM] = {"lm", WE1_EDX, 29, false},
};

const char *feature_name(enum feature f)
{
    return f < FEAT_COUNT ? feature_places[f].name : "unknown";
}

const struct cpu_model *cpu_model_find(const char *name)
{
    size_t length = strlen(name);
    for (unsigned i = 0; i < cpu_model_count; i++) {
        const struct cpu_model *m = &cpu_models[i];
        if (strlen(m->name) == length && memcmp(m->name, name, length) == 0)
            return m;
    }
    return NULL;
}

static u32 feature_flags(const struct cpu_model *m, enum feature_word word)
{
    u32 flags = 0;
    for (unsigned f = 0; f < FEAT_COUNT; f++)
        if (feature_places[f].word == word && model_has(m, (enum feature)f))
            flags |= 1u << feature_places[f].bit;
    return flags;
}

u64 cpu_model_cr4_mask(const struct cpu_model *m)
{
    static const struct { u8 feature; u32 bits; } owners[] = {
        {FEAT_VME, CR4_VME | CR4_PVI}, {FEAT_TSC, CR4_TSD}, {FEAT_DE, CR4_DE}, {FEAT_PSE, CR4_PSE}, {FEAT_PAE, CR4_PAE},
        {FEAT_MCE, CR4_MCE}, {FEAT_PGE, CR4_PGE}, {FEAT_MMX, CR4_PCE}, {FEAT_FXSR, CR4_OSFXSR},
        {FEAT_SSE, CR4_OSXMMEXCPT}, {FEAT_UMIP, CR4_UMIP}, {FEAT_FSGSBASE, CR4_FSGSBASE}, {FEAT_XSAVE, CR4_OSXSAVE},
        {FEAT_SMEP, CR4_SMEP}, {FEAT_SMAP, CR4_SMAP},
    };
    u64 mask = 0;
    for (unsigned i = 0; i < ARRAY_LEN(owners); i++)
        if (model_has(m, (enum feature)owners[i].feature))
            mask |= owners[i].bits;
    return mask;
}

u64 cpu_model_efer_mask(const struct cpu_model *m)
{
    return (model_has(m, FEAT_SYSCALL) ? EFER_SCE : 0) | (model_has(m, FEAT_LM) ? EFER_LME | EFER_LMA : 0) |
           (model_has(m, FEAT_NX) ? EFER_NXE : 0);
}

u64 cpu_model_xcr0_mask(const struct cpu_model *m)
{
    if (!model_has(m, FEAT_XSAVE))
        return 0;
    return 3 | (model_has(m, FEAT_AVX) ? 4 : 0);
}

static u32 word_of(const char *text, unsigned at)
{
    u32 word;
    memcpy(&word, text + at, sizeof word);
    return word;
}

static struct cpuid_result leaf_vendor(const struct cpu_model *m)
{
    return (struct cpuid_result){m->max_basic, word_of(m->vendor, 0), word_of(m->vendor, 8), word_of(m->vendor, 4)};
}

static struct cpuid_result leaf_features(const struct cpu_model *m, const struct cpu *c, u32 apic_id)
{
    struct cpuid_result r = {.eax = m->signature, .ecx = feature_flags(m, W1_ECX), .edx = feature_flags(m, W1_EDX)};
    r.ebx = apic_id << 24 | 1u << 16 | (model_has(m, FEAT_CLFSH) ? CLFLUSH_QUADWORDS << 8 : 0);
    if (c->cr4 & CR4_OSXSAVE)
        r.ecx |= 1u << 27;
    /* SDM vol. 3, 10.4.3: the flag follows IA32_APIC_BASE[11]. */
    if (!(c->apic_base & APIC_BASE_ENABLE))
        r.edx &= ~(1u << feature_places[FEAT_APIC].bit);
    return r;
}

/* Descriptors of table 3-12. Models with leaf 4 refer to it (FFH); older ones list the caches of a Pentium III. */
static struct cpuid_result leaf_caches(const struct cpu_model *m)
{
    if (m->max_basic >= 4)
        return (struct cpuid_result){.eax = 0x0000ff01};
    return (struct cpuid_result){.eax = 0x03020101, .edx = 0x0c040882};
}

struct cache {
    u8 type, level, ways; /* type: 1 data, 2 instructions, 3 unified */
    u16 sets;
};

static struct cpuid_result leaf_cache(u32 subleaf)
{
    static const struct cache caches[] = {{1, 1, 8, 64}, {2, 1, 4, 128}, {3, 2, 8, 512}, {3, 3, 16, 8192}};
    if (subleaf >= ARRAY_LEN(caches))
        return (struct cpuid_result){0};
    const struct cache *cache = &caches[subleaf];
    /* Self-initializing, used by one processor, lines of 64 bytes without sectors. */
    return (struct cpuid_result){.eax = cache->type | (u32)cache->level << 5 | 1u << 8,
        .ebx = 63 | (u32)(cache->ways - 1) << 22, .ecx = cache->sets - 1u};
}

static struct cpuid_result leaf_structured(const struct cpu_model *m, u32 subleaf)
{
    if (subleaf != 0)
        return (struct cpuid_result){0};
    return (struct cpuid_result){
        .ebx = feature_flags(m, W7_EBX), .ecx = feature_flags(m, W7_ECX), .edx = feature_flags(m, W7_EDX)};
}

/* One thread in one core: level types 1 (SMT) and 2 (core), then invalid levels. EDX is the x2APIC ID. */
static struct cpuid_result leaf_topology(u32 subleaf, u32 apic_id)
{
    struct cpuid_result r = {.ecx = subleaf & 0xff, .edx = apic_id};
    if (subleaf < 2) {
        r.ebx = 1;
        r.ecx |= (subleaf + 1) << 8;
    }
    return r;
}

static struct cpuid_result leaf_xsave(const struct cpu_model *m, const struct cpu *c, u32 subleaf)
{
    enum { XSAVE_LEGACY_AND_HEADER = 576, AVX_STATE = 256 };
    u64 supported = cpu_model_xcr0_mask(m);
    if (!supported)
        return (struct cpuid_result){0};
    if (subleaf == 0)
        return (struct cpuid_result){.eax = (u32)supported,
            .ebx = XSAVE_LEGACY_AND_HEADER + (c->xcr0 & 4 ? AVX_STATE : 0),
            .ecx = XSAVE_LEGACY_AND_HEADER + (supported & 4 ? AVX_STATE : 0)};
    if (subleaf == 1)
        return (struct cpuid_result){.eax = feature_flags(m, WD1_EAX)};
    if (subleaf == 2 && supported & 4)
        return (struct cpuid_result){.eax = AVX_STATE, .ebx = XSAVE_LEGACY_AND_HEADER};
    return (struct cpuid_result){0};
}

static struct cpuid_result basic_leaf(const struct cpu_model *m, const struct cpu *c, u32 leaf, u32 subleaf,
                                      u32 apic_id)
{
    switch (leaf) {
    case 0x0: return leaf_vendor(m);
    case 0x1: return leaf_features(m, c, apic_id);
    case 0x2: return leaf_caches(m);
    case 0x4: return leaf_cache(subleaf);
    case 0x5: return model_has(m, FEAT_MONITOR) ? (struct cpuid_result){64, 64, 3, 0} : (struct cpuid_result){0};
    /* The APIC timer runs at a constant rate whatever the processor sleeps. */
    case 0x6: return (struct cpuid_result){.eax = model_has(m, FEAT_TSC_DEADLINE) ? 4 : 0};
    case 0x7: return leaf_structured(m, subleaf);
    case 0xb: return leaf_topology(subleaf, apic_id);
    case 0xd: return leaf_xsave(m, c, subleaf);
    /* TSC = crystal clock of 1 GHz times 1 / 1; base, maximum and bus frequency in MHz. */
    case 0x15: return (struct cpuid_result){1, 1, TSC_MHZ * 1000000u, 0};
    case 0x16: return (struct cpuid_result){TSC_MHZ, TSC_MHZ, TSC_MHZ, 0};
    default: return (struct cpuid_result){0};
    }
}

/* SYSCALL shows in 64-bit mode only (SDM vol. 2, table 3-8, leaf 80000001H). */
static struct cpuid_result extended_features(const struct cpu_model *m, const struct cpu *c)
{
    struct cpuid_result r = {.ecx = feature_flags(m, WE1_ECX), .edx = feature_flags(m, WE1_EDX)};
    if (!cpu_code64(c))
        r.edx &= ~(1u << feature_places[FEAT_SYSCALL].bit);
    return r;
}

/* Sixteen bytes of the processor's name. */
static struct cpuid_result leaf_brand(const struct cpu_model *m, unsigned at)
{
    return (struct cpuid_result){word_of(m->brand, at), word_of(m->brand, at + 4), word_of(m->brand, at + 8),
                                 word_of(m->brand, at + 12)};
}

static struct cpuid_result extended_leaf(const struct cpu_model *m, const struct cpu *c, u32 leaf)
{
    switch (leaf) {
    case 0x80000000: return (struct cpuid_result){.eax = m->max_extended};
    case 0x80000001: return extended_features(m, c);
    case 0x80000002: return leaf_brand(m, 0);
    case 0x80000003: return leaf_brand(m, 16);
    case 0x80000004: return leaf_brand(m, 32);
    case 0x80000006: return (struct cpuid_result){.ecx = 256u << 16 | 6u << 12 | 64}; /* L2: 256 KiB, 8 ways */
    case 0x80000007: return (struct cpuid_result){.edx = 1u << 8};                    /* invariant TSC */
    case 0x80000008: return (struct cpuid_result){.eax = LINEAR_ADDRESS_BITS << 8 | PHYS_ADDRESS_BITS};
    default: return (struct cpuid_result){0};
    }
}

/* Hypervisor leaves: 40000000H is the highest leaf and the signature, 40000010H the frequencies of the TSC and of the
 * local APIC timer's bus in kHz, as other hypervisors have them there. */
static struct cpuid_result hypervisor_leaf(u32 leaf)
{
    static const char signature[] = "RepriseRepri";
    if (leaf == HYPERVISOR_BASE)
        return (struct cpuid_result){HYPERVISOR_TIMING, word_of(signature, 0), word_of(signature, 4),
                                     word_of(signature, 8)};
    if (leaf == HYPERVISOR_TIMING)
        return (struct cpuid_result){.eax = TSC_MHZ * 1000, .ebx = TSC_MHZ * 1000};
    return (struct cpuid_result){0};
}

struct cpuid_result cpuid_leaf(const struct cpu_model *m, const struct cpu *c, u32 leaf, u32 subleaf, u32 apic_id)
{
    if (leaf >= EXTENDED_BASE && leaf <= m->max_extended)
        return extended_leaf(m, c, leaf);
    if (leaf >> 28 == HYPERVISOR_BASE >> 28 && model_has(m, FEAT_HYPERVISOR))
        return hypervisor_leaf(leaf);
    /* Beyond the last leaf: the data of the highest basic leaf (SDM vol. 2, "CPUID"). */
    return basic_leaf(m, c, leaf <= m->max_basic ? leaf : m->max_basic, subleaf, apic_id);
}

static struct cpuid_result host_cpuid(u32 leaf, u32 subleaf)
{
    struct cpuid_result r;
    __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
    return r;
}

static void host_feature_words(u32 words[FEATURE_WORDS])
{
    memset(words, 0, FEATURE_WORDS * sizeof words[0]);
    struct cpuid_result r = host_cpuid(1, 0);
    words[W1_ECX] = r.ecx;
    words[W1_EDX] = r.edx;
    if (host_cpuid(0, 0).eax >= 7) {
        r = host_cpuid(7, 0);
        words[W7_EBX] = r.ebx;
        words[W7_ECX] = r.ecx;
    }
    r = host_cpuid(0x80000001u, 0);
    words[WE1_ECX] = r.ecx;
    words[WE1_EDX] = r.edx;
}

enum feature cpu_model_missing_on_host(const struct cpu_model *m)
{
    u32 words[FEATURE_WORDS];
    host_feature_words(words);
    for (unsigned f = 0; f < FEAT_COUNT; f++) {
        const struct feature_place *place = &feature_places[f];
        if (place->native && model_has(m, (enum feature)f) && !(words[place->word] >> place->bit & 1))
            return (enum feature)f;
    }
    return FEAT_BASE;
}
