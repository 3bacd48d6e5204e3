#include "sim/state_fields.h"

#define AT(field) offsetof(struct cpu, field)
#define ONE(name, field) {name, AT(field), sizeof(((struct cpu *)0)->field), 1, 0}
#define EACH(name, field) \
    {name, AT(field), sizeof(((struct cpu *)0)->field[0]), ARRAY_LEN(((struct cpu *)0)->field), \
     sizeof(((struct cpu *)0)->field[0])}
#define SEGMENT(name, field) \
    ONE(name, field.selector), ONE(name ".base", field.base), ONE(name ".limit", field.limit), \
    ONE(name ".attributes", field.attributes)
#define TABLE(name, field) ONE(name ".base", field.base), ONE(name ".limit", field.limit)
/* Offsets in the FXSAVE64 image: SDM vol. 1, table 10-2. MXCSR_MASK and the pointers in it are not the guest's. */
#define FX(name, at, bytes, count) {name, AT(fpu.fxsave) + (at), bytes, count, 16}

const struct state_field state_fields[] = {
    ONE("icount", icount), ONE("rip", rip),
    ONE("rax", gpr[RAX]), ONE("rcx", gpr[RCX]), ONE("rdx", gpr[RDX]), ONE("rbx", gpr[RBX]),
    ONE("rsp", gpr[RSP]), ONE("rbp", gpr[RBP]), ONE("rsi", gpr[RSI]), ONE("rdi", gpr[RDI]),
    ONE("r8", gpr[8]), ONE("r9", gpr[9]), ONE("r10", gpr[10]), ONE("r11", gpr[11]),
    ONE("r12", gpr[12]), ONE("r13", gpr[13]), ONE("r14", gpr[14]), ONE("r15", gpr[15]),
    ONE("flags", aflags), ONE("rflags", rflags), ONE("cpl", cpl),
    SEGMENT("es", seg[SEG_ES]), SEGMENT("cs", seg[SEG_CS]), SEGMENT("ss", seg[SEG_SS]),
    SEGMENT("ds", seg[SEG_DS]), SEGMENT("fs", seg[SEG_FS]), SEGMENT("gs", seg[SEG_GS]),
    SEGMENT("ldtr", ldtr), SEGMENT("tr", tr), TABLE("gdtr", gdtr), TABLE("idtr", idtr),
    ONE("cr0", cr0), ONE("cr2", cr2), ONE("cr3", cr3), ONE("cr4", cr4), ONE("efer", efer), ONE("xcr0", xcr0),
    EACH("dr", dr), EACH("pdpte", pdpte),
    ONE("activity", activity), ONE("int_shadow", int_shadow), ONE("mov_ss_shadow", mov_ss_shadow),
    ONE("nmi_blocked", nmi_blocked), ONE("nmi_pending", nmi_pending), ONE("pending_db", pending_db),
    FX("fcw", 0, 2, 1), FX("fsw", 2, 2, 1), FX("ftw", 4, 2, 1), FX("mxcsr", 24, 4, 1),
    ONE("fip", fpu.fip), ONE("fdp", fpu.fdp), ONE("fop", fpu.fop), ONE("fcs", fpu.fcs), ONE("fds", fpu.fds),
    FX("st", 32, 10, 8), FX("xmm", 160, 16, 16),
    ONE("sysenter_cs", sysenter_cs), ONE("sysenter_esp", sysenter_esp), ONE("sysenter_eip", sysenter_eip),
    ONE("star", star), ONE("lstar", lstar), ONE("cstar", cstar), ONE("sfmask", sfmask),
    ONE("kernel_gs_base", kernel_gs_base), ONE("tsc_aux", tsc_aux), ONE("tsc_offset", tsc_offset),
    ONE("tsc_adjust", tsc_adjust), ONE("pat", pat), ONE("apic_base", apic_base), ONE("misc_enable", misc_enable),
    ONE("mcg_status", mcg_status), ONE("feature_control", feature_control), ONE("bios_sign_id", bios_sign_id),
    ONE("spec_ctrl", spec_ctrl), ONE("mtrr_def_type", mtrr_def_type), EACH("mtrr_fixed", mtrr_fixed),
    EACH("mtrr_variable", mtrr_variable),
};
const unsigned state_field_count = ARRAY_LEN(state_fields);
