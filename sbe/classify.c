/* The pass that says what is done with each instruction. */
#include "core/vm.h"
#include "sbe/handlers.h"
#include "sbe/interp.h"
#include "sbe/translate_internal.h"

#define KIND(name) (1u << OPK_##name)

static unsigned operand_of_kind(const struct isa_row *row, u32 kinds)
{
    unsigned n = 0;
    while (n < ISA_OPERANDS && !(kinds >> isa_operands[row->operands[n]].kind & 1))
        n++;
    return n;
}

unsigned operand_rm(const struct isa_row *row)
{
    return operand_of_kind(row, KIND(GRM) | KIND(GREGONLY) | KIND(MEM) | KIND(MOFFS) | KIND(XRM) | KIND(XRMREG) |
                                KIND(MRM) | KIND(MRMREG) | KIND(OPREG));
}

unsigned operand_reg(const struct isa_row *row) { return operand_of_kind(row, KIND(GREG)); }

bool row_has_operand(const struct isa_row *row, enum isa_operand operand)
{
    for (unsigned n = 0; n < ISA_OPERANDS; n++)
        if (row->operands[n] == operand)
            return true;
    return false;
}

bool row_named(const struct isa_row *row, const char *mnemonic)
{
    const char *name = row->mnemonic;
    while (*name && *name == *mnemonic)
        name++, mnemonic++;
    return *name == *mnemonic;
}

/* The segment register that MOV, PUSH or POP names; SEG_COUNT: none. */
enum seg row_segment(const struct isa_row *row, const struct insn *i)
{
    static const struct {
        u8 operand, seg;
    } fixed[] = {{OPD_ES, SEG_ES}, {OPD_CS, SEG_CS}, {OPD_SS, SEG_SS}, {OPD_DS, SEG_DS}, {OPD_FS, SEG_FS}, {OPD_GS, SEG_GS}};
    if (row_has_operand(row, OPD_Sw))
        return (enum seg)(i->reg & 7);
    for (unsigned n = 0; n < ARRAY_LEN(fixed); n++)
        if (row->operands[0] == fixed[n].operand)
            return (enum seg)fixed[n].seg;
    return SEG_COUNT;
}

static bool named_one_of(const struct isa_row *row, const char *const *names)
{
    for (; *names; names++)
        if (row_named(row, *names))
            return true;
    return false;
}

/* Their first operand is only read. IMUL with one operand is one of them, with two or three it is not. */
static bool reads_only(const struct isa_row *row)
{
    static const char *const names[] = {"cmp", "test", "bt", "mul", "div", "idiv", NULL};
    return named_one_of(row, names) || (row_named(row, "imul") && row->operands[1] == OPD___);
}

static bool exchanges(const struct isa_row *row) { return row_named(row, "xchg") || row_named(row, "xadd"); }

bool row_writes_rm(const struct isa_row *row)
{
    return (operand_rm(row) == 0 && !reads_only(row)) || exchanges(row);
}

bool row_writes_reg(const struct isa_row *row)
{
    return (operand_reg(row) == 0 && !reads_only(row)) || exchanges(row);
}

/* Instructions after which nothing may be taken for granted: they go elsewhere, or change what the next one means. */
static bool ends_block(const struct isa_row *row)
{
    static const char *const names[] = {"call",   "jmp",     "ret",    "int3",  "int",   "into",  "int1", "iret",
                                        "hlt",    "sysenter", "sysexit", "syscall", "sysret", "rsm",   "ud2",  "ud1",
                                        "ud0",    "popf",    "sti",    "lmsw",  "wrmsr", "mwait", "lss",  NULL};
    bool pops_ss = row_named(row, "pop") && row_has_operand(row, OPD_SS);
    return named_one_of(row, names) || row_has_operand(row, OPD_Cn) || pops_ss;
}

static enum treatment classify_branch(const struct isa_row *row)
{
    bool relative = isa_operands[row->operands[0]].kind == OPK_REL;
    if (row_named(row, "j"))
        return DO_JUMP_IF;
    if (row_named(row, "jcxz") || row_named(row, "loop") || row_named(row, "loope") || row_named(row, "loopne"))
        return DO_LOOP;
    if (row_named(row, "jmp"))
        return relative ? DO_JUMP : DO_JUMP_INDIRECT;
    if (row_named(row, "call"))
        return relative ? DO_CALL : DO_CALL_INDIRECT;
    return row_named(row, "ret") ? DO_RETURN : DO_CALLOUT_END;
}

