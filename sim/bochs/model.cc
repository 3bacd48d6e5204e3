/* The processor model: which instruction sets exist, by the names of core/cpuid.h. What CPUID says is never asked of Bochs. */
#include "plugin.h"

#include "cpu/apic.h"
#include "cpu/cpuid.h"
#include "cpu/decoder/ia_opcodes.h"
#include "cpu/decoder/fetchdecode.h"

#include <string.h>

struct feature {
    const char *name;
    unsigned extension;
};

/* Names that are missing here have no instructions: MSRs, or bits that the masks of struct bochs_model cover. */
static const feature features[] = {
    {"fpu", BX_ISA_X87}, {"base", BX_ISA_486}, {"base", BX_ISA_PENTIUM}, {"cmov", BX_ISA_P6}, {"vme", BX_ISA_VME},
    {"de", BX_ISA_DEBUG_EXTENSIONS}, {"pse", BX_ISA_PSE}, {"pae", BX_ISA_PAE}, {"pge", BX_ISA_PGE}, {"mtrr", BX_ISA_MTRR},
    {"pat", BX_ISA_PAT}, {"sep", BX_ISA_SYSENTER_SYSEXIT}, {"clfsh", BX_ISA_CLFLUSH}, {"clflushopt", BX_ISA_CLFLUSHOPT},
    {"mmx", BX_ISA_MMX}, {"sse", BX_ISA_SSE}, {"sse2", BX_ISA_SSE2}, {"sse3", BX_ISA_SSE3}, {"ssse3", BX_ISA_SSSE3},
    {"sse4.1", BX_ISA_SSE4_1}, {"sse4.2", BX_ISA_SSE4_2}, {"popcnt", BX_ISA_POPCNT}, {"monitor", BX_ISA_MONITOR_MWAIT},
    {"lm", BX_ISA_LONG_MODE}, {"lahf64", BX_ISA_LM_LAHF_SAHF}, {"nx", BX_ISA_NX}, {"pdpe1gb", BX_ISA_1G_PAGES},
    {"cx16", BX_ISA_CMPXCHG16B}, {"rdtscp", BX_ISA_RDTSCP}, {"xsave", BX_ISA_XSAVE}, {"xsaveopt", BX_ISA_XSAVEOPT},
    {"aes", BX_ISA_AES_PCLMULQDQ}, {"movbe", BX_ISA_MOVBE}, {"fsgsbase", BX_ISA_FSGSBASE}, {"lzcnt", BX_ISA_LZCNT},
    {"bmi1", BX_ISA_BMI1}, {"bmi2", BX_ISA_BMI2}, {"adx", BX_ISA_ADX}, {"smap", BX_ISA_SMAP}, {"smep", BX_ISA_SMEP},
    {"umip", BX_ISA_UMIP}, {"avx", BX_ISA_AVX}, {"avx2", BX_ISA_AVX2},
};

class reprise_model : public bx_cpuid_t {
public:
    reprise_model(BX_CPU_C *cpu, const bochs_model *m) : bx_cpuid_t(cpu)
    {
        for (const feature &f : features)
            if (m->has(m->context, f.name))
                enable_cpu_extension(f.extension);
        enable_cpu_extension(BX_ISA_XAPIC);
    }
    const char *get_name() const override { return "reprise"; }
    void get_cpuid_leaf(Bit32u, Bit32u, cpuid_function_t *leaf) const override { *leaf = cpuid_function_t(); }
    void dump_cpuid() const override {}
};

extern bxIAOpcodeTable BxOpcodesTable[];

/* Bochs strikes out of its table what a model has not, for good: a second model begins with the table as it was. */
static void opcodes_restore()
{
    static bxIAOpcodeTable *whole;
    if (!whole) {
        whole = new bxIAOpcodeTable[BX_IA_LAST];
        memcpy(whole, BxOpcodesTable, BX_IA_LAST * sizeof *whole);
    }
    memcpy(BxOpcodesTable, whole, BX_IA_LAST * sizeof *whole);
}

/* What BX_CPU_C::initialize() does, but for the choice of one of Bochs' own models. */
void model_begin(const bochs_model *m)
{
    delete BX_CPU_THIS_PTR cpuid;
    BX_CPU_THIS_PTR cpuid = new reprise_model(BX_CPU(0), m);
    BX_CPU_THIS_PTR cpuid->get_cpu_extensions(BX_CPU_THIS_PTR ia_extensions_bitmask);
    opcodes_restore();
    BX_CPU_THIS_PTR init_FetchDecodeTables();
    BX_CPU_THIS_PTR xsave_xrestor_init();
    BX_CPU_THIS_PTR reset(BX_RESET_HARDWARE);
    BX_CPU_THIS_PTR lapic->set_base(0); /* disabled: the board has the local APIC */
    BX_CPU_THIS_PTR cr4_suppmask = (Bit32u)m->cr4_mask;
    BX_CPU_THIS_PTR efer_suppmask = (Bit32u)m->efer_mask;
    BX_CPU_THIS_PTR xcr0_suppmask = (Bit32u)m->xcr0_mask;
}
