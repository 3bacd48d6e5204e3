/* Differences that have an explanation: who is right, and by which authority. */
#include "sim/tests/insn_diff.h"

#include "sbe/fpu_thunk.h"

#include <string.h>

/* ---- When an exception applies --------------------------------------------------------------------- */

static bool host_is_amd(const struct difference *d)
{
    u32 eax = 0, ebx, ecx = 0, edx;
    (void)d;
    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return ebx == 0x68747541; /* "Auth" */
}

static bool only_undefined_flags(const struct difference *d)
{
    return !(d->bits & ~(u64)isa_rows[d->c->row].flags_undefined);
}

static bool kernel_address(const struct difference *d) { return d->ours->cr2 >> 63; }

static bool short_branch_in_64(const struct difference *d)
{
    return d->c->mode == CODE_64 && d->insn && (d->insn->prefixes & INSN_66) && host_is_amd(d);
}

static bool repeated_loop(const struct difference *d)
{
    return d->insn && (d->insn->prefixes & (INSN_REP | INSN_REPNE)) && host_is_amd(d);
}

static bool register_form(const struct difference *d)
{
    return d->insn && !(d->insn->prefixes & INSN_MEM) && d->theirs->vector == VEC_UD;
}

static bool pushes_wider(const struct difference *d)
{
    return d->insn && d->insn->opsize == 4 && isa_rows[d->c->row].cls == CLS_CALLOUT && host_is_amd(d);
}

static bool faults(const struct difference *d) { return d->ours->vector >= 0; }
static bool page_fault(const struct difference *d) { return d->ours->vector == VEC_PF; }

static bool repeats_nothing(const struct difference *d)
{
    return d->insn && (d->insn->prefixes & (INSN_REP | INSN_REPNE)) && d->ours->vector == OUTCOME_NONE &&
           d->theirs->vector == VEC_GP && host_is_amd(d);
}

static bool locked_cr(const struct difference *d)
{
    return d->c->lock_refused && d->theirs->vector == VEC_GP && host_is_amd(d);
}

static bool through_cs(const struct difference *d) { return d->insn && d->insn->seg == SEG_CS; }

static bool other_byte_of_operand(const struct difference *d)
{
    u64 distance = d->theirs->cr2 - d->ours->cr2;
    return distance < FXSAVE_IMAGE || -distance < 16;
}

static bool amd_fault(const struct difference *d) { return d->ours->vector >= 0 && host_is_amd(d); }

static bool masked_out(const struct difference *d)
{
    return d->ours->vector == OUTCOME_NONE && d->theirs->vector >= 0;
}

static bool two_reasons(const struct difference *d)
{
    return (isa_rows[d->c->row].attributes & A_ALIGN) && d->ours->vector == VEC_SS && d->theirs->vector == VEC_GP;
}

static bool amd_mxcsr(const struct difference *d)
{
    return d->ours->vector == VEC_GP && d->theirs->vector == OUTCOME_NONE && host_is_amd(d);
}

/* FXSAVE: pointers, MXCSR_MASK and the reserved end of the image; all other bytes are equal. */
static bool fxsave_pointers(const struct difference *d)
{
    const struct outcome *a = d->ours, *b = d->theirs;
    if (a->written_at != b->written_at || a->written_bytes != b->written_bytes || a->written_bytes > WRITTEN_MAX)
        return false;
    for (unsigned n = 0; n < a->written_bytes; n++) {
        unsigned at = a->written_at + n - d->c->patch[0].at;
        bool free = (at >= FXSAVE_FOP && at < FXSAVE_MXCSR) || (at >= FXSAVE_MXCSR_MASK && at < FXSAVE_ST);
        if (a->written[n] != b->written[n] && !free)
            return false;
    }
    return true;
}

static bool fx_reasons(const struct difference *d)
{
    return d->ours->vector == VEC_SS && (d->theirs->vector == VEC_GP || d->theirs->vector == OUTCOME_UNMAPPED);
}

static bool no_rights(const struct difference *d)
{
    return d->insn && d->c->mode == CODE_32 && d->insn->seg == SEG_CS && d->ours->vector == VEC_GP;
}