/* Only segments without surprises are translated: see block_key(). */
enum segment_kind segment_kind(const struct translation *t, unsigned seg)
{
    if (t->wide)
        return seg >= SEG_FS ? SEGMENT_BASED : SEGMENT_FLAT;
    if (t->key & KEY_FLAT(seg))
        return SEGMENT_FLAT;
    if (t->key & KEY_BASED(seg))
        return SEGMENT_BASED;
    return t->key & KEY_LOW(seg) ? SEGMENT_LOW : SEGMENT_NONE;
}

static bool is_code16(const struct translation *t) { return t->key & KEY_CODE16; }

/* The operand size that branches and the stack have: in 16-bit code also the other one. */
static bool size_natural(const struct translation *t, const struct insn *i)
{
    return t->wide ? i->opsize == 8 : i->opsize == 4 || (is_code16(t) && i->opsize == 2);
}

static bool stack_translated(const struct translation *t, const struct insn *i)
{
    return size_natural(t, i) && segment_kind(t, SEG_SS) != SEGMENT_NONE;
}

/* In real mode, CS can be written. */
static bool memory_translated(const struct translation *t, const struct insn *i)
{
    bool reads_only = !t->wide && i->seg == SEG_CS && !(t->key & (KEY_REAL | KEY_FLAT(SEG_CS)));
    if ((i->addrsize == 2 && !is_code16(t)) || (reads_only && row_writes_rm(&isa_rows[i->row])))
        return false;
    return segment_kind(t, i->seg) != SEGMENT_NONE;
}

static enum treatment classify_stack(const struct translation *t, const struct isa_row *row, const struct insn *i)
{
    if (!stack_translated(t, i))
        return DO_CALLOUT;
    if (i->prefixes & INSN_MEM)
        return row_named(row, "push") && memory_translated(t, i) ? DO_PUSH_MEMORY : DO_CALLOUT;
    if (row_named(row, "push"))
        return DO_PUSH;
    if (row_named(row, "pop"))
        return i->rm == RSP ? DO_CALLOUT : DO_POP;
    if (row_named(row, "pusha") || row_named(row, "popa"))
        return row_named(row, "pusha") ? DO_PUSH_ALL : DO_POP_ALL;
    return row_named(row, "leave") ? DO_LEAVE : DO_CALLOUT;
}

static bool is_high_byte(const struct isa_row *row, unsigned operand, u8 at)
{
    return operand < ISA_OPERANDS && isa_operands[row->operands[operand]].size == OPZ_B && (at & 1);
}

/* AH to BH cannot be named beside a register that wants a REX prefix. CH is in no register that has high bytes. */
static bool high_bytes_translated(const struct translation *t, const struct isa_row *row, const struct insn *i)
{
    unsigned reg = operand_reg(row), rm = operand_rm(row);
    bool memory = i->prefixes & INSN_MEM;
    bool reg_high = is_high_byte(row, reg, i->reg_at), rm_high = !memory && is_high_byte(row, rm, i->rm_at);
    if (!reg_high && !rm_high)
        return true;
    if (reg < ISA_OPERANDS && (host_of(t->wide, i->reg_at >> 3) > RDI))
        return false;
    return memory || rm == ISA_OPERANDS || host_of(t->wide, i->rm_at >> 3) <= RDI;
}

