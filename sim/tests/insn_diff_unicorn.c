/* Unicorn 2.0.1 as the reference, in a process of its own.
 *
 * It must be told to stop at the address behind the instruction: with an instruction count instead, code that has been
 * rewritten runs stale. So does, without uc_ctl_remove_cache(), code that raised an exception. A canary watches for
 * that. Branches go elsewhere: for them there is an engine with a hook that stops at the next block. */
#include "sim/tests/insn_diff.h"

#include "sbe/fpu_thunk.h"

#include <string.h>
#include <sys/mman.h>
#include <unicorn/unicorn.h>

enum { CANARY_AT = CODE_BASE + CODE_BYTES - 64, CANARY_EVERY = 61, FILLER = 0xf4 };
enum { REG_GPR = 0, REG_EIP = GPR_COUNT, REG_FLAGS, INTEGER_REGISTERS, FP_REGISTERS = 8, XMM_REGISTERS = 16 };

struct engine_state {
    uc_engine *uc;
    uc_context *fresh; /* as it was before the first instruction */
    u8 *code, *window;
    u64 pc;
    int interrupt; /* last vector raised, or -1 */
    unsigned blocks;
};

static struct engine_state engines[CODE_64 + 1][2]; /* by mode; [1] for branches */
static unsigned executed;

static const int gprs64[] = {
    UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RBX, UC_X86_REG_RSP, UC_X86_REG_RBP, UC_X86_REG_RSI,
    UC_X86_REG_RDI, UC_X86_REG_R8, UC_X86_REG_R9, UC_X86_REG_R10, UC_X86_REG_R11, UC_X86_REG_R12, UC_X86_REG_R13,
    UC_X86_REG_R14, UC_X86_REG_R15};
static const int gprs32[] = {UC_X86_REG_EAX, UC_X86_REG_ECX, UC_X86_REG_EDX, UC_X86_REG_EBX,
                             UC_X86_REG_ESP, UC_X86_REG_EBP, UC_X86_REG_ESI, UC_X86_REG_EDI};

static void on_interrupt(uc_engine *uc, uint32_t vector, void *user)
{
    ((struct engine_state *)user)->interrupt = (int)vector;
    uc_emu_stop(uc);
}

static void on_block(uc_engine *uc, uint64_t address, uint32_t size, void *user)
{
    struct engine_state *e = user;
    (void)size;
    if (address != e->pc || ++e->blocks > 1)
        uc_emu_stop(uc);
}