static bool not_canonical(const struct difference *d)
{
    bool refused = d->ours->vector == VEC_GP || d->ours->vector == VEC_SS;
    return d->c->mode == CODE_64 && refused && d->theirs->vector == OUTCOME_UNMAPPED;
}

static bool test_alias(const struct difference *d)
{
    return isa_rows[d->c->row].modrm == RM_1 && d->theirs->vector == VEC_UD;
}

static bool rex_r(const struct difference *d)
{
    return d->insn && (d->insn->rex & 4) && d->theirs->vector == VEC_UD;
}

static bool misaligned(const struct difference *d)
{
    return (isa_rows[d->c->row].attributes & A_ALIGN) && d->ours->vector == VEC_GP &&
           (d->theirs->vector == OUTCOME_NONE || d->theirs->vector == OUTCOME_UNMAPPED);
}

static bool gp_missed(const struct difference *d) { return d->ours->vector == VEC_GP; }
static bool xm_missed(const struct difference *d) { return d->ours->vector == VEC_XM; }
static bool mf_missed(const struct difference *d) { return d->ours->vector == VEC_MF; }

static bool bad_target(const struct difference *d)
{
    return d->c->branches && d->ours->vector == VEC_GP && d->theirs->vector == OUTCOME_NONE;
}

static bool reads_more(const struct difference *d)
{
    return d->ours->vector == OUTCOME_NONE && d->theirs->vector == OUTCOME_UNMAPPED;
}

static bool register_hint(const struct difference *d)
{
    return d->c->mode <= CODE_64 && d->theirs->vector == VEC_UD && d->ours->vector == OUTCOME_NONE;
}

static bool short_branch(const struct difference *d)
{
    return d->c->mode == CODE_64 && d->c->branches && d->insn && (d->insn->prefixes & INSN_66);
}

static bool wrote_before_fault(const struct difference *d) { return d->theirs->vector == OUTCOME_UNMAPPED; }
static bool has_rex(const struct difference *d) { return d->insn && (d->insn->prefixes & INSN_REX); }
static bool word_sized(const struct difference *d) { return d->insn && d->insn->opsize == 2; }
static bool dword_in_64(const struct difference *d) { return d->insn && d->insn->opsize == 4 && d->c->mode == CODE_64; }
static bool in_16(const struct difference *d) { return d->c->mode == CODE_16; }

/* ---- x87 on Unicorn, which has values and no exceptions ---- */

static bool is_x87(const struct difference *d)
{
    return isa_rows[d->c->row].attributes & (A_X87 | A_WAITING);
}

static u16 our_fsw(const struct difference *d) { return image_get_16(d->ours->out.fxsave, FXSAVE_FSW); }

/* Invalid operation or stack fault (IE, SF), denormal operand, or something unmasked (ES). */
static bool x87_exception(const struct difference *d) { return is_x87(d) && (our_fsw(d) & 0x00c3); }

static bool exception_flags(const struct difference *d) { return is_x87(d) && !(d->bits & ~0x82ffull); }

static bool has_condition(const struct isa_row *row)
{
    static const char *const names[] = {"fcom*", "fucom*", "ficom*", "ftst", "fxam",
                                        "fprem*", "fsin*", "fcos", "fptan"};
    for (unsigned n = 0; n < ARRAY_LEN(names); n++)
        if (name_matches(names[n], row->mnemonic))
            return true;
    return false;
}

static bool undefined_condition(const struct difference *d)
{
    return is_x87(d) && !has_condition(&isa_rows[d->c->row]) && !(d->bits & ~0xc7ffull);
}

static bool approximated(const struct difference *d)
{
    static const char *const names[] = {"f2xm1", "fyl2x*", "fptan", "fpatan", "fsin*", "fcos", "fprem*"};
    for (unsigned n = 0; n < ARRAY_LEN(names); n++)
        if (name_matches(names[n], isa_rows[d->c->row].mnemonic))
            return true;
    return false;
}

static bool unit_before_fault(const struct difference *d)
{
    bool fault = d->ours->vector == VEC_PF || d->ours->vector == VEC_GP || d->ours->vector == VEC_SS;
    return fault && d->theirs->vector == OUTCOME_UNMAPPED;
}

