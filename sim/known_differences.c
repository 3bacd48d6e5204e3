#include "sim/known_differences.h"

#include "sbe/insn.h"
#include "sbe/isa.h"
#include "sim/state_fields.h"

#include <string.h>

/* ---- Conditions ----------------------------------------------------------------------------------- */

static const struct isa_row *last_row(const struct known_stretch *s)
{
    return &isa_rows[s->rows[s->count - 1]];
}

/* Every flag that differs was left undefined by the last instruction of the stretch that wrote it. */
static bool undefined_flags(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    u32 open = ours->aflags ^ theirs->aflags;
    for (unsigned n = s->count; n-- && open;) {
        const struct isa_row *row = &isa_rows[s->rows[n]];
        if (open & row->flags_written & ~row->flags_undefined)
            return false;
        open &= ~row->flags_undefined;
    }
    return !open;
}

/* ---- Conditions on memory as well, which get no processors -------------------------------------------- */

static bool far_faulted(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    (void)ours;
    (void)theirs;
    return s->faulted && last_row(s)->cls == CLS_CALLOUT;
}

static bool general_detect(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    (void)ours;
    (void)theirs;
    return s->faulted && (s->before.dr[7] & DR7_GD);
}

static bool only_rf(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    (void)s;
    return (ours->rflags ^ theirs->rflags) == FLAG_RF;
}

static bool in_64_bit_code(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    (void)ours;
    (void)theirs;
    return cpu_code64(&s->before);
}

static bool both_shut_down(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    return s->shut_down && (!theirs || theirs->activity == ours->activity);
}

static bool vex_outside_protected(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    (void)ours;
    (void)theirs;
    return s->faulted && cpu_real_segments(&s->before) && last_row(s)->map >= MAP_VEX_0F;
}

static bool unit_faulted(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    (void)ours;
    (void)theirs;
    return s->faulted && last_row(s)->cls == CLS_FPU;
}

static bool stack_faulted(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    (void)ours;
    (void)theirs;
    return s->faulted && (last_row(s)->cls == CLS_STACK || last_row(s)->cls == CLS_BRANCH);
}

static bool stepped_undefined_flags(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    (void)ours;
    (void)theirs;
    return (s->before.rflags & FLAG_TF) && last_row(s)->flags_undefined;
}

static bool faulted(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    (void)ours;
    (void)theirs;
    return s->faulted;
}

static bool of_16_bits(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    (void)ours;
    (void)theirs;
    return s->opsize == 2;
}

static bool of_16_bits_in_64(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    return of_16_bits(s, ours, theirs) && cpu_code64(&s->before);
}

/* A register points to the last bytes of 4 GiB, or the instruction lies there; or the stack grows down from its first bytes. */
static bool wraps_at_4g(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    const u32 near = 32;
    bool wraps = (u32)s->before.rip + near < near || (u32)s->before.gpr[RSP] < near || s->disp + near < near;
    (void)ours;
    (void)theirs;
    for (unsigned n = 0; n < GPR_COUNT; n++)
        wraps |= (u32)s->before.gpr[n] + near < near;
    return wraps && s->limit_faulted && !cpu_code64(&s->before);
}

static bool nop_of_p6(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    const struct isa_row *row = last_row(s);
    (void)ours;
    (void)theirs;
    return s->faulted && row->map == MAP_0F && row->opcode >= 0x18 && row->opcode <= 0x1f;
}

static bool sreg_with_rex_r(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    const u8 *operands = last_row(s)->operands;
    (void)ours;
    (void)theirs;
    return (s->rex & 4) && (isa_operands[operands[0]].kind == OPK_SREG || isa_operands[operands[1]].kind == OPK_SREG);
}

static bool unusable(const struct segment *a, const struct segment *b)
{
    return (a->attributes & b->attributes & SEG_UNUSABLE) || a->attributes == b->attributes;
}

static bool null_segments(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    bool null = true;
    (void)s;
    for (unsigned n = 0; n < SEG_COUNT; n++)
        null &= unusable(&ours->seg[n], &theirs->seg[n]);
    return null;
}

