/* Handlers of x87, MMX and SSE instructions that run natively: operands are fetched and checked here, the
 * instruction itself is a thunk (sbe/fpu_thunk.h).
 *
 * insn_forbidden() has already raised #UD and #NM. Operands come before the thunk, and what the thunk computed for a
 * general register goes there only if it raised nothing, so an instruction that faults changes nothing. */
#include "sbe/fpu_thunk.h"
#include "sbe/handlers.h"

#define REX_W 8u

/* ---- Operands in memory --------------------------------------------------------------------------- */

/* Bytes of the operand that the ModRM byte puts in memory: the first or the second one of every row here. */
static unsigned memory_bytes(const struct insn *i)
{
    static const u8 bytes[] = {[OPZ_B] = 1, [OPZ_W] = 2, [OPZ_D] = 4, [OPZ_Q] = 8, [OPZ_T] = 10, [OPZ_DQ] = 16};
    const u32 kinds = 1u << OPK_GRM | 1u << OPK_MEM | 1u << OPK_XRM | 1u << OPK_MRM;
    const struct isa_row *row = &isa_rows[i->row];
    const struct isa_operand_info *operand = &isa_operands[row->operands[0]];
    if (!(kinds >> operand->kind & 1))
        operand = &isa_operands[row->operands[1]];
    if (operand->size == OPZ_Y)
        return i->rex & REX_W ? 8 : 4;
    return bytes[operand->size];
}

struct operand {
    u64 offset; /* in its segment */
    u64 linear;
    u8 size;
    u8 *host; /* where the thunk finds it */
    struct mem_rmw memory;
};

/* Segment and alignment checks. */
static inline bool operand_locate(struct vcpu *v, const struct insn *i, enum access access, struct operand *o)
{
    o->size = (u8)memory_bytes(i);
    o->offset = insn_offset(v, i);
    if (!seg_linear(v, (enum seg)i->seg, o->offset, o->size, access, &o->linear))
        return false;
    if ((isa_rows[i->row].attributes & A_ALIGN) && (o->linear & (o->size - 1u))) {
        fault_gp(v, 0);
        return false;
    }
    return true;
}

static inline bool operand_read(struct vcpu *v, const struct insn *i, struct operand *o)
{
    if (!operand_locate(v, i, ACCESS_READ, o))
        return false;
    const struct tlb_entry *e = tlb_slot(v->tlb.current, o->linear);
    if (__builtin_expect(tlb_hit(e->read_tag, o->linear, o->size, v->tlb.epoch), 1)) {
        o->host = (u8 *)(o->linear + e->addend);
        return true;
    }
    o->host = o->memory.bounce;
    return mem_read_slow(v, o->linear, o->memory.bounce, o->size, (enum tlb_rights)v->tlb.rights);
}

/* After this, the store cannot fault. MMIO is not read. */
static inline bool operand_write_begin(struct vcpu *v, const struct insn *i, struct operand *o)
{
    if (!operand_locate(v, i, ACCESS_WRITE, o) || !mem_write_begin(v, o->linear, o->size, &o->memory))
        return false;
    o->host = o->memory.host;
    return true;
}

/* ---- MMX and SSE ---------------------------------------------------------------------------------- */

/* Registers only, or reads memory. Kept apart from the memory form: struct operand makes for a large stack frame. */
static __attribute__((noinline)) enum exec simd_memory(struct vcpu *v, const struct insn *i)
{
    struct operand o;
    if (!operand_read(v, i, &o))
        return fpu_operand_fault(v, i);
    u32 vector = fpu_run(v, i, o.host);
    return __builtin_expect(vector, 0) ? fpu_fault(v, vector) : EXEC_NEXT;
}

enum exec op_simd(struct vcpu *v, const struct insn *i)
{
    if (insn_is_memory(i))
        return simd_memory(v, i);
    u32 vector = fpu_run(v, i, NULL);
    return __builtin_expect(vector, 0) ? fpu_fault(v, vector) : EXEC_NEXT;
}

