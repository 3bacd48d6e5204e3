/* Model-specific registers: one policy table. What is not in it is #GP(0), as on a processor that lacks the
 * register. */
#include "core/msr.h"

#include "core/segment.h"
#include "core/vm.h"
#include "devices/chipset.h"

/* SDM vol. 3, 11.11.1: 8 variable ranges, fixed ranges, write-combining. */
#define MTRRCAP_VALUE (MTRR_VARIABLE_COUNT | 1u << 8 | 1u << 10)
#define MTRR_DEF_TYPE_BITS 0xcffull
#define MTRR_DEF_TYPE_FIXED_ENABLE 0x400u
#define MTRR_DEF_TYPE_ENABLE 0x800u
#define MTRR_MASK_VALID 0x800u
#define MTRR_WB 6u
#define MISC_ENABLE_WRITABLE 1u

/* IA32_ARCH_CAPABILITIES: RDCL_NO, IBRS_ALL, SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO, IF_PSCHANGE_MC_NO, TAA_NO,
 * SBDR_SSDP_NO, FBSDP_NO, PSDP_NO, BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO, ITS_NO. The guest's speculation is not the
 * host's. */
#define ARCH_CAPABILITIES_VALUE 0x400000000d10e17bull

#define PHYS_RESERVED (~((1ull << PHYS_ADDRESS_BITS) - 1))

struct msr_row;
typedef bool (*msr_reader)(struct vcpu *v, const struct msr_row *row, u32 index, u64 *value);
typedef bool (*msr_writer)(struct vcpu *v, const struct msr_row *row, u32 index, u64 value);

/* One register, or a range of registers alike. A NULL reader or writer is #GP(0). */
struct msr_row {
    u32 first, last;
    u16 feature; /* enum feature without which the register does not exist */
    u16 field;   /* byte offset in struct cpu of the first register's u64 */
    u64 value;   /* readers: the constant; writers: the bits that may be set */
    msr_reader read;
    msr_writer write;
};

static u64 *field_of(struct vcpu *v, const struct msr_row *row, u32 index)
{
    return (u64 *)((u8 *)&v->cpu + row->field) + (index - row->first);
}

/* ---- Policies ----------------------------------------------------------------------------------- */

static bool read_field(struct vcpu *v, const struct msr_row *row, u32 index, u64 *value)
{
    *value = *field_of(v, row, index);
    return true;
}

static bool read_value(struct vcpu *v, const struct msr_row *row, u32 index, u64 *value)
{
    (void)v;
    (void)index;
    *value = row->value;
    return true;
}

static bool write_ignore(struct vcpu *v, const struct msr_row *row, u32 index, u64 value)
{
    (void)v;
    (void)row;
    (void)index;
    (void)value;
    return true;
}

/* Reserved bits are those outside row->value. */
static bool write_field(struct vcpu *v, const struct msr_row *row, u32 index, u64 value)
{
    if (value & ~row->value)
        return false;
    *field_of(v, row, index) = value;
    return true;
}

static bool write_canonical(struct vcpu *v, const struct msr_row *row, u32 index, u64 value)
{
    if (!canonical(value))
        return false;
    *field_of(v, row, index) = value;
    return true;
}

/* ---- Time --------------------------------------------------------------------------------------- */

static bool read_tsc(struct vcpu *v, const struct msr_row *row, u32 index, u64 *value)
{
    (void)row;
    (void)index;
    *value = vm_tsc(v->vm) + (u64)v->cpu.tsc_offset;
    return true;
}

/* An armed deadline is a TSC value, so it moves with the offset. */
static void move_tsc(struct vcpu *v, u64 by)
{
    u64 deadline = chipset_get_tsc_deadline(v->vm, v);
    v->cpu.tsc_offset = (s64)((u64)v->cpu.tsc_offset + by);
    if (deadline)
        chipset_set_tsc_deadline(v->vm, v, deadline);
    vcpu_kick(v);
}

/* SDM vol. 3, 17.17.3: a write to the TSC adds the same difference to IA32_TSC_ADJUST, and the other way round. */
static bool write_tsc(struct vcpu *v, const struct msr_row *row, u32 index, u64 value)
{
    u64 now;
    read_tsc(v, row, index, &now);
    v->cpu.tsc_adjust += value - now;
    move_tsc(v, value - now);
    return true;
}

