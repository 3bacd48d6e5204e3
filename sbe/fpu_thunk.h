/* Thunks: one guest instruction each, re-encoded for the host, followed by RET.
 *
 * In a thunk the memory operand is [rdi], and a general register that the instruction names by ModRM is eax or rax;
 * xmm, mm and x87 registers are the guest's own. Private to the handlers of x87, MMX and SSE instructions. */
#ifndef REPRISE_SBE_FPU_THUNK_H
#define REPRISE_SBE_FPU_THUNK_H

#include "core/host.h"
#include "sbe/fpu.h"
#include "sbe/insn.h"

enum {
    FPU_THUNK_BITS = 13,
    FPU_THUNK_SLOTS = 1 << FPU_THUNK_BITS,
    FPU_THUNK_FULL = FPU_THUNK_SLOTS * 3 / 4, /* beyond this all are emitted anew: probe chains stay short */
    FPU_THUNK_BYTES = 16,                     /* per slot; the longest thunk is 66 REX 0F 3A op modrm imm8 RET: 8 */
};

/* A hash table whose slot number is also the place of the thunk in `code`. */
struct fpu_thunks {
    struct host_exec code;
    bool is_volatile; /* host_fpu_volatile(): park after every instruction */
    bool host_avx;    /* the host may leave upper halves of ymm registers dirty, which slows SSE instructions down */
    u32 used;
    u32 keys[FPU_THUNK_SLOTS]; /* thunk_key(), or 0: free */
};

/* Registers that a thunk starts and ends with; `flags` holds the six arithmetic flags at their RFLAGS positions. */
struct fpu_registers {
    u64 rax, rcx, rdx, flags;
};
_Static_assert(offsetof(struct fpu_registers, flags) == 24, "fpu_call.S");

/* What distinguishes a thunk, in 32 bits, never 0:
 * opcode 0..7, ModRM 8..15, imm8 16..23, map 24..25, mandatory prefix 26..27, REX.W 28, REX.R 29, REX.B 30. */
u32 thunk_key(const struct insn *i);

/* The thunk of a key that thunk_key() made from `i`; emits it when it is new. */
const void *thunk_find(struct fpu_thunks *t, u32 key, const struct insn *i);

/* Makes the guest's registers live in the processor. */
void fpu_enter_parked(struct vcpu *v);
static inline void fpu_enter(struct vcpu *v)
{
    if (__builtin_expect(!v->fpu_live, 0))
        fpu_enter_parked(v);
}

/* After a live use: a volatile host wants its registers back at once. */
static inline void fpu_leave(struct vcpu *v)
{
    if (__builtin_expect(v->thunks->is_volatile, 0))
        fpu_park(v);
}

/* Runs a thunk with RDI = memory. Returns 0, or the vector of the exception that it raised (VEC_MF, VEC_XM); then it
 * has changed nothing but exception flags of the unit. fpu_call_registers also carries RAX, RCX, RDX and the flags
 * in and out; they are unspecified after an exception. */
u32 fpu_call(const void *thunk, void *memory);
u32 fpu_call_registers(const void *thunk, void *memory, struct fpu_registers *registers);

/* The two together, for instruction `i`. */
u32 fpu_run(struct vcpu *v, const struct insn *i, void *memory);
u32 fpu_run_registers(struct vcpu *v, const struct insn *i, void *memory, struct fpu_registers *registers);

/* Is an unmasked x87 exception waiting for the next waiting instruction? */
bool fpu_x87_pending(struct vcpu *v);

/* What the guest gets for an exception of a thunk: #MF or FERR#, #XM or #UD. */
enum exec fpu_fault(struct vcpu *v, u32 vector);

/* What the guest gets for an operand that faults (v->fault): that, unless an x87 exception of an earlier instruction is
 * still to be raised. Waiting x87 instructions and those on mm registers raise it before they look at operands. */
enum exec fpu_operand_fault(struct vcpu *v, const struct insn *i);

/* Fields of cpu.fpu.fxsave, SDM vol. 1, table 10-2. */
enum {
    FXSAVE_FCW = 0, FXSAVE_FSW = 2, FXSAVE_FTW = 4, FXSAVE_FOP = 6, FXSAVE_FIP = 8, FXSAVE_FCS = 12, FXSAVE_FDP = 16,
    FXSAVE_FDS = 20, FXSAVE_MXCSR = 24, FXSAVE_MXCSR_MASK = 28, FXSAVE_ST = 32, FXSAVE_XMM = 160, FXSAVE_XMM8 = 288,
    FXSAVE_RESERVED = 416, FXSAVE_BYTES = 512,
};

/* MXCSR bits that the models have, DAZ included: CPUID's FXSAVE mask. A host may have more (AMD: bit 17). */
#define MXCSR_MODEL_MASK 0xffffu
#define MXCSR_DEFAULT 0x1f80u
#define FCW_DEFAULT 0x037fu

#define FSW_IE 0x0001u
#define FSW_OE 0x0008u
#define FSW_UE 0x0010u
#define FSW_ES 0x0080u
#define FSW_TOP_SHIFT 11

static inline u16 image_get_16(const u8 *image, unsigned at)
{
    u16 x;
    __builtin_memcpy(&x, image + at, sizeof x);
    return x;
}
static inline u32 image_get_32(const u8 *image, unsigned at)
{
    u32 x;
    __builtin_memcpy(&x, image + at, sizeof x);
    return x;
}
static inline u64 image_get_64(const u8 *image, unsigned at)
{
    u64 x;
    __builtin_memcpy(&x, image + at, sizeof x);
    return x;
}
static inline void image_set_16(u8 *image, unsigned at, u16 x) { __builtin_memcpy(image + at, &x, sizeof x); }
static inline void image_set_32(u8 *image, unsigned at, u32 x) { __builtin_memcpy(image + at, &x, sizeof x); }
static inline void image_set_64(u8 *image, unsigned at, u64 x) { __builtin_memcpy(image + at, &x, sizeof x); }

#endif
