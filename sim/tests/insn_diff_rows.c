/* Which rows a reference can execute, and why it cannot execute the others. */
#include "sim/tests/insn_diff.h"

enum { ON_UNICORN = 1 << REF_UNICORN, ON_HOST = 1 << REF_HOST, ON_BOTH = ON_UNICORN | ON_HOST };

/* The first entry that matches an instruction speaks. */
struct exclusion {
    const char *name;  /* mnemonic, * at its end as a wildcard */
    int operand_kind;  /* the first operand must be of this kind; -1: any */
    int cls;           /* enum isa_class, or -1: any */
    unsigned on;
    const char *reason;
};

static const char needs_tables[] = "needs descriptor tables (not covered yet)";
static const char privileged[] = "privileged state (not covered yet)";
static const char kernels_own[] = "shows state of the host's kernel";
static const char by_processor[] = "every processor has its own answer";
static const char not_in_unicorn[] = "Unicorn's processor has no such instruction, whatever its model";
static const char ports[] = "needs devices behind the ports";

static const struct exclusion exclusions[] = {
    {"call", -1, CLS_CALLOUT, ON_BOTH, needs_tables},
    {"jmp", -1, CLS_CALLOUT, ON_BOTH, needs_tables},
    {"ret", -1, CLS_CALLOUT, ON_BOTH, needs_tables},
    {"int*", -1, -1, ON_BOTH, needs_tables},
    {"iret", -1, -1, ON_BOTH, needs_tables},
    {"mov", OPK_SREG, -1, ON_BOTH, needs_tables},
    {"pop", OPK_FIXED, -1, ON_BOTH, needs_tables},
    {"les", -1, -1, ON_BOTH, needs_tables},
    {"lds", -1, -1, ON_BOTH, needs_tables},
    {"lss", -1, -1, ON_BOTH, needs_tables},
    {"lfs", -1, -1, ON_BOTH, needs_tables},
    {"lgs", -1, -1, ON_BOTH, needs_tables},
    {"lar", -1, -1, ON_BOTH, needs_tables},
    {"lsl", -1, -1, ON_BOTH, needs_tables},
    {"verr", -1, -1, ON_BOTH, needs_tables},
    {"verw", -1, -1, ON_BOTH, needs_tables},
    {"sldt", -1, -1, ON_BOTH, kernels_own},
    {"str", -1, -1, ON_BOTH, kernels_own},
    {"sgdt", -1, -1, ON_BOTH, kernels_own},
    {"sidt", -1, -1, ON_BOTH, kernels_own},
    {"smsw", -1, -1, ON_BOTH, kernels_own},
    {"rdfsbase", -1, -1, ON_BOTH, kernels_own},
    {"rdgsbase", -1, -1, ON_BOTH, kernels_own},
    {"wrfsbase", -1, -1, ON_BOTH, kernels_own},
    {"wrgsbase", -1, -1, ON_BOTH, kernels_own},
    {"cpuid", -1, -1, ON_BOTH, by_processor},
    {"rdtsc*", -1, -1, ON_BOTH, by_processor},
    {"rdpmc", -1, -1, ON_BOTH, by_processor},
    {"xgetbv", -1, -1, ON_BOTH, by_processor},
    {"xsave*", -1, -1, ON_BOTH, "XSAVE areas: the components differ by processor"},
    {"xrstor", -1, -1, ON_BOTH, "XSAVE areas: the components differ by processor"},
    {"sys*", -1, -1, ON_BOTH, "system calls: need MSRs (not covered yet)"},
    {"monitor", -1, -1, ON_BOTH, "up to the hypervisor underneath"},
    {"mwait", -1, -1, ON_BOTH, "up to the hypervisor underneath"},
    {"rsm", -1, -1, ON_UNICORN, privileged},
    {"xsetbv", -1, -1, ON_BOTH, privileged},
    {"clac", -1, -1, ON_UNICORN, privileged},
    {"stac", -1, -1, ON_UNICORN, privileged},
    {"cli", -1, -1, ON_UNICORN, privileged},
    {"sti", -1, -1, ON_UNICORN, privileged},
    {"popf", -1, -1, ON_UNICORN, "Unicorn runs at CPL 0, and single-steps if TF comes in"},
    {"in", -1, -1, ON_UNICORN, ports},
    {"out", -1, -1, ON_UNICORN, ports},
    {"ins*", -1, -1, ON_UNICORN, ports},
    {"outs*", -1, -1, ON_UNICORN, ports},
    {"movbe", -1, -1, ON_UNICORN, not_in_unicorn},
    {"popcnt", -1, -1, ON_UNICORN, not_in_unicorn},
    {"pclmulqdq", -1, -1, ON_UNICORN, not_in_unicorn},
    {"pcmpestr*", -1, -1, ON_UNICORN, "Unicorn aborts for some lengths"},
    {"clflush*", -1, -1, ON_UNICORN, "Unicorn has no caches and looks at no operand"},
};

static bool names_control_register(const struct isa_row *row)
{
    for (unsigned n = 0; n < 2; n++)
        if (isa_operands[row->operands[n]].kind == OPK_CREG || isa_operands[row->operands[n]].kind == OPK_DREG)
            return true;
    return false;
}

static bool is_sreg(const struct isa_row *row)
{
    u8 o = row->operands[row->operands[1] != OPD___];
    return isa_operands[o].kind == OPK_SREG || (o >= OPD_ES && o <= OPD_GS);
}

static bool host_lacks(const struct isa_row *row)
{
    struct cpu_model only = {.features = {0}};
    only.features[row->feature / 64] = 1ull << (row->feature % 64);
    return cpu_model_missing_on_host(&only) != FEAT_BASE;
}

const char *row_excluded(unsigned number, enum code_mode mode, enum reference ref)
{
    const struct isa_row *row = &isa_rows[number];
    for (unsigned n = 0; n < ARRAY_LEN(exclusions); n++) {
        const struct exclusion *e = &exclusions[n];
        if ((e->on >> ref & 1) && name_matches(e->name, row->mnemonic) && (e->cls < 0 || e->cls == row->cls) &&
            (e->operand_kind < 0 || e->operand_kind == isa_operands[row->operands[0]].kind))
            return e->reason;
    }
    if (ref == REF_HOST)
        return host_lacks(row) ? "this processor does not have it" : NULL;
    if ((row->attributes & A_CPL0) || names_control_register(row))
        return privileged;
    if (is_sreg(row))
        return "selectors of Unicorn's own (not covered yet)";
    if (row->map >= MAP_VEX_0F && mode == CODE_16)
        return "VEX is invalid in real-address mode; Unicorn has no 16-bit protected mode";
    return NULL;
}

bool row_only_refused(unsigned number, enum reference ref)
{
    static const char *const io[] = {"in", "out", "ins*", "outs*", "cli", "sti", "clac", "stac", "rsm"};
    const struct isa_row *row = &isa_rows[number];
    if (ref != REF_HOST)
        return false;
    for (unsigned n = 0; n < ARRAY_LEN(io); n++)
        if (name_matches(io[n], row->mnemonic))
            return true;
    return (row->attributes & A_CPL0) || names_control_register(row);
}