static bool write_tsc_adjust(struct vcpu *v, const struct msr_row *row, u32 index, u64 value)
{
    (void)row;
    (void)index;
    u64 by = value - v->cpu.tsc_adjust;
    v->cpu.tsc_adjust = value;
    move_tsc(v, by);
    return true;
}

static bool read_tsc_deadline(struct vcpu *v, const struct msr_row *row, u32 index, u64 *value)
{
    (void)row;
    (void)index;
    *value = chipset_get_tsc_deadline(v->vm, v);
    return true;
}

static bool write_tsc_deadline(struct vcpu *v, const struct msr_row *row, u32 index, u64 value)
{
    (void)row;
    (void)index;
    chipset_set_tsc_deadline(v->vm, v, value);
    vcpu_kick(v);
    return true;
}

/* ---- Memory types ------------------------------------------------------------------------------- */

/* SDM vol. 3, table 11-8. UC- (7) exists in the PAT only. */
static bool mtrr_type_valid(u64 type) { return type < 8 && (0x73u >> type & 1); }

static bool types_valid(u64 value, u32 valid)
{
    for (unsigned shift = 0; shift < 64; shift += 8) {
        u64 type = value >> shift & 0xff;
        if (type > 7 || !(valid >> type & 1))
            return false;
    }
    return true;
}

static bool write_pat(struct vcpu *v, const struct msr_row *row, u32 index, u64 value)
{
    (void)row;
    (void)index;
    if (!types_valid(value, 0xf3))
        return false;
    v->cpu.pat = value;
    return true;
}

static bool write_mtrr_fixed(struct vcpu *v, const struct msr_row *row, u32 index, u64 value)
{
    if (!types_valid(value, 0x73))
        return false;
    *field_of(v, row, index) = value;
    return true;
}

static bool write_mtrr_variable(struct vcpu *v, const struct msr_row *row, u32 index, u64 value)
{
    bool base = !((index - row->first) & 1);
    u64 reserved = PHYS_RESERVED | (base ? 0xf00 : 0x7ff);
    if ((value & reserved) || (base && !mtrr_type_valid(value & 0xff)))
        return false;
    *field_of(v, row, index) = value;
    return true;
}

static bool write_mtrr_def_type(struct vcpu *v, const struct msr_row *row, u32 index, u64 value)
{
    (void)row;
    (void)index;
    if ((value & ~MTRR_DEF_TYPE_BITS) || !mtrr_type_valid(value & 0xff))
        return false;
    v->cpu.mtrr_def_type = value;
    return true;
}

void mtrr_firmware_defaults(struct cpu *c)
{
    const u64 write_back = MTRR_WB * 0x0101010101010101ull;
    for (unsigned i = 0; i < MTRR_FIXED_COUNT; i++)
        c->mtrr_fixed[i] = write_back;
    c->mtrr_fixed[2] = 0; /* FIX16K_A0000: the VGA window */
    c->mtrr_variable[0] = PHYS_HOLE_BEGIN;
    c->mtrr_variable[1] = (~(PHYS_HOLE_END - PHYS_HOLE_BEGIN - 1) & ~PHYS_RESERVED) | MTRR_MASK_VALID;
    c->mtrr_def_type = MTRR_DEF_TYPE_ENABLE | MTRR_DEF_TYPE_FIXED_ENABLE | MTRR_WB;
}

/* ---- Modes -------------------------------------------------------------------------------------- */

/* SDM vol. 3, 2.2.1: LME is fixed while paging is on; LMA is the processor's own. */
static bool write_efer(struct vcpu *v, const struct msr_row *row, u32 index, u64 value)
{
    (void)row;
    (void)index;
    struct cpu *c = &v->cpu;
    if (value & ~cpu_model_efer_mask(v->vm->config.model))
        return false;
    if (((value ^ c->efer) & EFER_LME) && cpu_paging(c))
        return false;
    u64 changed = value ^ c->efer;
    c->efer = (value & ~(u64)EFER_LMA) | (c->efer & EFER_LMA);
    if (changed & EFER_NXE)
        tlb_invalidate(v);
    return true;
}