static enum treatment classify_data(const struct translation *t, const struct isa_row *row, const struct insn *i)
{
    static const char *const nothing[] = {"nop", "prefetch", "prefetchw", "pause", "lfence", "mfence", "sfence", NULL};
    const struct cpu_model *model = t->v->vm->config.model;
    bool pair = row_named(row, "cmpxchg8b") && i->opsize == 8 && !model_has(model, FEAT_CX16);
    if (row->map > MAP_0F3A || pair)
        return DO_CALLOUT;
    if (row_named(row, "cld") || row_named(row, "std")) /* DF is in the key */
        return row_named(row, "std") == ((t->key & KEY_DOWN) != 0) ? DO_NOTHING : DO_CALLOUT_END;
    if (named_one_of(row, nothing))
        return DO_NOTHING;
    if (row_named(row, "tzcnt") && !model_has(model, FEAT_BMI1))
        return DO_CALLOUT;
    if (row_named(row, "lzcnt") && !model_has(model, FEAT_LZCNT))
        return DO_CALLOUT;
    if ((row_named(row, "lahf") || row_named(row, "sahf")) && t->wide && !model_has(model, FEAT_LAHF64))
        return DO_CALLOUT;
    if (row->map == MAP_1B && row->opcode == 0x90 && i->rm == RAX)
        return DO_NOTHING; /* XCHG rAX, rAX does not even clear the upper half */
    if (row_named(row, "lea"))
        return i->addrsize == 2 && !is_code16(t) ? DO_CALLOUT : DO_LEA;
    if ((i->prefixes & INSN_MEM) && !memory_translated(t, i))
        return DO_CALLOUT;
    if (!high_bytes_translated(t, row, i))
        return DO_CALLOUT;
    unsigned reg = operand_reg(row);
    bool counted = row_has_operand(row, OPD_CL);
    if (counted && reg < ISA_OPERANDS && host_of(t->wide, i->reg) == HOST_NONE)
        return DO_CALLOUT; /* two scratch registers are not enough */
    return DO_PLAIN;
}

/* FIP and its kin come from the guest, and FDP is an offset in a segment: here, one with base 0. */
static enum treatment classify_x87(const struct translation *t, const struct insn *i)
{
    insn_handler handler = interp_handlers[i->row][2];
    if (!(t->key & KEY_X87) || (handler != op_x87 && handler != op_x87_store && handler != op_x87_flags))
        return DO_CALLOUT;
    if (is_code16(t)) /* it would remember other things */
        return DO_CALLOUT;
    bool flat = segment_kind(t, i->seg) == SEGMENT_FLAT;
    return (i->prefixes & INSN_MEM) && !(memory_translated(t, i) && flat) ? DO_CALLOUT : DO_PLAIN;
}

/* SSE and MMX on their own registers, and between them and memory or one general register. */
static enum treatment classify_fpu(const struct translation *t, const struct isa_row *row, const struct insn *i)
{
    insn_handler handler = interp_handlers[i->row][2];
    u32 wanted = (row->attributes & A_SSE ? KEY_SSE : 0) | (row->attributes & A_MMX ? KEY_X87 : 0);
    bool plain = handler == op_simd || handler == op_simd_store || handler == op_simd_flags ||
                 handler == op_simd_from_gpr || handler == op_simd_to_gpr || handler == op_simd_to_rm;
    if (row->attributes & A_X87)
        return classify_x87(t, i);
    if (!plain || !wanted || (t->key & wanted) != wanted)
        return DO_CALLOUT;
    return (i->prefixes & INSN_MEM) && !memory_translated(t, i) ? DO_CALLOUT : DO_PLAIN;
}

/* One element, where addresses are as wide as code; the destination's segment is always ES. */
static enum treatment classify_string(const struct translation *t, const struct isa_row *row, const struct insn *i)
{
    static const char *const named[] = {"lods", "stos", "scas", "movs", "cmps", NULL};
    enum segment_kind worst = is_code16(t) ? SEGMENT_LOW : SEGMENT_FLAT, from = segment_kind(t, i->seg);
    enum segment_kind to = t->wide ? SEGMENT_FLAT : segment_kind(t, SEG_ES);
    bool known = from != SEGMENT_NONE && from <= worst && to != SEGMENT_NONE && to <= worst;
    bool once = !(i->prefixes & (INSN_REP | INSN_REPNE)), natural = i->addrsize == (t->wide ? 8 : is_code16(t) ? 2 : 4);
    return known && once && natural && named_one_of(row, named) ? DO_STRING : DO_CALLOUT;
}