static bool only_c1(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    (void)s;
    return (ours->fpu.fxsave[3] ^ theirs->fpu.fxsave[3]) == 2 && ours->fpu.fxsave[2] == theirs->fpu.fxsave[2];
}

/* Ours has refused an EIP beyond FFFFH of a frame with VM set; they have gone there. */
static bool v86_frame_refused(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    const struct cpu *b = &s->before;
    (void)ours;
    return s->limit_faulted && cpu_protected(b) && !cpu_v86(b) && b->cpl == 0 && !(b->rflags & FLAG_NT) &&
           (!theirs || cpu_v86(theirs));
}

/* They have found the value not to be storable, and have an exception pending; ours has met a fault of its destination first. Or
 * none: then only the destination's A and D bits can differ. */
static bool store_refused(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    (void)ours;
    bool first = s->faulted && (!theirs || (theirs->fpu.fxsave[2] & 0x80));
    return last_row(s)->cls == CLS_FPU && (first || (!theirs && s->unit_pending));
}

/* A frame on a stack with a 16-bit pointer goes round its end. */
static bool stack_wraps_at_64k(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    const u16 near = 64;
    const struct cpu *b = &s->before;
    (void)ours;
    (void)theirs;
    return !cpu_code64(b) && !(b->seg[SEG_SS].attributes & SEG_DB) && (u16)(b->gpr[RSP] + near) < 2u * near;
}

static bool only_rtm(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    (void)s;
    return (ours->dr[7] ^ theirs->dr[7]) == 0x800;
}

/* Another exception was met while one was delivered. */
static bool delivery_faulted(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    (void)ours;
    (void)theirs;
    return s->faulted_again;
}

static bool task_faulted(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    return s->faulted && s->before.tr.selector != ours->tr.selector && ours->tr.selector == theirs->tr.selector;
}

static bool only_if(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    return s->faulted && (ours->rflags ^ theirs->rflags) == FLAG_IF;
}

static bool fetch_crosses(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    u64 at = s->before.seg[SEG_CS].base + s->before.rip;
    (void)ours;
    (void)theirs;
    return s->faulted && s->rows[0] == ISA_INVALID && (at & PAGE_MASK) > PAGE_SIZE - INSN_MAX;
}

static bool enter_wraps(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    (void)ours;
    (void)theirs;
    return s->limit_faulted && !cpu_code64(&s->before) && (u32)s->before.gpr[RBP] < 256;
}

static bool repeats_nothing(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    (void)ours;
    (void)theirs;
    return !s->faulted && !(u16)s->before.gpr[RCX];
}

static bool from_or_to_real_mode(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    (void)theirs;
    return !cpu_protected(&s->before) || !cpu_protected(ours);
}

/* A program was stepped when the instruction began, and is not any more. */
static bool was_stepped(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    (void)theirs;
    return (s->before.rflags & FLAG_TF) && (!ours || !(ours->rflags & FLAG_TF));
}

static bool upper_halves(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    bool lower_same = true;
    for (unsigned n = 0; n < GPR_COUNT; n++)
        lower_same &= (u32)ours->gpr[n] == (u32)theirs->gpr[n];
    return lower_same && cpu_code64(&s->before) && !cpu_code64(ours);
}

static bool only_step(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    (void)s;
    return (ours->pending_db ^ theirs->pending_db) == DR6_BS && (ours->rflags & FLAG_TF);
}

/* C1, underflow, precision. */
static bool only_rounding(const struct known_stretch *s, const struct cpu *ours, const struct cpu *theirs)
{
    (void)s;
    return ours->fpu.fxsave[3] == (theirs->fpu.fxsave[3] ^ ((ours->fpu.fxsave[3] ^ theirs->fpu.fxsave[3]) & 2)) &&
           !((ours->fpu.fxsave[2] ^ theirs->fpu.fxsave[2]) & ~0x30);
}

/* ---- The table ------------------------------------------------------------------------------------- */