static bool map_memory(struct engine_state *e)
{
    e->code = mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    e->window = mmap(NULL, WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (e->code == MAP_FAILED || e->window == MAP_FAILED)
        return false;
    memcpy(e->window, window_pattern, WINDOW_BYTES);
    return uc_mem_map_ptr(e->uc, CODE_BASE, CODE_BYTES, UC_PROT_ALL, e->code) == UC_ERR_OK &&
           uc_mem_map_ptr(e->uc, WINDOW_BASE, WINDOW_BYTES, UC_PROT_READ | UC_PROT_WRITE, e->window) == UC_ERR_OK;
}

static void real_mode_segments(uc_engine *uc)
{
    static const int data[] = {UC_X86_REG_DS, UC_X86_REG_ES, UC_X86_REG_SS, UC_X86_REG_FS, UC_X86_REG_GS};
    u16 selector = CODE_BASE >> 4;
    uc_reg_write(uc, UC_X86_REG_CS, &selector);
    selector = WINDOW_BASE >> 4;
    for (unsigned n = 0; n < ARRAY_LEN(data); n++)
        uc_reg_write(uc, data[n], &selector);
}

/* ---- State ---------------------------------------------------------------------------------------- */

/* Fills the two tables that uc_reg_*_batch() take; returns how many registers. `values`: 16 bytes for each. */
static unsigned register_table(enum code_mode mode, int *ids, void **pointers, u64 *values)
{
    unsigned count = mode == CODE_64 ? GPR_COUNT : R8;
    for (unsigned n = 0; n < count; n++) {
        ids[n] = mode == CODE_64 ? gprs64[n] : gprs32[n];
        pointers[n] = &values[2 * n];
    }
    ids[count] = UC_X86_REG_EFLAGS;
    pointers[count] = &values[2 * count];
    return count + 1;
}

static void write_integers(uc_engine *uc, enum code_mode mode, const struct diff_state *s)
{
    int ids[INTEGER_REGISTERS];
    void *pointers[INTEGER_REGISTERS];
    u64 values[2 * INTEGER_REGISTERS];
    unsigned count = register_table(mode, ids, pointers, values);
    for (unsigned n = 0; n + 1 < count; n++)
        values[2 * n] = s->gpr[n];
    values[2 * (count - 1)] = s->rflags;
    uc_reg_write_batch(uc, ids, pointers, (int)count);
}

static void read_integers(uc_engine *uc, enum code_mode mode, struct diff_state *s)
{
    int ids[INTEGER_REGISTERS];
    void *pointers[INTEGER_REGISTERS];
    u64 values[2 * INTEGER_REGISTERS] = {0};
    unsigned count = register_table(mode, ids, pointers, values);
    uc_reg_read_batch(uc, ids, pointers, (int)count);
    memset(s->gpr, 0, sizeof(s->gpr));
    for (unsigned n = 0; n + 1 < count; n++)
        s->gpr[n] = mode == CODE_64 ? values[2 * n] : (u32)values[2 * n];
    s->rflags = (u32)values[2 * (count - 1)];
    s->rip = 0;
    uc_reg_read(uc, mode == CODE_64 ? UC_X86_REG_RIP : UC_X86_REG_EIP, &s->rip);
}

/* The FP registers of Unicorn are physical ones, the image has them in stack order; two tag bits against one. */
static void write_unit(uc_engine *uc, const u8 *image)
{
    u16 fcw = image_get_16(image, FXSAVE_FCW), fsw = image_get_16(image, FXSAVE_FSW), tags = 0;
    u32 mxcsr = image_get_32(image, FXSAVE_MXCSR);
    unsigned top = fsw >> FSW_TOP_SHIFT & 7;
    for (unsigned n = 0; n < FP_REGISTERS; n++) {
        u8 value[16];
        memcpy(value, image + FXSAVE_ST + 16 * n, 10);
        uc_reg_write(uc, UC_X86_REG_FP0 + (int)((top + n) & 7), value);
        if (!(image[FXSAVE_FTW] >> n & 1))
            tags |= (u16)(3 << 2 * n);
    }
    for (unsigned n = 0; n < XMM_REGISTERS; n++)
        uc_reg_write(uc, UC_X86_REG_XMM0 + (int)n, image + FXSAVE_XMM + 16 * n);
    uc_reg_write(uc, UC_X86_REG_FPCW, &fcw);
    uc_reg_write(uc, UC_X86_REG_FPSW, &fsw);
    uc_reg_write(uc, UC_X86_REG_FPTAG, &tags);
    uc_reg_write(uc, UC_X86_REG_MXCSR, &mxcsr);
}

static void read_unit(uc_engine *uc, u8 *image)
{
    u16 fcw = 0, fsw = 0, tags = 0;
    u32 mxcsr = 0;
    memset(image, 0, FXSAVE_IMAGE);
    uc_reg_read(uc, UC_X86_REG_FPCW, &fcw);
    uc_reg_read(uc, UC_X86_REG_FPSW, &fsw);
    uc_reg_read(uc, UC_X86_REG_FPTAG, &tags);
    uc_reg_read(uc, UC_X86_REG_MXCSR, &mxcsr);
    image_set_16(image, FXSAVE_FCW, fcw);
    image_set_16(image, FXSAVE_FSW, fsw);
    image_set_32(image, FXSAVE_MXCSR, mxcsr);
    unsigned top = fsw >> FSW_TOP_SHIFT & 7;
    for (unsigned n = 0; n < FP_REGISTERS; n++) {
        u8 value[16] = {0};
        uc_reg_read(uc, UC_X86_REG_FP0 + (int)((top + n) & 7), value);
        memcpy(image + FXSAVE_ST + 16 * n, value, 10);
        if ((tags >> 2 * n & 3) != 3)
            image[FXSAVE_FTW] |= (u8)(1 << n);
    }
    for (unsigned n = 0; n < XMM_REGISTERS; n++)
        uc_reg_read(uc, UC_X86_REG_XMM0 + (int)n, image + FXSAVE_XMM + 16 * n);
}

/* ---- Execution ------------------------------------------------------------------------------------ */

static s16 vector_of(const struct engine_state *e, uc_err error)
{
    switch (error) {
    case UC_ERR_OK: return e->interrupt >= 0 ? (s16)e->interrupt : OUTCOME_NONE;
    case UC_ERR_INSN_INVALID: return VEC_UD;
    case UC_ERR_READ_UNMAPPED: case UC_ERR_WRITE_UNMAPPED: case UC_ERR_READ_PROT: case UC_ERR_WRITE_PROT:
        return OUTCOME_UNMAPPED;
    case UC_ERR_EXCEPTION: return e->interrupt >= 0 ? (s16)e->interrupt : OUTCOME_NOT_RUN;
    default: return OUTCOME_NOT_RUN;
    }
}

static uc_err run_at(struct engine_state *e, u64 pc, const u8 *bytes, unsigned length)
{
    e->pc = pc;
    e->interrupt = -1;
    e->blocks = 0;
    uc_ctl_remove_cache(e->uc, pc, pc + SLOT_BYTES);
    uc_mem_write(e->uc, pc, bytes, length);
    return uc_emu_start(e->uc, pc, pc + length, 0, 0);
}

/* An exception that nobody delivers stays in flight, and the next one becomes a double fault. */
static void forget_exception(struct engine_state *e) { uc_context_restore(e->uc, e->fresh); }

/* CR4.OSFXSR is clear at first, and writing CR4 from outside does not reach the translator. */
static bool enable_sse(struct engine_state *e, enum code_mode mode)
{
    static const u8 mov_cr4_eax[] = {0x0f, 0x22, 0xe0};
    u64 eax = CR4_OSFXSR | CR4_OSXMMEXCPT | (mode == CODE_64 ? CR4_PAE : 0);
    uc_reg_write(e->uc, mode == CODE_64 ? UC_X86_REG_RAX : UC_X86_REG_EAX, &eax);
    return run_at(e, CANARY_AT, mov_cr4_eax, sizeof(mov_cr4_eax)) == UC_ERR_OK;
}

/* Code that raised an exception is what went stale: UD2, then at the same place MOV with a fresh immediate. */
static bool canary_alive(struct engine_state *e)
{
    static const u8 ud2[] = {0x0f, 0x0b};
    u8 code[5] = {0xb8};
    u32 eax = 0, expected = executed * 2654435761u;
    unsigned immediate = e == &engines[CODE_16][0] ? 2 : 4;
    memcpy(code + 1, &expected, immediate);
    bool raised = vector_of(e, run_at(e, CANARY_AT, ud2, sizeof(ud2))) == VEC_UD;
    forget_exception(e);
    uc_reg_write(e->uc, UC_X86_REG_EAX, &eax);
    uc_err error = run_at(e, CANARY_AT, code, 1 + immediate);
    uc_reg_read(e->uc, UC_X86_REG_EAX, &eax);
    return raised && error == UC_ERR_OK && eax == (immediate == 2 ? (u16)expected : expected);
}

static void unicorn_execute(const struct diff_case *c, struct outcome *o)
{
    enum code_mode mode = (enum code_mode)c->mode;
    struct engine_state *e = &engines[mode][c->branches];
    if (executed++ % CANARY_EVERY == 0 && !canary_alive(&engines[mode][0])) {
        o->vector = OUTCOME_CANARY;
        return;
    }
    if (c->lock_refused) { /* executes some of them, and aborts for others */
        o->vector = OUTCOME_NOT_RUN;
        return;
    }
    if (c->branches) /* where it lands is translated before the hook stops it, and what was there may abort Unicorn */
        memset(e->code, FILLER, CODE_BYTES);
    window_prepare(e->window, c);
    write_integers(e->uc, mode, &c->in);
    if (c->uses_unit)
        write_unit(e->uc, c->in.fxsave);
    uc_err error = run_at(e, c->in.rip + (mode == CODE_16 ? CODE_BASE : 0), c->bytes, c->length);
    o->has_error = o->has_cr2 = false;
    o->vector = vector_of(e, error);
    read_integers(e->uc, mode, &o->out);
    if ((error == UC_ERR_FETCH_UNMAPPED || error == UC_ERR_FETCH_PROT) && c->branches)
        o->vector = OUTCOME_NONE; /* has arrived where nothing is */
    if (c->uses_unit)
        read_unit(e->uc, o->out.fxsave);
    if (error != UC_ERR_OK || e->interrupt >= 0)
        forget_exception(e);
    window_collect(e->window, c, o);
}

/* ---- The process ---------------------------------------------------------------------------------- */

static bool open_engine(struct engine_state *e, enum code_mode mode, bool branches)
{
    static const uc_mode modes[] = {UC_MODE_16, UC_MODE_32, UC_MODE_64};
    uc_hook hook;
    if (uc_open(UC_ARCH_X86, modes[mode], &e->uc) != UC_ERR_OK ||
        uc_ctl_set_cpu_model(e->uc, UC_CPU_X86_HASWELL) != UC_ERR_OK || !map_memory(e))
        return false;
    if (mode == CODE_16)
        real_mode_segments(e->uc);
    if (!enable_sse(e, mode))
        return false;
    if (uc_context_alloc(e->uc, &e->fresh) != UC_ERR_OK || uc_context_save(e->uc, e->fresh) != UC_ERR_OK)
        return false;
    if (uc_hook_add(e->uc, &hook, UC_HOOK_INTR, (void *)on_interrupt, e, 1, 0) != UC_ERR_OK)
        return false;
    return !branches || uc_hook_add(e->uc, &hook, UC_HOOK_BLOCK, (void *)on_block, e, 1, 0) == UC_ERR_OK;
}

static bool unicorn_open(void)
{
    for (enum code_mode mode = CODE_16; mode <= CODE_64; mode++)
        for (unsigned n = 0; n < 2; n++)
            if (!open_engine(&engines[mode][n], mode, n == 1))
                return false;
    return true;
}

static const char *unicorn_missing(enum code_mode mode)
{
    (void)mode;
    return NULL;
}

const struct backend backend_unicorn = {
    .name = "Unicorn",
    .ref = REF_UNICORN,
    .open = unicorn_open,
    .execute = unicorn_execute,
    .missing = unicorn_missing,
};