/* MOV, PUSH and POP of segment registers. */
static enum treatment classify_selector(const struct translation *t, const struct isa_row *row, const struct insn *i)
{
    bool memory = (i->prefixes & INSN_MEM) && !memory_translated(t, i);
    if (row_named(row, "push"))
        return stack_translated(t, i) ? DO_PUSH_SELECTOR : DO_CALLOUT;
    if (row_named(row, "mov") && row->operands[1] == OPD_Sw)
        return memory ? DO_CALLOUT : DO_STORE_SELECTOR;
    enum seg seg = row_segment(row, i);
    if (!(t->key & KEY_REAL) || seg == SEG_SS || !(t->key & KEY_LOW(seg)))
        return ends_block(row) ? DO_CALLOUT_END : DO_CALLOUT;
    if (row_named(row, "pop"))
        return stack_translated(t, i) ? DO_POP_SELECTOR : DO_CALLOUT;
    return memory ? DO_CALLOUT : DO_LOAD_SELECTOR;
}

/* Sensitive instructions with sequences of their own, where the key says that they are allowed. */
static enum treatment classify_system(const struct translation *t, const struct isa_row *row, const struct insn *i)
{
    bool time = (t->key & KEY_TSC) && ((t->key & KEY_SYSTEM) || !(t->key & KEY_TSD));
    if ((row_named(row, "rdtsc") || row_named(row, "rdtscp")) && time)
        return DO_TIME;
    if ((row_named(row, "cli") || row_named(row, "sti")) && (t->key & KEY_SYSTEM))
        return row_named(row, "cli") ? DO_CLI : DO_STI;
    if (row_named(row, "pushf") && stack_translated(t, i) && !(t->key & KEY_V86))
        return DO_PUSHF;
    if (row_segment(row, i) != SEG_COUNT)
        return classify_selector(t, row, i);
    return ends_block(row) ? DO_CALLOUT_END : DO_CALLOUT;
}

/* Fast system calls and SWAPGS; DO_CALLOUT for all others, and for these where they do not do the usual. */
static enum treatment classify_call(const struct translation *t, const struct isa_row *row, const struct insn *i)
{
    bool user = t->key & KEY_USER, system = t->key & KEY_SYSTEM, down = t->key & KEY_DOWN;
    if (t->wide) {
        if (row_named(row, "swapgs") && system)
            return DO_SWAPGS;
        if (row_named(row, "syscall") && user && !down)
            return DO_SYSCALL;
        return row_named(row, "sysret") && system && i->opsize == 8 ? DO_SYSRET : DO_CALLOUT;
    }
    if ((t->key & (KEY_REAL | KEY_COMPATIBLE)) || is_code16(t) || down)
        return DO_CALLOUT;
    if (row_named(row, "sysenter") && user)
        return DO_SYSENTER;
    return row_named(row, "sysexit") && system ? DO_SYSEXIT : DO_CALLOUT;
}

static enum treatment classify_near(const struct translation *t, const struct isa_row *row, const struct insn *i)
{
    enum treatment treatment = classify_branch(row);
    bool relative = isa_operands[row->operands[0]].kind == OPK_REL;
    bool memory = (i->prefixes & INSN_MEM) && !memory_translated(t, i);
    bool stack = treatment == DO_CALL || treatment == DO_RETURN || treatment == DO_CALL_INDIRECT;
    bool beyond = relative && (t->key & KEY_SHORT) && branch_target(t, i) > 0xffff;
    if (!size_natural(t, i) || memory || beyond || (stack && !stack_translated(t, i)))
        return DO_CALLOUT_END;
    return treatment;
}

enum treatment classify(const struct translation *t, const struct insn *i)
{
    const struct isa_row *row = &isa_rows[i->row];
    bool available = model_has(t->v->vm->config.model, (enum feature)row->feature);
    enum treatment call = available ? classify_call(t, row, i) : DO_CALLOUT;
    if (call != DO_CALLOUT)
        return call;
    if (!available || (row->attributes & (A_CPL0 | A_PROT)))
        return ends_block(row) ? DO_CALLOUT_END : DO_CALLOUT;
    switch (row->cls) {
    case CLS_IDENTITY:
    case CLS_MEMORY: return classify_data(t, row, i);
    case CLS_FPU: return classify_fpu(t, row, i);
    case CLS_STACK: return classify_stack(t, row, i);
    case CLS_BRANCH: return classify_near(t, row, i);
    case CLS_STRING: return classify_string(t, row, i);
    default: return classify_system(t, row, i);
    }
}