const struct known_row known_rows[] = {
    {"*", NULL, "flags", undefined_flags, KNOWN_UNDEFINED,
     "flags that the instruction leaves undefined (isa.def; SDM vol. 2): ours are the host processor's"},
    {"bochs", "f*", "fcs fds", in_64_bit_code, KNOWN_UNDEFINED,
     "x87 selectors in 64-bit code: FXSAVE64 has none, and processors may report 0 (SDM vol. 1, 8.1.8, 10.5.1.1)"},
    {"bochs", "call jmp ret* iret* int* into", "memory", far_faulted, KNOWN_UNDEFINED,
     "a far transfer that faults on its way: Bochs has written part of the frame, or touched its page; ours nothing"},
    {"bochs", NULL, "rflags cr2 memory", both_shut_down, KNOWN_UNDEFINED,
     "after a triple fault: what the deliveries on the way there have left (SDM vol. 3, 6.15, \"Interrupt 8\")"},
    {"bochs", "*", "*", vex_outside_protected, KNOWN_OURS,
     "VEX in real-address and v86 mode: #UD (SDM vol. 2, 2.7); Bochs executes BMI there"},
    {"bochs", "*", "memory", stack_faulted, KNOWN_UNDEFINED,
     "a stack instruction that faults on its way: Bochs has pushed part of it; ours nothing"},
    {"bochs", "*", "memory", unit_faulted, KNOWN_UNDEFINED,
     "an x87, MMX or SSE instruction that faults: whether its operand's page is marked accessed (SDM vol. 3, 4.8)"},
    {"bochs", "*", "memory", stepped_undefined_flags, KNOWN_UNDEFINED,
     "flags that the instruction leaves undefined, in the frame of its single-step trap"},
    {"bochs", "lds les lss lfs lgs ret* iret* call jmp push* pop* enter leave f*", "cr2", faulted, KNOWN_UNDEFINED,
     "which of several bytes that are missing is reported: the manual does not say in which order an operand is read"},
    {"bochs", "f*", "fip fdp fop fcs fds", faulted, KNOWN_UNDEFINED,
     "pointers of an x87 instruction that faults on its operand (SDM vol. 1, 8.1.8): ours are of the last that executed"},
    {"bochs", "shld shrd", "r* flags memory", of_16_bits, KNOWN_UNDEFINED,
     "SHLD, SHRD of 16 bits by more than 16: the result is undefined (SDM vol. 2, \"SHLD\")"},
    {"bochs", "enter leave", "rsp rbp memory", of_16_bits_in_64, KNOWN_OURS,
     "ENTER, LEAVE with 66 in 64-bit code push and pop 16 bits (SDM vol. 2, \"ENTER\"; processors do); Bochs ignores 66"},
    {"bochs", "rcp* rsqrt*", "xmm", NULL, KNOWN_UNDEFINED,
     "approximations; ours are the host processor's (SDM vol. 1, 11.6)"},
    {"bochs", "ps*", "st", NULL, KNOWN_OURS,
     "MMX shifts by an immediate 0 set bits 79..64 of the register, as all MMX writes (SDM vol. 1, 9.6.2); Bochs does not"},
    {"bochs", "fld fcomi* fucomi* f2xm1 fyl2x* fptan fpatan fsin* fcos fprem*", "fsw", only_c1, KNOWN_UNDEFINED,
     "C1 after a comparison, after FLD of an empty register onto a full one, or of an approximation: ours is the host's"},
    {"bochs", "*", "*", wraps_at_4g, KNOWN_UNDEFINED,
     "with a limit of FFFFFFFFH, an access beyond it may fault or wrap (SDM vol. 3, 5.3): ours faults, Bochs wraps"},
    {"bochs", "nop prefetch*", "*", nop_of_p6, KNOWN_OURS,
     "0F 18..1F on a Pentium: #UD, they came with the P6 family (SDM vol. 2, \"NOP\"); to Bochs they are always there"},
    {"bochs", "mov", "*", sreg_with_rex_r, KNOWN_OURS,
     "REX.R has no meaning with a segment register (SDM vol. 2, 2.2.1.2): Bochs raises #UD"},
    {"bochs", "f2xm1 fyl2x* fptan fpatan fsin* fcos fprem*", "st", NULL, KNOWN_UNDEFINED,
     "transcendental instructions: right to one unit in the last place (SDM vol. 1, 8.3.10); ours are the host's"},
    {"bochs", "maskmov*", "cr2 fsw ftw st", faulted, KNOWN_UNDEFINED,
     "MASKMOVQ, MASKMOVDQU that fault: whether MMX state has been entered, and which byte is reported (SDM vol. 2, \"MASKMOVQ\")"},
    {"bochs", "*", "es.attributes ds.attributes fs.attributes gs.attributes", null_segments, KNOWN_UNDEFINED,
     "the hidden part of an unusable segment"},
    {"bochs", "mov", "memory", general_detect, KNOWN_OURS,
     "general detect pushes RF as every fault but an instruction breakpoint does (SDM vol. 3, 17.3.1.1); Bochs pushes 0"},
    {"bochs", "sysret", "rflags", only_rf, KNOWN_OURS,
     "SYSRET loads RFLAGS from R11 & 3C7FD7H, without RF (SDM vol. 2, \"SYSRET\"); Bochs takes RF"},
    {"bochs", "fist* fst fstp fbstp", "*", store_refused, KNOWN_UNDEFINED,
     "an x87 store with an unmasked exception of its value: whether its destination is touched, or faults, before that"},
    {"bochs", "iret* ret* call jmp int*", "*", stack_wraps_at_64k, KNOWN_UNDEFINED,
     "a frame that goes round the end of a 16-bit stack: popped one by one (ours) or \"top 12 bytes within limits\" (Bochs)"},
    {"bochs", "mov", "dr", only_rtm, KNOWN_OURS,
     "DR7 bit 11 (RTM) reads 0 on processors without RTM (SDM vol. 3, 17.2.4); Bochs keeps what is written"},
    {"bochs", "*", "memory", delivery_faulted, KNOWN_UNDEFINED,
     "an exception met while another was delivered: what the first delivery has pushed by then"},
    {"bochs", "call jmp int* iret*", "es* cs* ss* ds* fs* gs* rflags", task_faulted, KNOWN_UNDEFINED,
     "a task switch that faults in the new task: which of its segments have been loaded (SDM vol. 3, 7.3)"},
    {"bochs", "*", "rflags", only_if, KNOWN_UNDEFINED,
     "an operand both misaligned and beyond its segment: #GP or #SS, whose gates differ in these tests"},
    {"bochs", "*", "memory", fetch_crosses, KNOWN_UNDEFINED,
     "bytes that are no instruction at a page's end: whether the next page has been touched, too"},
    {"bochs", "enter leave", "*", enter_wraps, KNOWN_UNDEFINED,
     "a display, or a stack that LEAVE puts, around address 0: ours faults, Bochs wraps (SDM vol. 3, 5.3)"},
    {"bochs", "psrlq psllq", "xmm", NULL, KNOWN_OURS,
     "PSRLQ, PSLLQ by an immediate of 64: 0 (SDM vol. 2; ours is the host processor's); Bochs leaves the register"},
    {"bochs", "dpp*", "mxcsr", NULL, KNOWN_UNDEFINED,
     "flags of the intermediate sums of DPPS, DPPD: their order is the processor's (SDM vol. 2, \"DPPD\")"},
    {"bochs", "fist* fst fstp fbstp", "fsw", faulted, KNOWN_UNDEFINED,
     "an x87 store that faults: whether the flags of its value have been set"},
    {"bochs", "ins* outs*", "*", repeats_nothing, KNOWN_OURS,
     "REP INS, REP OUTS with a count of 0 access no port (SDM vol. 2, \"REP\"); Bochs asks for the permission all the same"},
    {"bochs", "mov lmsw", "cs.attributes", from_or_to_real_mode, KNOWN_OURS,
     "the hidden part of CS stays what it was until CS is loaded (SDM vol. 3, 9.9.2); Bochs makes it data"},
    {"bochs", "sysret syscall", "*", was_stepped, KNOWN_UNDEFINED,
     "SYSCALL, SYSRET that end single-stepping: whether they trap themselves, the manual does not say; processors do not"},
    {"bochs", "sysret sysexit ret* iret* jmp call", "r*", upper_halves, KNOWN_UNDEFINED,
     "upper halves of registers when 64-bit mode is left (SDM vol. 1, 3.4.1.1)"},
    {"bochs", "f2xm1 fyl2x* fptan fpatan fsin* fcos", "fsw", only_rounding, KNOWN_UNDEFINED,
     "whether a transcendental instruction's result was tiny or rounded: it is right to one unit only (SDM vol. 1, 8.3.10)"},
    {"bochs", "sysret", "pending_db", only_step, KNOWN_UNDEFINED,
     "SYSRET to a program with TF: processors trap before its first instruction, the manual is silent; Bochs behind it"},
    {"bochs", "iret*", "*", v86_frame_refused, KNOWN_OURS,
     "IRET to v86 mode with EIP above FFFFH: #GP(0) (SDM vol. 2, \"IRET\", RETURN-TO-VIRTUAL-8086-MODE); Bochs cuts EIP off"},
};
const unsigned known_row_count = ARRAY_LEN(known_rows);
_Static_assert(ARRAY_LEN(known_rows) <= KNOWN_ROWS_MAX, "a count for each row");

