/* Thunks, and moving the guest's FPU state in and out of the processor. */
#include "core/panic.h"
#include "devices/chipset.h"
#include "sbe/fpu_thunk.h"

/* ---- Thunks --------------------------------------------------------------------------------------- */

#define KEY_MODRM_SHIFT 8
#define KEY_IMM_SHIFT 16
#define KEY_MAP_SHIFT 24
#define KEY_PREFIX_SHIFT 26
#define KEY_REX_W (1u << 28)
#define KEY_REX_R (1u << 29)
#define KEY_REX_B (1u << 30)
#define KEY_VALID (1u << 31)

#define REX_W 8u
#define REX_R 4u
#define REX_B 1u
#define MODRM_RDI 7u /* mod 0, rm 7: [rdi] */

#define OPCODE_RET 0xc3

_Static_assert(MAP_1B == 0 && MAP_0F == 1 && MAP_0F38 == 2 && MAP_0F3A == 3, "two key bits hold the map");

/* Two bits; 66, F3 and F2 in a row that takes them as ordinary prefixes mean nothing here. */
static u32 key_prefix(const struct isa_row *row)
{
    switch (row->prefix) {
    case PX_66: return 1;
    case PX_F3: return 2;
    case PX_F2: return 3;
    default: return 0;
    }
}

static u32 key_rex(u8 rex)
{
    return (rex & REX_W ? KEY_REX_W : 0) | (rex & REX_R ? KEY_REX_R : 0) | (rex & REX_B ? KEY_REX_B : 0);
}

/* Does an operand of the row name a general register by ModRM, in one of these ways? In the thunk that is eax or rax. */
static bool row_has_kind(const struct isa_row *row, u32 kinds)
{
    for (unsigned n = 0; n < ISA_OPERANDS; n++)
        if (kinds >> isa_operands[row->operands[n]].kind & 1)
            return true;
    return false;
}

u32 thunk_key(const struct insn *i)
{
    const struct isa_row *row = &isa_rows[i->row];
    u32 modrm = i->modrm;
    u32 rex = row->map == MAP_1B ? 0 : key_rex(i->rex); /* no x87 instruction needs one */
    if (i->prefixes & INSN_MEM) {
        modrm = (modrm & 0x38) | MODRM_RDI;
        rex &= ~KEY_REX_B;
    } else if (row_has_kind(row, 1u << OPK_GRM | 1u << OPK_GREGONLY)) {
        modrm &= 0xf8;
        rex &= ~KEY_REX_B;
    }
    if (row_has_kind(row, 1u << OPK_GREG)) {
        modrm &= 0xc7;
        rex &= ~KEY_REX_R;
    }
    return KEY_VALID | i->opcode | modrm << KEY_MODRM_SHIFT | ((u32)i->imm & 0xff) << KEY_IMM_SHIFT |
           (u32)row->map << KEY_MAP_SHIFT | key_prefix(row) << KEY_PREFIX_SHIFT | rex;
}

static bool row_has_imm8(const struct isa_row *row)
{
    for (unsigned n = 0; n < ISA_OPERANDS; n++)
        if (row->operands[n] == OPD_Ib)
            return true;
    return false;
}

static void emit(u8 *to, u32 key, const struct isa_row *row)
{
    static const u8 prefixes[] = {0, 0x66, 0xf3, 0xf2};
    u32 prefix = key >> KEY_PREFIX_SHIFT & 3, map = key >> KEY_MAP_SHIFT & 3;
    if (prefix)
        *to++ = prefixes[prefix];
    u8 rex = (u8)((key & KEY_REX_W ? REX_W : 0) | (key & KEY_REX_R ? REX_R : 0) | (key & KEY_REX_B ? REX_B : 0));
    if (rex)
        *to++ = 0x40 | rex;
    if (map != MAP_1B)
        *to++ = 0x0f;
    if (map == MAP_0F38)
        *to++ = 0x38;
    if (map == MAP_0F3A)
        *to++ = 0x3a;
    *to++ = (u8)key;
    if (row->modrm != RM_NONE)
        *to++ = (u8)(key >> KEY_MODRM_SHIFT);
    if (row_has_imm8(row))
        *to++ = (u8)(key >> KEY_IMM_SHIFT);
    *to = OPCODE_RET;
}

/* Code was written through another linear address than it runs at: SDM vol. 3, 8.1.3 wants a serializing
 * instruction. */
static void serialize(void)
{
    u32 eax = 0, ebx, ecx = 0, edx;
    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx) : : "memory");
}

static u32 free_slot(const struct fpu_thunks *t, u32 slot)
{
    while (t->keys[slot])
        slot = (slot + 1) % FPU_THUNK_SLOTS;
    return slot;
}

static __attribute__((noinline)) const void *thunk_emit(struct fpu_thunks *t, u32 key, u32 home, const struct insn *i)
{
    if (t->used >= FPU_THUNK_FULL) {
        memset(t->keys, 0, sizeof t->keys);
        t->used = 0;
    }
    u32 slot = free_slot(t, home);
    t->keys[slot] = key;
    t->used++;
    emit(t->code.rw + slot * FPU_THUNK_BYTES, key, &isa_rows[i->row]);
    serialize();
    return t->code.rx + slot * FPU_THUNK_BYTES;
}

const void *thunk_find(struct fpu_thunks *t, u32 key, const struct insn *i)
{
    u32 home = key * 0x9e3779b1u >> (32 - FPU_THUNK_BITS); /* Fibonacci hashing: 2^32 / golden ratio */
    for (u32 slot = home; t->keys[slot]; slot = (slot + 1) % FPU_THUNK_SLOTS)
        if (t->keys[slot] == key)
            return t->code.rx + slot * FPU_THUNK_BYTES;
    return thunk_emit(t, key, home, i);
}