enum exec op_simd_store(struct vcpu *v, const struct insn *i)
{
    if (!insn_is_memory(i))
        return op_simd(v, i);
    struct operand o;
    if (!operand_write_begin(v, i, &o))
        return fpu_operand_fault(v, i);
    u32 vector = fpu_run(v, i, o.host);
    if (vector)
        return fpu_fault(v, vector);
    mem_rmw_end(v, &o.memory);
    return EXEC_NEXT;
}

/* With general registers; the r/m operand, if it is memory, is read. */
static inline enum exec run_registers(struct vcpu *v, const struct insn *i, struct fpu_registers *r)
{
    struct operand o;
    o.host = NULL;
    if (insn_is_memory(i) && !operand_read(v, i, &o))
        return fpu_operand_fault(v, i);
    u32 vector = fpu_run_registers(v, i, o.host, r);
    return vector ? fpu_fault(v, vector) : EXEC_NEXT;
}

/* COMISS, UCOMISS, COMISD, UCOMISD, PTEST: write all arithmetic flags. */
enum exec op_simd_flags(struct vcpu *v, const struct insn *i)
{
    struct fpu_registers r = {.flags = v->cpu.aflags};
    enum exec result = run_registers(v, i, &r);
    if (result == EXEC_NEXT)
        v->cpu.aflags = (u32)r.flags;
    return result;
}

/* ModRM.rm is a general register or memory, and the source. */
enum exec op_simd_from_gpr(struct vcpu *v, const struct insn *i)
{
    if (insn_is_memory(i))
        return simd_memory(v, i);
    struct fpu_registers r = {.rax = v->cpu.gpr[i->rm]};
    return run_registers(v, i, &r);
}

/* ModRM.reg is a general register, and the destination. A 32-bit result leaves the upper half of RAX zero, as the
 * guest's register must have it. */
enum exec op_simd_to_gpr(struct vcpu *v, const struct insn *i)
{
    struct fpu_registers r = {.rax = 0};
    enum exec result = run_registers(v, i, &r);
    if (result == EXEC_NEXT)
        v->cpu.gpr[i->reg] = r.rax;
    return result;
}

/* ModRM.rm is a general register or memory, and the destination. */
enum exec op_simd_to_rm(struct vcpu *v, const struct insn *i)
{
    if (insn_is_memory(i))
        return op_simd_store(v, i);
    struct fpu_registers r = {.rax = 0};
    enum exec result = run_registers(v, i, &r);
    if (result == EXEC_NEXT)
        v->cpu.gpr[i->rm] = r.rax;
    return result;
}

/* PCMPxSTRx: explicit lengths in rAX and rDX, index to ECX or mask to XMM0, flags. */
enum exec op_pcmpstr(struct vcpu *v, const struct insn *i)
{
    struct cpu *c = &v->cpu;
    struct fpu_registers r = {.rax = c->gpr[RAX], .rcx = c->gpr[RCX], .rdx = c->gpr[RDX], .flags = c->aflags};
    enum exec result = run_registers(v, i, &r);
    if (result == EXEC_NEXT) {
        c->gpr[RCX] = r.rcx; /* the mask forms leave it as it was */
        c->aflags = (u32)r.flags;
    }
    return result;
}

enum exec op_ldmxcsr(struct vcpu *v, const struct insn *i)
{
    struct operand o;
    if (!operand_read(v, i, &o))
        return EXEC_FAULT;
    u32 mxcsr = image_get_32(o.host, 0);
    if (mxcsr & ~MXCSR_MODEL_MASK)
        return fault_gp(v, 0);
    u32 vector = fpu_run(v, i, &mxcsr);
    return vector ? fpu_fault(v, vector) : EXEC_NEXT;
}

/* ---- MASKMOVQ, MASKMOVDQU ------------------------------------------------------------------------- */