/* ---- Looking it up --------------------------------------------------------------------------------- */

static bool word_matches(const char *word, size_t length, const char *name)
{
    if (length && word[length - 1] == '*')
        return !strncmp(word, name, length - 1);
    return strlen(name) == length && !strncmp(word, name, length);
}

static bool list_has(const char *list, const char *name)
{
    if (!list)
        return true;
    for (const char *word = list; *word; word += strspn(word, " ")) {
        size_t length = strcspn(word, " ");
        if (word_matches(word, length, name))
            return true;
        word += length;
    }
    return false;
}

static bool applies(const struct known_row *r, const struct engine *reference, const struct known_stretch *s)
{
    if (!list_has(r->engine, reference->name))
        return false;
    return !r->insns || (s->count == 1 && list_has(r->insns, last_row(s)->mnemonic));
}

/* The row that explains a difference in `field`; known_row_count if none does. */
static unsigned find_row(const struct engine *reference, const struct known_stretch *s, const char *field,
                         const struct cpu *ours, const struct cpu *theirs)
{
    unsigned n = 0;
    while (n < known_row_count) {
        const struct known_row *r = &known_rows[n];
        if (list_has(r->fields, field) && applies(r, reference, s) && (!r->holds || r->holds(s, ours, theirs)))
            break;
        n++;
    }
    return n;
}