static bool write_apic_base(struct vcpu *v, const struct msr_row *row, u32 index, u64 value)
{
    (void)index;
    if (value & ~row->value)
        return false;
    v->cpu.apic_base = value;
    chipset_set_apic_base(v->vm, v, value);
    vcpu_kick(v);
    return true;
}

static bool write_misc_enable(struct vcpu *v, const struct msr_row *row, u32 index, u64 value)
{
    (void)row;
    (void)index;
    v->cpu.misc_enable = (v->cpu.misc_enable & ~(u64)MISC_ENABLE_WRITABLE) | (value & MISC_ENABLE_WRITABLE);
    return true;
}

/* Locked at RESET: writes fault (SDM vol. 4, IA32_FEATURE_CONTROL). */
static bool write_feature_control(struct vcpu *v, const struct msr_row *row, u32 index, u64 value)
{
    return !(v->cpu.feature_control & 1) && write_field(v, row, index, value);
}

static bool read_segment_base(struct vcpu *v, const struct msr_row *row, u32 index, u64 *value)
{
    (void)row;
    *value = v->cpu.seg[index == MSR_FS_BASE ? SEG_FS : SEG_GS].base;
    return true;
}

static bool write_segment_base(struct vcpu *v, const struct msr_row *row, u32 index, u64 value)
{
    (void)row;
    if (!canonical(value))
        return false;
    v->cpu.seg[index == MSR_FS_BASE ? SEG_FS : SEG_GS].base = value;
    vcpu_update_mode(v);
    return true;
}

/* ---- The table ---------------------------------------------------------------------------------- */

#define AT(member) offsetof(struct cpu, member)
#define ANY UINT64_MAX
#define LOW32 0xffffffffull