/* Source and mask as they are now; both stay what they are. */
static void masked_operands(struct vcpu *v, const struct insn *i, unsigned size, u8 *source, u8 *mask)
{
    fpu_park(v);
    const u8 *image = v->cpu.fpu.fxsave;
    if (size == 16) {
        memcpy(source, image + FXSAVE_XMM + 16 * i->reg, size);
        memcpy(mask, image + FXSAVE_XMM + 16 * i->rm, size);
        return;
    }
    /* The image has x87 registers in stack order, and mm registers are physical ones. */
    unsigned top = image_get_16(image, FXSAVE_FSW) >> FSW_TOP_SHIFT;
    memcpy(source, image + FXSAVE_ST + 16 * ((i->reg - top) & 7), size);
    memcpy(mask, image + FXSAVE_ST + 16 * ((i->rm - top) & 7), size);
}

/* Does to the x87 state what the MMX instruction itself would: raises a waiting #MF, marks all registers valid. */
static u32 enter_mmx(struct vcpu *v)
{
    fpu_enter(v);
    u32 vector = fpu_x87_pending(v) ? VEC_MF : 0;
    u32 sink;
    if (!vector)
        __asm__ volatile("pmovmskb %%mm0, %0" : "=r"(sink) : : "memory"); /* reads only: writing would set exponents */
    fpu_leave(v);
    return vector;
}

/* Writes the bytes of `source` whose mask byte has bit 7 set to DS:rDI. With an all-zero mask nothing is accessed
 * (SDM vol. 2, MASKMOVDQU: faults are then up to the implementation). */
enum exec op_maskmov(struct vcpu *v, const struct insn *i)
{
    bool mmx = isa_rows[i->row].prefix == PX_NP;
    unsigned size = mmx ? 8 : 16, first = size, last = 0;
    u8 source[16], mask[16];
    masked_operands(v, i, size, source, mask);
    for (unsigned n = 0; n < size; n++)
        if (mask[n] & 0x80) {
            first = first < n ? first : n;
            last = n;
        }
    u64 address_mask = i->addrsize == 8 ? ~0ull : i->addrsize == 4 ? 0xffffffffull : 0xffffull;
    u64 offset = (v->cpu.gpr[RDI] + first) & address_mask, linear = 0;
    if (first < size && (!seg_linear(v, (enum seg)i->seg, offset, last - first + 1, ACCESS_WRITE, &linear) ||
                         !mem_probe(v, linear, last - first + 1, ACCESS_WRITE, (enum tlb_rights)v->tlb.rights)))
        return fpu_operand_fault(v, i);
    u32 vector = mmx ? enter_mmx(v) : 0;
    if (vector)
        return fpu_fault(v, vector);
    u64 linear_mask = v->mode == CODE_64 ? ~0ull : 0xffffffffull;
    for (unsigned n = first; n <= last && first < size; n++)
        if ((mask[n] & 0x80) && !mem_write8(v, (linear + n - first) & linear_mask, source[n]))
            return EXEC_FAULT;
    return EXEC_NEXT;
}

/* ---- x87 ------------------------------------------------------------------------------------------ */

/* FIP, FDP and FOP of the last non-control instruction: SDM vol. 1, 8.1.8 and 8.1.9. 64-bit mode has no selectors. */
static inline void record_code(struct vcpu *v, const struct insn *i)
{
    struct fpu *f = &v->cpu.fpu;
    f->fip = v->cpu.rip;
    f->fcs = v->mode == CODE_64 ? 0 : v->cpu.seg[SEG_CS].selector;
    f->fop = (u16)((i->opcode & 7) << 8 | i->modrm);
}

static inline void record_data(struct vcpu *v, const struct insn *i, u64 offset)
{
    v->cpu.fpu.fdp = offset;
    v->cpu.fpu.fds = v->mode == CODE_64 ? 0 : v->cpu.seg[i->seg].selector;
}