static bool field_differs(const struct state_field *f, const struct cpu *a, const struct cpu *b)
{
    for (unsigned n = 0; n < f->count; n++)
        if (memcmp((const u8 *)a + f->offset + n * f->stride, (const u8 *)b + f->offset + n * f->stride, f->bytes))
            return true;
    return false;
}

bool known_differences_adopt(const struct engine *reference, const struct known_stretch *stretch, const struct cpu *ours,
                             struct cpu *theirs, u64 counts[KNOWN_ROWS_MAX])
{
    bool used[KNOWN_ROWS_MAX] = {false};
    if (!stretch->count)
        return false;
    for (unsigned n = 0; n < state_field_count; n++) {
        const struct state_field *f = &state_fields[n];
        if (!field_differs(f, ours, theirs))
            continue;
        unsigned row = find_row(reference, stretch, f->name, ours, theirs);
        if (row == known_row_count)
            return false;
        used[row] = true;
    }
    for (unsigned n = 0; n < known_row_count; n++)
        counts[n] += used[n];
    *theirs = *ours;
    return true;
}

bool known_differences_in_memory(const struct engine *reference, const struct known_stretch *stretch,
                                 u64 counts[KNOWN_ROWS_MAX])
{
    unsigned row = stretch->count ? find_row(reference, stretch, "memory", NULL, NULL) : known_row_count;
    if (row == known_row_count)
        return false;
    counts[row]++;
    return true;
}