/* MMX: the values are equal, and only bits 79..64 differ. */
static bool mmx_exponents(const struct difference *d)
{
    for (unsigned n = 0; n < 8; n++)
        if (memcmp(d->ours->out.fxsave + FXSAVE_ST + 16 * n, d->theirs->out.fxsave + FXSAVE_ST + 16 * n, 8))
            return false;
    return isa_rows[d->c->row].attributes & A_MMX;
}

/* Underflow, or a register that differs is ours with a denormal number. */
static bool denormal_result(const struct difference *d)
{
    const u8 *a = d->ours->out.fxsave + FXSAVE_ST;
    if (is_x87(d) && (our_fsw(d) & FSW_UE))
        return true;
    for (unsigned n = 0; n < 8; n++)
        if ((d->bits >> n & 1) && (image_get_16(a, 16 * n + 8) & 0x7fff))
            return false;
    return is_x87(d) && d->bits;
}

/* The operand of FXAM is empty, or of a format that the x87 does not support. */
static bool unsupported_or_empty(const struct difference *d)
{
    const u8 *in = d->c->in.fxsave;
    unsigned top = image_get_16(in, FXSAVE_FSW) >> FSW_TOP_SHIFT & 7;
    bool empty = !(in[FXSAVE_FTW] >> top & 1);
    return empty || ((image_get_16(in, FXSAVE_ST + 8) & 0x7fff) && !(in[FXSAVE_ST + 7] & 0x80));
}

static bool cleared_by_fcomi(const struct difference *d)
{
    return is_x87(d) && !(d->bits & ~(u64)(FLAG_OF | FLAG_SF | FLAG_AF)) &&
           !(d->ours->out.rflags & (FLAG_OF | FLAG_SF | FLAG_AF));
}

static bool rip_relative(const struct difference *d) { return d->insn && d->insn->base == REG_RIP; }

static bool loads_constant(const struct difference *d) { return isa_rows[d->c->row].modrm >= RM_X(0); }

static bool ssse3_mmx(const struct difference *d)
{
    const struct isa_row *row = &isa_rows[d->c->row];
    return (row->attributes & A_MMX) && (row->map == MAP_0F38 || row->map == MAP_0F3A);
}

static bool mxcsr_flags(const struct difference *d) { return !(d->bits & ~0x3full); }

/* MXCSR.DAZ or MXCSR.FZ */
static bool flushes(const struct difference *d)
{
    return (isa_rows[d->c->row].attributes & A_XM) && (image_get_32(d->c->in.fxsave, FXSAVE_MXCSR) & 0x8040);
}

static bool same_registers(const struct difference *d)
{
    return d->insn && !(d->insn->prefixes & INSN_MEM) && d->insn->reg == d->insn->rm;
}

static bool reserved_predicate(const struct difference *d)
{
    return d->insn && d->insn->imm > 7 && d->theirs->vector == VEC_UD;
}

/* Where the values differ, both are NaN. */
static bool both_nan(const struct difference *d)
{
    const char *name = isa_rows[d->c->row].mnemonic;
    size_t length = strlen(name);
    bool single = length > 2 && name[length - 1] == 's';
    const u8 *a = d->ours->out.fxsave + FXSAVE_XMM, *b = d->theirs->out.fxsave + FXSAVE_XMM;
    for (unsigned at = 0; at < (d->c->mode == CODE_64 ? 256 : 128); at += single ? 4 : 8) {
        u64 x = single ? (u64)image_get_32(a, at) << 32 : image_get_64(a, at);
        u64 y = single ? (u64)image_get_32(b, at) << 32 : image_get_64(b, at);
        u64 infinity = single ? 0x7f80000000000000 : 0x7ff0000000000000;
        if (x != y && ((x & ~(1ull << 63)) <= infinity || (y & ~(1ull << 63)) <= infinity))
            return false;
    }
    return isa_rows[d->c->row].attributes & A_XM;
}

static bool rex_w(const struct difference *d) { return d->insn && (d->insn->rex & 8); }