/* AVX that the operating system has enabled; without it VZEROUPPER is #UD. */
static bool host_has_avx(void)
{
    u32 eax = 1, ebx, ecx = 0, edx;
    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    u32 wanted = 1u << 28 | 1u << 27; /* CPUID.1:ECX.AVX, OSXSAVE */
    if ((ecx & wanted) != wanted)
        return false;
    __asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
    return (eax & 6) == 6;
}

enum status fpu_thunks_create(struct vcpu *v)
{
    struct fpu_thunks *t = host_alloc(sizeof *t);
    if (!t)
        return STATUS_NO_MEMORY;
    enum status status = host_exec_alloc(FPU_THUNK_SLOTS * FPU_THUNK_BYTES, &t->code);
    if (status != STATUS_OK) {
        host_free(t, sizeof *t);
        return status;
    }
    t->is_volatile = host_fpu_volatile();
    t->host_avx = host_has_avx();
    v->thunks = t;
    return STATUS_OK;
}

void fpu_thunks_destroy(struct vcpu *v)
{
    fpu_park(v);
    host_exec_free(&v->thunks->code);
    host_free(v->thunks, sizeof *v->thunks);
    v->thunks = NULL;
}

/* ---- State ---------------------------------------------------------------------------------------- */

void fpu_reset(struct cpu *c)
{
    c->fpu = (struct fpu){.fip = 0};
    u8 *image = c->fpu.fxsave;
    image_set_16(image, FXSAVE_FCW, 0x0040);
    image[FXSAVE_FTW] = 0xff; /* the full tag word is 5555H: eight zeros, none empty */
    image_set_32(image, FXSAVE_MXCSR, MXCSR_DEFAULT);
    image_set_32(image, FXSAVE_MXCSR_MASK, MXCSR_MODEL_MASK);
}

void fpu_enter_parked(struct vcpu *v)
{
    u8 *image = v->cpu.fpu.fxsave;
    if (v->thunks->host_avx)
        __asm__ volatile("vzeroupper");
    image_set_32(image, FXSAVE_MXCSR, image_get_32(image, FXSAVE_MXCSR) & MXCSR_MODEL_MASK);
    __asm__ volatile("fxrstor64 %0" : : "m"(*(const u8(*)[FXSAVE_BYTES])image));
    v->fpu_live = true;
}

void fpu_park_live(struct vcpu *v)
{
    u8 *image = v->cpu.fpu.fxsave;
    u32 mxcsr = MXCSR_DEFAULT;
    __asm__ volatile("fxsave64 %0\n\tfninit\n\tldmxcsr %1" : "=m"(*(u8(*)[FXSAVE_BYTES])image) : "m"(mxcsr));
    /* The pointers are the host's, and processors differ in when they keep them. */
    image_set_16(image, FXSAVE_FOP, 0);
    image_set_64(image, FXSAVE_FIP, 0);
    image_set_64(image, FXSAVE_FDP, 0);
    image_set_32(image, FXSAVE_MXCSR_MASK, MXCSR_MODEL_MASK);
    v->fpu_live = false;
}

/* ---- Execution ------------------------------------------------------------------------------------ */

static inline const void *thunk_of(struct vcpu *v, const struct insn *i)
{
    return thunk_find(v->thunks, i->thunk ? i->thunk : thunk_key(i), i);
}

u32 fpu_run(struct vcpu *v, const struct insn *i, void *memory)
{
    const void *thunk = thunk_of(v, i);
    fpu_enter(v);
    u32 vector = fpu_call(thunk, memory);
    fpu_leave(v);
    return vector;
}

u32 fpu_run_registers(struct vcpu *v, const struct insn *i, void *memory, struct fpu_registers *registers)
{
    const void *thunk = thunk_of(v, i);
    fpu_enter(v);
    u32 vector = fpu_call_registers(thunk, memory, registers);
    fpu_leave(v);
    return vector;
}

bool fpu_x87_pending(struct vcpu *v)
{
    u16 fsw = image_get_16(v->cpu.fpu.fxsave, FXSAVE_FSW);
    if (v->fpu_live)
        __asm__ volatile("fnstsw %0" : "=a"(fsw));
    return fsw & FSW_ES;
}

enum exec fpu_fault(struct vcpu *v, u32 vector)
{
    struct cpu *c = &v->cpu;
    if (vector == VEC_XM)
        return c->cr4 & CR4_OSXMMEXCPT ? fault_vector(v, VEC_XM) : fault_ud(v);
    invariant(vector == VEC_MF);
    if (c->cr0 & CR0_NE)
        return fault_vector(v, VEC_MF);
    /* MS-DOS compatible handling (SDM vol. 1, 8.7.1): FERR# reaches IRQ 13, and the processor waits in front of the
     * instruction until an interrupt comes. Each such attempt takes the time of one instruction, so that timers go
     * on. */
    chipset_ferr(v->vm);
    c->icount++;
    vcpu_kick(v);
    return EXEC_REPEAT;
}

enum exec fpu_operand_fault(struct vcpu *v, const struct insn *i)
{
    const struct isa_row *row = &isa_rows[i->row];
    /* CVTPI2PS and CVTPI2PD of memory name no mm register. */
    bool mmx = (row->attributes & A_MMX) && isa_operands[row->operands[0]].kind != OPK_XREG;
    bool raises = (row->attributes & A_WAITING) || mmx;
    return raises && fpu_x87_pending(v) ? fpu_fault(v, VEC_MF) : EXEC_FAULT;
}