/* Ascending. Names beyond core/x86.h are those of SDM vol. 4, table 2-2. */
static const struct msr_row msr_rows[] = {
    {0x0, 0x1, FEAT_MCE, 0, 0, read_value, write_ignore}, /* P5_MC_ADDR, P5_MC_TYPE */
    {MSR_TSC, MSR_TSC, FEAT_TSC, 0, 0, read_tsc, write_tsc},
    {MSR_PLATFORM_ID, MSR_PLATFORM_ID, FEAT_SEP, 0, 0, read_value, NULL},
    {MSR_APIC_BASE, MSR_APIC_BASE, FEAT_APIC, AT(apic_base), ~PHYS_RESERVED & ~0x6ffull, read_field, write_apic_base},
    {0x2a, 0x2a, FEAT_SEP, 0, 0, read_value, write_ignore}, /* EBL_CR_POWERON */
    {MSR_FEATURE_CONTROL, MSR_FEATURE_CONTROL, FEAT_LM, AT(feature_control), 7, read_field, write_feature_control},
    {MSR_TSC_ADJUST, MSR_TSC_ADJUST, FEAT_TSC_ADJUST, AT(tsc_adjust), 0, read_field, write_tsc_adjust},
    {0x48, 0x48, FEAT_SPEC_CTRL, AT(spec_ctrl), 7, read_field, write_field}, /* IA32_SPEC_CTRL */
    {0x49, 0x49, FEAT_SPEC_CTRL, 0, 0, NULL, write_ignore},                  /* IA32_PRED_CMD */
    {0x79, 0x79, FEAT_SEP, 0, 0, NULL, write_ignore},                        /* IA32_BIOS_UPDT_TRIG */
    {MSR_BIOS_SIGN_ID, MSR_BIOS_SIGN_ID, FEAT_SEP, AT(bios_sign_id), ANY, read_field, write_field},
    {MSR_MTRRCAP, MSR_MTRRCAP, FEAT_MTRR, 0, MTRRCAP_VALUE, read_value, NULL},
    {0x10a, 0x10a, FEAT_ARCH_CAPABILITIES, 0, ARCH_CAPABILITIES_VALUE, read_value, NULL},
    {MSR_SYSENTER_CS, MSR_SYSENTER_CS, FEAT_SEP, AT(sysenter_cs), LOW32, read_field, write_field},
    {MSR_SYSENTER_ESP, MSR_SYSENTER_ESP, FEAT_SEP, AT(sysenter_esp), 0, read_field, write_canonical},
    {MSR_SYSENTER_EIP, MSR_SYSENTER_EIP, FEAT_SEP, AT(sysenter_eip), 0, read_field, write_canonical},
    {MSR_MCG_CAP, MSR_MCG_CAP, FEAT_MCA, 0, 0, read_value, NULL}, /* no banks */
    {MSR_MCG_STATUS, MSR_MCG_STATUS, FEAT_MCA, AT(mcg_status), 7, read_field, write_field},
    {MSR_MISC_ENABLE, MSR_MISC_ENABLE, FEAT_SEP, AT(misc_enable), 0, read_field, write_misc_enable},
    {0x1d9, 0x1d9, FEAT_SEP, 0, 0, read_value, write_ignore}, /* IA32_DEBUGCTL: neither LBR nor BTF */
    {0x1db, 0x1de, FEAT_SEP, 0, 0, read_value, NULL},         /* LASTBRANCH*, LASTINT* */
    {MSR_MTRR_PHYSBASE0, MSR_MTRR_PHYSBASE0 + 2 * MTRR_VARIABLE_COUNT - 1, FEAT_MTRR, AT(mtrr_variable), 0, read_field,
     write_mtrr_variable},
    {MSR_MTRR_FIX64K, MSR_MTRR_FIX64K, FEAT_MTRR, AT(mtrr_fixed[0]), 0, read_field, write_mtrr_fixed},
    {0x258, 0x259, FEAT_MTRR, AT(mtrr_fixed[1]), 0, read_field, write_mtrr_fixed},
    {0x268, 0x26f, FEAT_MTRR, AT(mtrr_fixed[3]), 0, read_field, write_mtrr_fixed},
    {MSR_PAT, MSR_PAT, FEAT_PAT, AT(pat), 0, read_field, write_pat},
    {MSR_MTRR_DEF_TYPE, MSR_MTRR_DEF_TYPE, FEAT_MTRR, AT(mtrr_def_type), 0, read_field, write_mtrr_def_type},
    {MSR_TSC_DEADLINE, MSR_TSC_DEADLINE, FEAT_TSC_DEADLINE, 0, 0, read_tsc_deadline, write_tsc_deadline},
    {MSR_EFER, MSR_EFER, FEAT_NX, AT(efer), 0, read_field, write_efer},
    {MSR_STAR, MSR_STAR, FEAT_SYSCALL, AT(star), ANY, read_field, write_field},
    {MSR_LSTAR, MSR_LSTAR, FEAT_SYSCALL, AT(lstar), 0, read_field, write_canonical},
    {MSR_CSTAR, MSR_CSTAR, FEAT_SYSCALL, AT(cstar), 0, read_field, write_canonical},
    {MSR_SFMASK, MSR_SFMASK, FEAT_SYSCALL, AT(sfmask), LOW32, read_field, write_field},
    {MSR_FS_BASE, MSR_GS_BASE, FEAT_LM, 0, 0, read_segment_base, write_segment_base},
    {MSR_KERNEL_GS_BASE, MSR_KERNEL_GS_BASE, FEAT_LM, AT(kernel_gs_base), 0, read_field, write_canonical},
    {MSR_TSC_AUX, MSR_TSC_AUX, FEAT_RDTSCP, AT(tsc_aux), LOW32, read_field, write_field},
};

_Static_assert(sizeof(struct cpu) <= UINT16_MAX, "msr_row.field holds any offset in struct cpu");

static const struct msr_row *find_row(const struct vcpu *v, u32 index)
{
    unsigned low = 0, high = ARRAY_LEN(msr_rows);
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (msr_rows[middle].last < index)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == ARRAY_LEN(msr_rows) || index < msr_rows[low].first)
        return NULL;
    return model_has(v->vm->config.model, (enum feature)msr_rows[low].feature) ? &msr_rows[low] : NULL;
}

bool msr_read(struct vcpu *v, u32 index, u64 *value)
{
    const struct msr_row *row = find_row(v, index);
    return row && row->read && row->read(v, row, index, value);
}

bool msr_write(struct vcpu *v, u32 index, u64 value)
{
    const struct msr_row *row = find_row(v, index);
    return row && row->write && row->write(v, row, index, value);
}
