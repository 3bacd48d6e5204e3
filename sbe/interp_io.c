/* Port I/O: IN, OUT, INS, OUTS. SDM vol. 1, chapter 19, for who may. */
#include "core/exception.h"
#include "core/task.h"
#include "core/vm.h"
#include "sbe/exec.h"
#include "sbe/handlers.h"

/* The I/O permission bitmap of the current TSS (SDM vol. 1, 19.5.2): two bytes are read, so that an access across a
 * byte boundary finds its bits; the bitmap must hold both. */
static bool bitmap_permits(struct vcpu *v, u16 port, unsigned size)
{
    const struct segment *tr = &v->cpu.tr;
    u16 base, bits;
    if (!(tr->attributes & SYS_WIDE) || tr->limit < TSS32_IO_MAP_BASE + 1) {
        fault_gp(v, 0);
        return false;
    }
    if (!mem_read16_sys(v, tr->base + TSS32_IO_MAP_BASE, &base))
        return false;
    u32 at = base + (port >> 3);
    if (at + 1 > tr->limit) {
        fault_gp(v, 0);
        return false;
    }
    if (!mem_read16_sys(v, tr->base + at, &bits))
        return false;
    if (bits >> (port & 7) & ((1u << size) - 1)) {
        fault_gp(v, 0);
        return false;
    }
    return true;
}

static inline bool io_permitted(struct vcpu *v, u16 port, unsigned size)
{
    const struct cpu *c = &v->cpu;
    if (!cpu_protected(c) || (!cpu_v86(c) && c->cpl <= cpu_iopl(c)))
        return true;
    return bitmap_permits(v, port, size);
}

/* REX.W does not widen ports: 32 bits at most. */
static inline unsigned io_size(const struct insn *i) { return i->opsize > 4 ? 4 : i->opsize; }

/* I/O breakpoints are traps: they match once the port has been accessed (SDM vol. 3, 17.2.4). */
static inline void match_breakpoint(struct vcpu *v, u16 port, unsigned size)
{
    if (__builtin_expect(debug_data_armed(&v->cpu), 0))
        debug_match_io(v, port, size);
}

static enum exec in_a(struct vcpu *v, const struct insn *i, u16 port)
{
    unsigned size = io_size(i);
    if (!io_permitted(v, port, size))
        return EXEC_FAULT;
    u32 value = vm_io_read(v, port, size);
    match_breakpoint(v, port, size);
    if (size == 4)
        v->cpu.gpr[RAX] = value;
    else
        memcpy(&v->cpu.gpr[RAX], &value, size);
    return EXEC_NEXT;
}

static enum exec out_a(struct vcpu *v, const struct insn *i, u16 port)
{
    unsigned size = io_size(i);
    if (!io_permitted(v, port, size))
        return EXEC_FAULT;
    vm_io_write(v, port, (u32)v->cpu.gpr[RAX], size);
    match_breakpoint(v, port, size);
    return EXEC_NEXT;
}

enum exec op_in_a_imm(struct vcpu *v, const struct insn *i) { return in_a(v, i, (u8)i->imm); }
enum exec op_in_a_dx(struct vcpu *v, const struct insn *i) { return in_a(v, i, (u16)v->cpu.gpr[RDX]); }
enum exec op_out_imm_a(struct vcpu *v, const struct insn *i) { return out_a(v, i, (u8)i->imm); }
enum exec op_out_dx_a(struct vcpu *v, const struct insn *i) { return out_a(v, i, (u16)v->cpu.gpr[RDX]); }

/* ---- INS and OUTS: one iteration per call ------------------------------------------------------- */

static bool repeats(const struct insn *i) { return i->prefixes & (INSN_REP | INSN_REPNE); }

/* Steps the pointer and the count after one element. */
static enum exec advance(struct vcpu *v, const struct insn *i, enum gpr pointer, unsigned size)
{
    u64 step = v->cpu.rflags & FLAG_DF ? 0 - (u64)size : size;
    set_address_register(v, i, pointer, v->cpu.gpr[pointer] + step);
    if (!repeats(i))
        return EXEC_NEXT;
    u64 left = address_register(v, i, RCX) - 1;
    set_address_register(v, i, RCX, left);
    if (left == 0)
        return EXEC_NEXT;
    v->cpu.icount++;
    return EXEC_REPEAT;
}

/* The destination is checked before the port is read: a fault must not lose what the device gave. */
static bool probe_destination(struct vcpu *v, const struct insn *i, unsigned size, u64 *linear)
{
    enum tlb_rights rights = (enum tlb_rights)v->tlb.rights;
    if (!seg_linear(v, SEG_ES, address_register(v, i, RDI), size, ACCESS_WRITE, linear))
        return false;
    if (rights == TLB_USER_ALIGNED && (*linear & (size - 1))) {
        fault_error(v, VEC_AC, 0);
        return false;
    }
    return mem_probe(v, *linear, size, ACCESS_WRITE, rights);
}

enum exec op_ins(struct vcpu *v, const struct insn *i)
{
    unsigned size = io_size(i);
    u16 port = (u16)v->cpu.gpr[RDX];
    u64 linear;
    if (repeats(i) && address_register(v, i, RCX) == 0)
        return EXEC_NEXT;
    if (!io_permitted(v, port, size) || !probe_destination(v, i, size, &linear))
        return EXEC_FAULT;
    u32 value = vm_io_read(v, port, size);
    if (!mem_write_slow(v, linear, &value, size, (enum tlb_rights)v->tlb.rights))
        return EXEC_FAULT;
    match_breakpoint(v, port, size);
    return advance(v, i, RDI, size);
}

enum exec op_outs(struct vcpu *v, const struct insn *i)
{
    unsigned size = io_size(i);
    u16 port = (u16)v->cpu.gpr[RDX];
    u64 linear;
    u32 value = 0;
    if (repeats(i) && address_register(v, i, RCX) == 0)
        return EXEC_NEXT;
    if (!io_permitted(v, port, size) ||
        !seg_linear(v, (enum seg)i->seg, address_register(v, i, RSI), size, ACCESS_READ, &linear) ||
        !mem_read_slow(v, linear, &value, size, (enum tlb_rights)v->tlb.rights))
        return EXEC_FAULT;
    vm_io_write(v, port, value, size);
    match_breakpoint(v, port, size);
    return advance(v, i, RSI, size);
}