static bool reserved_fcw(const struct difference *d) { return !(d->bits & ~0xe0c0ull); }
static bool masks_fcw(const struct difference *d) { return !(d->bits & ~0x3full); }

static bool locked(const struct difference *d) { return d->insn && (d->insn->prefixes & INSN_LOCK); }

/* ---- The table ------------------------------------------------------------------------------------- */

const struct exception exceptions[] = {
    /* The host. Ours follows the SDM, which leaves the host's way open too, or the host is an AMD processor. */
    {REF_HOST, NULL, "fop fip fdp", host_is_amd,
     "AMD processors keep x87 pointers of unmasked exceptions only; ours are those of the last instruction (SDM vol. "
     "1, 8.1.8)"},
    {REF_HOST, "da*", "flags", only_undefined_flags,
     "DAA, DAS: OF is undefined, and has no native form in 64-bit code"},
    {REF_HOST, "aa*", "flags", only_undefined_flags,
     "AAA, AAS, AAM, AAD: undefined flags, no native form in 64-bit code"},
    {REF_HOST, NULL, "error", kernel_address,
     "Linux shows every fault of a user on a kernel address as one on a present page"},
    {REF_HOST, NULL, "vector gpr rip memory error cr2 flags", short_branch_in_64,
     "near branch with 66 in 64-bit code: AMD obeys it, Intel does not (SDM vol. 2, \"Jcc\", \"CALL\", \"RET\": "
     "forced to 64 bits)"},
    {REF_HOST, "loop*", "rip", repeated_loop,
     "LOOPcc under F2 or F3: AMD lets it change the condition; the SDM reserves the prefix (vol. 2, 2.1.1)"},
    {REF_HOST, "prefetchw", "vector", register_form, "0F 0D with a register: a NOP at Intel's, #UD at AMD's"},
    {REF_HOST, "push", "memory", pushes_wider,
     "PUSH Sreg of 32 bits: processors may write 16 bits only, as ours (SDM vol. 2, \"PUSH\")"},
    {REF_HOST, "enter", "memory", faults,
     "ENTER that faults: what it has pushed by then may be seen (it starts anew); ours has pushed nothing"},
    {REF_HOST, "cmps", "cr2", page_fault, "CMPS whose operands both fault: which first is not specified"},
    {REF_HOST, "arpl", "error", page_fault, "ARPL: ours opens its operand for writing, AMD reads first"},
    {REF_HOST, "arpl", "vector", through_cs,
     "ARPL of a read-only segment: #GP (SDM vol. 2, \"ARPL\"); AMD minds only if it writes"},
    {REF_HOST, "f*", "cr2", other_byte_of_operand,
     "x87 and SSE state: which of its missing bytes faults is not specified"},
    {REF_HOST, "maskmov*", "cr2", other_byte_of_operand, "MASKMOV: which byte faults is not specified"},
    {REF_HOST, "maskmovq", "fsw ftw st", amd_fault, "MASKMOVQ that faults: AMD has entered MMX state by then"},
    {REF_HOST, "maskmov*", "vector", masked_out,
     "MASKMOV: whether bytes that it does not store fault is up to the processor (SDM vol. 2)"},
    {REF_HOST, NULL, "vector", two_reasons,
     "misaligned and not canonical in SS: #GP or #SS, the order is not specified"},
    {REF_HOST, "ldmxcsr", "vector", amd_mxcsr, "AMD processors have MXCSR.MM (bit 17); our models have not"},
    {REF_HOST, "fxrstor", "vector", amd_mxcsr, "AMD processors have MXCSR.MM (bit 17); our models have not"},
    {REF_HOST, "fxsave", "memory", fxsave_pointers, "FXSAVE: pointers as above, MXCSR_MASK is the model's"},
    {REF_HOST, "ins*", "vector", repeats_nothing,
     "REP INS with a count of 0: AMD checks the port; the SDM executes nothing (vol. 2, \"REP\")"},
    {REF_HOST, "outs*", "vector", repeats_nothing,
     "REP OUTS with a count of 0: AMD checks the port; the SDM executes nothing (vol. 2, \"REP\")"},
    {REF_HOST, "mov", "vector", locked_cr, "LOCK MOV CR0 is MOV CR8 at AMD's; #UD by the SDM (vol. 2, \"LOCK\")"},

    /* Unicorn 2.0.1. */
    {REF_UNICORN, NULL, "vector", no_rights, "Unicorn checks no segment rights: it writes through CS"},
    {REF_UNICORN, NULL, "vector", not_canonical, "Unicorn does not know canonical addresses"},
    {REF_UNICORN, "test", "vector", test_alias,
     "F6 /1 and F7 /1 are TEST on every processor (so on this host); #UD in Unicorn"},
    {REF_UNICORN, "mov", "vector", rex_r,
     "C6 and C7 with REX.R: #UD in Unicorn; the digit has no fourth bit (SDM vol. 2, 2.2.1.2)"},
    {REF_UNICORN, "prefetch*", "vector", register_hint,
     "0F 0D and 0F 18 with a register: reserved NOPs, #UD in Unicorn"},
    {REF_UNICORN, NULL, "vector", misaligned, "Unicorn does not check alignment of 16-byte operands"},
    {REF_UNICORN, "fx*", "vector", fx_reasons,
     "FXSAVE misaligned and not canonical in SS: #GP or #SS, the order is not specified"},
    {REF_UNICORN, "fx*", "vector", gp_missed, "FXSAVE, FXRSTOR: Unicorn checks neither alignment nor MXCSR"},
    {REF_UNICORN, "ldmxcsr", "vector", gp_missed, "LDMXCSR: Unicorn takes reserved bits"},
    {REF_UNICORN, NULL, "vector", xm_missed, "Unicorn raises no SIMD floating-point exceptions"},
    {REF_UNICORN, NULL, "vector", mf_missed, "Unicorn does not raise waiting x87 exceptions"},
    {REF_UNICORN, NULL, "vector", bad_target, "Unicorn does not check branch targets against limit or canonical form"},
    {REF_UNICORN, "enter", "vector", page_fault,
     "ENTER: Unicorn does not probe the final stack pointer (SDM vol. 2, \"ENTER\": #PF if a write there would fault)"},
    {REF_UNICORN, "punpckl*", "vector", reads_more, "PUNPCKL* mm, m32: Unicorn reads 64 bits"},
    {REF_UNICORN, "movsxd", "vector", reads_more,
     "MOVSXD with 66: Unicorn reads 32 bits (SDM vol. 2, \"MOVSXD\": r16, r/m16)"},
    {REF_UNICORN, "cvt*", "vector", reads_more, "conversions of 64 bits in memory: Unicorn reads 128"},
    {REF_UNICORN, "rounds?", "vector", reads_more, "ROUNDSS, ROUNDSD of memory: Unicorn reads 128 bits"},
    {REF_UNICORN, "rcp?s", "xmm", NULL, "RCPPS, RCPSS: approximations; ours are the host's"},
    {REF_UNICORN, "rsqrt?s", "xmm", NULL, "RSQRTPS, RSQRTSS: approximations; ours are the host's"},
    {REF_UNICORN, NULL, "xmm st gpr flags", flushes, "Unicorn does not implement DAZ, and FZ not everywhere"},
    {REF_UNICORN, "cmp?s", "vector", reserved_predicate,
     "CMPPS and its kin: processors ignore reserved bits of imm8; #UD in Unicorn"},
    {REF_UNICORN, "cmp?d", "vector", reserved_predicate,
     "CMPPD and its kin: processors ignore reserved bits of imm8; #UD in Unicorn"},
    {REF_UNICORN, "ph*", "xmm", same_registers,
     "PHADD*, PHSUB* of a register with itself: Unicorn reads what it has written"},
    {REF_UNICORN, "h*", "xmm", same_registers,
     "HADD*, HSUB* of a register with itself: Unicorn reads what it has written"},
    {REF_UNICORN, "bextr", "gpr flags", NULL,
     "BEXTR: Unicorn loses the last bit of what reaches the operand's end; ours is the host's"},
    {REF_UNICORN, "blsi", "flags", NULL,
     "BLSI: CF is set if the source is not 0 (SDM vol. 2, \"BLSI\"); Unicorn's is another's"},
    {REF_UNICORN, "bzhi", "gpr flags", NULL, "BZHI: Unicorn compares the index with the width less one"},
    {REF_UNICORN, "pdep", "gpr", NULL, "PDEP: Unicorn exchanges source and mask"},
    {REF_UNICORN, "pext", "gpr", NULL, "PEXT: Unicorn exchanges source and mask"},
    {REF_UNICORN, "rorx", "gpr", rip_relative, "RORX r, m, imm8: Unicorn takes RIP one byte too low"},
    {REF_UNICORN, NULL, "memory", wrote_before_fault, "Unicorn has written the part in front of the missing page"},
    {REF_UNICORN, NULL, "gpr rip memory", short_branch,
     "near branch with 66 in 64-bit code: Unicorn does as AMD (SDM vol. 2, \"Jcc\", \"CALL\", \"RET\": forced to 64 "
     "bits)"},
    {REF_UNICORN, "cmpxchg", "gpr", dword_in_64,
     "CMPXCHG of 32 bits that matches: RAX is not written (SDM vol. 2, \"CMPXCHG\"; so the host); Unicorn "
     "zero-extends it"},
    {REF_UNICORN, "bswap", "gpr", word_sized,
     "BSWAP of 16 bits is undefined (SDM vol. 2, \"BSWAP\"); ours is the host's"},
    {REF_UNICORN, "sh?d", "gpr flags memory", word_sized,
     "SHLD, SHRD of 16 bits by more than 16: undefined (SDM vol. 2); ours is the host's"},
    {REF_UNICORN, "bs?", "gpr", dword_in_64, "BSF, BSR of 0: the destination is undefined; ours is the host's"},
    {REF_UNICORN, "crc32", "gpr", in_16, "CRC32 in 16-bit code: Unicorn takes 32 bits without 66"},
    {REF_UNICORN, "lahf", "gpr", has_rex, "LAHF with REX: Unicorn takes AH for SPL"},
    {REF_UNICORN, "sahf", "flags", has_rex, "SAHF with REX: Unicorn takes AH for SPL"},
    {REF_UNICORN, NULL, "fsw", exception_flags, "Unicorn keeps no x87 exception flags, nor C1"},
    {REF_UNICORN, NULL, "fsw st ftw memory gpr flags", x87_exception,
     "Unicorn knows no invalid operations, empty registers, denormal operands or unmasked exceptions of the x87"},
    {REF_UNICORN, NULL, "fsw", undefined_condition, "C0, C2, C3 are undefined (SDM vol. 2)"},
    {REF_UNICORN, "fxtract", "st", NULL, "FXTRACT: Unicorn takes a NaN for a number"},
    {REF_UNICORN, "pcmpistr?", "xmm gpr flags", NULL,
     "PCMPISTRx: Unicorn is one element off in rare cases; ours is the host's"},
    {REF_UNICORN, NULL, "st fsw ftw", approximated,
     "Unicorn computes transcendental functions and remainders with 53 bits and in another range"},
    {REF_UNICORN, "fscale", "st", NULL,
     "FSCALE: Unicorn obeys precision control (SDM vol. 1, 8.1.5.2: it concerns five operations only)"},
    {REF_UNICORN, "fld*", "st", loads_constant,
     "constants: Unicorn rounds them to nearest always (SDM vol. 2, \"FLD1\": by RC)"},
    {REF_UNICORN, "fxam", "fsw", unsupported_or_empty,
     "FXAM: Unicorn knows neither empty registers nor unsupported formats"},
    {REF_UNICORN, "fstpnce", "ftw st", NULL, "D9 D8+i: Unicorn takes it for DD D8+i, which minds empty registers"},
    {REF_UNICORN, NULL, "fsw ftw st xmm mxcsr", ssse3_mmx,
     "SSSE3 on mm registers: Unicorn does not clear TOP, and lets REX extend their numbers"},
    {REF_UNICORN, "cvtpi2p?", "fsw ftw st", NULL,
     "CVTPI2PS, CVTPI2PD of memory: ours is the host's; Unicorn enters MMX state"},
    {REF_UNICORN, NULL, "xmm", both_nan,
     "of two NaNs, Unicorn takes the one that the x87 would (SDM vol. 1, table 4-7: the first)"},
    {REF_UNICORN, "dpp?", "xmm", NULL, "DPPS, DPPD: Unicorn adds in another order, which shows in NaNs and zeros"},
    {REF_UNICORN, "frstor", "st", rex_w, "FRSTOR with REX.W: Unicorn looks for the registers 28 bytes too far"},
    {REF_UNICORN, NULL, "mxcsr", mxcsr_flags, "Unicorn keeps no SSE exception flags"},
    {REF_UNICORN, "fst*", "ftw", NULL, "FST ST(i): Unicorn leaves the destination's tag"},
    {REF_UNICORN, "fbstp", "memory", NULL, "FBSTP: Unicorn drops the sign of zero"},
    {REF_UNICORN, NULL, "st memory", denormal_result, "Unicorn's denormal results are rounded another way"},
    {REF_UNICORN, NULL, "flags", cleared_by_fcomi, "FCOMI clears OF, SF, AF (SDM vol. 2, \"FCOMI\"); Unicorn does not"},
    {REF_UNICORN, NULL, "fcw fsw ftw st xmm mxcsr", unit_before_fault,
     "Unicorn changes x87 state before it finds the fault"},
    {REF_UNICORN, NULL, "st", mmx_exponents,
     "Unicorn does not set bits 79..64 of a written mm register (SDM vol. 3, 12.2: all ones)"},
    {REF_UNICORN, "emms", "fsw st", NULL, "EMMS clears TOP (SDM vol. 3, table 12-1); Unicorn does not"},
    {REF_UNICORN, "fx*", "fsw", NULL, "FXRSTOR: ES and B follow from the other bits; Unicorn keeps them"},
    {REF_UNICORN, "fldenv", "vector", page_fault, "FLDENV: Unicorn reads control, status and tag words only"},
    {REF_UNICORN, "sh?d", "memory flags", rip_relative, "SHLD, SHRD m, r, imm8: Unicorn takes RIP one byte too low"},
    {REF_UNICORN, "ret", "gpr", NULL,
     "RET imm16: Unicorn extends the sign; it is unsigned (SDM vol. 2, \"RET\"; so the host)"},
    {REF_UNICORN, NULL, "fcw", reserved_fcw, "Unicorn stores reserved bits of the control word"},
    {REF_UNICORN, "fn*", "fcw", masks_fcw, "FNSTENV masks all exceptions (SDM vol. 2, \"FSTENV\"); Unicorn does not"},
    {REF_UNICORN, "fnstenv", "memory", NULL, "Unicorn has no x87 pointers, and zeros in the upper halves"},
    {REF_UNICORN, "fnsave", "memory", NULL, "Unicorn has no x87 pointers, and zeros in the upper halves"},
    {REF_UNICORN, "fxsave", "memory", NULL, "Unicorn has no x87 pointers and another MXCSR_MASK"},
    {REF_UNICORN, "neg", "flags", locked, "LOCK NEG: Unicorn's flags are those of another value"},
};
const unsigned exception_count = ARRAY_LEN(exceptions);

bool name_matches(const char *pattern, const char *name)
{
    while (*pattern && *pattern != '*' && *name && (*pattern == '?' || *pattern == *name)) {
        pattern++;
        name++;
    }
    return *pattern == '*' || (!*pattern && !*name);
}

/* Is `word` in `list`, whose words are separated by single spaces? */
static bool listed(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += length)
        if ((at == list || at[-1] == ' ') && (at[length] == ' ' || !at[length]))
            return true;
    return false;
}

const struct exception *exception_find(const struct difference *d)
{
    for (unsigned n = 0; n < exception_count; n++) {
        const struct exception *e = &exceptions[n];
        if ((e->ref < 0 || (enum reference)e->ref == d->ref) &&
            (!e->name || name_matches(e->name, isa_rows[d->c->row].mnemonic)) &&
            (!e->what || listed(e->what, d->what)) && (!e->applies || e->applies(d)))
            return e;
    }
    return NULL;
}