static __attribute__((noinline)) enum exec x87_memory(struct vcpu *v, const struct insn *i)
{
    struct operand o;
    if (!operand_read(v, i, &o))
        return fpu_operand_fault(v, i);
    u32 vector = fpu_run(v, i, o.host);
    if (vector)
        return fpu_fault(v, vector);
    record_code(v, i);
    record_data(v, i, o.offset);
    return EXEC_NEXT;
}

enum exec op_x87(struct vcpu *v, const struct insn *i)
{
    if (insn_is_memory(i))
        return x87_memory(v, i);
    u32 vector = fpu_run(v, i, NULL);
    if (vector)
        return fpu_fault(v, vector);
    record_code(v, i);
    return EXEC_NEXT;
}

/* Did the store that just ran keep its result back? Unmasked #I, #O and #U do that, and set ES (SDM vol. 1, 8.5). ES
 * was clear before, or the instruction would have raised #MF instead. */
static bool x87_store_withheld(struct vcpu *v)
{
    u16 fsw = image_get_16(v->cpu.fpu.fxsave, FXSAVE_FSW), fcw = image_get_16(v->cpu.fpu.fxsave, FXSAVE_FCW);
    if (v->fpu_live)
        __asm__ volatile("fnstsw %0\n\tfnstcw %1" : "=a"(fsw), "=m"(fcw));
    return fsw & ~fcw & (FSW_IE | FSW_OE | FSW_UE);
}

enum exec op_x87_store(struct vcpu *v, const struct insn *i)
{
    struct operand o;
    if (!operand_write_begin(v, i, &o))
        return fpu_operand_fault(v, i);
    u32 vector = fpu_run(v, i, o.host);
    if (vector)
        return fpu_fault(v, vector);
    if (!o.memory.bounced || !x87_store_withheld(v))
        mem_rmw_end(v, &o.memory);
    record_code(v, i);
    record_data(v, i, o.offset);
    return EXEC_NEXT;
}

/* FCMOVcc reads flags; FCOMI and its kin write them. */
enum exec op_x87_flags(struct vcpu *v, const struct insn *i)
{
    struct fpu_registers r = {.flags = v->cpu.aflags};
    enum exec result = run_registers(v, i, &r);
    if (result != EXEC_NEXT)
        return result;
    v->cpu.aflags = (u32)r.flags;
    record_code(v, i);
    return EXEC_NEXT;
}

/* Control instructions leave the pointers alone: FLDCW, FNCLEX and FWAIT… */
enum exec op_x87_control(struct vcpu *v, const struct insn *i)
{
    struct operand o;
    o.host = NULL;
    if (insn_is_memory(i) && !operand_read(v, i, &o))
        return fpu_operand_fault(v, i);
    u32 vector = fpu_run(v, i, o.host);
    return vector ? fpu_fault(v, vector) : EXEC_NEXT;
}

/* …FNSTCW and FNSTSW m16. */
enum exec op_x87_control_store(struct vcpu *v, const struct insn *i)
{
    return op_simd_store(v, i);
}

enum exec op_fnstsw_ax(struct vcpu *v, const struct insn *i)
{
    struct fpu_registers r = {.rax = v->cpu.gpr[RAX]};
    enum exec result = run_registers(v, i, &r);
    if (result == EXEC_NEXT)
        v->cpu.gpr[RAX] = r.rax;
    return result;
}

enum exec op_fninit(struct vcpu *v, const struct insn *i)
{
    u32 vector = fpu_run(v, i, NULL);
    if (vector)
        return fpu_fault(v, vector);
    struct fpu *f = &v->cpu.fpu;
    f->fip = f->fdp = 0;
    f->fop = f->fcs = f->fds = 0;
    return EXEC_NEXT;
}

enum exec op_x87_nop(struct vcpu *v, const struct insn *i)
{
    (void)v;
    (void)i;
    return EXEC_NEXT;
}
